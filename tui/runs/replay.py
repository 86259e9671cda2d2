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
        self._log = ReplayedLog()
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
        events = [event for _, event in self._due[self._next : end]]
        self.history.add(events)
        self._log.add(events)
        changed, self._next = end > self._next, end
        self.state = self._state()
        return changed or self.state != before

    def log(self) -> ReplayedLog:
        return self._log

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


class ReplayedLog:
    """The log of a replayed run: its events in words, since the lines of engine.log do not tell when they came."""

    gone = False
    restarted = False

    def __init__(self) -> None:
        self._new: list[str] = []

    def add(self, events: list[dict[str, Any]]) -> None:
        self._new += [f"{clock_time(event['t'])} {words}" for event in events if (words := in_words(event))]

    def lines(self) -> list[str]:
        lines, self._new = self._new, []
        return lines


def clock_time(t: float) -> str:
    """Local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(t))


def in_words(event: dict[str, Any]) -> str:
    """An event as a line of a log; empty for those that a log does not tell."""
    name, step = event["event"], event.get("step")
    if name == "train":
        loss = event.get("loss")
        shown = f"{loss:.4f}" if isinstance(loss, float) else f"{event.get('loss_reason')} (no step made)"
        return f"step {step} loss {shown}"
    words = {
        "start": f"engine starts, {event.get('total_steps')} steps",
        "state": f"{event.get('state')} {event.get('error') or ''}",
        "valid": f"step {step} valid {event.get('loss')}",
        "best": f"step {step} ★ best {event.get('loss')}",
        "checkpoint": f"saved {event.get('path')}",
        "health": f"{event.get('verdict')}: {event.get('evidence')}",
        "note": str(event.get("text")),
    }
    return words.get(name, "").strip()


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
