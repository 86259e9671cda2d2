"""A recorded run, driven again at any speed: what the Monitor shows is what it would have shown.

Events come at their own intervals divided by the speed. Long silences are cut short; where an engine was lost, the run
is LOST for a moment before its successor comes, and at the end when none came.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from engine.contract.events import END_STATES
from engine.contract.liveness import RunState
from engine.contract.rundir import RunDir
from tui.runs.history import History
from tui.runs.tail import EventTail

LONGEST_GAP = 10.0
"""Seconds of recorded time that a silence may last."""
LOST_FOR = 2.0
"""Seconds, real ones, that a lost engine is shown."""


class Replayed:
    """A source like a run that is followed, from a recording."""

    def __init__(self, run: RunDir, *, speed: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.run = run
        self.history = History()
        self.state = RunState("waiting")
        tail = EventTail(run.events)
        events: list[dict[str, Any]] = []
        while more := tail.events():
            events += more
        self._unreadable = tail.unreadable
        self._due = schedule(events, speed)
        self._next = 0
        self._clock = clock
        self._began = clock()

    @property
    def over(self) -> bool:
        """Nothing is left to come."""
        return self._next == len(self._due)

    def poll(self) -> bool:
        """Let the events happen that are due; whether anything changed."""
        now = self._clock() - self._began
        end = self._next
        while end < len(self._due) and self._due[end][0] <= now:
            end += 1
        before = self.state
        self.history.add([event for _, event in self._due[self._next : end]])
        changed, self._next = end > self._next, end
        self.state = self._state()
        return changed or self.state != before

    def now(self) -> float:
        return self.history.last_t

    def _state(self) -> RunState:
        phase, error = self.history.phase, self.history.error
        if not self.history.count:
            return RunState("waiting")
        if phase in END_STATES and (self.over or self._successor_comes()):
            return RunState(phase, phase, error)
        if self.over or self._successor_comes():
            return RunState("lost", phase, "the engine is gone and left no end in its log")
        return RunState("running", phase)

    def _successor_comes(self) -> bool:
        return not self.over and self._due[self._next][1]["event"] == "start" and self.history.count > 0

    def problems(self) -> list[str]:
        said = self.history.problems()
        if self._unreadable:
            said.append(f"{self._unreadable} lines of events.jsonl could not be read")
        return said


def schedule(events: list[dict[str, Any]], speed: float) -> list[tuple[float, dict[str, Any]]]:
    """When each event happens, in seconds from the beginning of the replay."""
    due: list[tuple[float, dict[str, Any]]] = []
    at, last = 0.0, events[0]["t"] if events else 0.0
    for event in events:
        gap = max(0.0, min(event["t"] - last, LONGEST_GAP)) / speed
        if event["event"] == "start" and due:
            gap = LOST_FOR
        at += gap
        last = event["t"]
        due.append((at, event))
    return due
