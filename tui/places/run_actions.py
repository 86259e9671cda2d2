"""What can be done to a run from more than one place: stop, resume, evaluate, ask for something now."""

from __future__ import annotations

from collections.abc import Callable

from engine.contract import liveness
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui.places.dialogs import Choice, Menu
from tui.places.place import Panel
from tui.runs import launch, queue, store
from tui.runs.follow import Source

_STOP = {
    "s": (launch.stop, "saves and stops"),
    "v": (launch.stop_after_validation, "validates, then saves and stops"),
    "k": (launch.kill, "is killed"),
}


def stop(panel: Panel, run: RunDir | None) -> None:
    """The stop menu of a run that an engine works on."""
    if run is None or not liveness.is_held(run):
        panel.notify(f"{run.name} is not running; there is nothing to stop." if run else "There is no run to stop.")
        return

    def take(key: str | None) -> None:
        if key is not None:
            how, words = _STOP[key]
            _do(panel, lambda: how(run), f"{run.name} {words}.", f"{run.name} has ended already.")

    choices = [
        Choice("s", "save and stop", "saves a checkpoint; r goes on from there"),
        Choice("v", "stop after validation", "validates first, then saves and stops"),
        Choice("k", "kill", "at once; steps since the last checkpoint are lost"),
    ]
    panel.push_screen(Menu(f"Stop {run.name}", choices), take)


def resume(panel: Panel, run: RunDir | None) -> None:
    """Start an engine on a waiting, stopped, failed or lost run."""
    if run is None:
        panel.notify("There is no run to resume.")
    elif liveness.is_held(run):
        panel.notify(f"{run.name} is running.")
    elif _state(panel, run) == "done":
        panel.notify(f"{run.name} is done; n on Runs makes a new run from it.")
    else:
        saved = sorted(run.checkpoints.glob("step-*"))
        said = f"{run.name} goes on from step {int(saved[-1].name[5:])}." if saved else f"{run.name} starts."

        def start() -> None:
            queue.remove(run)
            _do(panel, lambda: launch.start(run, resume=bool(saved)), said)
            panel.read_runs()

        when_free(panel, run.name, start, lambda: enqueue(panel, run))


def when_free(panel: Panel, name: str, start: Callable[[], None], wait: Callable[[], None]) -> None:
    """Start at once where nothing is in the way; else ask: one card holds one engine."""
    why = queue.waits_for(panel.runs_dir)
    if not why:
        start()
        return

    def take(key: str | None) -> None:
        if key is not None:
            (wait if key == "q" else start)()

    choices = [
        Choice("q", "put it in the queue", "it starts by itself when the card is free"),
        Choice("s", "start it beside that", "both share the card, and may both run out of memory"),
    ]
    panel.push_screen(Menu(f"Start {name}? {why[:1].upper()}{why[1:]}.", choices), take)


def enqueue(panel: Panel, run: RunDir) -> None:
    """Put a run at the end of the queue."""
    _do(panel, lambda: queue.add(run), f"{run.name} waits in the queue; it starts without the panel.")
    panel.read_runs()


def _state(panel: Panel, run: RunDir) -> str:
    """State of a run that no engine holds, as it was read last."""
    if panel.shown is not None and panel.shown.run == run:
        return panel.shown.state.state
    summary = panel.summary(run.path)
    return summary.state if summary is not None else "lost"


def evaluate(panel: Panel, run: RunDir | None) -> None:
    """Make the clips of a run whose engine has ended."""
    if run is None:
        panel.notify("There is no run to make clips of.")
    elif liveness.is_held(run):
        panel.notify(f"{run.name} is running; its clips are made when the training is through.")
    elif store.evaluation_folders(run.path):
        panel.notify(f"{run.name} has its clips; L listens to them.")
    elif not run.best_model.is_dir() and not run.final_model.is_dir():
        panel.notify(f"{run.name} has no trained model yet; there is nothing to make clips with.", severity="warning")
    else:
        _do(panel, lambda: launch.evaluate(run), f"The clips of {run.name} are being made.")


def ask(panel: Panel, source: Source | None, how: Callable[[RunDir], bool], what: str) -> None:
    """Ask the engine for something now."""
    if source is None:
        panel.notify("There is no run to ask.")
        return
    run = source.run
    _do(panel, lambda: how(run), f"Asked {run.name} for {what}.", f"{run.name} is not running.")


def _do(panel: Panel, act: Callable[[], object], said: str, otherwise: str = "") -> None:
    try:
        done = act()
    except UserError as error:
        panel.notify(str(error), severity="error")
        return
    panel.notify(said if done is not False else otherwise, severity="information" if done is not False else "warning")
