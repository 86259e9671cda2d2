"""Who holds a run, and what state that makes it.

Nothing about liveness is stored: a living engine holds the lock file with flock, which the kernel releases however the
engine ends. The state of a run follows from that and from the last `state` event.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from engine.contract import events as event_log
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir


@dataclass(frozen=True)
class RunState:
    """``state`` is waiting, running, done, stopped, failed or lost; ``phase`` the last state the engine wrote."""

    state: str
    phase: str = ""
    error: str = ""


_held_here: set[str] = set()


@contextmanager
def hold(run: RunDir) -> Iterator[None]:
    """Hold the run's lock while the block runs; a process that holds it may ask again.

    Raises UserError when another engine holds it.
    """
    key = str(run.path.resolve())
    if key in _held_here:
        yield
        return
    fd = os.open(run.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not take_lock(fd):
            raise UserError(
                f"The run {run.name} is held by a living engine (pid {holder(run).get('pid', 'unknown')}); "
                f"wait for it, or `mgl-tui stop {run.name}`."
            )
        record = {"pid": os.getpid(), "host": socket.gethostname(), "started": round(time.time(), 3)}
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(record).encode() + b"\n", 0)
        _held_here.add(key)
        yield
    finally:
        _held_here.discard(key)
        os.close(fd)


def take_lock(fd: int) -> bool:
    """Take the lock of an open file for as long as it stays open; False when another process keeps it."""
    # Whoever only asks whether it is held has it for an instant: that is no reason to give up.
    for _ in range(20):
        with suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.02)
    return False


def is_held(run: RunDir) -> bool:
    """Whether a living engine holds the run."""
    try:
        fd = os.open(run.lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        # A shared try does not keep an engine from starting for longer than this call.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def holder(run: RunDir) -> dict[str, Any]:
    """``pid``, ``host``, ``started`` of the engine that holds or last held the run; {} when none ever did."""
    try:
        record = json.loads(run.lock.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def state_of(run: RunDir, events: list[dict[str, Any]] | None = None) -> RunState:
    """State of a run from its events (read when not given) and its lock."""
    held = is_held(run)
    if events is None:
        events = event_log.read(run.events)
    last: dict[str, Any] = next((event for event in reversed(events) if event["event"] == "state"), {})
    phase, error = str(last.get("state", "")), str(last.get("error") or "")
    if held:
        return RunState("running", phase, error if phase == "failed" else "")
    if phase in event_log.END_STATES:
        return RunState(phase, phase, error)
    if not events and not run.lock.exists():
        return RunState("waiting")
    return RunState("lost", phase, "the engine is gone and left no end in its log")
