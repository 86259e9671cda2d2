"""What every place has in common: header, footer, and one line when the terminal is too small."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.screen import Screen

from tui.widgets.bars import HeaderBar, KeyBar
from tui.widgets.lines import Lines

if TYPE_CHECKING:
    from tui.app import PanelApp

MIN_WIDTH, MIN_HEIGHT = 80, 24


class RunChanged(Message):
    """The run that is shown has new events, another state, or is another run."""


class RunsChanged(Message):
    """The list of runs was read again."""


class Place(Screen[None]):
    """A screen with header and footer. Subclasses set ``place`` and yield their widgets from ``body``."""

    place: ClassVar[str]
    # A hidden line to type in must not take the keys: each place focuses what it wants to.
    AUTO_FOCUS: ClassVar[str | None] = ""

    @property
    def panel(self) -> PanelApp:
        return cast("PanelApp", self.app)

    def body(self) -> ComposeResult:
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield HeaderBar(self.place)
        yield from self.body()
        yield KeyBar(self.place)
        yield Lines([""], id="too-small")

    def write_header(self) -> None:
        self.query_one(HeaderBar).write()

    @on(events.ScreenResume)
    def _resumed(self) -> None:
        self.write_header()

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        small = width < MIN_WIDTH or height < MIN_HEIGHT
        self.set_class(small, "-too-small")
        if small:
            more = [f"{MIN_WIDTH - width} columns"] * (width < MIN_WIDTH)
            more += [f"{MIN_HEIGHT - height} rows"] * (height < MIN_HEIGHT)
            text = f"{' and '.join(more)} missing: mgl-tui needs {MIN_WIDTH}x{MIN_HEIGHT}"
            self.query_one("#too-small", Lines).show([Content.styled(text, "$warning")])
