"""The gate, asked for from more than one place: extend, adjust or stop, with the reason, and the run that follows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui.places.dialogs import Ask, Choice, Menu
from tui.places.place import Panel
from tui.review.advice import advise_run
from tui.review.gate import doubt
from tui.review.session import default_listener
from tui.runs import gate, sessions

LookUp = Callable[..., None]
"""``Background.look_up`` of the place that asks."""


def decide(panel: Panel, look_up: LookUp, path: Path) -> None:
    """Ask for the decision on a run, then for its reason; what follows from it opens as a new run."""
    if sessions.is_session(path):
        panel.notify(f"{path.name} is a session across runs; a decision is made on one of them, in its Next or Listen.")
        return

    def ask(note: str) -> None:
        choices = [Choice(choice[0], choice, gate.MEANINGS[choice]) for choice in gate.CHOICES]
        panel.push_screen(Menu(f"What follows from {path.name}?", choices, note=note), why)

    def why(key: str | None) -> None:
        if key is not None:
            choice = next(choice for choice in gate.CHOICES if choice[0] == key)
            panel.push_screen(Ask(f"Why {choice}? One line for the notes"), partial(decided, choice))

    def decided(choice: gate.Choice, reason: str | None) -> None:
        if reason is None:
            return
        try:
            gate.decide(path, choice, reason, panel.listener or default_listener())
        except UserError as error:
            panel.notify(str(error), severity="error")
            return
        panel.read_runs()
        panel.notify(f"{path.name}: {choice}. The notes tell it.")
        look_up(partial(_what_follows, path, choice), partial(follow, f"gate, {choice}: {reason}"), group="gate")

    def follow(reason: str, changes: dict[str, Any]) -> None:
        if changes:
            panel.open_new_run(path, changes, reason)

    look_up(partial(doubt, path, "extend"), ask, group="gate")


def _what_follows(path: Path, choice: gate.Choice) -> dict[str, Any]:
    """Settings of the run after this one that differ from it; none where no run follows."""
    try:
        if choice == "extend":
            return {"train.epochs": RunDir(path).settings().train.epochs * 2}
        if choice == "adjust":
            return next((a["changes"] for a in advise_run(RunDir(path)) if a["fires"] and a["changes"]), {})
    except UserError:
        pass  # A folder of clips has no settings that a run could begin with; the decision stands.
    return {}
