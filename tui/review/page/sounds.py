"""Clips for a page: turned down to the level they are compared at, encoded, and drawn.

FLAC, without loss, where the page stays small enough to be sent; else Opus in Ogg at about 130 kbit/s a channel. All
clips of a page are encoded in one and the same way, so that no model is at an advantage. FLAC plays in every browser,
Opus in Ogg in all but Safari before 18.4, which then says so.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.contract import sound

LOSSLESS = 18_000_000
"""Bytes of all clips, as they stand in the page, up to which they are kept without loss."""
MOST = 64_000_000
"""Bytes of all clips beyond which a page holds no more of them: a browser has to keep it whole."""
LONGEST = 600.0
"""Seconds of a clip that a page may hold."""
OPUS_RATE = 48_000
"""Hz; more than that is brought down to it."""
OPUS_LEVEL = 0.5
"""libsndfile's compression level: 0 is 256 kbit/s a channel, 1 is 6."""
COLUMNS, HEIGHT = 160, 40
"""Of a waveform's picture: ``viewBox="0 0 160 40"``."""
SILENT = 0.001
FULL = "no room in a page"


class Sound(NamedTuple):
    """One clip in a page."""

    uri: str
    """``data:audio/flac;base64,...``"""
    seconds: float
    wave: str
    """The ``d`` of an SVG path in a box of ``COLUMNS`` x ``HEIGHT``, scaled to the clip's own peak."""


class Sounds(NamedTuple):
    codec: str
    """``FLAC``, or ``Opus`` where that would be too large."""
    clips: list[Sound | None]
    """In the order given; None for those that are left out."""
    left_out: dict[int, str]
    """Why, by their place: a file that cannot be read, or a page that is full."""

    @property
    def full(self) -> bool:
        """The page had no room for all."""
        return any(why.startswith(FULL) for why in self.left_out.values())


def encode(clips: Iterable[tuple[Path, float]]) -> Sounds:
    """Clips as (file, gain in dB), the gain being part of what is encoded. Raises nothing."""
    import soundfile

    given = list(clips)
    lossless = _encoded(given, "FLAC", LOSSLESS)
    if not lossless.full:
        return lossless
    # A libsndfile without Opus is rare, and a large page better than none.
    return _encoded(given, "Opus" if "OPUS" in soundfile.available_subtypes("OGG") else "FLAC", MOST)


def _encoded(given: Sequence[tuple[Path, float]], codec: str, most: int) -> Sounds:
    """All clips in one codec, until they take more than ``most`` bytes."""
    found: list[Sound | None] = []
    left_out: dict[int, str] = {}
    size = 0
    for place, (path, gain_db) in enumerate(given):
        made = None
        if size <= most:
            try:
                samples, rate = _read(path)
                made = _sound(samples * np.float32(10 ** (gain_db / 20)), rate, codec)
                size += len(made.uri)
            except sound.BadSound as error:
                left_out[place] = str(error)
        if size > most:
            made, left_out[place] = None, f"{FULL} of {most // 1_000_000} MB"
        found.append(made)
    return Sounds(codec, found, left_out)


def _read(path: Path) -> tuple[NDArray[np.float32], int]:
    """Samples (frames, 1 or 2) and their rate. Raises BadSound, also for what is no clip but a whole record."""
    seconds = sound.header(path).seconds
    if seconds > LONGEST:
        raise sound.BadSound(f"{seconds / 60:.0f} min are too long for a page")
    samples, rate = sound.read(path)
    if not len(samples):
        raise sound.BadSound("it holds no sound")
    return samples[:, :2], rate


def _sound(samples: NDArray[np.float32], rate: int, codec: str) -> Sound:
    import soundfile

    file, kind, seconds, drawn = io.BytesIO(), "audio/flac", len(samples) / rate, wave(samples)
    if codec == "Opus" or rate > OPUS_RATE:
        import soxr

        samples, rate = soxr.resample(samples, rate, OPUS_RATE), OPUS_RATE
    if codec == "FLAC":
        soundfile.write(file, samples, rate, format="FLAC", subtype="PCM_16")
    else:
        kind = "audio/ogg"
        soundfile.write(file, samples, rate, format="OGG", subtype="OPUS", compression_level=OPUS_LEVEL)
    uri = f"data:{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
    return Sound(uri, round(seconds, 3), drawn)


def wave(samples: NDArray[np.float32]) -> str:
    """Bars about the middle for samples (frames, channels): one a column, as high as its largest sample."""
    loud = np.abs(samples).max(axis=1, initial=0.0)
    padded = np.pad(loud, (0, -len(loud) % COLUMNS)) if len(loud) else np.zeros(COLUMNS, np.float32)
    peaks = padded.reshape(COLUMNS, -1).max(axis=1)
    heights = peaks / max(float(peaks.max()), SILENT) * (HEIGHT / 2 - 1)
    middle = HEIGHT / 2
    return "".join(f"M{x + 0.5:g} {middle - h:.1f}V{middle + h:.1f}" for x, h in enumerate(np.maximum(heights, 0.4)))
