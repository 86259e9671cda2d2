"""Audio files as arrays: any rate and channel count in, the model's out. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.contract.errors import UserError

SHORTEST = 1.0
"""Seconds below which a file is refused: nothing can be learned from it."""


class Sound(NamedTuple):
    """``samples`` (channels, n) float32 and their rate in Hz."""

    samples: np.ndarray
    rate: int


def read_audio(path: Path) -> Sound:
    """A WAV, FLAC, MP3 or OGG file as it is. Raises UserError with the reason when it cannot be read."""
    import soundfile

    try:
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (OSError, RuntimeError, TypeError) as error:
        # TypeError: a name that ends in .raw has no header to read the rate from.
        raise _no_audio(path, error) from None
    return Sound(np.ascontiguousarray(samples.T), int(rate))


def seconds_of(path: Path) -> float:
    """Length of a file by its header. Raises UserError when it cannot be read or is shorter than a second."""
    import soundfile

    try:
        path.stat()
    except OSError as error:
        raise gone(path, error) from None
    try:
        seconds = float(soundfile.info(str(path)).duration)
    except (OSError, RuntimeError, TypeError) as error:
        raise _no_audio(path, error) from None
    _refuse_short(path, seconds)
    return seconds


def read_for_model(path: Path, rate: int, channels: int) -> np.ndarray:
    """The file as (channels, n) float32 at ``rate``: mono is the mean of all channels, stereo keeps the first two.

    Raises UserError when the file cannot be read or is shorter than a second.
    """
    sound = read_audio(path)
    _refuse_short(path, sound.samples.shape[1] / sound.rate)
    if channels == 1:
        samples = sound.samples.mean(axis=0, keepdims=True)
    else:
        samples = sound.samples[:2] if len(sound.samples) > 1 else np.repeat(sound.samples, 2, axis=0)
    return np.nan_to_num(resample(samples, sound.rate, rate))


def resample(samples: np.ndarray, old: int, new: int) -> np.ndarray:
    """(channels, n) from ``old`` to ``new`` Hz by soxr at its "HQ" quality; n becomes round(n * new / old)."""
    if old == new:
        return samples
    import soxr

    return np.ascontiguousarray(soxr.resample(samples.T, old, new).T, dtype=np.float32)


def gone(path: Path, error: OSError) -> UserError:
    """What to say of a file that the metadata names and that is not there, or not ours to read."""
    return UserError(
        f"{path} cannot be read ({(error.strerror or str(error)).lower()}); "
        "mend the metadata or bring the file back (`mgl-tui check` lists all such files)."
    )


def _refuse_short(path: Path, seconds: float) -> None:
    if seconds < SHORTEST:
        raise UserError(f"{path} lasts {seconds:.2f} s; a clip must be at least a second long: take it out.")


def _no_audio(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read as audio ({_reason(path, error)}); replace it or take it out.")


def _reason(path: Path, error: Exception) -> str:
    if not path.exists():
        return "there is no such file"
    if path.is_dir():
        return "it is a folder"
    if path.stat().st_size == 0:
        return "it is empty"
    return str(error).split(": ", 1)[-1].rstrip(". ").lower() or "no audio"
