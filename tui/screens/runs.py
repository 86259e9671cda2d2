"""Runs: all runs of the folder, what became of them, and what differs from the one before."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widgets import Input

from tui import keys
from tui.runs.store import RunSummary
from tui.screens.place import Place, RunsChanged
from tui.text import NONE, STATES, cut, duration, loss, size, sparkline, when
from tui.widgets.lines import Lines
from tui.widgets.table import Column, Row, Table

SORTS = ("started", "name", "state", "best valid", "disk")
_WIDE = [
    Column("", 1), Column("State", 7), Column("Run", 0), Column("Started", 11), Column("Ep", 4, True),
    Column("Step", 11, True), Column("Best val", 9, True), Column("vs base", 8, True), Column("Listen", 7, True),
    Column("Disk", 6, True),
]  # fmt: skip
_NARROW = [
    Column("", 1), Column("State", 7), Column("Run", 0), Column("Step", 11, True), Column("Best val", 9, True),
    Column("vs base", 8, True), Column("Disk", 6, True),
]  # fmt: skip


class RunsScreen(Place):
    """The list of runs."""

    place = "runs"
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("runs"))

    def __init__(self) -> None:
        super().__init__()
        self._sort = 0
        self._inverted = False
        self._filter = ""

    def body(self) -> ComposeResult:
        with Container(id="runs-card", classes="card"):
            yield Table(_WIDE, id="runs")
        with Container(id="runs-below"):
            yield Lines([], id="run-facts", classes="card")
            yield Lines([], id="run-log", classes="card")
        yield Input(placeholder="name, state or setting", id="filter", classes="-hidden")

    def on_mount(self) -> None:
        self._write()
        self.query_one(Table).focus()

    @on(RunsChanged)
    def _write(self) -> None:
        wide = self.size.width >= 100
        shown = self._shown()
        table = self.query_one(Table)
        table.show([Row(s.path, self._cells(s, wide)) for s in shown], _WIDE if wide else _NARROW)
        card = self.query_one("#runs-card")
        card.border_title = f"Runs {len(shown)} · sort: {SORTS[self._sort]} {'↑' if self._inverted else '↓'}"
        card.border_subtitle = f"space marks for Compare · {len(self.panel.marked)} marked"

    def _shown(self) -> list[RunSummary]:
        words = self._filter.lower().split()
        return [s for s in self.panel.summaries if all(w in f"{s.name} {s.state}".lower() for w in words)]

    def _cells(self, s: RunSummary, wide: bool) -> list[str | tuple[str, str]]:
        look = STATES["clips" if s.foreign else s.state]
        mark = ("◆", "$accent") if s.path in self.panel.marked else " "
        steps = f"{s.step}/{s.total_steps}" if s.total_steps else NONE
        gain = s.best_valid - s.base_valid
        cells: list[str | tuple[str, str]] = [mark, (f"{look.glyph} {look.word}", f"${look.color}"), s.name]
        if wide:
            cells += [when(s.started), f"{s.epoch:.2g}" if s.epoch == s.epoch else NONE]
        cells += [steps, loss(s.best_valid), f"{gain:+.3f}" if gain == gain else NONE]
        return [*cells, NONE, size(s.disk)] if wide else [*cells, size(s.disk)]

    @on(Table.Moved)
    def _facts(self) -> None:
        summary = self.panel.summary(self.query_one(Table).key)
        if summary is None:
            return
        facts = self.query_one("#run-facts", Lines)
        facts.border_title = cut(summary.name, 40)
        facts.show(
            [
                f"valid {sparkline(summary.valid, 24)} {loss(summary.best_valid)}",
                f"speed {duration(summary.seconds_per_step)} a step",
            ]
        )

    def current(self) -> RunSummary | None:
        return self.panel.summary(self.query_one(Table).key)

    def action_open(self) -> None:
        summary = self.current()
        if summary is not None:
            self.panel.show_run(summary.path)
            self.panel.action_go("listen" if summary.foreign else "monitor")

    @on(Table.Chosen)
    def _chosen(self) -> None:
        self.action_open()

    def action_mark(self) -> None:
        path = self.query_one(Table).key
        marked = self.panel.marked
        if isinstance(path, Path):
            marked.remove(path) if path in marked else marked.append(path)
            self._write()
