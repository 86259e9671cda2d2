"""Audio files as the outputs need them: float32 stereo at the device's rate, or bytes that a browser decodes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile
import soxr

from engine.contract import sound
from tui.audio.mixer import Samples

# What every browser decodes as it lies on the disk; anything else is sent as FLAC.
BROWSER_READS = {("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24")}

EMPTY = "the file holds no sound; make the clip again."


class UnreadableClip(ValueError):
    """Why a file cannot be played. The sentence names no file: names would tell a blind listener the model."""


def read(path: Path, rate: int) -> Samples:
    """The clip as float32 (frames, 2) at ``rate`` Hz; mono is put on both sides, more channels are cut to two.

    Resampling is done by soxr at its "HQ" quality. Raises UnreadableClip.
    """
    try:
        samples, own_rate = sound.read(path)
    except sound.BadSound as error:
        raise UnreadableClip(_sentence(path, error)) from None
    if len(samples) == 0:
        raise UnreadableClip(EMPTY)
    samples = np.nan_to_num(samples[:, :2])
    if own_rate != rate:
        samples = soxr.resample(samples, own_rate, rate)
    return np.ascontiguousarray(np.broadcast_to(samples, (len(samples), 2)))


def duration(path: Path) -> float:
    """Length in seconds, from the file's header. Raises UnreadableClip."""
    try:
        said = sound.header(path)
    except sound.BadSound as error:
        raise UnreadableClip(_sentence(path, error)) from None
    if said.frames == 0:
        raise UnreadableClip(EMPTY)
    return said.seconds


def browser_bytes(path: Path) -> tuple[bytes, str]:
    """The clip's bytes and media type for a browser. Raises UnreadableClip."""
    try:
        said = sound.header(path)
        if (said.format, said.subtype) in BROWSER_READS:
            return path.read_bytes(), "audio/wav" if said.format == "WAV" else "audio/flac"
        samples, rate = sound.read(path)
        packed = io.BytesIO()
        soundfile.write(packed, np.nan_to_num(samples[:, :2]), rate, format="FLAC", subtype="PCM_24")
    except (sound.BadSound, soundfile.LibsndfileError, OSError) as error:
        raise UnreadableClip(_sentence(path, error)) from None
    return packed.getvalue(), "audio/flac"


def _sentence(path: Path, error: Exception) -> str:
    if not path.exists():
        return "the file is missing; make the clips again, or go on with the others."
    reason = str(error) if isinstance(error, sound.BadSound) else getattr(error, "strerror", None) or "unknown format"
    return f"the file cannot be read as audio ({reason}); make the clip again."
