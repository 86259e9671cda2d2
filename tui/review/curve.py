"""The curve of a run as an SVG, drawn from its events: train raw and smooth, valid, base line, best, spikes.

It brings its own ground, light or dark as the reader's system is, so that it can be read wherever it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tui.runs.history import History
from tui.runs.series import envelope

MARK = "mgl-tui curve"
WIDE, NARROW = (760, 320), (380, 280)
_STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #3d434d; }
.ground { fill: #ffffff; stroke: #dedcd6; }
.grid { stroke: #e6e4df; }
.raw { fill: none; stroke: #0b7a75; stroke-opacity: .45; stroke-width: 1; }
.smooth { fill: none; stroke: #064e4a; stroke-width: 2; }
.valid { fill: none; stroke: #b4540a; stroke-width: 2; }
.dot { fill: #b4540a; }
.base { stroke: #6a6f78; stroke-width: 1.5; stroke-dasharray: 7 4; }
.blind { stroke: #6a6f78; stroke-width: 1.2; stroke-dasharray: 1.5 4; }
.best { fill: none; stroke: #1d1f23; stroke-width: 1.8; }
.bestline { stroke: #1d1f23; stroke-opacity: .35; stroke-dasharray: 2 3; }
.spike { fill: #a3143b; }
.nan { stroke: #a3143b; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
text { fill: #b9bec7; }
.ground { fill: #1c1f25; stroke: #31353d; }
.grid { stroke: #2b2f37; }
.raw { stroke: #45c4b0; }
.smooth { stroke: #a5f3e6; }
.valid { stroke: #f0a35e; }
.dot { fill: #f0a35e; }
.base, .blind { stroke: #959ba6; }
.best, .bestline { stroke: #f2f0ea; }
.spike { fill: #ff7d9c; }
.nan { stroke: #ff7d9c; }
}
"""
_LETTER = 7.6
"""Pixels of a letter of the legend, about."""
_MOST_MARKS = 60


