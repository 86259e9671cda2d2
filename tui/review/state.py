"""What is stored of a listening session: plain data and its file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.contract.errors import UserError
from tui.review import order

VERSION = 1


@dataclass
class Rating:
    """What was said about one clip of one trial."""

    score: int | None = None
    """1-5, in score mode."""
    rank: int | None = None
    """1 is best, equal ranks are ties, in ranking mode."""
    tags: list[str] = field(default_factory=list)
    note: str = ""
    heard: float = 0.0
    """Seconds played."""
    blind: bool = True
    """The last score or rank was given before the names were shown."""


@dataclass
class State:
    """The whole file. ``ratings[trial id][letter]``."""

    listener: str
    evaluation: str
    seed: int
    mode: str
    created: float
    equal: str | None = None
    trials: list[order.Trial] = field(default_factory=list)
    ratings: dict[str, dict[str, Rating]] = field(default_factory=dict)
    all_bad: list[str] = field(default_factory=list)
    trial: str = ""
    letter: str = "A"
    revealed: dict[str, Any] | None = None
    """When and at how many of how many the names were shown; ``early`` when not all was judged."""
    sittings: list[dict[str, float]] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    played: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> State:
        data = {key: value for key, value in data.items() if key != "version"}
        data["trials"] = [order.Trial(**t | {"order": tuple(t["order"])}) for t in data["trials"]]
        data["ratings"] = {
            trial: {letter: Rating(**rating) for letter, rating in letters.items()}
            for trial, letters in data["ratings"].items()
        }
        return cls(**data)

    def as_data(self) -> dict[str, Any]:
        return {"version": VERSION, **asdict(self)}


def read_state(path: Path) -> State:
    """A stored session; UserError when the file is damaged."""
    try:
        return State.from_data(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read as a listening session ({error}); move it away to begin a new one."
        ) from None
