"""Bringing clips: which tracks, where to, and words for every caption."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input

from tui.dataset.preparing import Wanted
from tui.places.dialogs import Dialog
from tui.widgets.field import Line
from tui.widgets.lines import Lines, frame

_ASKED = (
    ("source", "tracks: a file, or a folder of them in any format; they are only read"),
    ("out", "folder of the data set; what is in it already stays, and only new tracks are added"),
    ("add", "words in front of every caption, such as one to call the style by; may be empty"),
)


class Bring(Dialog[Wanted | None]):
    """Returns what to prepare; None when it was left."""

    place = "bring"
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss")]

    def __init__(self, out: str) -> None:
        super().__init__()
        self._out = out

    def compose(self) -> ComposeResult:
        with Vertical(id="bring", classes="card") as card:
            frame(card, "Bring clips", "tab completes · enter goes on · esc leaves it")
            for name, asked in _ASKED:
                yield Lines([asked], classes="note")
                line = Line(self._out if name == "out" else "", id=name)
                line.takes_path = name != "add"
                yield line

    def on_mount(self) -> None:
        self.query_one("#source", Line).focus()

    def _path(self, name: str) -> Path:
        return Path(self.query_one(f"#{name}", Line).value.strip()).expanduser().absolute()

    @on(Input.Submitted, "#source")
    def _to_out(self) -> None:
        if not self.query_one("#source", Line).value.strip() or not self._path("source").exists():
            self.notify(f"{self._path('source')} does not exist; give a track, or a folder of tracks.")
        else:
            self.query_one("#out", Line).focus()

    @on(Input.Submitted, "#out")
    def _to_words(self) -> None:
        if self.query_one("#out", Line).value.strip():
            self.query_one("#add", Line).focus()

    @on(Input.Submitted, "#add")
    def _start(self) -> None:
        self.dismiss(Wanted(self._path("source"), self._path("out"), self.query_one("#add", Line).value.strip()))
