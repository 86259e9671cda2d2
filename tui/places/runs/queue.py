"""Queue: the runs that wait for the GPU, in their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content

from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui import keys
from tui.places.dialogs import Choice, Menu
from tui.places.place import Place, RunsChanged
from tui.runs import queue
from tui.text import value
from tui.widgets.lines import Lines, frame
from tui.widgets.table import Column, Row, Table


class QueueScreen(Place):
    """The queue, to be reordered and emptied."""

    place = "queue"
    CSS_PATH = "runs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("queue"))

    def body(self) -> ComposeResult:
        with Container(id="queue-card", classes="card"):
            yield Table([Column("#", 3, True), Column("Run", 30), Column("Changed", 0)], id="queue")
        yield Lines([], id="queue-facts", classes="card")

    def on_mount(self) -> None:
        self._write()
        self.query_one(Table).focus()

    @on(RunsChanged)
    def _write(self) -> None:
        runs = queue.entries(self.panel.runs_dir)
        self.query_one(Table).show([Row(run, self._cells(place, run)) for place, run in enumerate(runs, 1)])
        frame(self.query_one("#queue-card"), f"Queue · {len(runs)} waiting")
        wrong = [Content.styled(problem, "$warning") for problem in queue.problems(self.panel.runs_dir)[:2]]
        self.query_one("#queue-facts", Lines).show([self._fact(bool(runs)), *wrong])

    def _cells(self, place: int, run: RunDir) -> list[str | tuple[str, str]]:
        summary = self.panel.summary(run.path)
        changed = summary.changed if summary is not None else []
        words = "  ".join(f"{c.name.split('.', 1)[1]} {value(c.old)}→{value(c.new)}" for c in changed)
        return [str(place), run.name, (words or "–", "$quiet")]

    def _fact(self, any_waits: bool) -> Content:
        if not any_waits:
            return Content.styled("Nothing waits. Q in New run puts a run here; it starts without the panel.", "$quiet")
        if not queue.runs(self.panel.runs_dir):
            return Content.assemble(
                ("▲ ", "$warning bold"), "The queue stands still; ", ("r", "$accent bold"), " starts it."
            )
        why = queue.waits_for(self.panel.runs_dir)
        return Content(f"The first one waits: {why}." if why else "Starting.")

    def _run(self) -> RunDir | None:
        run = self.query_one(Table).key
        return run if isinstance(run, RunDir) else None

    def _change(self, change: Callable[[RunDir], None]) -> None:
        if run := self._run():
            self._try(lambda: change(run))
        else:
            self.notify("The queue is empty.")

    def _try(self, change: Callable[[], str | None]) -> None:
        """Change the queue and say what the change returns, or why it cannot be."""
        try:
            if said := change():
                self.notify(said)
        except UserError as error:
            self.notify(str(error), severity="error")
        self._write()

    def action_earlier(self) -> None:
        self._change(lambda run: queue.move(run, -1))

    def action_later(self) -> None:
        self._change(lambda run: queue.move(run, 1))

    def action_remove(self) -> None:
        waiting = len(queue.entries(self.panel.runs_dir))
        if waiting < 2:
            self._change(queue.remove)
            return
        choices = [
            Choice("x", "this run", "its folder stays; Q in New run or r on Runs puts it back"),
            Choice("a", f"all {waiting} runs", "their folders stay"),
        ]
        self.panel.push_screen(Menu("Take out of the queue", choices), self._remove)

    def _remove(self, which: str | None) -> None:
        def empty() -> str:
            return f"{queue.empty(self.panel.runs_dir)} taken out of the queue; their folders stay."

        if which == "x":
            self._change(queue.remove)
        elif which == "a":
            self._try(empty)

    def offers(self, action: keys.Action) -> bool:
        if action.action in ("earlier", "later", "remove", "start"):
            runs = self.panel.runs_dir
            waits = bool(queue.entries(runs))
            return waits and (action.action != "start" or not queue.runs(runs))
        return super().offers(action)

    def action_start(self) -> None:
        def start() -> str:
            return "The queue is started." if queue.start(self.panel.runs_dir) else "It runs already, or nothing waits."

        self._try(start)
