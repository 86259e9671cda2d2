"""Starting an engine that outlives whoever started it, and talking to it by signals.

The engine gets a session of its own, no terminal and no pipe: what it says goes to the run's engine.log, what it does
to events.jsonl. Its pid stands in the lock file, which only counts while the lock is held.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from engine.contract import liveness, studios
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui.runs import cards
from tui.runs.machine import Slot

# Children that this process started. They are not waited for, but asked from time to time so that none stays a zombie.
_children: list[subprocess.Popen[bytes]] = []


def start(run: RunDir, *, resume: bool = False, evaluate: bool = True, slot: Slot | None = None) -> int:
    """Train a run in an engine of its own, on ``slot`` or a card that is free; returns its pid.

    Raises UserError when an engine holds the run.
    """
    arguments = ["train", str(run.path.resolve())]
    return _engine(run, arguments + ["--resume"] * resume + ["--evaluate"] * evaluate, slot)


def evaluate(
    run: RunDir,
    *,
    prompts: Path | None = None,
    set_name: str | None = None,
    models: Sequence[str] | None = None,
    repeats: int | None = None,
    slot: Slot | None = None,
) -> int:
    """Make the clips of a run in an engine of its own, on ``slot`` or a card that is free; returns its pid.

    Raises UserError when an engine holds the run.
    """
    arguments = ["evaluate", str(run.path.resolve())]
    if prompts:
        arguments += ["--prompts", str(Path(prompts).resolve())]
    if set_name:
        arguments += ["--set-name", set_name]
    if models:
        # The engine has another working directory than who asks.
        named = [str(Path(name).expanduser().resolve()) if "/" in name else name for name in models]
        arguments += ["--models", ",".join(named)]
    if repeats is not None:
        arguments += ["--repeats", str(repeats)]
    return _engine(run, arguments, slot)


def stop(run: RunDir) -> bool:
    """Ask the engine to finish its step, save and stop; False when no engine holds the run."""
    return _signal(run, signal.SIGTERM)


def stop_after_validation(run: RunDir) -> bool:
    """Have the engine validate at the end of its step, then save and stop; False when none holds the run."""
    if not liveness.is_held(run):
        return False
    with open(run.engine_log, "ab") as log:
        detached([sys.executable, "-m", "tui.runs.stop_after_validation", str(run.path.resolve())], log)
    return True


def kill(run: RunDir) -> bool:
    """End the engine at once; the run is lost and can be resumed from its last checkpoint."""
    return _signal(run, signal.SIGKILL)


def is_suspended(run: RunDir) -> bool:
    """Whether the engine's process is there and may not go on (SIGSTOP, or a debugger)."""
    import psutil

    holder = liveness.holder(run)
    if holder.pid is None or holder.host not in (None, socket.gethostname()):
        return False
    try:
        return bool(psutil.Process(holder.pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP))
    except psutil.Error:
        return False


def checkpoint_now(run: RunDir) -> bool:
    """Ask the engine for a checkpoint at the end of its step; False when no engine holds the run."""
    return _signal(run, signal.SIGUSR1)


def validate_now(run: RunDir) -> bool:
    """Ask the engine to validate at the end of its step; False when no engine holds the run."""
    return _signal(run, signal.SIGUSR2)


def command(run: RunDir, *, resume: bool = False) -> str:
    """The command line that does the same as ``start``."""
    if resume:
        return f"mgl-tui resume {run.path}"
    return f"mgl-tui train --config {run.config} --name {run.name}"


def exit_status(pid: int) -> int | None:
    """Exit status of an engine that this process started; None while it runs."""
    return next((child.poll() for child in _children if child.pid == pid), 0)


def alive() -> int:
    """How many processes that this one started are still there; the others are let go, so that none stays a zombie."""
    _children[:] = [child for child in _children if child.poll() is None]
    return len(_children)


def detached(command: Sequence[str], log: BinaryIO, *, visible: str | None = None, keeps: Sequence[int] = ()) -> int:
    """Start a process that outlives this one, without terminal or pipe, its words in ``log``; returns its pid.

    ``visible`` becomes its CUDA_VISIBLE_DEVICES; the open files ``keeps`` stay open in it.
    """
    alive()
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        # The run folder need not be where the packages are: a checkout is found by its own path.
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONUNBUFFERED": "1", **({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})},
        pass_fds=keeps,
    )
    _children.append(child)
    return child.pid


def _engine(run: RunDir, arguments: list[str], slot: Slot | None = None) -> int:
    if liveness.is_held(run):
        raise UserError(f"{run.name} is being worked on by an engine; wait for it, or `mgl-tui stop {run.name}`.")
    studios.send_away(run.path.parent)
    if slot is None:
        slot = cards.free(run.path.parent, on_cpu=cards.computes_on_cpu(run))
    claim = cards.claim(slot)
    keeps = [] if claim is None else [claim]
    try:
        with open(run.engine_log, "ab") as log:
            command = [sys.executable, "-m", "engine", *arguments]
            return detached(command, log, visible=slot.visible if slot else None, keeps=keeps)
    except OSError as error:
        raise UserError(f"{run.engine_log} cannot be written ({error.strerror}); check the run folder.") from None
    finally:
        for fd in keeps:
            os.close(fd)


def _signal(run: RunDir, number: signal.Signals) -> bool:
    if not liveness.is_held(run):
        return False
    holder = liveness.holder(run)
    if holder.host not in (None, socket.gethostname()):
        raise UserError(f"The engine of {run.name} runs on {holder.host}; stop it there.")
    if holder.pid is None:
        raise UserError(f"{run.lock} does not say which process holds {run.name}; `fuser {run.lock}` does.")
    try:
        os.kill(holder.pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise UserError(f"The engine of {run.name} belongs to another user; it can only be stopped by them.") from None
    return True
