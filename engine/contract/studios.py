"""The warm processes of Try that are at work beside a runs folder, so that an engine that starts can send them away."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 10.0
"""Seconds that one may take to go by itself."""


@contextmanager
def present(runs_dir: Path) -> Iterator[None]:
    """Be known there as a process that leaves on SIGTERM, while the block runs."""
    path = Path(runs_dir) / f".studio-{os.getpid()}"
    try:
        file = open(path, "w")  # noqa: SIM115  (held for as long as the block runs)
    except OSError:
        # A folder that cannot be written: no run can start there either.
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def pids(runs_dir: Path) -> list[int]:
    """Those that are alive on this machine."""
    found = []
    for path in Path(runs_dir).glob(".studio-*"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads(path.read_text())
            if record["host"] != socket.gethostname():
                continue
            if _held(path):
                found.append(int(record["pid"]))
            else:
                path.unlink(missing_ok=True)  # it was killed
    return found


def send_away(runs_dir: Path) -> int:
    """End them all, because a run wants their place; returns how many there were. They are gone on return."""
    leaving = pids(runs_dir)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in set(leaving) & set(pids(runs_dir)):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        deadline = time.monotonic() + PATIENCE
        while set(leaving) & set(pids(runs_dir)) and time.monotonic() < deadline:
            time.sleep(0.02)
    return len(leaving)


def _held(path: Path) -> bool:
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
