"""One line to type in, at the foot of a place."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Input

from engine.contract.text import plain


class Line(Input):
    """One line to type in, into which nothing comes that the terminal would obey: not from a file, not by pasting."""

    def validate_value(self, value: str) -> str:
        return plain(value)

    def validate_placeholder(self, placeholder: str) -> str:
        return plain(placeholder)


class Field(Line):
    """Appears when it is asked for, goes away with enter or esc."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "leave", "")]
    DEFAULT_CSS = """
    Field { height: 1; border: none; padding: 0 1; background: $panel; }
    Field:focus { border: none; }
    """

    class Left(Message):
        """It was left with esc."""

        def __init__(self, field: Field) -> None:
            super().__init__()
            self.field = field

        @property
        def control(self) -> Field:
            return self.field

    def __init__(self, hint: str, *, id: str) -> None:
        super().__init__(placeholder=hint, id=id, compact=True, classes="-hidden")

    def open(self, value: str = "", *, go_on: bool = False) -> None:
        """Show it, with a value that the first key replaces, or with ``go_on`` a text that is written on."""
        self.select_on_focus = not go_on
        self.value = value
        self.remove_class("-hidden")
        self.cursor_position = len(value)
        self.focus()

    def close(self) -> None:
        self.add_class("-hidden")

    def action_leave(self) -> None:
        self.close()
        self.post_message(self.Left(self))
