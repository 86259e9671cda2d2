"""One run as it is now: its history and its state, kept up to date from the folder."""

from __future__ import annotations

import time
from typing import Protocol

from engine.contract import liveness
from engine.contract.events import EventTail
from engine.contract.liveness import RunState
from engine.contract.rundir import RunDir
from engine.contract.tail import BITE
from tui.runs.history import History
from tui.runs.tail import TextTail


class LogSource(Protocol):
    """Lines of a log as they come."""

    gone: bool
    restarted: bool

    def lines(self) -> list[str]: ...


class Source(Protocol):
    """Where the Monitor gets a run from: the folder of a run, or the recording of one."""

    run: RunDir
    history: History
    state: RunState

    def now(self) -> float:
        """The time that the run's times are compared with."""
        ...

    def poll(self) -> bool: ...

    def log(self) -> LogSource:
        """The text of the run's log, from its beginning or near its end."""
        ...

    def problems(self) -> list[str]: ...


class Followed:
    """A run that is followed in its folder."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.history = History()
        self.state = RunState("waiting")
        self._tail = EventTail(run.events)
        self._vanished = 0.0
        self.loaded = False
        """The history is whole: all that was there has been read."""

    def load(self) -> None:
        """Read all that is there, from the start. May take a second for a very long log, so it is done in a thread:
        the history is seen by others only when it is whole."""
        history = History()
        while events := self._tail.events():
            if self._tail.restarted:
                history = History()
            history.add(events)
        self.history = history
        self._look()
        self.loaded = True

    def poll(self, limit: int = BITE) -> bool:
        """Read what is new, at most ``limit`` bytes; whether anything changed."""
        events = self._tail.events(limit)
        if self._tail.restarted:
            self.history = History()
        self.history.add(events)
        before, was_gone = self.state, self._vanished
        self._look()
        return bool(events) or self._tail.restarted or self.state != before or self._vanished != was_gone

    def _look(self) -> None:
        if not self.run.path.is_dir():
            self._vanished = self._vanished or time.time()
            return
        self._vanished = 0.0
        self.state = liveness.state_from(self.run, self.history.state, begun=self.history.count > 0)

    def now(self) -> float:
        return time.time()

    def log(self) -> TextTail:
        return TextTail(self.run.engine_log)

    @property
    def vanished(self) -> bool:
        """The run folder was there and is gone."""
        return bool(self._vanished)

    def problems(self) -> list[str]:
        """What is wrong with the log or the folder, one short sentence each."""
        said = self.history.problems()
        if self._vanished:
            at = time.strftime("%H:%M", time.localtime(self._vanished))
            said.insert(0, f"the run folder is gone since {at}; what was read before is still shown")
        elif self._tail.gone:
            said.insert(0, "events.jsonl is gone; what was read before is still shown")
        return said + self._tail.problems()
