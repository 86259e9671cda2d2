"""What every place has in common: header, footer, and one line when the terminal is too small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from tui.keys import Action
from tui.places.whole import Text, cuts_something, whole_texts
from tui.runs.follow import Source
from tui.runs.store import RunSummary, Store
from tui.widgets.bars import HeaderBar, KeyBar
from tui.widgets.lines import Lines

if TYPE_CHECKING:
    from engine.contract.config import Settings
    from tui.audio.player import Player
    from tui.runs.draft import Draft

T = TypeVar("T")
MIN_WIDTH, MIN_HEIGHT = 80, 24


class Panel(Protocol):
    """What a place may ask of the panel it is in."""

    settings: Settings
    runs_dir: Path
    listener: str | None
    """Who listens; None lets Listen choose."""
    store: Store
    summaries: list[RunSummary]
    marked: list[Path]
    """Runs marked for Compare, in the order of the marks."""
    shown_path: Path | None
    """The run or folder of clips that Monitor, Listen and Next show."""
    shown: Source | None
    """The same run, followed; None for a folder of clips."""
    kept_draft: tuple[Path | None, Draft] | None
    """A run to be that was changed and not started, and the folder of the run it starts from."""

    @property
    def player(self) -> Player:
        """The one player of the panel; its worker starts with the first place that asks for it."""

    def summary(self, path: Path | None) -> RunSummary | None:
        """Summary of a run by its path."""

    def last_run(self) -> RunSummary | None:
        """The run that something happened in last."""

    def show_run(self, path: Path) -> None:
        """Make this run (or folder of clips) the one that Monitor, Listen and Next show."""

    def moved(self, old: Path, new: Path | None) -> None:
        """A run's folder is at another path now, or gone: what was kept of the old one goes along."""

    def read_runs(self) -> None:
        """Look at all run folders; RunsChanged comes when that is done."""

    def open_new_run(self, base: Path | None, changes: dict[str, Any] | None = None, why: str = "") -> None:
        """Open New run from a run's settings (None: the panel's own) with changes by dotted name."""

    def choose_theme(self, name: str) -> None:
        """Take a colour theme now and at every start from now on."""

    def remember(self) -> None:
        """Keep the marks and the folders that were opened for the next start."""

    def action_go(self, mode: str) -> None:
        """Do what the key of a place does: go there, unless the place on screen has a use of its own for it."""

    def go(self, mode: str) -> None:
        """Go to a place."""

    def notify(self, message: str, *, timeout: float | None = None, **how: Any) -> None:
        """Say something in a corner."""

    def push_screen(self, screen: Screen[T], callback: Callable[[T | None], None] | None = None) -> object:
        """Show a dialog, or a place above this one; ``callback`` gets what it returns."""


class RunChanged(Message):
    """The run that is shown has new events, another state, or is another run."""


class RunsChanged(Message):
    """The list of runs was read again."""


class Place(Screen[None]):
    """A screen with header and footer. Subclasses set ``place`` and yield their widgets from ``body``."""

    place: ClassVar[str]
    # A hidden line to type in must not take the keys: each place focuses what it wants to.
    AUTO_FOCUS: ClassVar[str | None] = ""
    had_focus: Widget | None = None
    """What was focused when the terminal became too small."""

    @property
    def panel(self) -> Panel:
        return cast("Panel", self.app)

    def body(self) -> ComposeResult:
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield HeaderBar(self.place)
        yield from self.body()
        yield KeyBar(self.place, self.offers)
        yield Lines([""], id="too-small")

    def use_back(self) -> bool:
        """Whether the place has a use of its own for going back, and has put it to use."""
        return False

    def use_go(self, mode: str) -> bool:
        """Whether the place has a use of its own for the key that goes to another one, and has put it to use."""
        return False

    def offers(self, action: Action) -> bool:
        """Whether the footer names an action: those that do something now."""
        if action.action == "whole":
            return cuts_something(self)
        return not action.action.startswith("go(")

    def whole_texts(self) -> list[Text]:
        """What there is no room for, by the title of its card."""
        return whole_texts(self)

    @on(Lines.Clipped)
    def write_keys(self) -> None:
        self.query_one(KeyBar).write()

    def write_header(self) -> None:
        self.query_one(HeaderBar).write()
        self.write_keys()

    def _give_back_focus(self) -> None:
        had = self.had_focus
        if had is None or not had.is_attached or self.too_small:
            return
        if isinstance(had, Input) and had.select_on_focus:
            # All of it would be marked, and the next letter take its place.
            had.select_on_focus = False
            self.call_after_refresh(setattr, had, "select_on_focus", True)
        self.set_focus(had)

    @on(events.ScreenResume)
    def _resumed(self) -> None:
        self.write_header()

    @property
    def too_small(self) -> bool:
        """The terminal is too small to show the place; what is typed goes nowhere."""
        return self.has_class("-too-small")

    def ignores(self, key: str) -> bool:
        """Out of sight the rest of a line that was being typed must not become commands; q still leaves."""
        return self.too_small and (key != "q" or isinstance(self.had_focus, Input))

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        small = width < MIN_WIDTH or height < MIN_HEIGHT
        if small and not self.too_small:
            # What is hidden loses the focus, and does not get it back by itself.
            self.had_focus = self.focused
        elif self.too_small and not small:
            self.call_after_refresh(self._give_back_focus)
        self.set_class(small, "-too-small")
        if small:
            more = [f"{MIN_WIDTH - width} columns"] * (width < MIN_WIDTH)
            more += [f"{MIN_HEIGHT - height} rows"] * (height < MIN_HEIGHT)
            text = f"{' and '.join(more)} missing: mgl-tui needs {MIN_WIDTH}x{MIN_HEIGHT}"
            self.query_one("#too-small", Lines).show([Content.styled(text, "$warning")])
