"""The queue: runs that wait for the GPU, and the small process that starts them one after another.

``queue.json`` in the runs folder holds the names in order and nothing else; a run in it is a run folder in state
waiting. ``python -m tui.runs.queue RUNS_DIR`` starts the first one whenever no engine works in the folder and the GPU
is free, without any panel. After a reboot the names are still there; ``start`` sets them going again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.contract import liveness, studios, typed
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir, keep_copy, write_atomically
from tui.runs import cards, launch, sweep
from tui.runs.machine import Slot
from tui.text import size

LOOK_EVERY = 5.0
LEAST_ROOM = 64 * 2**20
"""Free bytes of the disk below which no run is started."""
NOTICED_IN = 0.2
"""Seconds in which the end of an engine is noticed."""
_FILE, _EDIT, _RUNNER, _LOG = "queue.json", ".queue.edit", ".queue.runner", "queue.log"


def entries(runs_dir: Path) -> list[RunDir]:
    """The runs that wait, in order. Names whose folder is gone are left out."""
    names = _read(runs_dir).value
    # A run lies in the folder itself. os.path answers for names that no folder can have, too.
    inside = [name for name in names if name not in ("", "..") and Path(name).name == name]
    return [RunDir(Path(runs_dir) / name) for name in inside if os.path.isdir(Path(runs_dir) / name)]


def problems(runs_dir: Path) -> list[str]:
    """What of the queue's file cannot be read; the file is kept beside the new one when the queue is changed."""
    return [str(complaint) for complaint in _read(runs_dir).complaints]


def add(run: RunDir) -> int:
    """Put a run at the end and set the queue going; returns its place, from 1.

    One that was stopped, failed or lost goes on when its turn has come. UserError for one that runs or is done.
    """
    if not _may_start(run):
        raise UserError(f"{run.name} is {liveness.state_of(run).state}; make a new run from it to train again.")
    with edited(run.path.parent) as names:
        if run.name not in names:
            names.append(run.name)
        place = names.index(run.name) + 1
    start(run.path.parent)
    return place


def add_sweep(runs: Sequence[RunDir]) -> None:
    """Put the members of a sweep, which were just made, at the end and set the queue going."""
    with edited(runs[0].path.parent) as names:
        names += [run.name for run in runs]
    start(runs[0].path.parent)


def remove(run: RunDir) -> None:
    """Take a run out; its folder stays."""
    with edited(run.path.parent) as names:
        names[:] = [name for name in names if name != run.name]


def move(run: RunDir, by: int) -> None:
    """Move a run by so many places; at the ends it stays."""
    with edited(run.path.parent) as names:
        if run.name in names:
            at = names.index(run.name)
            names.insert(max(0, min(len(names) - 1, at + by)), names.pop(at))


def empty(runs_dir: Path) -> int:
    """Take all runs out; returns how many there were."""
    with edited(runs_dir) as names:
        count = len(names)
        names.clear()
    return count


def start(runs_dir: Path) -> bool:
    """Start the process that works the queue off, unless it runs already or nothing waits; whether it was started."""
    if runs(runs_dir) or not entries(runs_dir):
        return False
    try:
        with open(Path(runs_dir) / _LOG, "ab") as log:
            launch.detached([sys.executable, "-m", "tui.runs.queue", str(Path(runs_dir).resolve())], log)
    except OSError as error:
        raise UserError(f"The queue in {runs_dir} cannot be started ({error.strerror}).") from None
    return True


def runs(runs_dir: Path) -> bool:
    """Whether that process is alive."""
    try:
        with open(Path(runs_dir) / _RUNNER, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def waits_for(runs_dir: Path) -> str:
    """Why the first run of the queue does not start now; empty when nothing is in its way."""
    waiting = entries(runs_dir)
    room = shutil.disk_usage(runs_dir).free if waiting else LEAST_ROOM
    if room < LEAST_ROOM:
        return f"the disk of the runs is full, {size(room)} are free"
    return cards.in_the_way(runs_dir, on_cpu=bool(waiting) and cards.computes_on_cpu(waiting[0]))


def work_off(runs_dir: Path, *, look_every: float = LOOK_EVERY) -> None:
    """Start the waiting runs, one on each free card, until none is left. Only one process does so at a time."""
    with open(runs_dir / _RUNNER, "ab") as file:
        if not liveness.take_lock(file.fileno()):
            return
        sweeps: set[str] = set()
        tried: set[Path] = set()
        starting: dict[int, str] = {}
        # The last engine is waited for, so that its parent sees it off.
        while (waiting := entries(runs_dir)) or launch.alive() or sweeps:
            starting = {pid: key for pid, key in starting.items() if launch.exit_status(pid) is None}
            if not starting and cards.has_room(runs_dir):
                studios.send_away(runs_dir)  # the memory they hold must not count as somebody else's
            if found := _next(runs_dir, waiting, set(starting.values())):
                run, slot = found
                remove(run)
                if _may_start(run):
                    sweeps |= {sweep.sweep_of(run)} - {""}
                    starting |= _start(run, slot)
            elif not waiting and not launch.alive() and (free := cards.free(runs_dir)):
                starting |= _clips_of_sweeps(runs_dir, sweeps, tried, free)
            else:
                _wait(look_every)


def _next(runs_dir: Path, waiting: list[RunDir], taken: set[str]) -> tuple[RunDir, Slot] | None:
    """The first run that waits and has a card, with that card."""
    if shutil.disk_usage(runs_dir).free < LEAST_ROOM:
        return None  # each would fail in its turn
    found: dict[bool, Slot | None] = {}
    for run in waiting:
        on_cpu = cards.computes_on_cpu(run)
        if on_cpu not in found:
            found[on_cpu] = cards.free(runs_dir, on_cpu=on_cpu, taken=taken)
        if (slot := found[on_cpu]) is not None:
            return run, slot
    return None


def _wait(seconds: float) -> None:
    """Until an engine of ours ends, which frees its card at once, or so long."""
    before, end = launch.alive(), time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(seconds, NOTICED_IN) if before else seconds)
        if launch.alive() < before:
            return


