"""A recorded run, driven again at any speed: what the Monitor shows is what it would have shown.

Events come at their own intervals divided by the speed. Long silences are cut short; where an engine was lost, the run
is LOST for a moment before its successor comes, and at the end when none came.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.contract.events import (
    END_STATES,
    AnyEvent,
    Best,
    Checkpoint,
    EventTail,
    Health,
    Note,
    Start,
    State,
    Train,
    Valid,
)
from engine.contract.liveness import RunState
from engine.contract.rundir import RunDir
from tui.runs.history import History

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
        self._tail = tail = EventTail(run.events)
        events: list[AnyEvent] = []
        while more := tail.events():
            events += more
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
        return not self.over and isinstance(self._due[self._next][1], Start) and self.history.count > 0

    def problems(self) -> list[str]:
        return self.history.problems() + self._tail.problems()


class ReplayedLog:
    """The log of a replayed run: its events in words, since the lines of engine.log do not tell when they came."""

    gone = False
    restarted = False

    def __init__(self) -> None:
        self._new: list[str] = []

    def add(self, events: list[AnyEvent]) -> None:
        self._new += [f"{clock_time(event.t)} {words}" for event in events if (words := in_words(event))]

    def lines(self) -> list[str]:
        lines, self._new = self._new, []
        return lines


def clock_time(t: float) -> str:
    """Local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(t))


def in_words(event: AnyEvent) -> str:
    """An event as a line of a log; empty for those that a log does not tell."""
    match event:
        case Train(loss=None):
            return f"step {event.step} loss {event.loss_reason or 'no number'} (no step made)"
        case Train():
            return f"step {event.step} loss {event.loss:.4f}"
        case Start():
            return f"engine starts, {event.total_steps} steps"
        case State():
            return f"{event.state} {event.error or ''}".strip()
        case Valid():
            return f"step {event.step} valid {event.loss}"
        case Best():
            return f"step {event.step} ★ best {event.loss}"
        case Checkpoint():
            return f"saved {event.path}"
        case Health():
            return f"{event.verdict}: {event.evidence}"
        case Note():
            return event.text
    return ""


def schedule(events: list[AnyEvent], speed: float) -> list[tuple[float, AnyEvent]]:
    """When each event happens, in seconds from the beginning of the replay."""
    due: list[tuple[float, AnyEvent]] = []
    at, last = 0.0, events[0].t if events else 0.0
    for event in events:
        gap = max(0.0, min(event.t - last, LONGEST_GAP)) / speed
        if isinstance(event, Start) and due:
            gap = LOST_FOR
        at += gap
        last = event.t
        due.append((at, event))
    return due
