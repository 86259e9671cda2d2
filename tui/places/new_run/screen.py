"""New run: a sheet of settings beside those of the run it starts from, what they mean, and what the checks say."""

from __future__ import annotations

import textwrap
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content

from engine.contract import config, rundir
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui import keys
from tui.places import run_actions
from tui.places.dialogs import Choice, Menu
from tui.places.new_run import making, words
from tui.places.new_run.editing import PATHS, Editing
from tui.places.new_run.outlook import Outlook
from tui.places.new_run.words import NAME, START
from tui.places.place import RunsChanged
from tui.places.whole import Text
from tui.runs.checks import run_checks
from tui.runs.draft import (
    Draft,
    Finding,
    label,
    measured_like,
)
from tui.runs.follow import Followed
from tui.runs.history import History
from tui.runs.plain_words import PLAIN_WORDS
from tui.text import cut
from tui.widgets.field import Field
from tui.widgets.lines import Lines, frame
from tui.widgets.table import Column, Table

_WIDE = [Column("Setting", 14), Column("base", 13), Column("  new", 18), Column("", 0)]
_NARROW = [Column("Setting", 14), Column("base", 8), Column("  new", 10), Column("", 0)]
DEBOUNCE = 0.6
_UNWRAPPED = 10_000
"""Cells: a width that no line is wrapped at."""


