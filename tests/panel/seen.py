"""What stands on the screen of a panel without a terminal."""

from __future__ import annotations

from pathlib import Path

from tui.app import PanelApp
from tui.widgets.bars import HeaderBar
from tui.widgets.lines import Lines
from tui.widgets.table import Table


def text(app: PanelApp, name: str) -> str:
    """The text of a widget of the screen that is open."""
    return "\n".join(line.plain for line in app.screen.query_one(name, Lines).lines)


def header(app: PanelApp) -> str:
    return app.screen.query_one(HeaderBar).lines[0].plain


def said(app: PanelApp) -> str:
    """All that was said in toasts."""
    return "\n".join(notification.message for notification in app._notifications)


def names(app: PanelApp) -> list[str]:
    return [Path(row.key).name for row in app.screen.query_one(Table).rows]
