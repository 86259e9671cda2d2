"""One line to type in, at the foot of a place."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Input

from engine.contract.text import plain
from tui.widgets.paths import complete

MOST_NAMES = 12


class Line(Input):
    """One line to type in, into which nothing comes that the terminal would obey: not from a file, not by pasting.

    Tab never leaves it: it completes a path where one is typed, and does nothing elsewhere.
    """

    BINDINGS: ClassVar[list[BindingType]] = [("tab", "complete", ""), ("shift+tab", "stay", "")]
    takes_path = False
    """What is typed is a path."""

    def action_complete(self) -> None:
        if not self.takes_path:
            return
        longer, names = complete(self.value)
        if longer != self.value:
            self.value = longer
            self.cursor_position = len(longer)
        elif len(names) > 1:
            more = f"  and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            self.notify("  ".join(names[:MOST_NAMES]) + more)
        elif not names:
            self.notify(f"Nothing to complete: no file or folder begins with {self.value or 'that'}.")

    async def _on_key(self, event: events.Key) -> None:
        """Keys that edit act in their turn. As bindings they take a longer way than letters do, and of keys that come
        together (a slow line bundles them) a backspace would take away what was typed after it."""
        found = self._bindings.key_to_bindings.get(event.key, [])
        if found and not event.is_printable:
            event.stop()
            event.prevent_default()
            await self.run_action(found[0].action)

    def action_stay(self) -> None:
        """Shift+tab would move to another widget, and what is typed would be left behind."""

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

    @property
    def is_open(self) -> bool:
        return not self.has_class("-hidden")

    def close(self) -> None:
        self.add_class("-hidden")

    def action_leave(self) -> None:
        self.close()
        self.post_message(self.Left(self))
