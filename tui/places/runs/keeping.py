"""What Runs does to a run as a folder: another name, a comment, into the archive, out of it, or gone."""

from __future__ import annotations

from collections.abc import Callable

from engine.contract.errors import UserError
from engine.contract.rundir import ARCHIVE, RunDir, list_runs
from tui.places.dialogs import Ask, Choice, Menu
from tui.places.place import Panel
from tui.runs import comment, disk, keeping
from tui.runs.store import RunSummary
from tui.text import size


def rename(panel: Panel, run: RunDir) -> None:
    def take(name: str | None) -> None:
        if name is not None:
            _do(panel, lambda: _renamed(panel, run, name))

    panel.push_screen(Ask(f"Another name for {run.name}", value=run.name), take)


def _renamed(panel: Panel, run: RunDir, name: str) -> str:
    new = keeping.rename(run, name)
    panel.moved(run.path, new.path)
    return f"{run.name} is now {new.name}."


def remark(panel: Panel, summary: RunSummary) -> None:
    def take(text: str | None) -> None:
        if text is not None:
            _do(panel, lambda: comment.write(summary.path, text) and "")

    ask = Ask(f"A line on {summary.name}", value=summary.comment, hint="what was it for, how was it?", empty=True)
    panel.push_screen(ask, take)


def archive(panel: Panel, run: RunDir) -> None:
    _do(panel, lambda: _archived(panel, run))


def remove(panel: Panel, summary: RunSummary) -> None:
    """Ask what of a run is to go: its checkpoints, it from the list, it for good; from the archive, all of it."""
    run = RunDir(summary.path)
    choices: dict[str, tuple[Choice, Callable[[], str]]] = {}
    free, why = keeping.could_go(run, summary.state, summary.held)
    if free:
        said = f"{size(free)}; clips and models stay"
        choices["c"] = Choice("c", "its checkpoints", said), lambda: _cleaned(run)
    if run.path.parent.name != ARCHIVE:
        said = "it stays on the disk; z shows it, x brings it back"
        choices["a"] = Choice("a", "move it to the archive", said), lambda: _archived(panel, run)
    said = f"{size(summary.held.total)}; nothing brings it back{keeping.told_of(run)}"
    choices["d"] = Choice("d", "delete it for good", said), lambda: _deleted(panel, [run])
    away = list_runs(panel.runs_dir / ARCHIVE)
    if away:
        said = f"{len(away)} runs, {size(sum(disk.usage(other.path) for other in away))}; nothing brings them back"
        choices["e"] = Choice("e", "empty the archive", said), lambda: _deleted(panel, away)

    def take(key: str | None) -> None:
        if key is not None:
            _do(panel, choices[key][1])

    note = why if why and not why.endswith("holds no checkpoints.") else ""
    panel.push_screen(
        Menu(f"What of {run.name} is to go?", [choice for choice, _ in choices.values()], note=note), take
    )


def _cleaned(run: RunDir) -> str:
    return f"{size(keeping.remove_checkpoints(run))} of checkpoints removed from {run.name}."


def _archived(panel: Panel, run: RunDir) -> str:
    target = keeping.archive(run.path, panel.runs_dir)
    panel.moved(run.path, target)
    back = "" if target.parent == panel.runs_dir else "; z shows it there, x brings it back"
    return f"{run.name} is now in {target.parent}{back}."


def _deleted(panel: Panel, runs: list[RunDir]) -> str:
    for run in runs:
        keeping.delete(run)
        panel.moved(run.path, None)
    return f"{', '.join(run.name for run in runs)} deleted."


def _do(panel: Panel, act: Callable[[], str]) -> None:
    try:
        if said := act():
            panel.notify(said)
    except UserError as error:
        panel.notify(str(error), severity="error")
    panel.read_runs()
