"""A panel with runs that have clips, for the tests of Listen, Compare, Next and Export."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from engine.contract.config import Settings, override
from tui.app import PanelApp
from tui.places.listen.screen import ListenScreen

SIZE = (120, 35)


def panel(runs: Path, *changes: str, run: str | None = "first", mode: str = "listen", **more: Any) -> PanelApp:
    """A panel on a folder of runs, without sound unless ``changes`` say otherwise."""
    settings = override(Settings(), ["audio.output=none", f"runs.dir={runs}", *changes])
    path = runs / run if run else None
    return PanelApp(runs, settings=settings, open_run=path, mode=mode, listener="anna", **more)


@asynccontextmanager
async def running(app: PanelApp, size: tuple[int, int] = SIZE) -> AsyncIterator[Pilot[None]]:
    """The panel, drawn, with its first look at the runs behind it."""
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.summaries)
        yield pilot


async def until(pilot: Pilot[None], condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Wait for a true value of ``condition``."""
    for _ in range(round(seconds / 0.05)):
        if value := condition():
            return value
        await pilot.pause(0.05)
    raise AssertionError(f"waited {seconds} s in vain: {text(pilot.app)}")


@asynccontextmanager
async def listening(app: PanelApp, size: tuple[int, int] = SIZE) -> AsyncIterator[Pilot[None]]:
    """The same, with a session open and its clips in the player."""
    async with running(app, size) as pilot:
        await until(pilot, lambda: screen_of(app).playback and screen_of(app).playback.levels)
        yield pilot


def screen_of(app: PanelApp) -> Any:
    found = next((screen for screen in app.screen_stack if isinstance(screen, ListenScreen)), None)
    assert found is not None
    return found


def stored(runs: Path, run: str = "first", listener: str = "anna") -> dict[str, Any]:
    """The session as it is on disk."""
    return dict(json.loads((runs / run / "review" / f"{listener}.json").read_text()))


def told(app: Any) -> str:
    """What the panel said in its toasts that are still there."""
    return "\n".join(notification.message for notification in app._notifications)


def text(app: Any) -> str:
    """What is on the screen, without colours."""
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in lines)
