"""Audio files as arrays: any rate and channel count in, the model's out. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.contract import sound
from engine.contract.errors import UserError

SHORTEST = 1.0
"""Seconds below which a file is refused: nothing can be learned from it."""


class Sound(NamedTuple):
    """``samples`` (channels, n) float32 and their rate in Hz."""

    samples: np.ndarray
    rate: int


def read_audio(path: Path) -> Sound:
    """A WAV, FLAC, MP3 or OGG file as it is. Raises UserError with the reason when it cannot be read."""
    try:
        samples, rate = sound.read(path)
    except sound.BadSound as error:
        raise _no_audio(path, error) from None
    return Sound(np.ascontiguousarray(samples.T), rate)


def seconds_of(path: Path) -> float:
    """Length of what can be read of a file. Raises UserError when it cannot be read or is shorter than a second."""
    try:
        path.stat()
    except OSError as error:
        raise gone(path, error) from None
    try:
        said = sound.header(path)
        # What an MP3 says of its length is often wrong, and windows are cut of what there is.
        seconds = len(sound.read(path)[0]) / said.rate if said.subtype.startswith("MPEG") else said.seconds
    except sound.BadSound as error:
        raise _no_audio(path, error) from None
    _refuse_short(path, seconds)
    return seconds


def read_for_model(path: Path, rate: int, channels: int) -> np.ndarray:
    """The file as (channels, n) float32 at ``rate``, as it is trained on.

    Raises UserError when the file cannot be read or is shorter than a second.
    """
    own, own_rate = read_audio(path)
    _refuse_short(path, own.shape[1] / own_rate)
    return resample(mixed(finite(own), channels), own_rate, rate)


def finite(samples: np.ndarray) -> np.ndarray:
    """The samples with silence where they are no numbers; one such sample would spoil all that resampling touches."""
    return samples if np.isfinite(samples.sum()) else np.nan_to_num(samples, posinf=0.0, neginf=0.0)


def mixed(samples: np.ndarray, channels: int) -> np.ndarray:
    """(any, n) as the (channels, n) that are trained on: mono is the mean of all, stereo keeps the first two."""
    if channels == 1:
        return samples.mean(axis=0, keepdims=True)
    return samples[:2] if len(samples) > 1 else np.repeat(samples, 2, axis=0)


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


def _no_audio(path: Path, error: sound.BadSound) -> UserError:
    return UserError(f"{path} cannot be read as audio ({error}); replace it or take it out.")
