"""The run's voice: each event goes to the log, to the history that health is judged by, and as a line to stdout."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from engine.contract import events
from engine.contract.text import plain

PROGRESS_INTERVAL = 0.5
"""Seconds between two progress events."""
_SAME = {
    "train": ("loss", "lr", "grad_norm", "scale", "skipped", "clips_seen"),
    "valid": ("loss", "per_codebook", "train_sample_loss"),
    "best": ("loss", "previous"),
    "checkpoint": ("path",),
    "health": ("name", "verdict", "evidence"),
}
"""Events that a resumed run may come to a second time, and the fields that tell whether anything differs."""


class Journal:
    """Writes events. A step that is repeated after a resume is written again only when its numbers differ.

    Processes other than the first of a distributed run have a silent journal.
    """

    def __init__(self, path: Path, *, silent: bool = False) -> None:
        self.history: list[dict[str, Any]] = events.read(path)
        self._state = ""
        self._last_progress = -math.inf
        self._log = None if silent else events.EventLog(path)
        self._replayed: list[dict[str, Any]] = []

    def rewind(self, step: int) -> None:
        """Forget, for judgement, what came after optimizer step ``step``: a resumed run will come to it again."""
        later = [place for place, event in enumerate(self.history) if (event.get("step") or 0) > step]
        cut = later[0] if later else len(self.history)
        # Of the steps before it, too: a run killed before its first checkpoint measures its base model again.
        self._replayed = [
            event
            for place, event in enumerate(self.history)
            if event["event"] in _SAME and (place >= cut or event["event"] != "health")
        ]
        del self.history[cut:]

    def write(self, event: str, **fields: Any) -> None:
        if any(_is_same(known, event, fields) for known in self._replayed):
            self.history.append({"event": event, **fields})
            return
        self.history.append({"event": event, **fields})
        if self._log is not None:
            self._log.write(event, **fields)

    def state(self, state: str, **fields: Any) -> None:
        """Enter a state; being in it already is no event."""
        if fields or state != self._state:
            self.write("state", state=state, **fields)
        self._state = state

    def say(self, line: str) -> None:
        """A line for engine.log."""
        if self._log is not None:
            print(plain(line), flush=True)

    def note(self, text: str) -> None:
        """Something the user should know, in the log and in the events."""
        self.write("note", text=text)
        self.say(text)

    def progress(self, phase: str, done: int, total: int, unit: str) -> None:
        """How far a phase is; calls that come fast are thinned out."""
        now = time.monotonic()
        if done >= total or now - self._last_progress > PROGRESS_INTERVAL:
            self._last_progress = now
            self.write("progress", phase=phase, done=done, total=total, unit=unit)
            self.say(f"{phase} {done} of {total} {unit}")

    def close(self) -> None:
        if self._log is not None:
            self._log.close()


def _is_same(known: dict[str, Any], event: str, fields: dict[str, Any]) -> bool:
    return (
        known["event"] == event
        and known.get("step") == fields.get("step")
        and all(_equal(known.get(name), fields.get(name)) for name in _SAME[event])
    )


def _equal(logged: Any, new: Any) -> bool:
    if isinstance(new, float) and not math.isfinite(new):
        return logged is None
    return logged == new
