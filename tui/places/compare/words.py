"""What Compare says: the ranking, and rows in full. Values in, lines out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content

from tui.places.compare.overlay_chart import LOOKS
from tui.review.ranking import Rank, Ranking
from tui.review.side_by_side import Side
from tui.text import cut, fit, loss, short

WIDE = 96
"""Cells from which on the ranking has room for all that was heard."""


def names(full: Sequence[str], width: int) -> list[str]:
    """Names of runs in so many cells: where they do not fit, what they all begin with is left out first."""
    if all(cell_len(name) <= width for name in full) or len(full) < 2:
        return [cut(name, width) for name in full]
    parts = [name.split("-") for name in full]
    same = sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False)))
    shared = "-".join(parts[0][:same])
    return [cut(f"…{name[len(shared) + 1 :]}" if shared else name, width) for name in full]


def ranks(found: Ranking, width: int) -> list[Content]:
    """A line a run under a head, then what the pairs and the blind sessions say, in so many cells."""
    heard = 26 if width >= WIDE else 14
    name = min(40, max(12, width - heard - 50))
    columns = (name, 6, 28, heard, 6)
    head = _line(
        ("  run", "best", "behind: loss · clips · p", "heard: best over base" if width >= WIDE else "heard", "gate"),
        columns,
    )
    lines = [Content.assemble("  ", head).stylize("$quiet")]
    called = names([rank.name for rank in found.ranks], name - 2)
    for place, (rank, run) in enumerate(zip(found.ranks, called, strict=True), 1):
        color, mark = LOOKS[rank.at % len(LOOKS)]
        cells = (run, loss(rank.best), rank.behind, rank.heard, rank.decided)
        number = f"{place} " if rank.best == rank.best else "– "
        rest = _line(cells, (columns[0] - 2, *columns[1:]))
        lines.append(Content.assemble((number, "$quiet"), (f"{mark} ", f"${color}"), rest))
    return [*lines, *(line for text in found.said for line in Content.styled(text, "$quiet").wrap(width))]


def ranks_in_full(found: Ranking) -> list[Content]:
    """The ranking with no cell cut, and every sentence."""
    lines = [_rank_in_full(place, rank) for place, rank in enumerate(found.ranks, 1)]
    return [*lines, Content(""), *map(Content, found.said)]


def _rank_in_full(place: int, rank: Rank) -> Content:
    parts = (f"best valid {loss(rank.best)}", rank.behind, f"heard: {rank.heard}", f"gate: {rank.decided}")
    return Content.assemble((f"{place} {rank.name}  ", "bold"), " · ".join(part for part in parts if part))


def _line(cells: tuple[str, ...], widths: tuple[int, ...]) -> Content:
    return Content(" ".join(fit(cell, width) for cell, width in zip(cells, widths, strict=True)))


def in_full(sides: list[Side], name: str, values: list[str]) -> Content:
    """A row of which no cell is cut."""
    cells = (f"{side.name}: {value}" for side, value in zip(sides, values, strict=False))
    return Content.assemble((f"{name}  ", "$quiet"), " · ".join(cells))


def value(setting: object) -> str:
    if isinstance(setting, float):
        return short(setting)
    if isinstance(setting, list):
        return " ".join(map(str, setting))
    return "–" if setting is None else str(setting)
