"""The texts of a place that its cards have no room for, in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from tui.widgets.lines import Lines, frame
from tui.widgets.table import Table

Text = tuple[str, Sequence[Content]]
"""Title of a card, and its lines."""


def cuts_something(screen: Screen[Any]) -> bool:
    """Whether there is no room on a screen for all of its lines and of the current rows of its tables."""
    return any(each.clipped for each in _readable(screen))


def whole_texts(screen: Screen[Any]) -> list[Text]:
    """What there is no room for, by the title of its card."""
    return [(_title_of(each), each.whole) for each in _readable(screen) if each.clipped]


def _readable(screen: Screen[Any]) -> list[Lines | Table]:
    return [each for each in screen.query("*") if isinstance(each, Lines | Table)]


def _title_of(widget: Widget) -> str:
    """The title of the card that a widget is, or lies in."""
    titled = (each for each in widget.ancestors_with_self if isinstance(each, Widget) and each.border_title)
    found = next(titled, None)
    # The words themselves: the public property gives them as markup.
    return found._border_title.plain if found is not None and found._border_title is not None else ""


class WholeScreen(ModalScreen[None]):
    """Wrapped to the screen, and scrolled where that is not enough."""

    place = "whole"
    BINDINGS: ClassVar[list[BindingType]] = [("W,escape,q", "dismiss")]

    def __init__(self, texts: Sequence[Text]) -> None:
        super().__init__()
        self._texts = list(texts)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="whole", classes="card") as scroll:
            frame(scroll, "Whole text", "↑↓ scroll · W or esc closes")
            yield Lines(id="whole-text")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self.call_after_refresh(self._write)

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._write)

    def _write(self) -> None:
        width = max(20, self.query_one(VerticalScroll).scrollable_content_region.width)
        found: list[Content] = []
        for title, lines in self._texts:
            found += [Content("")] * bool(found) + [Content.styled(title, "$accent bold")] * bool(title)
            found += [part for line in lines for part in (line.wrap(width) if line.plain else [line])]
        self.query_one(Lines).show(found)
