"""The run's voice: each event goes to the log, to the history that health is judged by, and as a line to stdout."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from engine.contract import events
from engine.contract.events import AnyEvent
from engine.contract.text import plain

PROGRESS_INTERVAL = 0.5
"""Seconds between two progress events."""
_SAME = {
    "train": ("loss", "lr", "grad_norm", "scale", "skipped", "clips_seen"),
    "valid": ("loss", "per_codebook", "train_sample_loss"),
    "best": ("loss", "previous"),
    "checkpoint": ("path",),
}
"""Events that a resumed run comes to a second time, and the fields that tell whether anything differs."""


class Journal:
    """Writes events. A step that is repeated after a resume is written again only when its numbers differ.

    Processes other than the first of a distributed run have a silent journal.
    """

    def __init__(self, path: Path, *, silent: bool = False) -> None:
        self.history: list[AnyEvent] = events.read(path)
        """What the run's course is judged by."""
        self.health = {event.name: event for event in self.history if isinstance(event, events.Health)}
        """The last verdict of each name that the log holds, which a rewind does not take back."""
        self._state = ""
        self._last_progress = -math.inf
        self._log = None if silent else events.EventLog(path)
        self._logged: dict[tuple[str, int], AnyEvent] = {}

    def rewind(self, step: int) -> None:
        """Forget, for judgement, what came after optimizer step ``step``: a resumed run will come to it again."""
        # Of the steps before it, too: a run killed before its first checkpoint measures its base model again.
        self._logged = {(event.event, event["step"]): event for event in self.history if event.event in _SAME}
        later = (place for place, event in enumerate(self.history) if event.get("step", 0) > step)
        del self.history[next(later, len(self.history)) :]

    def write(self, event: str, **fields: Any) -> None:
        told = events.of(event, t=time.time(), **fields)
        self.history.append(told)
        if isinstance(told, events.Health):
            self.health[told.name] = told
        elif event in _SAME:
            known = self._logged.get((event, told["step"]))
            if known is not None and all(known[name] == told[name] for name in _SAME[event]):
                return
            if known is not None:
                self._logged[event, told["step"]] = told
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
