"""What was found of a card, kept in the machine's cache folder until driver, torch or card are others.

Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from engine.contract import typed
from engine.contract.cards import Card
from engine.contract.paths import cache_dir
from engine.contract.rundir import write_atomically

Verdict = Literal["works", "falls back", "fails", "not checked"]
Ability = Literal["fp16", "bf16", "graphs", "compile", "fused_adamw", "encodec"]
Positive = Annotated[float, Meta(gt=0)]


class Line(msgspec.Struct, kw_only=True):
    """What was found of one thing."""

    check: str
    verdict: Verdict
    message: str
    off: Ability | None = None
    """What runs on this card do without from now on."""
    instead: str = ""
    """What is used in its place."""
    times_floor: Positive | None = None
    """Time taken, against the least that the card's own measured rates allow."""


class Rates(msgspec.Struct, kw_only=True):
    """What was measured; None where it was not."""

    products: Positive | None = None
    """Half-precision operations a second (a multiplication and an addition are two)."""
    products_fp32: Positive | None = None
    copies: Positive | None = None
    """Bytes a second, read and written."""
    clip_seconds: Positive | None = None
    """Seconds that training takes for a clip of 15 s with musicgen-small."""
    step_seconds: Positive | None = None
    """Seconds of one decoding step of eight prompts with musicgen-small."""
    peaks: dict[str, Positive] = {}
    """Clips at once -> bytes at the peak of such a training step."""


class Record(msgspec.Struct, kw_only=True):
    """The proof of one card."""

    card: str
    uuid: str
    driver: str
    torch: str
    t: float
    """Unix seconds at its end."""
    full: bool = False
    """Not only the short part that the first training runs."""
    values: bool = True
    """Values were compared; without it only that everything runs is known."""
    lines: list[Line] = []
    rates: Rates = msgspec.field(default_factory=Rates)

    @property
    def off(self) -> dict[str, str]:
        """What is switched off -> why."""
        return {line.off: line.message for line in self.lines if line.off}

    def answers(self, *, short: bool) -> bool:
        """Whether it need not be made again, for those whom the ``short`` part is enough or for all others."""
        nothing_left = all(line.verdict != "not checked" for line in self.lines)
        return self.full or nothing_left if short else self.full and nothing_left


def values_count() -> bool:
    """Whether what a card computes is compared; MGL_TUI_VALUES=off is for a card that only pretends to compute."""
    return os.environ.get("MGL_TUI_VALUES") != "off"


def path_for(card: Card, driver: str | None, torch: str) -> Path:
    """The file of a card under this driver and torch."""
    unnamed = not card.uuid.strip("0-")
    key = json.dumps([card.name if unnamed else card.uuid, driver, torch])
    name = re.sub(r"[^a-z0-9]+", "-", card.name.lower()).strip("-") or "card"
    return cache_dir() / "cards" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"


def read(path: Path, *, values: bool) -> Record | None:
    """The proof in a file; None when there is none, or one that compared no values where ``values`` are wanted.

    A file that is damaged counts as none: the card is then proven again.
    """
    try:
        found, complaints = typed.load(path, Record)
    except typed.Unreadable:
        return None
    return None if complaints or (values and not found.values) else found


def write(path: Path, record: Record) -> None:
    """Keep a proof. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(typed.data(record), indent=2) + "\n")
