"""What the panel says to the terminal beside its screen: title, end of a run; and what it learns from it."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import TYPE_CHECKING

from textual.widgets import Input, TextArea

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def theme_for(wanted: str, color_system: str | None, known: Container[str]) -> str:
    """The theme to start with: the one of the settings; a terminal of 16 colours gets the one that survives there."""
    if wanted == "mgl" and color_system in ("standard", "windows"):
        return "mgl-contrast"
    return wanted if wanted in known else "mgl"


def writes_text(focused: Widget | None) -> bool:
    """Whether keys are text at the moment: then full-width characters stay what they are."""
    return isinstance(focused, (Input, TextArea))


def push_title(app: App[None]) -> None:
    """Keep the terminal's title until pop_title."""
    _write(app, "\x1b[22;2t")


def pop_title(app: App[None]) -> None:
    _write(app, "\x1b[23;2t")


def set_title(app: App[None], title: str) -> None:
    title = _CONTROL.sub("", title)
    if getattr(app, "_terminal_title", None) != title:
        app._terminal_title = title  # type: ignore[attr-defined]
        _write(app, f"\x1b]2;{title}\x1b\\")


def signal_end(app: App[None], how: str, text: str) -> None:
    """Bell, or a desktop notification by OSC 9, when a run ends."""
    if how == "bell":
        _write(app, "\x07")
    elif how == "osc9":
        _write(app, f"\x1b]9;{_CONTROL.sub('', text)}\x1b\\")


def _write(app: App[None], sequence: str) -> None:
    driver = app._driver
    if driver is not None and not app.is_headless:
        driver.write(sequence)
