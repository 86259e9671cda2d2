"""Who holds a run, and what state that makes it.

Nothing about liveness is stored: a living engine holds the lock file with flock, which the kernel releases however the
engine ends. The state of a run follows from that and from the last `state` event.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from engine.contract import events as event_log
from engine.contract import typed
from engine.contract.errors import UserError
from engine.contract.events import State
from engine.contract.rundir import RunDir, sweep
from engine.contract.tail import FileTail


@dataclass(frozen=True)
class RunState:
    """``state`` is waiting, running, done, stopped, failed or lost; ``phase`` the last state the engine wrote."""

    state: str
    phase: str = ""
    error: str = ""


class Holder(msgspec.Struct):
    """Who holds a run, or held it last; None where the lock does not say."""

    # Signals to 0 and below go to whole groups of processes.
    pid: Annotated[int, Meta(ge=2, le=2**31)] | None = None
    host: str | None = None
    started: float | None = None
    visible: str | None = None
    """CUDA_VISIBLE_DEVICES that it was started with; None where there was none."""


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
    try:
        fd = os.open(run.lock, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o644)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        raise UserError(
            f"The run {run.path} cannot be worked on: its folder may not be written ({error.strerror}); copy it to "
            "where you may write, or have its owner let you."
        ) from None
    try:
        if not take_lock(fd):
            raise UserError(
                f"The run {run.name} is held by a living engine (pid {holder(run).pid or 'unknown'}); "
                f"wait for it, or `mgl-tui stop {run.name}`."
            )
        record = {
            "pid": os.getpid(), "host": socket.gethostname(), "started": round(time.time(), 3),
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        }  # fmt: skip
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(record).encode() + b"\n", 0)
        _held_here.add(key)
        sweep(run)
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
        fd = os.open(run.lock, os.O_RDONLY | os.O_NONBLOCK)
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


def holder(run: RunDir) -> Holder:
    """The engine that holds or last held the run, as far as its lock says."""
    try:
        return typed.load(run.lock, Holder).value
    except UserError:
        return Holder()


def state_of(run: RunDir) -> RunState:
    """State of a run, from its log and its lock."""
    last, begun = None, False
    tail = FileTail(run.events)
    while lines := tail.poll():
        begun = True
        told = event_log.parse([line for line in lines if b'"state"' in line]).events
        last = next((event for event in reversed(told) if isinstance(event, State)), last)
    return state_from(run, last, begun=begun)


def state_from(run: RunDir, last: State | None, *, begun: bool) -> RunState:
    """State of a run from the last ``state`` event of its log, from whether it holds any event, and from its lock."""
    phase, error = (last.state, last.error or "") if last else ("", "")
    if is_held(run):
        return RunState("running", phase, error if phase == "failed" else "")
    if phase in event_log.END_STATES:
        return RunState(phase, phase, error)
    if not begun and not run.lock.exists():
        return RunState("waiting")
    return RunState("lost", phase, "the engine is gone and left no end in its log")