class Plot(NamedTuple):
    """Where the curves lie in the picture, and what they span."""

    left: float
    top: float
    right: float
    bottom: float
    steps: float
    low: float
    high: float

    def x(self, step: float) -> float:
        return self.left + (self.right - self.left) * step / self.steps

    def y(self, loss: float) -> float:
        inside = max(self.low, min(self.high, loss))
        return self.bottom - (self.bottom - self.top) * (inside - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Curves:
    """What there is to draw: (step, loss) points."""

    raw: Sequence[tuple[float, float, float]]
    """(step, least, greatest) of each column of the picture."""
    smooth: Sequence[tuple[float, float]]
    valid: Sequence[tuple[float, float]]
    base: float
    best: tuple[float, float] | None
    blind: float
    spikes: Sequence[float]
    not_finite: Sequence[float]
    steps: float


def curves(history: History, spiked: Sequence[int], columns: int) -> Curves:
    """The points of a run's curves; ``spiked`` are steps that stand out."""
    losses, valid = history.columns["loss"], [(v.step, v.loss) for v in history.valid if math.isfinite(v.loss)]
    steps = max([1.0, *history.steps[-1:], *(step for step, _ in valid)])
    raw = envelope(history.steps, losses, 0.0, steps, columns)
    return Curves(
        raw=raw,
        smooth=_smoothed(history, columns),
        valid=valid,
        base=history.base_valid,
        best=history.best_point,
        blind=math.log(history.codebook_size) if history.codebook_size > 1 else math.nan,
        spikes=spiked,
        not_finite=[mark.step for mark in history.marks],
        steps=steps,
    )


def _smoothed(history: History, columns: int) -> list[tuple[float, float]]:
    """The moving mean of a short run; of a long one the mean of each column, which looks back further than that."""
    losses = history.columns["loss"].values
    if len(losses) <= 4 * columns:
        return [(x, y) for x, y in zip(history.steps, history.smooth.values.values, strict=True) if y == y]
    found = []
    for column in range(columns):
        first, last = (len(losses) * at // columns for at in (column, column + 1))
        part = losses[first:last]
        total, count = sum(part), len(part)
        if total != total:
            finite = [loss for loss in part if loss == loss]
            total, count = sum(finite), len(finite)
        if count:
            found.append(((history.steps[first] + history.steps[last - 1]) / 2, total / count))
    return found


def svg(history: History, spiked: Sequence[int] = (), size: tuple[int, int] = WIDE) -> str:
    """The picture; empty when the log holds no loss."""
    width, height = size
    found = curves(history, spiked, columns=width // 2)
    if not found.raw and not found.valid:
        return ""
    legend, top = _legend(found, width)
    low, high = _range(found)
    plot = Plot(54, top + 20, width - 18, height - 40, found.steps, low, high)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">',
        f"<!-- {MARK} -->",
        f"<title>{_title(found)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        *legend,
        *_axes(plot, width),
        *_lines(found, plot),
        *_marks(found, plot),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _title(found: Curves) -> str:
    said = [f"Loss over {found.steps:g} steps"]
    if math.isfinite(found.base):
        said.append(f"base model {found.base:.3f}")
    if found.best:
        said.append(f"best valid {found.best[1]:.3f} at step {found.best[0]:g}")
    return ", ".join(said)


def _range(found: Curves) -> tuple[float, float]:
    """The losses that the picture spans: all but the outermost of the raw ones."""
    shown = [loss for _, loss in found.valid]
    shown += [loss for loss in (found.base,) if math.isfinite(loss)]
    for lows, highs in (
        (sorted(low for _, low, _ in found.raw), sorted(high for _, _, high in found.raw)),
        (sorted(loss for _, loss in found.smooth),) * 2,
    ):
        shown += [lows[len(lows) // 50], highs[-1 - len(highs) // 20]] if lows else []
    low, high = min(shown), max(shown)
    if high > 0.8 * found.blind:
        low, high = min(low, found.blind), max(high, found.blind)
    space = (high - low) * 0.06 or abs(high) * 0.05 or 0.1
    return low - space, high + space


def _axes(plot: Plot, width: int) -> Iterable[str]:
    for loss in _ticks(plot.low, plot.high, 5):
        y = plot.y(loss)
        yield f'<path class="grid" d="M{plot.left:g} {y:.1f}H{plot.right:g}"/>'
        yield f'<text x="{plot.left - 8:g}" y="{y + 4.5:.1f}" text-anchor="end">{loss:.3g}</text>'
    for step in _ticks(0, plot.steps, 8 if width > 500 else 4):
        if step == int(step):
            x = plot.x(step)
            yield f'<path class="grid" d="M{x:.1f} {plot.bottom:.1f}v5"/>'
            yield f'<text x="{x:.1f}" y="{plot.bottom + 20:.1f}" text-anchor="middle">{_count(step)}</text>'
    yield f'<text x="{plot.right:g}" y="{plot.bottom + 35:.1f}" text-anchor="end">step</text>'


def _lines(found: Curves, plot: Plot) -> Iterable[str]:
    if plot.low < found.blind < plot.high:
        yield f'<path class="blind" d="M{plot.left:g} {plot.y(found.blind):.1f}H{plot.right:g}"/>'
    if math.isfinite(found.base):
        yield f'<path class="base" d="M{plot.left:g} {plot.y(found.base):.1f}H{plot.right:g}"/>'
    raw = [point for x, low, high in found.raw for point in ((x, low), (x, high))]
    for name, points in (("raw", raw), ("smooth", found.smooth), ("valid", found.valid)):
        if points:
            yield f'<path class="{name}" d="M{"L".join(f"{plot.x(x):.1f} {plot.y(y):.1f}" for x, y in points)}"/>'


def _marks(found: Curves, plot: Plot) -> Iterable[str]:
    for x, y in found.valid if len(found.valid) <= _MOST_MARKS else ():
        yield f'<circle class="dot" cx="{plot.x(x):.1f}" cy="{plot.y(y):.1f}" r="2.6"/>'
    if found.best:
        x, y = plot.x(found.best[0]), plot.y(found.best[1])
        yield f'<path class="bestline" d="M{x:.1f} {y + 7:.1f}V{plot.bottom:.1f}"/>'
        yield f'<circle class="best" cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
    for step in _few(found.spikes):
        x = plot.x(step)
        yield f'<path class="spike" d="M{x:.1f} {plot.top + 1:.1f}l4.5 8h-9z"/>'
    for step in _few(found.not_finite):
        x = plot.x(step)
        yield f'<path class="nan" d="M{x - 4:.1f} {plot.top + 1:.1f}l8 8m0 -8l-8 8"/>'


def _legend(found: Curves, width: int) -> tuple[list[str], float]:
    """The names of what is drawn, in as many lines as they need; and where they end."""
    entries = []
    if found.raw:
        entries += [('<path class="raw" d="M0 0l5 -5l5 8l5 -8l5 5"/>', "train"),
                    ('<path class="smooth" d="M0 0h20"/>', "smoothed")]  # fmt: skip
    if found.valid:
        entries.append(('<path class="valid" d="M0 0h20"/><circle class="dot" cx="10" cy="0" r="2.6"/>', "valid"))
    if math.isfinite(found.base):
        entries.append(('<path class="base" d="M0 0h20"/>', f"base model {found.base:.3f}"))
    if found.best:
        entries.append(
            ('<circle class="best" cx="10" cy="0" r="6"/>', f"best {found.best[1]:.3f}, step {found.best[0]:g}")
        )
    if _range(found)[1] > found.blind:
        entries.append(('<path class="blind" d="M0 0h20"/>', f"blind guessing {found.blind:.2f}"))
    if found.spikes:
        entries.append(('<path class="spike" d="M10 -4l4.5 8h-9z"/>', f"spikes: {len(found.spikes)}"))
    if found.not_finite:
        entries.append(('<path class="nan" d="M6 -4l8 8m0 -8l-8 8"/>', f"not finite: {len(found.not_finite)}"))
    lines, x, y = [], 18.0, 24.0
    for picture, text in entries:
        room = 28 + _LETTER * len(text) + 14
        if x + room > width - 4 and x > 18:
            x, y = 18.0, y + 20
        lines.append(f'<g transform="translate({x:g} {y:g})">{picture}<text x="28" y="4.5">{text}</text></g>')
        x += room
    return lines, y


def _few(steps: Sequence[float]) -> Sequence[float]:
    """At most as many as can be told apart."""
    return steps if len(steps) <= _MOST_MARKS else steps[:: math.ceil(len(steps) / _MOST_MARKS)]


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between two others, at most so many."""
    rough = (high - low) / most
    size = 10 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _count(step: float) -> str:
    return f"{step / 1000:g}k" if step >= 10_000 and step % 100 == 0 else f"{step:g}"
