"""The palette: every action of the place, the places and the themes, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tui import keys, themes


class Actions(Provider):
    """What can be done from the screen that the palette was opened on."""

    def _all(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        place = getattr(self.screen, "place", "")
        for action in (*keys.of(place), *keys.of("everywhere")):
            if action.label and action.action != "palette":
                first = action.keys.split(",")[0]
                yield f"{action.meaning.rstrip('.')} · {keys.shown(first)}", partial(self.app.simulate_key, first)
        for theme in themes.THEMES:
            yield f"Theme {theme.name}", partial(setattr, self.app, "theme", theme.name)

    async def discover(self) -> Hits:
        for name, run in self._all():
            yield DiscoveryHit(Content(name), run)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, run in self._all():
            if score := matcher.match(name):
                yield Hit(score, matcher.highlight(name), run)
