"""Runs: all runs of the folder, what became of them, and what differs from the one before."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input

from engine.contract.rundir import RunDir
from tui import keys
from tui.places import run_actions
from tui.places.background import Background
from tui.places.place import Place, RunsChanged
from tui.places.runs import words
from tui.runs import queue, store
from tui.runs.store import RunSummary
from tui.text import cut
from tui.widgets.field import Field
from tui.widgets.lines import Lines, frame
from tui.widgets.table import Table

_NEEDS: dict[str, Callable[[RunSummary], bool]] = {
    "stop": lambda s: s.live,
    "resume": lambda s: s.resumable or s.state == "waiting",
    "archive": lambda s: not s.live,
    "rename": lambda s: not s.live,
    "remove": lambda s: not s.live,
    "go('listen')": lambda s: bool(s.clips) and not s.live,
}
"""What a run must be for an action to do something."""


class RunsScreen(Place, Background):
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
            yield Table(words.COLUMNS, id="runs")
        with Container(id="runs-below"):
            yield Lines([], id="run-facts", classes="card")
            yield Lines([], id="run-log", classes="card")
        with Container(id="runs-first", classes="-hidden"):
            yield Lines([], id="runs-first-steps", classes="card")
        yield Field("filter by name, comment, state, or a setting such as rank=12", id="filter")

    def on_mount(self) -> None:
        self.query_one("#run-log", Lines).title("Log · what matters")
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
        self._waiting = {run.name for run in queue.entries(self.panel.runs_dir)}
        shown = self._shown()
        table = self.query_one(Table)
        table.show(*words.rows(shown, self.size.width, self.panel.marked, self._waiting))
        card = self.query_one("#runs-card")
        what = "Archive" if self.panel.store.archived else "Runs"
        said = [f"{what} {len(shown)}", f"{words.SORTS[self._sort]} {'↑' if self._inverted else '↓'}"]
        title = " · ".join(said + [f"filter: {self._filter}"] * bool(self._filter))
        marked = len(self.panel.marked)
        notes = [_on_marks(marked)]
        frame(card, title, " · ".join(words.queue_note(self.panel.runs_dir) + notes))
        self._write_facts()
        self._write_first()

    def _shown(self) -> list[RunSummary]:
        wanted, by = self._filter.lower().split(), words.SORTS[self._sort]
        found = [s for s in self.panel.summaries if all(words.fits(s, word) for word in wanted)]
        if by != "started":
            found.sort(key=lambda s: words.sort_key(s, by))
        return found[::-1] if self._inverted else found

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
        facts.show(words.facts(summary, max(20, facts.size.width), narrow=self.size.width < words.WIDE))
        log.show(words.told(summary, max(1, log.size.height)))

    def _nothing(self) -> list[Content]:
        if not self._read:
            return [Content.styled("reading the runs …", "$quiet")]
        if self._filter:
            return [Content.styled(f"No run fits “{self._filter}”; / changes the filter.", "$quiet")]
        if self.panel.store.archived:
            return [Content.styled("The archive is empty; z goes back to the runs.", "$quiet")]
        return []

    @property
    def _is_first_start(self) -> bool:
        """Nothing is here yet, so that the middle of the screen says how to begin."""
        return self._read and not self.panel.summaries and not self.panel.store.archived

    def _write_first(self) -> None:
        first, table = self._is_first_start, self.query_one(Table)
        if not first and self.query_one("#runs-card").has_class("-hidden"):
            self.call_after_refresh(table.focus)  # what was hidden has lost it
        for name in ("#runs-card", "#runs-below"):
            self.query_one(name).set_class(first, "-hidden")
        self.query_one("#runs-first").set_class(not first, "-hidden")
        if first:
            steps = self.query_one("#runs-first-steps", Lines)
            steps.title("No runs yet")
            steps.show(words.first_steps(Path(self.panel.settings.data.dir)))

    # -- acting

    def offers(self, action: keys.Action) -> bool:
        if action.action == "go('listen')" and len(self.panel.marked) > 1:
            return True
        if self._is_first_start and action.place == "runs":
            return action.action in ("new", "open_path") or (action.action == "queue" and bool(self._waiting))
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
            what = "is a session across runs" if summary.across else "only holds clips of another script"
            self.notify(f"{summary.name} {what}; enter listens to it.")
        else:
            return RunDir(summary.path)
        return None

    @on(Table.Chosen)
    def action_open(self) -> None:
        summary = self._there()
        if summary is not None:
            self.panel.show_run(summary.path)
            self.panel.go("listen" if summary.foreign else "monitor")

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

    def use_go(self, mode: str) -> bool:
        """Listen, gone to with runs marked, is one blind session across them."""
        marked = [path for path in self.panel.marked if path.is_dir()]
        if mode != "listen" or len(marked) < 2:
            return False
        from tui.places.runs import across

        work = partial(across.prepare, self.panel.runs_dir, marked)
        self.look_up(work, partial(across.open_prepared, self.panel), group="across")
        return True

    def action_sort(self) -> None:
        self._sort = (self._sort + 1) % len(words.SORTS)
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
            from tui.places.runs import keeping

            keeping.archive(self.panel, run)

    def action_rename(self) -> None:
        if run := self._run():
            from tui.places.runs import keeping

            keeping.rename(self.panel, run)

    def action_comment(self) -> None:
        if summary := self._there():
            from tui.places.runs import keeping

            keeping.remark(self.panel, summary)

    def action_remove(self) -> None:
        if self._run() and (summary := self.current()):
            from tui.places.runs import keeping

            keeping.remove(self.panel, summary)

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
            self.panel.go("listen")

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


def _on_marks(count: int) -> str:
    """What can be done with so many marked runs."""
    if count > 1:
        return f"{count} marked · C compares · L hears them blind"
    return "1 marked · C compares" if count else "space marks for Compare"
