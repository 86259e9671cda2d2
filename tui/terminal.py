"""What the panel says to the terminal beside its screen: title, end of a run; and what it learns from it."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any, TextIO

from engine.contract.text import plain

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget


class Output:
    """The terminal as a file that can go away: what is written to a dead one is dropped, and ``gone`` is told once.

    Without it the driver's writing thread dies of the first error, and the panel waits for it for ever.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._alive = True
        self.gone: Callable[[], object] = lambda: None

    def write(self, text: str) -> int:
        if self._alive:
            try:
                return self._file.write(text)
            except OSError:
                self._lost()
        return len(text)

    def flush(self) -> None:
        if self._alive:
            try:
                self._file.flush()
            except OSError:
                self._lost()

    def _lost(self) -> None:
        self._alive = False
        self.gone()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def theme_for(wanted: str, color_system: str | None, known: Container[str]) -> str:
    """The theme to start with: the one of the settings; a terminal of 16 colours gets the one that survives there."""
    if wanted == "mgl" and color_system in ("standard", "windows"):
        return "mgl-contrast"
    return wanted if wanted in known else "mgl"


def writes_text(focused: Widget | None) -> bool:
    """Whether keys are text at the moment: then full-width characters stay what they are."""
    from textual.widgets import Input, TextArea

    return isinstance(focused, (Input, TextArea))


def push_title(app: App[None]) -> None:
    """Keep the terminal's title until pop_title."""
    _write(app, "\x1b[22;2t")


def pop_title(app: App[None]) -> None:
    _write(app, "\x1b[23;2t")


def set_title(app: App[None], title: str) -> None:
    title = plain(title)
    if getattr(app, "_terminal_title", None) != title:
        app._terminal_title = title  # type: ignore[attr-defined]
        _write(app, f"\x1b]2;{title}\x1b\\")


def signal_end(app: App[None], how: str, text: str) -> None:
    """Bell, or a desktop notification by OSC 9, when a run ends."""
    if how == "bell":
        _write(app, "\x07")
    elif how == "osc9":
        _write(app, f"\x1b]9;{plain(text)}\x1b\\")


def _write(app: App[None], sequence: str) -> None:
    driver = app._driver
    if driver is not None and not app.is_headless:
        driver.write(sequence)
