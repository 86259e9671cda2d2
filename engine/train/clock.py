"""Throughput of training alone: pauses for validation and saving do not count."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Clips a second and share of time spent waiting for data, since the last lap."""

    def __init__(self) -> None:
        self.clips = 0
        self._began = time.perf_counter()
        self._waited = 0.0
        self._paused = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time in this block is waiting for data."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time in this block is not training."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._paused += time.perf_counter() - began

    def lap(self) -> tuple[float, float]:
        """Clips a second and waiting share (0 to 1) since the last lap; begins the next."""
        now = time.perf_counter()
        seconds = max(now - self._began - self._paused, 1e-9)
        speed, share = self.clips / seconds, self._waited / seconds
        self.clips, self._began, self._waited, self._paused = 0, now, 0.0, 0.0
        return speed, min(share, 1.0)
