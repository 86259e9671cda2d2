"""Follows a run from the command line: a progress bar on a terminal, plain lines otherwise."""

from __future__ import annotations

import shutil
import signal
import sys
import time

from engine.contract import events, liveness
from engine.contract.events import (
    AnyEvent,
    Best,
    Checkpoint,
    EventTail,
    Health,
    Note,
    Progress,
    Start,
    State,
    Train,
    Valid,
)
from engine.contract.rundir import RunDir
from engine.contract.text import plain
from tui.commands import say
from tui.runs import launch

POLL_SECONDS = 0.25
LEAST_ROOM = 4096
"""Bytes; with less than a page nothing can be said in a file."""
PLAIN_EVERY = 10.0
"""Seconds between two plain progress lines of one phase, so that a log file stays short."""


def follow(run: RunDir, pid: int, *, since: int = 0) -> liveness.RunState:
    """Show a run's events until its engine, a child of this process, ends; returns how it ended.

    ``since`` is the length of the log before the engine was started.
    """
    view = _Bar() if sys.stderr.isatty() else _Lines()
    tail = EventTail(run.events, start=since)
    with view:
        while True:
            status = launch.exit_status(pid)
            while found := tail.events():
                for event in found:
                    view.show(event)
            if status is not None:
                break
            time.sleep(POLL_SECONDS)
    state = liveness.state_of(run)
    if state.state not in events.END_STATES or (status and state.state == "done"):
        return liveness.RunState("failed", state.phase, _killed(status, state.phase) or last_words(run))
    return state


def _killed(status: int, phase: str) -> str:
    """What to say of an engine that a signal ended, which had no last words; "" of any other."""
    if status >= 0:
        return ""
    doing = f" while {phase}" if phase and phase not in events.END_STATES else ""
    return (
        f"the engine was killed{doing} ({signal.Signals(-status).name}), as the system does when memory runs out; "
        "start it again: what it had finished is kept."
    )


def last_words(run: RunDir) -> str:
    """The last line of the engine's own output, or that there is none; on a full disk it could not write any."""
    if shutil.disk_usage(run.path).free < LEAST_ROOM:
        return f"{run.path} cannot be written: the disk is full; make room, then start it again: what is there is kept."
    try:
        lines = run.engine_log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else f"the engine ended without a word; {run.engine_log} is empty"


def sentence(event: AnyEvent) -> str:
    """One line for an event worth one; "" for the others."""
    match event:
        case Start():
            return (
                f"{event.train_clips} train and {event.valid_clips} valid clips, {event.total_steps} steps, "
                f"{event.trainable_parameters} trainable parameters on {event.device}"
            )
        case State() if event.state not in ("training", "validating", "saving"):
            return event.state + (f": {event.error}" if event.error else "")
        case Valid() if event.loss is not None:
            return f"{f'step {event.step}' if event.step else 'base model'}: valid {event.loss:.3f}"
        case Best() if event.loss is not None:
            return f"step {event.step}: new best {event.loss:.3f}"
        case Checkpoint():
            return f"saved {event.path}"
        case Health() if event.verdict != "ok":
            return f"{event.name}: {event.verdict}, {event.evidence}"
        case Note():
            return event.text
    return ""


class _Lines:
    """Plain lines, for a pipe or a log file."""

    def __init__(self) -> None:
        self._total = 0
        self._last = ("", 0.0)

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: AnyEvent) -> None:
        line = sentence(event)
        match event:
            case Start():
                self._total = event.total_steps
            case Train():
                line = self._sometimes("training", event.step, self._total, "steps")
                if line and event.loss is not None:
                    line += f", loss {event.loss:.3f}"
            case Progress():
                line = self._sometimes(event.phase, event.done, event.total, event.unit)
        if line:
            say.aside(line)

    def _sometimes(self, phase: str, done: float, total: float, unit: str) -> str:
        name, last = self._last
        now = time.monotonic()
        if name == phase and now - last < PLAIN_EVERY and done != total:
            return ""
        self._last = (phase, now)
        return f"{phase} {done:.0f}/{total:.0f} {unit}".rstrip()


class _Bar:
    """One live bar for the current phase; what is worth a line scrolls by above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._progress = Bars(
            TextColumn("{task.description:<12}", markup=False), BarColumn(),
            TextColumn("{task.completed:g}/{task.total:g}"), TextColumn("{task.fields[detail]}", markup=False),
            TimeRemainingColumn(),
            console=Console(file=sys.__stderr__),
        )  # fmt: skip
        self._task = self._progress.add_task("preparing", total=1, detail="")
        self._phase = ""
        self._total = 1

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: AnyEvent) -> None:
        line = sentence(event)
        if line:
            self._progress.console.print(plain(line), highlight=False, markup=False)
        match event:
            case Start():
                self._total = event.total_steps
            case Train():
                loss = "" if event.loss is None else f"loss {event.loss:.3f}"
                self._move("training", event.step, self._total, loss)
            case Progress():
                self._move(event.phase, event.done, event.total, event.unit)

    def _move(self, phase: str, done: float, total: float, detail: str) -> None:
        if phase != self._phase:
            self._phase = phase
            self._progress.reset(self._task, description=plain(phase))
        self._progress.update(self._task, completed=done, total=total or 1, detail=plain(detail))
