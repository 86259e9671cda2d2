"""The loss chart: train loss raw and smoothed, validations, best, base model, blind guessing, what was no number."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

from textual.content import Content

from tui.runs.history import History
from tui.runs.series import NAN, envelope
from tui.text import clock, duration, loss, short
from tui.widgets.plot import Axes, Chart, Curve, draw, nice_step, time_labels, x_labels

AXES = ("step", "clips", "time")
_ZOOM = 0.5


class LossChart(Chart):
    """Chart of one run. The view (axis, zoom, cursor, scale) is the chart's, the numbers are the history's."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="card")
        self.history = History()
        self.axis = "step"
        self.log_y = False
        self.cursor: float | None = None
        """Where the cursor stands on the axis."""
        self.zoom: tuple[float, float] | None = None
        """The part of the axis that is shown; None is the whole run and what is still to come."""

    def on_mount(self) -> None:
        self.title("Loss")

    def on_resize(self) -> None:
        self.write()

    # -- the view

    def next_axis(self) -> str:
        self.axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]
        self.cursor = self.zoom = None
        self.write()
        return self.axis

    def move_cursor(self, direction: int) -> None:
        """One column of the chart to the left or right; from nowhere it starts at the last step."""
        low, high = self._x_range()
        xs = self.history.xs(self.axis)
        if not xs:
            return
        column = (high - low) / max(1, self._columns())
        at = min(xs[-1], high) if self.cursor is None else self.cursor + direction * column
        # Steps may lie further apart than columns: then the cursor goes to the next one.
        place = bisect_right(xs, at) - 1 if direction < 0 else bisect_left(xs, at)
        self.cursor = xs[max(0, min(len(xs) - 1, place))]
        self.write()

    def zoom_by(self, direction: int) -> None:
        """Halve or double the part that is shown, around the cursor or the last step; 0 shows all again."""
        if direction == 0:
            self.zoom = self.cursor = None
            self.write()
            return
        xs = self.history.xs(self.axis)
        whole = self._whole()
        if not xs:
            return
        low, high = self._x_range()
        width = (high - low) * (_ZOOM if direction > 0 else 1 / _ZOOM)
        center = self.cursor if self.cursor is not None else xs[-1] - width / 2
        low = max(whole[0], min(center - width / 2, whole[1] - width))
        self.zoom = None if width >= whole[1] - whole[0] else (low, low + width)
        self.write()

    # -- drawing

    def write(self) -> None:
        """Draw the history as it is now."""
        width, height = self.size
        if width < 20 or height < 5:
            return
        history = self.history
        if not history.steps and not history.valid:
            self.title("Loss")
            self.show([Content(""), Content.styled("  no step yet", "$quiet")])
            return
        x = self._x_range()
        values = self._y_values(x)
        y = self._y_range(values)
        labels = (time_labels if self.axis == "time" else x_labels)(*x, max(3, width // 14))
        axes = Axes(x, y, self.log_y, labels)
        head = self._values_at_cursor() if self.cursor is not None else self._legend(y)
        self.show([head, *draw(self, width, height - 1, self._curves(x, y), axes)])
        notes = ["log y"] * self.log_y + ["zoom"] * (self.zoom is not None)
        self.title(f"Loss · smooth {history.smooth.factor:g} · x: {self.axis}", " · ".join(notes))

    def _columns(self) -> int:
        return max(10, self.size.width - 7)

    def _whole(self) -> tuple[float, float]:
        xs = self.history.xs(self.axis)
        last = xs[-1] if xs else 0.0
        if self.axis == "step":
            last = max(last, self.history.total_steps)
        elif self.axis == "clips":
            last = max(last, self.history.total_steps * self.history.start.effective_batch)
        return 0.0, max(last, 1.0)

    def _x_range(self) -> tuple[float, float]:
        return self.zoom or self._whole()

    def _y_values(self, x: tuple[float, float]) -> list[float]:
        """What the y axis has to span: the smoothed curve whole, the raw one without its wildest hundredth."""
        history = self.history
        xs = history.xs(self.axis)
        raw = envelope(xs, history.columns["loss"], *x, self._columns())
        ends = sorted(v for _, low, high in raw for v in (low, high))
        spare = len(ends) // 100
        values = ends[spare : len(ends) - spare]
        values += [v for _, low, high in envelope(xs, history.smooth.values, *x, self._columns()) for v in (low, high)]
        values += [v.loss for i, v in enumerate(history.valid) if x[0] <= history.valid_x(i, self.axis) <= x[1]]
        if self.zoom is None:
            values.append(history.base_valid)
        return [v for v in values if math.isfinite(v)]

    def _y_range(self, values: list[float]) -> tuple[float, float]:
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        blind = self._blind()
        if blind == blind and high > 0.8 * blind:
            high = max(high, blind)
        # In whole parts of the span: the picture stands still, and is not sent again, while values only tremble.
        part = nice_step((high - low) or 1.0, 20)
        bottom, top = (math.floor(low / part) - 1) * part, (math.ceil(high / part) + 1) * part
        return (max(bottom, low / 2, 1e-6) if self.log_y else bottom), top

    def _blind(self) -> float:
        size = self.history.codebook_size
        return math.log(size) if size > 1 else NAN

    def _curves(self, x: tuple[float, float], y: tuple[float, float]) -> list[Curve]:
        history, xs = self.history, self.history.xs(self.axis)
        columns = 2 * self._columns()
        curves = []
        for level, color, marker in ((self._blind(), "error", "╌"), (history.base_valid, "quiet", "┄")):
            if y[0] <= level <= y[1]:
                curves.append(Curve(list(x), [level, level], color, marker))
        for step in history.resumed:
            at = bisect_left(history.steps, step)
            if at < len(xs):
                rows = [y[0] + (y[1] - y[0]) * i / 40 for i in range(41)]
                curves.append(Curve([xs[at]] * 41, rows, "quiet", "┊", joined=False))
        raw = envelope(xs, history.columns["loss"], *x, columns)
        curves.append(
            Curve([p[0] for p in raw for _ in (1, 2)], [v for _, low, high in raw for v in (low, high)], "loss-raw")
        )
        smooth = envelope(xs, history.smooth.values, *x, columns)
        curves.append(Curve([p[0] for p in smooth], [(low + high) / 2 for _, low, high in smooth], "loss"))
        if self.cursor is not None:
            rows = [y[0] + (y[1] - y[0]) * i / 80 for i in range(81)]
            curves.append(Curve([self.cursor] * 81, rows, "foreground", "│", joined=False))
        return curves + self._marks(y)

    def _marks(self, y: tuple[float, float]) -> list[Curve]:
        history, xs = self.history, self.history.xs(self.axis)
        places = [history.valid_x(i, self.axis) for i in range(len(history.valid))]
        marks = [Curve(places, [v.loss for v in history.valid], "foreground", "◆", joined=False)]
        if history.best:
            at = [i for i, v in enumerate(history.valid) if v.step == history.best[0]]
            marks.append(Curve([places[i] for i in at], [history.best[1] for _ in at], "mark", "★", joined=False))
        if history.marks:
            found = [bisect_left(history.steps, mark.step) for mark in history.marks]
            there = [xs[i] for i in found if i < len(xs)]
            top = [y[1] - 0.02 * (y[1] - y[0])] * len(there)
            marks.append(Curve(there, top, "error", "✕", joined=False))
        return marks

    # -- words

    def _legend(self, y: tuple[float, float]) -> Content:
        """What the marks are; names where there is room for them."""
        history, room = self.history, self.size.width >= 64
        parts: list[tuple[str, str] | str] = [("⣤ raw", "$loss-raw"), "  ", ("━ smooth", "$loss"), "  ", "◆ valid"]
        if history.best:
            text = f"★ best {loss(history.best[1])} @{history.best[0]}" if room else f"★ {loss(history.best[1])}"
            parts += ["  ", (text, "$mark")]
        if history.base_valid == history.base_valid:
            parts += [
                "  ",
                (f"┄ base {loss(history.base_valid)}" if room else f"┄ {loss(history.base_valid)}", "$quiet"),
            ]
        if history.marks:
            parts += ["  ", (f"✕ {len(history.marks)} not finite" if room else f"✕ {len(history.marks)}", "$error")]
        blind = self._blind()
        if blind == blind and (blind <= y[1] or (room and not history.marks)):
            where = "╌" if y[0] <= blind <= y[1] else "↑"
            parts += ["  ", (f"{where} blind {blind:.2f}", "$error" if where == "╌" else "$quiet")]
        return Content.assemble(*parts)

    def _values_at_cursor(self) -> Content:
        history, xs = self.history, self.history.xs(self.axis)
        at = min(bisect_left(xs, self.cursor or 0.0), len(xs) - 1)
        step = int(history.steps[at])
        parts: list[tuple[str, str] | str] = [
            (f"step {step}", "$foreground bold"),
            f"  loss {loss(history.columns['loss'][at])}",
            (f"  smooth {loss(history.smooth.values[at])}", "$loss"),
            f"  lr {short(history.columns['lr'][at])}  gn {short(history.columns['grad_norm'][at])}",
        ]
        mark = next((m for m in history.marks if m.step == step), None)
        if mark:
            parts.append((f"  ✕ {mark.reason}", "$error"))
        before = [v for v in history.valid if v.step <= step]
        if before:
            parts.append(f"  valid {loss(before[-1].loss)} @{before[-1].step}")
        parts.append((f"  after {duration(history.seconds[at])}", "$quiet"))
        return Content.assemble(*parts)


class SecondChart(Chart):
    """Learning rate, gradient norm, throughput or memory over the same axis."""

    KINDS = ("lr", "grad_norm", "clips_per_second", "memory")
    NAMES = {  # noqa: RUF012
        "lr": "Learning rate",
        "grad_norm": "Gradient norm",
        "clips_per_second": "Clips a second",
        "memory": "Memory, GiB",
    }

    def __init__(self, kind: str = "lr", *, alone: bool = True, id: str | None = None) -> None:
        super().__init__(id=id, classes="card")
        self.history = History()
        self.kind = kind
        self.alone = alone
        """It is the only one that is shown, so that a key takes the next kind."""

    def on_resize(self) -> None:
        self.write()

    def next_kind(self) -> str:
        self.kind = self.KINDS[(self.KINDS.index(self.kind) + 1) % len(self.KINDS)]
        self.write()
        return self.kind

    def write(self) -> None:
        width, height = self.size
        self.title(self.NAMES[self.kind], "g next" if self.alone else "")
        if width < 16 or height < 4:
            return
        history = self.history
        xs = history.memory_seconds if self.kind == "memory" else history.steps
        series = history.memory if self.kind == "memory" else history.columns[self.kind]
        if not len(series):
            self.show([Content(""), Content.styled("  nothing measured yet", "$quiet")])
            return
        last = max(xs[-1], 1.0) if self.kind == "memory" else max(xs[-1], float(history.total_steps), 1.0)
        scale = 2**30 if self.kind == "memory" else 1
        points = [(x, low / scale, high / scale) for x, low, high in envelope(xs, series, 0.0, last, 2 * width)]
        values = [v for _, low, high in points for v in (low, high)]
        if not values:
            self.show([Content(""), Content.styled("  nothing measured yet", "$quiet")])
            return
        low, high = min(values), max(values)
        part = nice_step((high - low) or 0.1 * abs(high) or 1.0, 10)
        low, high = (math.floor(low / part) - 0.5) * part, (math.ceil(high / part) + 0.5) * part
        labels = (time_labels if self.kind == "memory" else x_labels)(0.0, last, max(2, width // 12))
        axes = Axes((0.0, last), (max(0.0, low), high), x_labels=labels)
        curve = Curve([p[0] for p in points for _ in (1, 2)], values, "primary")
        self.show(draw(self, width, height, [curve], axes))


def finish_time(history: History, now: float) -> str:
    """When the phase that runs will be through, as a time of day."""
    eta = history.eta()
    return clock(now + eta) if eta == eta else ""
