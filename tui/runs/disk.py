"""What a run takes on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Holds:
    """Bytes that a run takes, by what they are."""

    checkpoints: int = 0
    models: int = 0
    clips: int = 0
    rest: int = 0

    @property
    def total(self) -> int:
        return self.checkpoints + self.models + self.clips + self.rest


def holds(run: Path) -> Holds:
    """What a run holds on disk; what vanishes meanwhile is left out."""
    found = dict.fromkeys(("checkpoints", "models", "clips", "rest"), 0)
    for kind, path in _files(run):
        with suppress(OSError):
            found[kind] += os.lstat(path).st_size
    return Holds(**found)


def _files(run: Path) -> Iterator[tuple[str, str]]:
    top = len(str(run)) + 1
    for folder, _, names in os.walk(run):
        first = folder[top:].split("/")[0]
        kind = (
            "checkpoints" if first == "checkpoints"
            else "models" if first in ("best_model", "final_model")
            else "clips" if first.startswith("evaluation") or first == "tries"
            else "rest"
        )  # fmt: skip
        yield from ((kind, f"{folder}/{name}") for name in names)


def usage(path: Path) -> int:
    """Bytes of all files below a folder; what vanishes meanwhile is left out."""
    return holds(path).total
