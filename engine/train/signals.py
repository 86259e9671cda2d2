"""What can be asked of a training engine from outside, by signals. Imports no torch, so that it is ready at once."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class Stopped(Exception):
    """The run was asked to stop, and everything worth keeping is on disk."""


class Requests:
    """Wishes that have come in by signal: SIGTERM or SIGINT stop, SIGUSR1 checkpoint, SIGUSR2 validate.

    Handlers only note the wish; the loop looks between two steps. Asking twice is the same as asking once. Entering
    twice is, too; the first leaving gives the signals back.
    """

    def __init__(self) -> None:
        self.stop = ""
        """Name of the signal that asked to stop, or ""."""
        self.checkpoint = False
        self.validate = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Requests:
        if self._before:
            return self
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before, self.stop, self.checkpoint, self.validate = {}, "", False, False

    def agree(self, accelerator: Any) -> None:
        """Make all processes of a distributed run answer the same wishes at the same step."""
        import torch

        wishes = torch.tensor([bool(self.stop), self.checkpoint, self.validate], device=accelerator.device).float()
        stop, self.checkpoint, self.validate = (accelerator.reduce(wishes, "sum") > 0).tolist()
        self.stop = self.stop or ("SIGTERM" if stop else "")

    def stop_now(self) -> None:
        """Raise Stopped if a stop was asked for: for phases that have nothing to finish."""
        if self.stop:
            raise Stopped

    def _note(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGUSR1:
            self.checkpoint = True
        elif number == signal.SIGUSR2:
            self.validate = True
        else:
            self.stop = signal.Signals(number).name


requests = Requests()
"""The process's own: entered before torch is imported, so that no signal is lost while a run starts."""
