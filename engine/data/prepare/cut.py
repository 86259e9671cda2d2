"""Where a track is cut: at quiet points near the length, silence at the ends and long gaps left out. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

FRAMES = 100
"""Levels a second."""
SILENT = 10 ** (-60.0 / 10)
"""Power below which a frame is silent, as the check counts it."""
GAP = 2.0
"""Seconds of silence that divide a track in two; shorter ones are pauses of the music."""
SLACK = 0.1
"""Share of the length by which a clip may be longer, so that it ends at a quiet point."""
SHORTEST = 1.0
"""Seconds below which nothing can be learned from a clip."""


@dataclass(frozen=True)
class Way:
    """How to cut: clips of ``seconds``, or a little more unless ``exact``; the next begins ``overlap`` s before."""

    seconds: float
    exact: bool = False
    overlap: float = 0.0

    @property
    def name(self) -> str:
        """As a file keeps it, such as "15s" or "15s-exact-overlap5"."""
        return f"{self.seconds:g}s{'-exact' if self.exact else ''}{f'-overlap{self.overlap:g}' if self.overlap else ''}"


@dataclass
class Cut:
    """All in samples: ``pieces`` and ``ends`` are (begin, end), ``rest`` is where what was not decided yet begins."""

    pieces: list[tuple[int, int]] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)
    """Stretches left out because a clip is longer."""
    silence: int = 0
    """How much silence is left out."""
    rest: int = 0


def levels(samples: np.ndarray, rate: int) -> np.ndarray:
    """Mean power of all channels of (n, channels) in frames of 10 ms; the last one may be shorter."""
    hop = max(1, rate // FRAMES)
    power = np.einsum("nc,nc->n", samples, samples) / samples.shape[1]
    sums = np.add.reduceat(power, np.arange(0, len(power), hop)) if len(power) else np.zeros(0)
    counts = np.full(len(sums), hop)
    counts[-1:] = len(power) - hop * (len(sums) - 1)
    return np.nan_to_num(sums / counts, nan=1.0, posinf=1.0)


def cut(power: np.ndarray, count: int, rate: int, way: Way, *, last: bool = True, first: bool = True) -> Cut:
    """Cut ``count`` samples whose levels are ``power``.

    Unless this is the ``last`` of a track, what is undecided at its end is left for the next call. A track in which
    nothing is as long as a clip gives its longest stretch, if it lasts a second; ``first``: none was cut from it yet.
    """
    hop = max(1, rate // FRAMES)
    done, heard = Cut(rest=count), 0
    stretches = [(a * hop, min(b * hop, count)) for a, b in _stretches(power, rate // hop)]
    for begin, end in stretches:
        done.silence += begin - heard
        heard = end
        goes_on = not last and (count - end) / rate < GAP
        following, covered = _divide(begin, end, power, rate, way, done.pieces, goes_on=goes_on)
        if goes_on:
            done.rest = following
            return done
        if covered < end:
            done.ends.append((covered, end))
    done.silence += count - heard
    longest = max(stretches, key=lambda stretch: stretch[1] - stretch[0], default=(0, 0))
    if last and first and not done.pieces and (longest[1] - longest[0]) / rate >= SHORTEST:
        done.pieces.append(longest)
        done.ends.remove(longest)
    return done


def _stretches(power: np.ndarray, per_second: int) -> list[tuple[int, int]]:
    """(begin, end) in frames of what sounds, without gaps shorter than GAP."""
    loud = np.flatnonzero(power >= SILENT)
    if not len(loud):
        return []
    breaks = np.flatnonzero(np.diff(loud) > GAP * per_second)
    begins, ends = np.r_[loud[0], loud[breaks + 1]], np.r_[loud[breaks], loud[-1]] + 1
    return [(int(a), int(b)) for a, b in zip(begins, ends, strict=True)]


def _divide(
    begin: int, end: int, power: np.ndarray, rate: int, way: Way, pieces: list[tuple[int, int]], *, goes_on: bool
) -> tuple[int, int]:
    """Add the pieces of one stretch: as many as fit, so that no clip is lost to a late cut.

    Returns where the next piece would begin, and up to where the stretch is used. Of a stretch that ``goes_on`` beyond
    ``end`` two lengths are kept, because how late the last cuts may be is not known yet.
    """
    length = round(way.seconds * rate)
    slack = 0 if way.exact else round(SLACK * length)
    step = length - round(way.overlap * rate)
    covered, kept = begin, length + slack if goes_on else 0
    while end - begin >= length + kept:
        left = end - begin - length
        if left <= slack:
            pieces.append((begin, end))
            return end, end
        # What is left over when all clips are cut is shared by them; of what goes on nobody knows.
        spare = slack if goes_on else min(slack, left % step // (left // step + 1))
        covered = begin + length + _quietest(power, begin + length, spare, rate)
        pieces.append((begin, covered))
        begin = covered - (length - step)
    return begin, covered


def _quietest(power: np.ndarray, start: int, spare: int, rate: int) -> int:
    """Samples from ``start`` on to the quietest 50 ms within ``spare``: silence, or the moment before a beat."""
    hop = max(1, rate // FRAMES)
    first, count = start // hop, spare // hop + 1
    around = power[max(0, first - 2) : first + count + 2]
    if not spare or len(around) < 5:
        return 0
    smooth = np.convolve(around, np.ones(5) / 5, "valid")
    return int(np.clip((first + int(np.argmin(smooth))) * hop - start, 0, spare))
