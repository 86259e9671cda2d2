"""Monitor: the curves, the machine, the verdicts and the log of one run."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input

from tui import keys
from tui.places import run_actions
from tui.places.monitor.health_card import HealthCard
from tui.places.monitor.layout import ROW, Box, boxes, has_room_for_all
from tui.places.monitor.log_view import LogView
from tui.places.monitor.loss_chart import LossChart, SecondChart
from tui.places.monitor.machine_card import MachineCard
from tui.places.monitor.progress_card import ProgressCard
from tui.places.place import Place, RunChanged
from tui.places.samples.screen import hear_samples
from tui.review import samples
from tui.review.session import default_listener
from tui.runs import launch
from tui.runs.follow import LogSource, Source
from tui.widgets.field import Field
from tui.widgets.lines import Lines, frame

CHART_EVERY = 1.0
LOG_EVERY = 0.5


class MonitorScreen(Place):
    """One run, live or as it was."""

    place = "monitor"
    CSS_PATH = "monitor.tcss"
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("monitor"))

    def __init__(self) -> None:
        super().__init__()
        self._source: Source | None = None
        self._log: LogSource | None = None
        self._second: bool | None = None
        """Whether the second chart is shown; None leaves it to the width of the terminal."""
        self._full_log = False
        self._stale = False
        self._boxes: dict[str, Box | None] = {}

    def offers(self, action: keys.Action) -> bool:
        state = self._source.state.state if self._source is not None else ""
        if action.action in ("stop", "save_now", "validate_now"):
            return state == "running"
        if action.action == "resume":
            return state in ("waiting", "stopped", "failed", "lost")
        if action.action == "samples":
            return self._source is not None and samples.exist(self._source.run.path)
        if action.action == "go('listen')":
            return state == "done"
        if action.action == "second":
            return self.query_one("#second", SecondChart).alone
        return super().offers(action)

    def body(self) -> ComposeResult:
        with Container(id="monitor"):
            yield LossChart(id="chart")
            yield MachineCard(id="machine")
            yield HealthCard(id="health")
            yield ProgressCard(id="progress")
            yield LogView(id="log")
            yield SecondChart(id="second")
            for kind in ROW:
                yield SecondChart(kind, alone=False, id=kind)
        yield Lines([""], id="no-run", classes="-hidden")
        yield Field("word in the log", id="search")

    def on_mount(self) -> None:
        self.set_interval(CHART_EVERY, self._draw_charts)
        self.set_interval(LOG_EVERY, self._read_log)
        self._write()

    def on_screen_resume(self) -> None:
        self._write()

    @on(events.Resize)
    def _resized(self) -> None:
        self.call_after_refresh(self._write)

    # -- drawing

    @on(RunChanged)
    def _write(self) -> None:
        if not self.is_current:
            return
        source = self.panel.shown
        if source is None and self.panel.shown_path is None and self.panel.summaries:
            # Opened without a choice: the run that trains, else the newest.
            runs = [summary for summary in self.panel.summaries if not summary.foreign]
            if runs:
                self.panel.show_run(runs[0].path)
                return
        if source is not self._source:
            self._source = source
            self._begin()
        cards = self.query_one("#monitor")
        cards.set_class(source is None, "-hidden")
        self.query_one("#no-run").set_class(source is not None, "-hidden")
        if source is None:
            self.query_one("#no-run", Lines).show([self._nothing()])
            return
        narrow = self.size.width < 100
        machine = self.query_one(MachineCard)
        machine.write(source.history, narrow=narrow)
        self.query_one(HealthCard).write(source, narrow=narrow)
        self.query_one(ProgressCard).write(source)
        self._arrange()
        self._stale = True
        if not source.history.steps or source.state.state != "running":
            self._draw_charts()

    def _nothing(self) -> Content:
        if self.panel.shown_path is not None:
            return Content.styled("This folder holds clips but no training: L listens to them.", "$quiet")
        return Content.styled("No run yet: R, then n makes one; `mgl-tui demo` trains a small one.", "$quiet")

    def _begin(self) -> None:
        """Another run is shown: its log and its history from the start."""
        log = self.query_one(LogView)
        log.clear()
        if self._source is None:
            return
        self._log = self._source.log()
        frame(log, f"Log · {self._source.run.name}", None)
        chart = self.query_one(LossChart)
        chart.cursor = chart.zoom = None
        self._read_log()

    def _draw_charts(self) -> None:
        if not self._stale or self._source is None or not self.is_current:
            return
        self._stale = False
        for chart in (self.query_one(LossChart), *self.query(SecondChart)):
            chart.history = self._source.history
            if chart.display:
                chart.write()

    def _read_log(self) -> None:
        if self._log is None or not self.is_current:
            return
        log = self.query_one(LogView)
        lines = self._log.lines()
        if not lines and not self._log.restarted and not self._log.gone:
            return
        if self._log.restarted:
            log.clear()
        log.add(lines)
        self._log_state()

    def _log_state(self) -> None:
        log = self.query_one(LogView)
        words = ["follow" if log.follow else "held"] + ["wrap"] * log.wrap
        if log.searching:
            words.append(f"“{log.searching}” {log.place} · n p")
        if self._log is not None and self._log.gone:
            words.append("the file is gone")
        frame(log, None, " · ".join(words))

    def _arrange(self) -> None:
        width, height = self.query_one("#monitor").size
        if not width:
            # It has a size, and its cards places in it, only after it has been laid out, however long that takes.
            self.set_timer(0.05, self._write)
            return
        machine, health, second = (
            self.query_one(MachineCard),
            self.query_one(HealthCard),
            self.query_one("#second", SecondChart),
        )
        second.alone = not has_room_for_all(width, height)
        if not second.alone:
            second.kind = second.KINDS[0]
        places = boxes(
            width, height, machine=len(machine.lines), health=len(health.lines), second=self._has_second(),
            full_log=self._full_log,
        )  # fmt: skip
        for card in self.query_one("#monitor").children:
            self._put(card, places)

    def _has_second(self) -> bool:
        return self.size.width >= 100 if self._second is None else self._second

    def _put(self, card: Widget, places: dict[str, Box]) -> None:
        box = places.get(card.id or "")
        name = card.id or ""
        if name in self._boxes and self._boxes[name] == box:
            return
        self._boxes[name] = box
        card.display = box is not None
        if box is not None:
            x, y, width, height = box
            card.styles.offset = (x, y)
            card.styles.width, card.styles.height = width, height
            card.set_class(height < 3, "-bare")

    # -- the run

    def action_stop(self) -> None:
        run_actions.stop(self.panel, self._source.run if self._source else None)

    def action_resume(self) -> None:
        run_actions.resume(self.panel, self._source.run if self._source else None)

    def action_evaluate(self) -> None:
        run_actions.evaluate(self.panel, self._source.run if self._source else None)

    def action_samples(self) -> None:
        run = self._source.run.path if self._source is not None else None
        hear_samples(self.panel, run, self.panel.listener or default_listener())

    def action_save_now(self) -> None:
        run_actions.ask(self.panel, self._source, launch.checkpoint_now, "a checkpoint at the end of this step")

    def action_validate_now(self) -> None:
        run_actions.ask(self.panel, self._source, launch.validate_now, "a validation at the end of this step")

    # -- the charts

    def action_smooth(self, direction: int) -> None:
        if self._source is not None:
            self._source.history.smoothing(direction)
            self._redraw()

    def action_log_y(self) -> None:
        chart = self.query_one(LossChart)
        chart.log_y = not chart.log_y
        self._redraw()

    def action_axis(self) -> None:
        self.query_one(LossChart).next_axis()

    def action_second(self) -> None:
        chart = self.query_one("#second", SecondChart)
        if not chart.alone:
            self.notify("All four are shown already.")
            return
        if self._has_second() and chart.kind == chart.KINDS[-1] and self.size.width < 100:
            self._second = False
        elif self._has_second():
            chart.next_kind()
        else:
            self._second, chart.kind = True, chart.KINDS[0]
        self._arrange()
        self._redraw()

    def action_cursor(self, direction: int) -> None:
        self.query_one(LossChart).move_cursor(direction)

    def action_zoom(self, direction: int) -> None:
        self.query_one(LossChart).zoom_by(direction)

    def _redraw(self) -> None:
        self._stale = True
        self._draw_charts()

    # -- the log

    def action_follow(self) -> None:
        self.query_one(LogView).toggle_follow()
        self._log_state()

    def action_full_log(self) -> None:
        self._full_log = not self._full_log
        self._arrange()
        self._redraw()

    def action_wrap(self) -> None:
        self.query_one(LogView).toggle_wrap()
        self._log_state()

    def action_scroll_log(self, direction: int) -> None:
        self.query_one(LogView).scroll_by(direction)
        self._log_state()

    def action_search(self) -> None:
        self.query_one(Field).open(self.query_one(LogView).searching)

    def action_search_next(self) -> None:
        self.query_one(LogView).next_found(1)
        self._log_state()

    def action_search_previous(self) -> None:
        self.query_one(LogView).next_found(-1)
        self._log_state()

    @on(Input.Submitted, "#search")
    def _search(self, event: Input.Submitted) -> None:
        log = self.query_one(LogView)
        count = log.search(event.value.strip())
        if event.value.strip() and not count:
            self.notify(f"“{event.value.strip()}” is not in the log")
        self._search_closed()

    @on(Field.Left)
    def _search_closed(self) -> None:
        self.query_one(Field).close()
        self.set_focus(None)
        self._log_state()