class NewRunScreen(Editing):
    """The form of a run to be."""

    place = "new_run"
    CSS_PATH = "new_run.tcss"
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("new_run"))

    def __init__(
        self, base: Path | None, changes: dict[str, Any], why: str = "", *, draft: Draft | None = None
    ) -> None:
        """Start from a run's settings with changes, or go on with a draft that was kept."""
        super().__init__(draft)
        self._base_path = base
        self._changes = changes
        self._why = why
        self._opened: tuple[object, ...] | None = None
        """What the draft was when it was opened: as long as it is that, nothing is lost with it."""
        self._outlook: Outlook | None = None
        self._checking = False
        self._then = ""
        """What is to be done once the checks that run are through: start, enqueue, or nothing."""
        self._history_of = ""

    def body(self) -> ComposeResult:
        with Container(id="new-run"):
            with Container(id="sheet-card", classes="card"):
                yield Table(_WIDE, id="sheet")
            yield Lines([], id="means", classes="card")
            yield Lines([], id="checks", classes="card")
            yield Lines([], id="about", classes="card")
            yield Lines([], id="same", classes="card")
        yield Field("", id="edit")

    def on_mount(self) -> None:
        if self._draft is None:
            self._draft = self._begun()
            if self._changes:
                self._put(self._changes)
            self._opened = self._state()
        self._outlook = Outlook(self._draft)
        frame(self.query_one("#sheet-card"), f"New run · from {self._draft.base_name or 'config.toml'}", None)
        self._write()
        table = self.query_one(Table)
        table.focus()
        first = "lora.rank" if self.draft.base_name else "data.dir"
        table.go_to(next((change.name for change in self.draft.changes()), first))
        self._load_history()
        self._check_soon()

    def _begun(self) -> Draft:
        settings, name = self.panel.settings, ""
        if self._base_path is not None:
            try:
                settings, name = config.load(self._base_path / "config.toml"), self._base_path.name
            except UserError as error:
                self.notify(f"{error} The panel's own settings are taken instead.", severity="error")
        return Draft(settings, name, rundir.free_name(self.panel.runs_dir, name or "run"), self._why)

    @property
    def outlook(self) -> Outlook:
        assert self._outlook is not None
        return self._outlook

    def _state(self) -> tuple[object, ...]:
        return self.draft.settings, self.draft.name, dict(self.draft.axes)

    # -- drawing

    def _write(self) -> None:
        wide = self.size.width >= 100
        columns = list(_WIDE if wide else _NARROW)
        columns[1] = columns[1]._replace(title=cut(self.draft.base_name or "default", columns[1].width))
        table = self.query_one(Table)
        table.show(words.rows(self.draft, table.key), columns)
        self.write_hint()
        self._write_about()
        self._write_means()
        self._write_checks()
        same = self.query_one("#same", Lines)
        same.title("Same as", "y copies")
        width = max(20, same.size.width)
        command = self._command()
        same.show([Content(line) for line in textwrap.wrap(command, width, break_on_hyphens=False)])

    def write_hint(self) -> None:
        name = self.query_one(Table).key
        card = self.query_one("#sheet-card")
        if self._editing:
            tab = "tab completes · " if self._editing in PATHS else ""
            several = " · several, with commas" if self._varying else ""
            frame(card, None, f"typing {self._label(self._editing)}{several} · {tab}enter takes · esc leaves it")
            return
        if name == START:
            frame(card, None, "enter queues the runs of the sweep" if self.draft.axes else "enter starts the run")
            return
        frame(card, None, "a name that is new" if name in (NAME, None) else "")

    def _write_about(self) -> None:
        """What the setting under the cursor does, and what it may be."""
        card, name = self.query_one("#about", Lines), self.query_one(Table).key
        width, info = max(20, card.size.width), config.fields().get(name)
        card.title(label(name) if info else "")
        allowed = Content.styled(f"{info.description} Allowed: {config.allowed(info)}.", "$quiet") if info else None
        card.show([*Content(PLAIN_WORDS[name]).wrap(width), *allowed.wrap(width)] if allowed else [])

    def _write_means(self) -> None:
        known, look, means = self.panel.summaries, self.outlook, self.query_one("#means", Lines)
        swept = look.cost(known) if self.draft.axes else None
        means.title("What it means")
        means.show(
            words.meaning(
                self.draft,
                look.course(),
                look.train_clips(),
                look.estimate(known),
                look.checked,
                means.size.width,
                swept,
            )
        )

    def _write_checks(self) -> None:
        card = self.query_one("#checks", Lines)
        running = "" if not self._checking else " · running, then it starts" if self._then else " · running"
        card.title(f"Checks{running}", "▲ warns · ✘ blocks · c again")
        found = self._findings()
        whole = [line for finding in found for line in words.finding_lines(finding, _UNWRAPPED)]
        card.show([line for one in found for line in words.finding_lines(one, card.size.width)], whole=whole)

    def _findings(self) -> list[Finding]:
        return self.outlook.findings(self.panel.runs_dir, self.panel.summaries)

    @on(RunsChanged)
    def _runs_changed(self) -> None:
        self._load_history()
        self._write_means()
        self._write_checks()

    @on(Table.Moved)
    def _moved(self, event: Table.Moved) -> None:
        if self._draft is None:
            return
        if self._editing and event.key != self._editing and not self._take(self.query_one("#edit", Field).value):
            # What was typed is not allowed: it stays to be mended.
            event.table.go_to(self._editing)
            self.query_one("#edit", Field).focus()
        self._write()

    def _command(self) -> str:
        return self.draft.command(self._base_path / "config.toml" if self._base_path else None)

    # -- what was measured

    def _load_history(self) -> None:
        source = measured_like(self.draft, self.panel.summaries)
        if source is None or source.name == self._history_of:
            return
        self._history_of = source.name
        followed = Followed(RunDir(source.path))

        def load() -> None:
            followed.load()
            self.app.call_from_thread(self._have_history, followed.history)

        self.run_worker(load, thread=True, group="history", exclusive=True)

    def _have_history(self, history: History) -> None:
        self.outlook.history = history
        self._write_means()

    # -- the checks

    def _check_soon(self) -> None:
        """Check these settings in a process of its own, once they have been left alone for a moment."""
        self._checking = True
        self._write_checks()
        self.run_worker(self._check(), group="check", exclusive=True)

    async def _check(self) -> None:
        import asyncio

        await asyncio.sleep(DEBOUNCE)
        self.outlook.checked = await run_checks(self.draft.settings)
        self._checking = False
        self._write()
        then, self._then = self._then, ""
        if then:
            self._finish(then)

    def draft_changed(self) -> None:
        self._then = ""
        same = self._opened == self._state()
        self.panel.kept_draft = None if same else (self._base_path, self.draft)
        self._write()
        self._check_soon()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self._command())
        self.notify("Copied, if the terminal allows it; the line stands under Same as.")

    def action_check(self) -> None:
        self._check_soon()

    def whole_texts(self) -> list[Text]:
        name = self._current()
        info = config.fields().get(name)
        said = [(label(name), [Content(f"{info.description} {config.allowed(info)}")])] if info else []
        said += [(f"Values of {label(axis)}", [Content(words.listed(self.draft, axis))]) for axis in self.draft.axes]
        return [*said, *super().whole_texts()]

    # -- leaving

    def use_back(self) -> bool:
        """Esc: what was changed is not dropped without a word."""
        if self.panel.kept_draft is None or self.panel.kept_draft[1] is not self.draft:
            return False

        def take(key: str | None) -> None:
            if key == "d":
                self.panel.kept_draft = None
            if key is not None:
                self.dismiss()

        choices = [
            Choice("k", "keep it", "n on Runs goes on with it"),
            Choice("d", "drop it", "what was changed here is lost"),
        ]
        self.panel.push_screen(Menu(f"Leave the draft {self.draft.name}?", choices), take)
        return True

    # -- starting

    def action_start(self) -> None:
        self._when_checked("start")

    def action_enqueue(self) -> None:
        self._when_checked("enqueue")

    def _when_checked(self, then: str) -> None:
        if self._checking:
            self._then = then
            self._write_checks()
        else:
            self._finish(then)

    def _finish(self, then: str) -> None:
        blocks = [finding for finding in self._findings() if finding.severity == "block"]
        if blocks:
            self.notify(f"{blocks[0].message} {blocks[0].fix}".strip(), severity="error", title="It cannot start")
            return
        draft, made = self.draft, partial(making.make, self.panel, self.draft, self._made)
        if draft.axes:
            making.make_sweep(self.panel, draft, self.outlook.cost(self.panel.summaries), self._made)
        elif then == "enqueue":
            made(waits=True)
        else:
            run_actions.when_free(self.panel, draft.name, partial(made, waits=False), partial(made, waits=True))

    def _made(self, run: Path, waits: bool) -> None:
        self.panel.kept_draft = None
        self.panel.read_runs()
        self.panel.show_run(run)
        self.dismiss()
        self.panel.action_go("runs" if waits else "monitor")
