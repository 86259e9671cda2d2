"""How numbers, times, sizes and states are written, the same in every place."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size

from engine.contract.text import plain


class StateLook(NamedTuple):
    """A state is told by glyph and word; the colour (a name of the theme) only helps."""

    glyph: str
    word: str
    color: str


STATES = {
    "running": StateLook("●", "RUN", "success"),
    "done": StateLook("✔", "DONE", "primary"),
    "stopped": StateLook("■", "STOP", "warning"),
    "failed": StateLook("▲", "FAIL", "error"),
    "lost": StateLook("?", "LOST", "error"),
    "waiting": StateLook("◌", "WAIT", "secondary"),
    "unqueued": StateLook("◌", "NEW", "secondary"),
    "imported": StateLook("◆", "IMPORT", "secondary"),
    "clips": StateLook("◇", "CLIPS", "secondary"),
    "session": StateLook("◇", "BLIND", "secondary"),
}
VERDICTS = {
    "ok": StateLook("✔", "ok", "success"),
    "info": StateLook("·", "info", "secondary"),
    "warn": StateLook("▲", "warn", "warning"),
    "bad": StateLook("✘", "bad", "error"),
    "block": StateLook("✘", "block", "error"),
}
NONE = "–"
_BARS = "▁▂▃▄▅▆▇█"


def cut(text: str, cells: int) -> str:
    """``text`` in at most ``cells`` terminal cells, with … where something was left out; wide characters stay whole."""
    text = plain(text)
    if cells <= 0:
        return ""
    if cell_len(text) <= cells:
        return text
    return chop_cells(text, cells - 1)[0] + "…" if cells > 1 else "…"


def apart(names: Sequence[str], cells: int) -> dict[str, str]:
    """Each name without the words that all but base begin and end with, so that ``cells`` tell them apart.

    Where these would still be cut alike, without the letters that all of them begin with.
    """
    alike = [name for name in names if name != "base"]
    if len(alike) < 2:
        return {name: name for name in names}
    begin = _whole_words(alike)
    end = _whole_words([name[len(begin) :][::-1] for name in alike])[::-1]
    if len({cut(name.removeprefix(begin).removesuffix(end), cells) for name in alike}) < len(alike):
        begin = os.path.commonprefix(alike)  # noqa: RUF071  (characters are meant)
    return {name: name.removeprefix(begin).removesuffix(end) or name for name in names}


def _whole_words(names: Sequence[str]) -> str:
    """What the names begin with, up to the last mark between words."""
    common = os.path.commonprefix(names)  # noqa: RUF071  (characters are meant)
    return common[: max((common.rfind(mark) + 1 for mark in "-_ "), default=0)]


def fit(text: str, cells: int) -> str:
    """``text`` in exactly ``cells`` cells: cut, or filled with spaces on the right."""
    return set_cell_size(cut(text, cells), cells)


def loss(value: float) -> str:
    return f"{value:.3f}" if value == value else NONE


def short(value: float) -> str:
    """A setting or a rate in few characters: 1e-4, 0.05, 24, 1.5e-6."""
    if value != value:
        return NONE
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.0f}" if value == round(value) else f"{value:.3g}"


def value(setting: Any) -> str:
    """A setting in few characters: paths by their end, lists by their items."""
    if isinstance(setting, bool):
        return "yes" if setting else "no"
    if isinstance(setting, (int, float)):
        return short(setting)
    if isinstance(setting, list):
        return ",".join(str(item).removesuffix("_proj") for item in setting)
    text = str(setting)
    return "…/" + Path(text).name if text.startswith("/") else text


def duration(seconds: float) -> str:
    """45s, 7m 12s, 3h 05m, 2d 4h."""
    if seconds != seconds or math.isinf(seconds):
        return NONE
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def rough(seconds: float) -> str:
    """The same in one unit, for narrow places: 45s, 7m, 3h, 2d."""
    return duration(seconds).split(" ")[0]


def gib(count: float, digits: int = 1) -> str:
    """Bytes as GiB without the unit."""
    return f"{count / 2**30:.{digits}f}" if count == count else NONE


def size(count: float) -> str:
    """Bytes with a unit: 812K, 14M, 1.1G."""
    for unit, scale in (("G", 2**30), ("M", 2**20), ("K", 2**10)):
        if count >= scale * (1 if unit != "G" else 0.1):
            value = count / scale
            return f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}"
    return f"{count:.0f}B"


def clock(t: float, *, seconds: bool = True) -> str:
    """Local time of day."""
    return time.strftime("%H:%M:%S" if seconds else "%H:%M", time.localtime(t)) if t == t else NONE


def when(t: float, now: float | None = None) -> str:
    """Local date, short: "today 14:02", "Nov 02", "Nov 2025"."""
    if not t or t != t:
        return NONE
    then, today = time.localtime(t), time.localtime(now if now is not None else time.time())
    if then[:3] == today[:3]:
        return time.strftime("today %H:%M", then)
    return time.strftime("%b %d" if then[0] == today[0] else "%b %Y", then)


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as bars, the last ones that fit; what is not a number is a gap."""
    shown = resample(values, width)
    finite = [value for value in shown if math.isfinite(value)]
    if not finite:
        return ""
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    return "".join(_BARS[round((v - low) / span * 7)] if math.isfinite(v) else " " for v in shown)


def resample(values: Sequence[float], width: int) -> list[float]:
    """At most ``width`` values, each the mean of an equal share."""
    if len(values) <= width:
        return list(values)
    edges = [round(i * len(values) / width) for i in range(width + 1)]
    means = []
    for start, end in itertools.pairwise(edges):
        part = [v for v in values[start:end] if math.isfinite(v)]
        means.append(sum(part) / len(part) if part else math.nan)
    return means


def bar(share: float, width: int) -> str:
    """A bar of ``width`` cells, filled to an eighth of a cell."""
    if share != share:
        return " " * width
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + ("▏▎▍▌▋▊▉"[rest - 1] if rest else "")).ljust(width)
