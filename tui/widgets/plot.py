"""A line chart of terminal cells, drawn by plotext: curves, marks and lines in, styled lines of text out.

plotext keeps one figure for the process, so this is called from the app's thread only. It dies of infinities and of
None on a logarithmic axis: what is not a finite number is left out here, and logarithms are taken before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from textual.color import Color
from textual.content import Content
from textual.widget import Widget

from tui.text import short
from tui.widgets.lines import Lines

BRAILLE = "braille"


@dataclass(frozen=True)
class Curve:
    """Points joined by a line, or scattered marks. ``color`` is a variable of the theme."""

    xs: Sequence[float]
    ys: Sequence[float]
    color: str
    marker: str = BRAILLE
    joined: bool = True


@dataclass(frozen=True)
class Axes:
    """What the axes span; both ranges must not be empty. ``x_labels`` are (place, text)."""

    x: tuple[float, float]
    y: tuple[float, float]
    log_y: bool = False
    x_labels: Sequence[tuple[float, str]] = ()


class Chart(Lines):
    """Lines that are a chart. Its colours are those of the theme, looked up when it is drawn."""

    counts_as_text = False

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.write())

    def write(self) -> None:
        """Draw what there is now."""
        raise NotImplementedError


def draw(widget: Widget, width: int, height: int, curves: Sequence[Curve], axes: Axes) -> list[Content]:
    """``height`` lines of ``width`` cells. Curves that come later lie on top."""
    import plotext
    from rich.text import Text

    low, high = axes.y
    if axes.log_y:
        low, high = math.log10(low), math.log10(high)
    plotext.clear_figure()
    # The widget's size counts, not that of the terminal as plotext sees it.
    plotext.limit_size(False, False)
    plotext.plotsize(width, height)
    plotext.theme("clear")
    plotext.xaxes(True, False)
    plotext.yaxes(True, False)
    plotext.xlim(*axes.x)
    plotext.ylim(low, high)
    labels = y_labels(axes, max(3, min(6, (height - 2) // 2)))
    plotext.yticks([at for at, _ in labels], [text for _, text in labels])
    plotext.xticks([at for at, _ in axes.x_labels], [text for _, text in axes.x_labels])
    for curve in curves:
        points = _visible(curve, axes)
        if points:
            xs, ys = [x for x, _ in points], [y for _, y in points]
            (plotext.plot if curve.joined else plotext.scatter)(
                xs, ys, marker=curve.marker, color=rgb(widget, curve.color)
            )
    text = Text.from_ansi(plotext.build())
    lines = Content.from_rich_text(text).split("\n", allow_blank=True)[:height]
    # What plotext leaves without a colour is axis or label.
    return [line.stylize_before("$quiet") for line in lines]


def _visible(curve: Curve, axes: Axes) -> list[tuple[float, float]]:
    left, right = axes.x
    low, high = axes.y
    points = []
    for x, y in zip(curve.xs, curve.ys, strict=True):
        if not (math.isfinite(x) and math.isfinite(y)) or not left <= x <= right:
            continue
        if not curve.joined and not low <= y <= high:
            continue
        y = max(low, min(high, y))
        points.append((x, math.log10(y) if axes.log_y else y))
    return points


def rgb(widget: Widget, variable: str) -> tuple[int, int, int]:
    """A colour of the theme as plotext wants it."""
    color = Color.parse(widget.app.theme_variables.get(variable, "#808080"))
    return color.r, color.g, color.b


def nice_step(span: float, count: int) -> float:
    """A step of 1, 2, 2.5 or 5 times a power of ten that divides ``span`` into at most ``count`` parts."""
    raw = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)


def nice_places(low: float, high: float, count: int) -> list[float]:
    """Round numbers within [low, high]."""
    step = nice_step(high - low, count)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def y_labels(axes: Axes, count: int) -> list[tuple[float, str]]:
    low, high = axes.y
    places = nice_places(low, high, count)
    digits = max((_digits(place) for place in places), default=0)
    texts = [f"{place:.{digits}f}" if digits < 4 else short(place) for place in places]
    margin = max((len(text) for text in texts), default=0)
    return [
        (math.log10(place) if axes.log_y else place, text.rjust(margin))
        for place, text in zip(places, texts, strict=True)
        if place > 0 or not axes.log_y
    ]


def x_labels(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Round numbers below a chart, always with its right end."""
    places = nice_places(low, high, count)
    if places and (high - places[-1]) < 0.5 * nice_step(high - low, count):
        places.pop()
    return [(place, _count(place)) for place in [*places, high]]


def time_labels(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Seconds below a chart, as minutes or hours."""
    unit, name = (3600, "h") if high >= 7200 else (60, "m") if high >= 120 else (1, "s")
    places = nice_places(low / unit, high / unit, count)
    return [(place * unit, f"{place:g}{name}") for place in places]


def _count(value: float) -> str:
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e4 else f"{value:g}"


def _digits(value: float) -> int:
    text = f"{value:.10f}".rstrip("0")
    return len(text.split(".")[1])
