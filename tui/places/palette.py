"""The palette: every action of the place, the places and the themes, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from engine.contract.text import plain
from tui import keys, themes
from tui.places.place import Panel


class Actions(Provider):
    """What can be done from the screen that the palette was opened on."""

    def _all(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        place = getattr(self.screen, "place", "")
        for action in (*keys.of(place), *keys.of("everywhere")):
            if action.action != "palette":
                first = action.keys.split(",")[0]
                yield f"{action.meaning.rstrip('.')} · {keys.shown(first)}", partial(self.app.simulate_key, first)
        for mode in (mode for mode in self.app.MODES if mode != place):
            for action in keys.of(mode):
                first = action.keys.split(",")[0]
                words = f"{keys.PLACES[mode]}: {action.meaning.rstrip('.')} · {keys.shown(first)}"
                yield words, partial(self._there, mode, first)
        for summary in self._panel.summaries:
            yield f"Go to the run {summary.name}", partial(self._run, summary.path)
        for theme in themes.THEMES:
            yield f"Theme {theme.name}", partial(self._panel.choose_theme, theme.name)

    @property
    def _panel(self) -> Panel:
        return cast("Panel", self.app)

    def _there(self, mode: str, key: str) -> None:
        self._panel.action_go(mode)
        self.app.call_after_refresh(self.app.simulate_key, key)

    def _run(self, path: Path) -> None:
        self._panel.show_run(path)
        self._panel.action_go("monitor")

    async def discover(self) -> Hits:
        for name, run in self._all():
            yield DiscoveryHit(Content(plain(name)), run)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, run in self._all():
            if score := matcher.match(name):
                yield Hit(score, matcher.highlight(name), run)
