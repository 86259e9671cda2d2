"""Loudness after ITU-R BS.1770-4, and the fixed gains that match the clips of a prompt.

Clips are turned *down* to the quietest of their prompt: the loudest of several clips is preferred whatever it plays,
and turning up would clip. The engine stores ``lufs`` with each clip; for folders made by other scripts it is measured
here and kept in a small file beside the clips.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.contract.rundir import write_atomically
from tui.review.evaluation import Clip, Item

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CACHE = ".loudness.json"
SILENT = -60.0
"""LUFS below which a clip is taken for silent: it does not set the level of the others."""
MOST = 20.0
"""dB a clip is turned down at most, so that one that fades to nearly nothing does not silence its prompt."""


def integrated(samples: NDArray[np.float32], rate: int) -> float:
    """Integrated loudness in LUFS of ``samples`` (frames,) or (frames, channels) at ``rate`` Hz; -inf for silence.

    K-weighting, 400 ms blocks with 75 % overlap, absolute gate at -70 LUFS, relative gate 10 LU below (ITU-R
    BS.1770-4, annex 1). A clip shorter than one block counts as one block. Channels weigh the same (mono, stereo).
    """
    import numpy as np

    x = np.atleast_2d(np.asarray(samples, dtype=np.float64).T)
    if x.size == 0:
        return -math.inf
    power = np.sum(_k_weighted(x, rate) ** 2, axis=0)
    block, hop = min(round(0.4 * rate), power.size), max(1, round(0.1 * rate))
    total = np.concatenate(([0.0], np.cumsum(power)))
    starts = np.arange(0, power.size - block + 1, hop)
    blocks = (total[starts + block] - total[starts]) / block
    kept = blocks[blocks > _power(-70.0)]
    if kept.size:
        kept = kept[kept > kept.mean() * 0.1]
    return _lufs(float(kept.mean())) if kept.size else -math.inf


def loudness_of(item: Item) -> dict[str, float | None]:
    """LUFS by model for the clips on disk, as stored with the clip or else measured; None when it cannot be known."""
    return {m: clip_loudness(clip) for m, clip in item.clips.items() if clip.path is not None}


def gains(loudness: Mapping[str, float | None]) -> dict[str, float]:
    """dB by model, never above 0, that bring every clip down to the quietest one that is not silent."""
    heard = [value for value in loudness.values() if value is not None and value > SILENT]
    target = min(heard, default=0.0)
    return {
        model: 0.0 if value is None or value <= SILENT else round(max(-MOST, target - value), 2)
        for model, value in loudness.items()
    }


def target(loudness: Mapping[str, float | None]) -> float | None:
    """The level in LUFS that the clips of a prompt are matched to; None when none is known."""
    return min((value for value in loudness.values() if value is not None and value > SILENT), default=None)


def clip_loudness(clip: Clip) -> float | None:
    """LUFS of a clip that is on disk: as stored with it, else measured; -inf for silence, None if unreadable."""
    if "lufs" in clip.measures:
        # The engine writes null for silence, whose loudness is minus infinity.
        stored = clip.measures["lufs"]
        return -math.inf if stored is None else stored
    assert clip.path is not None
    return _measured(clip.path)


def _measured(path: Path) -> float | None:
    """Loudness of a file, from the cache beside it when the file has not changed since."""
    status = path.stat()
    cache_path = path.parent / CACHE
    key = f"{path.name} {status.st_size} {status.st_mtime_ns}"
    try:
        cache = json.loads(cache_path.read_text())
    except (OSError, ValueError):
        cache = {}
    if not isinstance(cache, dict):
        cache = {}
    if key not in cache:
        value = measure(path)
        if value is None:
            return None
        cache[key] = round(value, 2) if math.isfinite(value) else None
        try:
            write_atomically(cache_path, json.dumps(cache, indent=1))
        except OSError:
            pass  # A folder that may not be written to is measured again next time.
    stored = cache[key]
    return -math.inf if stored is None else float(stored)


def measure(path: Path) -> float | None:
    """Integrated loudness of a file in LUFS; None when it cannot be read as audio."""
    import soundfile

    try:
        samples, rate = soundfile.read(path, dtype="float32")
    except (soundfile.SoundFileError, RuntimeError):
        return None
    return integrated(samples, rate)


def _k_weighted(x: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """``x`` (channels, frames) through the two filters of BS.1770, in the frequency domain.

    The coefficients are those of the standard re-derived for any rate (De Man 2014). A second of zeros at the end
    holds the filters' decay, so the circular convolution is the linear one.
    """
    import numpy as np

    frames = x.shape[1]
    size = 1 << (frames + rate - 1).bit_length()
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response = np.ones_like(z)
    for b, a in (_shelf(rate), _high_pass(rate)):
        response *= (b[0] + b[1] * z + b[2] * z**2) / (a[0] + a[1] * z + a[2] * z**2)
    return np.fft.irfft(np.fft.rfft(x, size) * response, size)[:, :frames]


def _shelf(rate: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    k, q = math.tan(math.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    mid = high**0.4996667741545416
    b = (high + mid * k / q + k * k, 2 * (k * k - high), high - mid * k / q + k * k)
    return b, (1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k)


def _high_pass(rate: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    k, q = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
    a0 = 1 + k / q + k * k
    # The standard's numerator is 1, -2, 1 and not scaled by a0.
    return (a0, -2 * a0, a0), (a0, 2 * (k * k - 1), 1 - k / q + k * k)


def _lufs(power: float) -> float:
    return -0.691 + 10 * math.log10(power)


def _power(lufs: float) -> float:
    return 10 ** ((lufs + 0.691) / 10)
