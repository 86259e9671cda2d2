"""From the draft to runs: one that starts or waits, or the members of a sweep in the queue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.contract import rundir
from engine.contract.errors import UserError
from tui.places.dialogs import Choice, Menu
from tui.places.new_run import words
from tui.places.place import Panel
from tui.runs import launch, queue, sweep
from tui.runs.draft import Draft

Done = Callable[[Path, bool], None]
"""Called with the run that was made, and whether it waits."""


def make(panel: Panel, draft: Draft, done: Done, *, waits: bool) -> None:
    """Make the run, and start it or put it in the queue."""
    try:
        run = rundir.create(panel.runs_dir, draft.name, draft.settings)
        if waits:
            place = queue.add(run)
            panel.notify(f"{run.name} waits at place {place}; it starts without the panel.")
        else:
            launch.start(run)
            panel.notify(f"{run.name} starts; the panel can be left.")
    except UserError as error:
        panel.notify(str(error), severity="error")
        return
    done(run.path, waits)


def make_sweep(panel: Panel, draft: Draft, cost: sweep.Cost | None, done: Done) -> None:
    """Ask how many of the best are to get clips, make the grid's runs and queue them."""
    if draft.size > sweep.ASK_ABOVE:
        panel.notify(
            f"The grid has {draft.size:,} runs, {sweep.ASK_ABOVE} at most are made here; give fewer values, or copy "
            "the command (y), which makes more.",
            severity="error",
        )
        return

    def take(key: str | None) -> None:
        if key is None:
            return
        try:
            runs = sweep.create(draft.members(finalists=int(key)), panel.runs_dir)
            queue.add_sweep(runs)
        except UserError as error:
            panel.notify(str(error), severity="error")
            return
        panel.notify(f"{len(runs)} runs in the queue; they start without the panel, ranked by mgl-tui sweep.")
        done(runs[0].path, True)

    parent = f" and of {draft.base_name}" if draft.base_name else ""
    choices = [
        Choice("2", "queue them", f"clips of the best two settings{parent} at the end"),
        Choice("1", "queue them", f"clips of the best setting{parent}"),
        Choice("4", "queue them", f"clips of the best four{parent}"),
        Choice("0", "queue them", "no clips but those of the parent" if draft.base_name else "no clips"),
    ]
    title = f"{draft.name}: {draft.size} runs, {words.cost(cost)}"
    panel.push_screen(Menu(title, choices), take)
