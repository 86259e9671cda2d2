"""What a clip looks like: waveform peaks and a mel spectrogram, from the file, kept in memory."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from engine.contract import sound
from engine.contract.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW = 1024
RANGE_DB = 60.0
"""Span of the spectrogram below the clip's own loudest cell."""


def peaks(path: Path, columns: int) -> tuple[float, ...]:
    """Largest absolute sample in each of ``columns`` equal parts of the clip, 0.0 to 1.0. UserError if unreadable."""
    return _peaks(path, path.stat().st_mtime_ns, columns)


def mel(path: Path, columns: int, bands: int) -> NDArray[np.float32]:
    """Mel spectrogram of the clip as (bands, columns), lowest band first, from 0.0 (quiet) to 1.0 (loudest cell)."""
    return _mel(path, path.stat().st_mtime_ns, columns, bands)


@lru_cache(maxsize=256)
def _peaks(path: Path, changed: int, columns: int) -> tuple[float, ...]:
    import numpy as np

    samples, _ = _mono(path, changed)
    edges = np.linspace(0, samples.size, columns + 1).astype(int)[:-1]
    if samples.size < columns:
        return (0.0,) * columns
    return tuple(float(p) for p in np.minimum(np.maximum.reduceat(np.abs(samples), edges), 1.0))


@lru_cache(maxsize=64)
def _mel(path: Path, changed: int, columns: int, bands: int) -> NDArray[np.float32]:
    import numpy as np

    samples, rate = _mono(path, changed)
    samples = np.pad(samples, (0, max(0, WINDOW - samples.size)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[:: WINDOW // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), axis=1)) ** 2
    # Bands before columns: the filter is linear, so frames may be averaged afterwards, and there are fewer of them.
    energy = power.astype(np.float32) @ _filters(rate, bands).T
    edges = np.linspace(0, len(energy), columns + 1).astype(int)
    parts = [energy[a : max(b, a + 1)] if a < len(energy) else energy[-1:] for a, b in pairwise(edges)]
    decibel = 10 * np.log10(np.stack([part.mean(axis=0) for part in parts], axis=1) + 1e-10)
    return np.clip(1 + (decibel - max(decibel.max(), -30.0)) / RANGE_DB, 0.0, 1.0).astype(np.float32)


@lru_cache(maxsize=4)
def _filters(rate: int, bands: int) -> NDArray[np.float32]:
    """Triangles (bands, WINDOW // 2 + 1), equally spaced on the mel scale from 40 Hz to the highest frequency."""
    import numpy as np

    def to_mel(hz: float) -> float:
        return 2595 * float(np.log10(1 + hz / 700))

    edges = 700 * (10 ** (np.linspace(to_mel(40.0), to_mel(rate / 2), bands + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(WINDOW, 1 / rate)
    low, mid, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.maximum(0.0, np.minimum((bins - low) / (mid - low), (high - bins) / (high - mid)))
    # A narrow low band can fall between two bins: it takes the nearest one.
    for band in np.flatnonzero(triangles.sum(axis=1) == 0):
        triangles[band, np.abs(bins - edges[band + 1]).argmin()] = 1.0
    return (triangles / triangles.sum(axis=1, keepdims=True)).astype(np.float32)


@lru_cache(maxsize=8)
def _mono(path: Path, changed: int) -> tuple[NDArray[np.float32], int]:
    try:
        samples, rate = sound.read(path)
    except sound.BadSound as error:
        raise UserError(f"{path} cannot be read as audio ({error}); make the clips again.") from None
    return samples.mean(axis=1), rate
