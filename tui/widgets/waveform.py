"""How a clip is drawn: its envelope in braille dots, its mel spectrogram in half blocks. Pure: numbers in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import Color
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_STOPS = ((21, 23, 27), (44, 34, 84), (122, 40, 107), (206, 72, 72), (247, 157, 72), (252, 233, 160))
"""Dark to bright with rising lightness, so that the picture also reads without hue."""


def braille(peaks: Sequence[float], rows: int) -> list[str]:
    """``rows`` lines of ``len(peaks) // 2`` cells. One row grows from its bottom, more grow from their middle.

    ``peaks`` are from 0 to 1; the weakest still shows as a line, so that silence is seen to be there.
    """
    dots = rows * 4
    lines = []
    spans = [_span(peak, dots, middle=rows > 1) for peak in peaks]
    for row in range(rows):
        cells = []
        for left, right in zip(spans[0::2], spans[1::2], strict=False):
            bits = 0
            for column, (top, bottom) in enumerate((left, right)):
                for dot in range(4):
                    if top <= row * 4 + dot < bottom:
                        bits |= _DOTS[column][dot]
            cells.append(chr(0x2800 + bits))
        lines.append("".join(cells))
    return lines


def _span(peak: float, dots: int, *, middle: bool) -> tuple[int, int]:
    """First and one past the last dot from the top."""
    # Music sits in the lowest third of a linear scale; the root spreads it without hiding what is loud.
    height = max(0.0, min(1.0, peak)) ** 0.7
    if not middle:
        return dots - max(1, round(height * dots)), dots
    half = max(1, round(height * dots / 2))
    return dots // 2 - half, dots // 2 + half


def half_blocks(picture: NDArray[np.float32], row: int) -> list[Segment]:
    """One line of a (bands, columns) picture, lowest band first: two bands a line, ``row`` 0 being the highest two."""
    top = picture.shape[0] - 1 - 2 * row
    return [
        Segment("▀", _cell(int(above * 31), int(below * 31)))
        for above, below in zip(picture[top], picture[top - 1], strict=True)
    ]


@lru_cache(maxsize=1024)
def _cell(above: int, below: int) -> Style:
    return Style(color=_colour(above / 31), bgcolor=_colour(below / 31))


def _colour(level: float) -> Color:
    at = level * (len(_STOPS) - 1)
    index = min(int(at), len(_STOPS) - 2)
    share = at - index
    low, high = _STOPS[index], _STOPS[index + 1]
    return Color.from_rgb(*(a + (b - a) * share for a, b in zip(low, high, strict=True)))
