"""Help: the keys of the place that is open, and those that work everywhere; made from the table of keys."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from tui import keys
from tui.widgets.lines import Lines, frame

_FIRST = "Capitals go places, small letters act here, digits score. No key needs ctrl."


class HelpScreen(ModalScreen[None]):
    """All keys, with a sentence each."""

    place = "help"
    # A dialog hears none of the app's keys, so it has its own to go away by.
    BINDINGS: ClassVar[list[BindingType]] = [("question_mark,escape,q", "dismiss")]

    def __init__(self, about: str) -> None:
        super().__init__()
        self._about = about

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help", classes="card") as scroll:
            frame(scroll, "Keys", "↑↓ scroll · ? or esc closes")
            yield Lines(self._lines())

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def _lines(self) -> list[Content]:
        lines = [Content.styled(_FIRST, "$quiet")]
        for place in dict.fromkeys((self._about, "everywhere")):
            lines += [Content(""), Content.styled(keys.PLACES.get(place, place), "$accent bold")]
            lines += [
                Content.assemble((f"  {keys.shown(action.keys):<9}", "$foreground bold"), action.meaning)
                for action in keys.of(place)
            ]
        return lines
