"""Replacing a word everywhere: the two words are typed, then the lines are shown as they would be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input

from engine.contract.data.metadata import Clip
from engine.contract.errors import UserError
from tui.dataset import words
from tui.dataset.dataset import Change
from tui.places.dialogs import Dialog
from tui.widgets.field import Line
from tui.widgets.lines import Lines, frame
from tui.widgets.table import Column, Row, Table

OUT = "-"
"""Typed in place of a word, takes it out: an enter too many must not."""


class Replace(Dialog[tuple[str, str] | None]):
    """Returns the word and what takes its place; None when it was left. Nothing is kept here."""

    place = "replace"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "dismiss"),
        ("up", "scroll('move', -1)"),
        ("down", "scroll('move', 1)"),
        ("pageup", "scroll('page', -1)"),
        ("pagedown", "scroll('page', 1)"),
    ]

    def __init__(self, clips: Sequence[Clip], word: str = "", meant: str = "") -> None:
        super().__init__()
        self._clips = clips
        self._word = word
        self._meant = meant

    def compose(self) -> ComposeResult:
        with Vertical(id="replace", classes="card") as card:
            frame(card, "Replace a word in all captions", "enter goes on and keeps · ↑↓ scroll · esc leaves it")
            yield Lines(["word, or several"], classes="note")
            yield Line(self._word, id="old")
            yield Lines(["put in its place; - takes it out"], classes="note")
            yield Line(self._meant, id="new")
            yield Lines([""], id="replaced-count")
            yield Table([Column("", 1), Column("", 0)], titles=False, id="replaced")

    def on_mount(self) -> None:
        self.query_one(Table).can_focus = False
        self.query_one("#new" if self._word else "#old", Line).focus()
        self._preview()

    @on(Input.Changed)
    def _preview(self) -> None:
        changes = self._changes()
        rows = []
        for number, change in enumerate(changes):
            rows.append(Row((number, "-"), [("-", "$error"), (change.clip.text, "$quiet")]))
            rows.append(Row((number, "+"), [("+", "$success"), change.text or "nothing is left"]))
        self.query_one(Table).show(rows)
        count = f"{len(changes)} caption{'' if len(changes) == 1 else 's'} would change"
        self.query_one("#replaced-count", Lines).show([count if self.query_one("#old", Line).value.strip() else ""])

    def _changes(self) -> list[Change]:
        old, new = self._typed()
        try:
            return words.replaced(self._clips, old, new)
        except UserError:
            return []

    def _typed(self) -> tuple[str, str]:
        old, new = (self.query_one(name, Line).value.strip() for name in ("#old", "#new"))
        return old, "" if new == OUT else new

    @on(Input.Submitted, "#old")
    def _go_on(self) -> None:
        self.query_one("#new", Line).focus()

    @on(Input.Submitted, "#new")
    def _keep(self) -> None:
        if not self.query_one("#new", Line).value.strip():
            self.notify(f"Type what is put in its place, or {OUT} to take the word out.")
        elif self._changes():
            self.dismiss(self._typed())
        else:
            self.notify("No caption would change; type a word that stands in them, or esc.")

    def action_scroll(self, action: str, direction: int) -> None:
        """The line that is typed keeps the keys; these move what is below it."""
        table = self.query_one(Table)
        (table.action_page if action == "page" else table.action_move)(direction)
