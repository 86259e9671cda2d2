"""Small dialogs above a place: a menu with a key for each choice, a line to type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tui.places.whole import WholeScreen, cuts_something, whole_texts
from tui.widgets.field import Line
from tui.widgets.lines import Lines, frame
from tui.widgets.table import Column, Row, Table

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """A screen above a place that closes once: a second key in its queue must not close what is below as well."""

    BINDINGS: ClassVar[list[BindingType]] = [("W", "whole")]

    def action_whole(self) -> None:
        if texts := whole_texts(self):
            self.app.push_screen(WholeScreen(texts))
        else:
            self.notify("All that stands here stands here in full.")

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_active else AwaitComplete()


class Choice(NamedTuple):
    key: str
    label: str
    meaning: str


MENU_KEYS = "enter takes · esc leaves it"


class Menu(Dialog[str | None]):
    """Choices, each with a key of its own; returns the key that was taken, None for none."""

    place = "menu"
    BINDINGS: ClassVar[list[BindingType]] = [("enter", "take"), ("escape,q", "dismiss")]

    def __init__(self, title: str, choices: Sequence[Choice], *, note: str = "") -> None:
        super().__init__()
        self._title = title
        self._choices = list(choices)
        self._note = note

    def compose(self) -> ComposeResult:
        label = max(len(choice.label) for choice in self._choices)
        with Vertical(id="dialog", classes="card") as card:
            frame(card, self._title, MENU_KEYS)
            yield Table([Column("", 1), Column("", label), Column("", 0)], titles=False, id="menu")
            if self._note:
                yield Lines([self._note], classes="note")

    def on_mount(self) -> None:
        table = self.query_one(Table)
        table.styles.height = len(self._choices)
        table.show([Row(c.key, [(c.key, "$accent bold"), c.label, (c.meaning, "$quiet")]) for c in self._choices])
        table.focus()

    @on(Lines.Clipped)
    def _say_how_to_read_all(self) -> None:
        card = self.query_one("#dialog")
        frame(card, None, f"W reads all · {MENU_KEYS}" if cuts_something(self) else MENU_KEYS)

    def on_key(self, event: events.Key) -> None:
        if event.character in {choice.key for choice in self._choices}:
            event.stop()
            self.dismiss(event.character)

    def action_take(self) -> None:
        self.dismiss(self.query_one(Table).key)

    @on(Table.Chosen)
    def _chosen(self, event: Table.Chosen) -> None:
        self.dismiss(event.key)


class Ask(Dialog[str | None]):
    """One line to type; returns it, None when it was left, or is empty and ``empty`` is no answer."""

    place = "ask"
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss")]

    def __init__(self, title: str, *, value: str = "", hint: str = "", path: bool = False, empty: bool = False) -> None:
        super().__init__()
        self._path = path
        self._empty = empty
        self._title = title
        self._value = value
        self._hint = hint

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="card") as card:
            frame(card, self._title, "tab completes · " * self._path + "enter takes · esc leaves it")
            line = Line(self._value, placeholder=self._hint, id="answer")
            line.takes_path = self._path
            yield line

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        self.dismiss(text if text or self._empty else None)
