"""From marked runs to one blind session across them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui.places import run_actions
from tui.places.dialogs import Choice, Menu
from tui.places.place import Panel
from tui.review import across


def prepare(runs_dir: Path, runs: Sequence[Path]) -> Path | list[RunDir] | UserError:
    """The session's folder; or the runs whose clips are to be made first; or why there can be none."""
    try:
        return across.without_clips(runs) or across.open_across(runs_dir, runs)
    except UserError as error:
        return error


def open_prepared(panel: Panel, found: Path | list[RunDir] | UserError) -> None:
    """Go to Listen on the session; or ask whether clips are to be made, or say why there is no session."""
    if isinstance(found, UserError):
        panel.notify(str(found), severity="warning", timeout=12)
    elif isinstance(found, list):
        _offer(panel, found)
    else:
        panel.show_run(found)
        panel.read_runs()
        panel.go("listen")


def _offer(panel: Panel, missing: Sequence[RunDir]) -> None:
    run, others = missing[0], [run.name for run in missing[1:]]

    def take(key: str | None) -> None:
        if key == "m":
            run_actions.evaluate(panel, run)

    then = f"then those of {', '.join(others)}; " if others else ""
    choices = [Choice("m", "make them", f"with the noise of the others; {then}L again when they are there")]
    panel.push_screen(Menu(f"{run.name} has no clips yet", choices), take)
