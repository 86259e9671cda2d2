"""The port that every output stands behind, and what passes through it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# An event for the panel: JSON-able, with the key "event".
Emit = Callable[[dict[str, Any]], None]


class OutputError(Exception):
    """An output that cannot be opened: one sentence that says what to do."""


class OutputLost(Exception):
    """An output that was open and plays no more, as one sentence. Closing it may hang."""


@dataclass(frozen=True)
class ClipSet:
    """The clips of one prompt. ``gains_db`` are fixed level-matching gains; ``names`` are what may be shown."""

    paths: tuple[Path, ...]
    gains_db: tuple[float, ...]
    names: tuple[str, ...]
    title: str

    @property
    def gains(self) -> list[float]:
        """Linear factors."""
        return [10.0 ** (gain / 20.0) for gain in self.gains_db]


@dataclass(frozen=True)
class State:
    """What the panel shows of an output; times in seconds."""

    index: int = 0
    position: float = 0.0
    playing: bool = False
    duration: float = 0.0
    heard: tuple[float, ...] = ()
    loop: tuple[float, float | None] | None = None
    ended: int = 0  # how often a clip came to its end


def position_after(state: State, seconds: float) -> float:
    """Where the playhead of a playing ``state`` is that many seconds later."""
    position = state.position + seconds
    if state.loop is None:
        return min(position, max(state.duration, state.position))
    start, end = state.loop[0], min(state.duration, state.loop[1] or state.duration)
    return start + (position - start) % (end - start) if position >= end > start else position


@dataclass(frozen=True)
class Options:
    """What the settings say of sound; ``token`` is the secret part of the page's address."""

    token: str
    port: int = 8765
    unix_socket: str = ""
    latency: float = 0.2
    restart_on_switch: bool = False
    remote_keys: bool = False


class Output(ABC):
    """What plays. All methods are called by the worker's main thread; none may take longer than a second,
    but for ``open``."""

    name: str
    label: str
    proven = False
    hint = ""
    url = ""

    @abstractmethod
    def open(self) -> None:
        """Take the device. Raises OutputError."""

    @abstractmethod
    def load(self, clips: ClipSet) -> list[float]:
        """Hold these clips instead of others; return their durations in seconds.

        One that cannot be read is announced as an error and has a duration of 0.
        """

    @abstractmethod
    def play(self, index: int, position: float | None) -> None: ...

    @abstractmethod
    def pause(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def switch(self, index: int) -> None: ...

    @abstractmethod
    def seek(self, seconds: float, relative: bool) -> None: ...

    @abstractmethod
    def loop(self, region: tuple[float, float | None] | None) -> None: ...

    @abstractmethod
    def prove(self) -> None:
        """Play a chirp; the answer comes as an event ``proof``, possibly much later."""

    @abstractmethod
    def check(self) -> None:
        """Called some ten times a second. Raises OutputLost."""

    @abstractmethod
    def state(self) -> State: ...

    @abstractmethod
    def close(self) -> None: ...
