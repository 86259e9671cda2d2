"""The verdicts on a run's health, the worst first, each with its evidence."""

from __future__ import annotations

import textwrap

from textual.content import Content

from tui.runs.follow import Source
from tui.text import VERDICTS, StateLook
from tui.widgets.lines import Lines

_ORDER = ("bad", "warn", "info", "ok")
_UNKNOWN = StateLook("·", "", "secondary")


class HealthCard(Lines):
    """What the engine judged, and what the panel found wrong with the log."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="card")

    def on_mount(self) -> None:
        self.title("Health")

    def write(self, source: Source, *, narrow: bool) -> None:
        found = [(event.verdict or "info", event.evidence or event.name) for event in source.history.health.values()]
        found += [("warn", problem) for problem in source.problems()]
        found.sort(key=lambda one: _ORDER.index(one[0]) if one[0] in _ORDER else len(_ORDER))
        if not found:
            self.show([Content.styled("nothing judged yet", "$quiet")])
        elif narrow:
            self.show([self._in_one_line(source, found)])
        else:
            room = max(10, self.size.width)
            self.show([part for verdict, evidence in found for part in _wrapped(verdict, evidence, room)])

    def _in_one_line(self, source: Source, found: list[tuple[str, str]]) -> Content:
        """What is not in order with its evidence, the rest by name."""
        parts = [_line(verdict, evidence) for verdict, evidence in found if verdict != "ok"]
        good = [name for name, event in source.history.health.items() if event.verdict == "ok"]
        parts += [_line("ok", name) for name in good]
        return Content("  ").join(parts)


def _wrapped(verdict: str, text: str, width: int) -> list[Content]:
    lines = textwrap.wrap(text, width - 2) or [""]
    return [_line(verdict, lines[0]), *(Content(f"  {line}") for line in lines[1:])]


def _line(verdict: str, text: str) -> Content:
    look = VERDICTS.get(verdict, _UNKNOWN)
    return Content.assemble((f"{look.glyph} ", f"${look.color} bold"), text)
