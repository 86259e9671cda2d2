"""Valid losses of several runs over one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content

from tui.runs.history import History
from tui.text import cut, loss
from tui.widgets.plot import Axes, Chart, Curve, draw, time_labels, x_labels

LOOKS = (("loss", "◆"), ("accent", "●"), ("success", "▲"), ("error", "■"), ("secondary", "✚"), ("primary", "▼"))
"""Colour and mark by run: the mark alone tells them apart where there is no colour."""
AXES = ("step", "clips", "time")


class OverlayChart(Chart):
    """One curve a run, validations marked."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="card")
        self.axis = "clips"
        self._runs: list[tuple[str, History]] = []

    def show_runs(self, runs: Sequence[tuple[str, History]]) -> None:
        """Draw these (name, history)."""
        self._runs = list(runs)
        self.write()

    def next_axis(self) -> str:
        self.axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]
        self.write()
        return self.axis

    def on_resize(self) -> None:
        self.write()

    def write(self) -> None:
        """Draw the curves as they are now."""
        width, height = self.size
        names = {"step": "step", "clips": "clips seen", "time": "time"}
        self.title(f"Valid loss · x: {names[self.axis]}", None)
        if width < 20 or height < 4:
            return
        points = [_points(history, self.axis) for _, history in self._runs]
        every = [point for each in points for point in each]
        if not every:
            self.show([Content(""), Content.styled("  no validation yet", "$quiet")])
            return
        low, high = min(y for _, y in every), max(y for _, y in every)
        margin = 0.06 * (high - low) or 0.5
        right = max(max(x for x, _ in every), 1.0)
        labels = (time_labels if self.axis == "time" else x_labels)(0.0, right, max(3, width // 14))
        axes = Axes((0.0, right), (low - margin, high + margin), x_labels=labels)
        curves = []
        for (color, mark), each in zip(LOOKS, points, strict=False):
            xs, ys = [x for x, _ in each], [y for _, y in each]
            curves += [Curve(xs, ys, color), Curve(xs, ys, color, mark, joined=False)]
        self.show([self._legend(width), *draw(self, width, height - 1, curves, axes)])

    def _legend(self, width: int) -> Content:
        parts: list[tuple[str, str] | str] = []
        room = max(8, width // max(1, len(self._runs)) - 12)
        for (color, mark), (name, history) in zip(LOOKS, self._runs, strict=False):
            parts += [(f"{mark} ", f"${color}"), cut(name, room), (f" {loss(history.best_valid)}   ", "$quiet")]
        return Content.assemble(*parts)


def _points(history: History, axis: str) -> list[tuple[float, float]]:
    return [
        (history.valid_x(i, axis), valid.loss) for i, valid in enumerate(history.valid) if math.isfinite(valid.loss)
    ]
