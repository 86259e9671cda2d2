"""Runs: all runs of the folder, what became of them, and what differs from the one before."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input

from engine.contract import config
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from engine.contract.text import plain
from tui import keys
from tui.places import run_actions
from tui.places.place import Place, RunsChanged
from tui.runs import queue, store
from tui.runs.store import RunSummary
from tui.runs.tail import TextTail
from tui.text import NONE, STATES, cut, loss, short, size, sparkline, value, when
from tui.widgets.field import Field
from tui.widgets.lines import Lines, frame
from tui.widgets.table import Column, Row, Table

_NEEDS: dict[str, Callable[[RunSummary], bool]] = {
    "stop": lambda s: s.live,
    "resume": lambda s: s.resumable or s.state == "waiting",
    "archive": lambda s: not s.live,
    "go('listen')": lambda s: bool(s.clips) and not s.live,
}
"""What a run must be for an action to do something."""
SORTS = ("started", "name", "state", "best valid", "listening", "disk")
_WIDE = [
    Column("", 1), Column("State", 7), Column("Run", 0), Column("Started", 11), Column("Ep", 4, True),
    Column("r/α", 6, True), Column("lr", 6, True), Column("bs×ga", 5, True), Column("Best val", 9, True),
    Column("vs base", 7, True), Column("Listen", 10), Column("Gate", 6), Column("Disk", 5, True),
]  # fmt: skip
_NARROW = [
    Column("", 1), Column("State", 7), Column("Run", 0), Column("Ep", 4, True), Column("r/α", 6, True),
    Column("lr", 6, True), Column("Best val", 8, True), Column("Listen", 9),
]  # fmt: skip


class RunsScreen(Place):
    """The list of runs."""

    place = "runs"
    CSS_PATH = "runs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("runs"))

    def __init__(self) -> None:
        super().__init__()
        self._sort = 0
        self._inverted = False
        self._filter = ""
        self._read = False
        self._waiting: set[str] = set()

    def body(self) -> ComposeResult:
        with Container(id="runs-card", classes="card"):
            yield Table(_WIDE, id="runs")
        with Container(id="runs-below"):
            yield Lines([], id="run-facts", classes="card")
            yield Lines([], id="run-log", classes="card")
        yield Field("filter by name, state, or a setting such as rank=12", id="filter")

    def on_mount(self) -> None:
        self.query_one("#run-log", Lines).title("Log")
        self._write()
        self.query_one(Table).focus()

    @on(RunsChanged)
    def _read_once(self) -> None:
        self._read = True
        self._write()

    @on(events.ScreenResume)
    def _back(self) -> None:
        # What came while another place was on screen was not drawn.
        self._write()

    # -- drawing

    def _write(self) -> None:
        wide = self.size.width >= 100
        self._waiting = {run.name for run in queue.entries(self.panel.runs_dir)}
        shown = self._shown()
        table = self.query_one(Table)
        table.show([Row(s.path, self._cells(s, wide)) for s in shown], _WIDE if wide else _NARROW)
        card = self.query_one("#runs-card")
        what = "Archive" if self.panel.store.archived else "Runs"
        words = [f"{what} {len(shown)}", f"{SORTS[self._sort]} {'↑' if self._inverted else '↓'}"]
        title = " · ".join(words + [f"filter: {self._filter}"] * bool(self._filter))
        marked = len(self.panel.marked)
        notes = [f"{marked} marked · C compares" if marked else "space marks for Compare"]
        frame(card, title, " · ".join(queue_note(self.panel.runs_dir) + notes))
        self._write_facts()

    def _shown(self) -> list[RunSummary]:
        words = self._filter.lower().split()
        found = [s for s in self.panel.summaries if all(_fits(s, word) for word in words)]
        if SORTS[self._sort] != "started":
            found.sort(key=lambda s: _sort_key(s, SORTS[self._sort]))
        return found[::-1] if self._inverted else found

    def _cells(self, s: RunSummary, wide: bool) -> list[str | tuple[str, str]]:
        look = STATES[_look(s, self._waiting)]
        mark = ("◆", "$accent bold") if s.path in self.panel.marked else " "
        cells: list[str | tuple[str, str]] = [mark, (f"{look.glyph} {look.word}", f"${look.color} bold"), s.name]
        if wide:
            cells.append((when(s.started), "$quiet"))
        cells += [f"{s.epoch:.2g}" if s.epoch == s.epoch else NONE, *_settings_cells(s, wide)]
        cells.append((f"NaN @{s.non_finite}", "$error") if s.state == "failed" and s.non_finite else loss(s.best_valid))
        if wide:
            gain = s.best_valid - s.base_valid
            worse = "$warning" if gain > 0 else "$success"
            cells.append((f"{gain:+.3f}", worse) if gain == gain else NONE)
        cells.append(s.listen or NONE)
        return [*cells, s.gate or NONE, (size(s.disk), "$quiet")] if wide else cells

    @on(Table.Moved)
    def _write_facts(self) -> None:
        facts, log = self.query_one("#run-facts", Lines), self.query_one("#run-log", Lines)
        self.write_keys()
        summary = self.current()
        if summary is None:
            facts.title("")
            facts.show(self._nothing())
            log.show([])
            return
        vs = f" vs {summary.parent}" if summary.parent else ""
        facts.title(cut(f"{summary.name}{vs}", max(10, facts.size.width)))
        facts.show(_facts(summary, max(20, facts.size.width), narrow=self.size.width < 100))
        log.show(_last_lines(summary, max(1, log.size.height)))

    def _nothing(self) -> list[Content]:
        if not self._read:
            return [Content.styled("reading the runs …", "$quiet")]
        if self._filter:
            return [Content.styled(f"No run fits “{self._filter}”; / changes the filter.", "$quiet")]
        if self.panel.store.archived:
            return [Content.styled("The archive is empty; z goes back to the runs.", "$quiet")]
        return [
            Content("No runs yet."),
            Content.assemble(("n", "$accent bold"), " makes one from config.toml"),
            Content.assemble(("mgl-tui demo", "$accent bold"), " trains a small one on made-up music"),
            Content.assemble(("p", "$accent bold"), " opens a folder of clips made by another script"),
        ]

    # -- acting

    def offers(self, action: keys.Action) -> bool:
        if action.action in _NEEDS:
            summary = self.current()
            return summary is not None and not summary.foreign and _NEEDS[action.action](summary)
        return super().offers(action)

    def current(self) -> RunSummary | None:
        """The run under the cursor."""
        return self.panel.summary(self.query_one(Table).key)

    def _there(self) -> RunSummary | None:
        """The run under the cursor; says so when there is none."""
        summary = self.current()
        if summary is None:
            self.notify("There is no run here yet; n makes one.")
        return summary

    def _run(self) -> RunDir | None:
        """The run under the cursor; says so when there is none or it is only a folder of clips."""
        summary = self._there()
        if summary is None:
            return None
        if summary.foreign:
            self.notify(f"{summary.name} only holds clips of another script; enter listens to them.")
        else:
            return RunDir(summary.path)
        return None

    @on(Table.Chosen)
    def action_open(self) -> None:
        summary = self._there()
        if summary is not None:
            self.panel.show_run(summary.path)
            self.panel.action_go("listen" if summary.foreign else "monitor")

    def action_new(self) -> None:
        summary = self.current()
        self.panel.open_new_run(summary.path if summary is not None and not summary.foreign else None)

    def action_resume(self) -> None:
        if run := self._run():
            run_actions.resume(self.panel, run)

    def action_stop(self) -> None:
        if run := self._run():
            run_actions.stop(self.panel, run)

    def action_mark(self) -> None:
        summary = self._there()
        if summary is None:
            return
        marked = self.panel.marked
        if summary.path in marked:
            marked.remove(summary.path)
        else:
            marked.append(summary.path)
        self.panel.remember()
        self._write()
        self.query_one(Table).action_move(1)

    def action_sort(self) -> None:
        self._sort = (self._sort + 1) % len(SORTS)
        self._write()

    def action_invert(self) -> None:
        self._inverted = not self._inverted
        self._write()

    def action_export(self) -> None:
        summary = self._there()
        if summary is not None:
            from tui.places.export.screen import ExportScreen

            self.panel.push_screen(ExportScreen(summary.path))

    def action_archive(self) -> None:
        if run := self._run():
            try:
                target = store.archive(run.path, self.panel.runs_dir)
            except UserError as error:
                self.notify(str(error), severity="error")
                return
            self.notify(f"{run.name} is now in {target.parent}.")
            self.panel.read_runs()

    def action_archived(self) -> None:
        self.panel.store.archived = not self.panel.store.archived
        self.panel.read_runs()

    def action_open_path(self) -> None:
        from tui.places.dialogs import Ask

        def take(text: str | None) -> None:
            path = Path(text).expanduser().resolve() if text else None
            if path is None:
                return
            if not store.evaluation_folders(path):
                self.notify(f"{path} holds no {store.RESULTS}; give the folder that does.", severity="error")
                return
            if path not in self.panel.store.opened:
                self.panel.store.opened.append(path)
                self.panel.remember()
            self.panel.show_run(path)
            self.panel.read_runs()
            self.panel.action_go("listen")

        ask = Ask("Open a folder of clips", hint=f"folder that holds {store.RESULTS}", path=True)
        self.panel.push_screen(ask, take)

    def action_queue(self) -> None:
        from tui.places.runs.queue import QueueScreen

        self.panel.push_screen(QueueScreen())

    # -- the filter

    def action_filter(self) -> None:
        self.query_one(Field).open(self._filter)

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self._filter = event.value.strip()
        self._write()

    @on(Input.Submitted, "#filter")
    def _keep_filter(self) -> None:
        self.query_one(Field).close()
        self.query_one(Table).focus()

    def use_back(self) -> bool:
        """A filter that is kept goes first."""
        kept = bool(self._filter)
        if kept:
            self._no_filter()
        return kept

    @on(Field.Left)
    def _no_filter(self) -> None:
        self._filter = ""
        self._write()
        self.query_one(Table).focus()


def queue_note(runs_dir: Path) -> list[str]:
    """How many runs wait, and whether anybody is there to start them."""
    waiting = len(queue.entries(runs_dir))
    if not waiting:
        return []
    return [f"{waiting} in the queue" + ("" if queue.runs(runs_dir) else ", which stands still: Q")]


def _fits(summary: RunSummary, word: str) -> bool:
    """A word is part of the name or the state; rank=4 is that setting with that value and no other."""
    name, equals, wanted = word.partition("=")
    if equals:
        values = config.values(summary.settings) if summary.settings is not None else {}
        found = [value for full, value in values.items() if name in (full, full.split(".")[1])]
        return any(wanted in (str(value).lower(), short(value) if _is_number(value) else None) for value in found)
    return word in f"{summary.name} {summary.state} {STATES[_look(summary)].word}".lower()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _look(summary: RunSummary, waiting: Collection[str] | None = None) -> str:
    """Key of STATES: a run that has not begun only waits when it stands in the queue."""
    if summary.foreign:
        return "clips"
    if waiting is not None and summary.state == "waiting" and summary.name not in waiting:
        return "unqueued"
    return summary.state


def _sort_key(summary: RunSummary, by: str) -> tuple[Any, ...]:
    order = list(STATES)
    nan = summary.best_valid != summary.best_valid
    return {
        "name": (summary.name.lower(),),
        "state": (order.index(summary.state),),
        "best valid": (nan, 0.0 if nan else summary.best_valid),
        "listening": (not summary.listen, summary.listen),
        "disk": (-summary.disk,),
    }[by]


def _settings_cells(s: RunSummary, wide: bool) -> list[str | tuple[str, str]]:
    if s.settings is None:
        return [NONE] * (3 if wide else 2)
    lora, train = s.settings.lora, s.settings.train
    cells: list[str | tuple[str, str]] = [f"{lora.rank}/{lora.alpha:g}", short(train.learning_rate)]
    return [*cells, f"{train.batch_size}×{train.gradient_accumulation_steps}"] if wide else cells


def _facts(s: RunSummary, width: int, *, narrow: bool) -> list[Content]:
    """What became of a run and what was different about it."""
    look = STATES[_look(s)]
    head: list[tuple[str, str] | str] = [(f"{look.glyph} {look.word}", f"${look.color} bold")]
    if s.total_steps:
        head.append(f"  step {s.step} of {s.total_steps}")
    if s.resumable:
        where = f"r resumes from step {s.checkpoint}" if s.checkpoint else "r starts it again"
        head.append((f"  {where}", "$accent"))
    lines = [Content.assemble(*head)]
    if s.error:
        lines += Content.styled(plain(s.error), "$error").wrap(width)
    if s.foreign:
        return [
            *lines,
            Content.styled(str(s.path), "$quiet"),
            Content("clips of another script; enter listens"),
        ]
    if s.valid:
        bars = sparkline(s.valid, 20)
        best = f" best {loss(s.best_valid)} @{s.best_step}" if s.best_step else ""
        lines.append(Content.assemble("valid ", (bars, "$primary"), f"  base {loss(s.base_valid)}{best}"))
    if s.seconds_per_step == s.seconds_per_step:
        lines.append(Content(f"speed {s.seconds_per_step:.2f} s/step" + (f" on {s.device}" if s.device else "")))
    if s.listen:
        lines.append(Content(f"listening {s.listen}"))
    return lines + _changes(s, width, narrow=narrow)


def _changes(s: RunSummary, width: int, *, narrow: bool) -> list[Content]:
    if not s.parent:
        return []
    if not s.changed:
        return [Content.styled(f"the same settings as {s.parent}", "$quiet")]
    pairs = [(c.name.split(".", 1)[1], value(c.old), value(c.new)) for c in s.changed]
    if narrow:
        return [Content("  ".join(f"{name} {old}→{new}" for name, old, new in pairs))]
    label = max(len(name) for name, _, _ in pairs)
    return [Content.assemble(f"{name:<{label}}  ", (f"{old} → ", "$quiet"), (new, "bold")) for name, old, new in pairs]


def _last_lines(s: RunSummary, count: int) -> list[Content]:
    path = s.path / "engine.log"
    if not path.is_file():
        return [Content.styled("no log", "$quiet")]
    return [Content(line) for line in TextTail(path, last_bytes=16 * 1024).lines()[-count:]]
