"""Monitor: the curves, the machine, the verdicts and the log of one run."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from tui import keys
from tui.screens.place import Place, RunChanged
from tui.widgets.lines import Lines


class MonitorScreen(Place):
    """One run, live."""

    place = "monitor"
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("monitor"))

    def body(self) -> ComposeResult:
        yield Lines([], id="facts", classes="card")

    @on(RunChanged)
    def _write(self) -> None:
        source = self.panel.shown
        if source is not None:
            self.query_one(Lines).show([f"{source.run.name} {source.state.state} step {source.history.step}"])
