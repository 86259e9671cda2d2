"""Long columns of numbers that can be drawn in microseconds: minimum and maximum over any range of points."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence

NAN = math.nan
_BLOCK = 64


class Series:
    """Numbers in the order they came; NaN where there is none. Keeps the extremes of every 64 points beside them."""

    def __init__(self, values: Iterable[float] = ()) -> None:
        self.values = array("d")
        self._lows = array("d")
        self._highs = array("d")
        self.extend(values)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> float:
        return self.values[index]

    def extend(self, values: Iterable[float]) -> None:
        self.values.extend(values)

    def _sum_up(self) -> None:
        # Only when they are asked for, since most columns are never drawn; and only whole blocks, the open end is
        # looked at point by point.
        while (len(self._lows) + 1) * _BLOCK <= len(self.values):
            start = len(self._lows) * _BLOCK
            low, high = _extremes(self.values[start : start + _BLOCK])
            self._lows.append(low)
            self._highs.append(high)

    def replace(self, index: int, value: float) -> None:
        """Put another value in the place of an old one."""
        self.values[index] = value
        block = index // _BLOCK
        if block < len(self._lows):
            start = block * _BLOCK
            self._lows[block], self._highs[block] = _extremes(self.values[start : start + _BLOCK])

    def extremes(self, start: int, end: int) -> tuple[float, float]:
        """Minimum and maximum of values[start:end] without NaN; (nan, nan) when there is none."""
        self._sum_up()
        first, last = -(-start // _BLOCK), end // _BLOCK
        if first >= last:
            return _extremes(self.values[start:end])
        edges = self.values[start : first * _BLOCK] + self.values[last * _BLOCK : end]
        low = _extremes(edges + self._lows[first:last])[0]
        high = _extremes(edges + self._highs[first:last])[1]
        return low, high


def _extremes(values: Sequence[float]) -> tuple[float, float]:
    total = sum(values)
    if total == total and values:
        return min(values), max(values)
    finite = [value for value in values if value == value]
    return (min(finite), max(finite)) if finite else (NAN, NAN)


def envelope(xs: array[float], ys: Series, start: float, end: float, columns: int) -> list[tuple[float, float, float]]:
    """``ys`` over ``columns`` equal parts of [start, end]: (x in the middle, minimum, maximum) of each that has points.

    ``xs`` must not decrease.
    """
    if columns < 1 or not len(ys) or end <= start:
        return []
    width = (end - start) / columns
    found = []
    left = bisect_left(xs, start)
    for column in range(columns):
        edge = start + (column + 1) * width
        # The last column takes the point that lies on the right edge.
        right = bisect_left(xs, edge) if column < columns - 1 else bisect_left(xs, math.nextafter(end, math.inf))
        if right > left:
            low, high = ys.extremes(left, right)
            if low == low:
                found.append((start + (column + 0.5) * width, low, high))
        left = right
    return found


class Smoothed:
    """Exponential moving average of a column, bias-corrected at the start; NaN is passed over."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.values = Series()
        self._sum = 0.0
        self._weight = 0.0

    def extend(self, values: Iterable[float]) -> None:
        factor, total, weight, smooth = self.factor, self._sum, self._weight, []
        for value in values:
            if value == value:
                total = factor * total + (1 - factor) * value
                weight = factor * weight + 1 - factor
            smooth.append(total / weight if weight else NAN)
        self._sum, self._weight = total, weight
        self.values.extend(smooth)