def stop_sweep(runs_dir: Path, name: str) -> tuple[list[str], list[str]]:
    """Take a sweep's waiting members out of the queue, and stop those that run; the names of both."""
    waiting = {run.name for run in entries(runs_dir)}
    out = [run for run in sweep.members(runs_dir, name) if run.name in waiting]
    for run in out:
        remove(run)
    running = [run for run in sweep.members(runs_dir, name) if liveness.is_held(run) and launch.stop(run)]
    return [run.name for run in out], [run.name for run in running]


def resume_sweep(runs_dir: Path, name: str) -> list[str]:
    """Put all members of a sweep that are not done into the queue again; their names.

    Those that failed as well: on a disk that was full, or with data that were mended, they go on now.
    """
    states = ("waiting", "stopped", "failed", "lost")
    again = [run for run in sweep.members(runs_dir, name) if liveness.state_of(run).state in states]
    for run in again:
        add(run)
    return [run.name for run in again]


def _clips_of_sweeps(runs_dir: Path, sweeps: set[str], tried: set[Path], slot: Slot) -> dict[int, str]:
    """Start the next evaluation that a sweep asks for whose members are through; without any, the sweep is left.

    Returns the pid of the engine with the slot's key.
    """
    name = min(sweeps)
    try:
        due = [run for run in sweep.without_clips(runs_dir, sweep.ranking(runs_dir, name)) if run.path not in tried]
        if due:
            tried.add(due[0].path)
            return {launch.evaluate(due[0], slot=slot): slot.key}
    except UserError as error:
        # Its runs were taken away, or one of them is being worked on: the runs that wait are not to suffer.
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} clips of the sweep {name}: {error}", flush=True)
    sweeps.remove(name)
    return {}


def _may_start(run: RunDir) -> bool:
    """It was not started before, or can go on from where it was."""
    return liveness.state_of(run).state in ("waiting", "stopped", "failed", "lost")


def _start(run: RunDir, slot: Slot) -> dict[int, str]:
    """Start an engine there; its pid with the slot's key, nothing where it could not be started."""
    again = liveness.state_of(run).state != "waiting"
    try:
        # Of a sweep only the best get clips, which is known when all are through.
        pid = launch.start(run, resume=again, evaluate=not sweep.sweep_of(run), slot=slot)
        on = f" on {slot.visible}" if slot.visible else ""
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {run.name} started, pid {pid}{on}", flush=True)
        return {pid: slot.key}
    except UserError as error:
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {run.name} not started: {error}", flush=True)
        return {}


def _read(runs_dir: Path) -> typed.Parsed[list[str]]:
    """The names in the file; none when there is no file, and none but a complaint when it is no queue."""
    path = Path(runs_dir) / _FILE
    if not path.exists():
        return typed.Parsed([], [])
    try:
        return typed.load(path, list[str])
    except typed.Unreadable as error:
        return typed.Parsed([], [error.complaint])


@contextmanager
def edited(runs_dir: Path) -> Iterator[list[str]]:
    """The names, to be changed within the block; two processes never change them at once. UserError if that fails."""
    runs_dir = Path(runs_dir)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        with open(runs_dir / _EDIT, "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            names, complaints = _read(runs_dir)
            before = list(names)
            yield names
            if names != before:
                if complaints:
                    keep_copy(runs_dir / _FILE)
                write_atomically(runs_dir / _FILE, json.dumps(names) + "\n")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"The queue in {runs_dir} cannot be changed ({reason}); make that folder writable.") from None


if __name__ == "__main__":
    work_off(Path(sys.argv[1]))
