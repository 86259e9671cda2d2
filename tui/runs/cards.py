"""Where the engines of a runs folder compute: a card holds one engine, and a queue uses as many as are free.

What an engine was told to see stands in its run's lock (``Holder.visible``). Beside it a lock for each card, a file
that the engine inherits open and so holds for as long as it lives, keeps the queues of other folders off that card.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from engine.contract import liveness
from engine.contract.errors import UserError
from engine.contract.paths import cache_dir
from engine.contract.rundir import RunDir, list_runs
from tui.runs import machine
from tui.runs.machine import CPU, Slot


def free(runs_dir: Path, *, on_cpu: bool = False, taken: Collection[str] = ()) -> Slot | None:
    """A card without an engine; None when there is none. ``taken`` are keys of slots that engines are starting on."""
    return next((slot for slot, why in _slots(runs_dir, on_cpu) if not why and slot.key not in taken), None)


def in_the_way(runs_dir: Path, *, on_cpu: bool = False) -> str:
    """Why an engine would have no card to itself now; empty when one is free."""
    reasons = [why for _, why in _slots(runs_dir, on_cpu)]
    if not all(reasons):
        return ""
    running = [why.name for why in reasons if isinstance(why, RunDir)]
    if running:
        return f"{' or '.join(running)} is running"
    return f"the GPU is not free: {'; '.join(map(str, reasons))}"


def has_room(runs_dir: Path) -> bool:
    """Whether no engine of this folder is on some card, whoever else may be."""
    slots = machine.slots()
    engines = _engines(runs_dir, slots, False)
    return any(slot.key not in engines for slot in slots)


def _slots(runs_dir: Path, on_cpu: bool) -> Iterator[tuple[Slot, RunDir | str]]:
    """The slots that a run may take, each with the run or the reason that is in its way."""
    slots = [CPU] if on_cpu else machine.slots()
    engines = _engines(runs_dir, slots, on_cpu)
    for slot in slots:
        yield slot, engines.get(slot.key) or machine.busy(slot) or ("an engine has it" if _locked(slot) else "")


def _engines(runs_dir: Path, slots: list[Slot], on_cpu: bool) -> dict[str, RunDir]:
    """The runs of a folder that engines work on, by the key of the slot that they are on."""
    held = [run for run in list_runs(runs_dir) if liveness.is_held(run)]
    if machine.has_gpu():
        # Where there is none, all are on the processor.
        held = [run for run in held if computes_on_cpu(run) == on_cpu]
    return {_key_of(run, slots): run for run in held}


def computes_on_cpu(run: RunDir) -> bool:
    """Whether a run asks for the CPU."""
    try:
        return run.settings().train.device == "cpu"
    except UserError:
        return False


def _key_of(run: RunDir, slots: list[Slot]) -> str:
    """The slot that a living engine is on; empty where it is none of these."""
    if len(slots) == 1:
        return slots[0].key
    visible = liveness.holder(run).visible
    named = next((slot.key for slot in slots if visible is not None and visible == slot.visible), "")
    return named or machine.first_key(visible)


def claim(slot: Slot | None) -> int | None:
    """An open file that holds the card's lock for who inherits it; None where that cannot be, or another has it."""
    if slot is None or slot is CPU:
        return None
    with suppress(OSError):
        _lock(slot).parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(_lock(slot), os.O_RDWR | os.O_CREAT, 0o644)
        if liveness.take_lock(fd):
            return fd
        os.close(fd)
    return None


def _locked(slot: Slot) -> bool:
    try:
        with open(_lock(slot), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lock(slot: Slot) -> Path:
    return cache_dir() / "cards" / f"{slot.key.replace('/', '-')}.lock"
