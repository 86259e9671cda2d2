"""New run's sheet: values are stepped, typed, or several at once, found by name, and put back."""

from __future__ import annotations

from typing import Any

from textual import on
from textual.widgets import Input

from engine.contract import rundir
from engine.contract.errors import UserError
from tui import keys
from tui.places.dialogs import Choice, Menu
from tui.places.new_run import words
from tui.places.new_run.words import NAME, START
from tui.places.place import Place
from tui.runs.draft import PRESETS, Draft, label, preset_changes, setting_names
from tui.text import value
from tui.widgets.field import Field
from tui.widgets.table import Table

PATHS = ("data.dir", "data.cache_dir", "evaluate.prompts_file", "model.base")
"""Settings that are completed as paths."""


class Editing(Place):
    """The part of New run that changes the draft."""

    def __init__(self, draft: Draft | None) -> None:
        super().__init__()
        self._draft = draft
        self._editing = ""
        """The setting whose value is being typed."""
        self._varying = False
        """Several values of it are."""

    @property
    def draft(self) -> Draft:
        assert self._draft is not None
        return self._draft

    def draft_changed(self) -> None:
        """The draft has other values now."""
        raise NotImplementedError

    def write_hint(self) -> None:
        """Say what the keys do at the current row."""
        raise NotImplementedError

    def action_start(self) -> None:
        raise NotImplementedError

    def _put(self, changes: dict[str, Any]) -> bool:
        try:
            self.draft.put(changes)
        except UserError as error:
            self.notify(str(error), severity="error")
            return False
        return True

    def _label(self, name: str) -> str:
        return name if name in (NAME, START) else label(name)

    def _current(self) -> str:
        return str(self.query_one(Table).key or NAME)

    def action_step(self, direction: int) -> None:
        name = self._current()
        if name in (NAME, START):
            return
        if name in self.draft.axes:
            self.notify(f"{label(name)} takes several values; v changes them, d takes them off.")
            return
        before = self.draft.value(name)
        try:
            self.draft.step(name, direction)
        except UserError as error:
            self.notify(str(error), severity="error")
        if self.draft.value(name) != before:
            self.draft_changed()

    @on(Table.Chosen)
    def action_edit(self) -> None:
        name = self._current()
        field = self.query_one("#edit", Field)
        if field.is_open:
            # It was only left by a click: what is typed there stays.
            field.focus()
            return
        if name == START:
            self.action_start()
            return
        if name in self.draft.axes:
            self.action_vary()
            return
        self._editing = name
        field.takes_path = name in PATHS
        self.write_hint()
        if name == NAME:
            field.open(self.draft.name)
            return
        new = self.draft.value(name)
        text = ", ".join(new) if isinstance(new, list) else value(new) if isinstance(new, bool) else str(new)
        field.open(text, go_on=field.takes_path)

    def action_vary(self) -> None:
        name, field = self._current(), self.query_one("#edit", Field)
        if name in (NAME, START) or isinstance(self.draft.base_value(name), list):
            self.notify("Only a setting with one value can take several: a sweep.")
            return
        if field.is_open:
            field.focus()
            return
        self._editing, self._varying, field.takes_path = name, True, False
        self.write_hint()
        one = self.draft.value(name)
        field.open(f"{words.listed(self.draft, name) if name in self.draft.axes else value(one)}, ", go_on=True)

    @on(Input.Submitted, "#edit")
    def _typed(self, event: Input.Submitted) -> None:
        if event.input.has_class("-find"):
            self._find(event.value)
        else:
            self._take(event.value)

    def _take(self, typed: str) -> bool:
        """Take what was typed for the setting; False, and it can still be mended, where it is not allowed."""
        name = self._editing
        # A path may have such characters in it, and means them.
        text = typed if name in PATHS else keys.ascii_text(typed)
        try:
            if name == NAME:
                self.draft.name = rundir.checked_name(text.strip())
            elif self._varying:
                self.draft.vary(name, text)
            else:
                self.draft.type_in(name, text)
        except UserError as error:
            self.notify(str(error), severity="error")
            return False
        self._close_field()
        self.draft_changed()
        return True

    @on(Field.Left)
    def _close_field(self) -> None:
        field = self.query_one("#edit", Field)
        field.remove_class("-find")
        field.close()
        self._editing, self._varying = "", False
        self.write_hint()
        self.query_one(Table).focus()

    def action_base_value(self) -> None:
        name = self._current()
        if name not in (NAME, START) and self._put({name: self.draft.base_value(name)}):
            self.draft.axes.pop(name, None)
            self.draft_changed()

    def action_all_base(self) -> None:
        self.draft.reset()
        self.draft_changed()

    def action_find(self) -> None:
        field = self.query_one("#edit", Field)
        if field.is_open:
            field.focus()
            return
        field.add_class("-find")
        field.takes_path = False
        field.open()

    def _find(self, text: str) -> None:
        words = text.lower().split()
        names = [START, NAME, *(name for _, names in setting_names() for name in names)]
        found = [n for n in names if all(word in f"{n} {self._label(n)}".lower() for word in words)]
        self._close_field()
        if found:
            self.query_one(Table).go_to(found[0])
        else:
            self.notify(f"No setting is called “{text}”.")

    def action_preset(self) -> None:
        def take(key: str | None) -> None:
            if key is not None and self._put(preset_changes(key, self.draft.settings)):
                self.draft_changed()

        choices = [Choice(key, preset.name, preset.why) for key, preset in PRESETS.items()]
        self.panel.push_screen(Menu("Preset", choices), take)
