"""Follows a run from the command line: a progress bar on a terminal, plain lines otherwise."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from typing import Any

from engine.contract import events, liveness
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

    ``since`` is how many events stood in the log before the engine was started.
    """
    view = _Bar() if sys.stderr.isatty() else _Lines()
    tail = events.Tail(run.events)
    seen = 0
    with view:
        while True:
            status = launch.exit_status(pid)
            for event in tail.poll():
                seen += 1
                if seen > since:
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


def sentence(event: dict[str, Any]) -> str:
    """One line for an event worth one; "" for the others."""
    kind = event["event"]
    if kind == "start":
        return (
            f"{event.get('train_clips')} train and {event.get('valid_clips')} valid clips, "
            f"{event.get('total_steps')} steps, {event.get('trainable_parameters')} trainable parameters "
            f"on {event.get('device')}"
        )
    if kind == "state" and event.get("state") not in (None, "training", "validating", "saving"):
        return str(event["state"]) + (f": {event['error']}" if event.get("error") else "")
    if kind == "valid" and event.get("loss") is not None:
        name = "base model" if event.get("step") == 0 else f"step {event.get('step')}"
        return f"{name}: valid {event['loss']:.3f}"
    if kind == "best" and event.get("loss") is not None:
        return f"step {event.get('step')}: new best {event['loss']:.3f}"
    if kind == "checkpoint":
        return f"saved {event.get('path')}"
    if kind == "health" and event.get("verdict") not in (None, "ok"):
        return f"{event.get('name')}: {event.get('verdict')}, {event.get('evidence')}"
    if kind == "note":
        return str(event.get("text", ""))
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

    def show(self, event: dict[str, Any]) -> None:
        line = sentence(event)
        if event["event"] == "start":
            self._total = event.get("total_steps") or 0
        if event["event"] == "train":
            loss = event.get("loss")
            line = self._sometimes("training", event.get("step"), self._total, "steps")
            if line and loss is not None:
                line += f", loss {loss:.3f}"
        elif event["event"] == "progress":
            line = self._sometimes(event.get("phase", ""), event.get("done"), event.get("total"), event.get("unit", ""))
        if line:
            say.aside(line)

    def _sometimes(self, phase: str, done: Any, total: Any, unit: str | None) -> str:
        name, last = self._last
        now = time.monotonic()
        if name == phase and now - last < PLAIN_EVERY and done != total:
            return ""
        self._last = (phase, now)
        return f"{phase} {done}/{total} {unit or ''}".rstrip()


class _Bar:
    """One live bar for the current phase; what is worth a line scrolls by above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
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

    def show(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        line = sentence(event)
        if line:
            self._progress.console.print(plain(line), highlight=False, markup=False)
        if kind == "start":
            self._total = event.get("total_steps") or 1
        elif kind == "train":
            loss = event.get("loss")
            self._move("training", event.get("step"), self._total, f"loss {loss:.3f}" if loss is not None else "")
        elif kind == "progress":
            self._move(event.get("phase", ""), event.get("done"), event.get("total"), event.get("unit") or "")

    def _move(self, phase: str, done: Any, total: Any, detail: str) -> None:
        if phase != self._phase:
            self._phase = phase
            self._progress.reset(self._task, description=plain(phase))
        self._progress.update(self._task, completed=done or 0, total=total or 1, detail=plain(detail))
