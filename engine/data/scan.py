"""Listens to every file once: what is wrong with its sound, and its fingerprint. On all cores; imports no torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.contract.errors import UserError
from engine.data.audio import Sound, read_audio
from engine.data.cache import file_digest
from engine.data.fingerprint import fingerprint

SILENT_DB = -60.0
FULL_SCALE = 0.999
FRAME = 0.05
SMALL = 24
"""Files up to which a pool of processes costs more than it saves."""


@dataclass(frozen=True)
class Measured:
    """What one file sounds like; ``error`` says why it cannot be read, and the rest then means nothing."""

    error: str = ""
    seconds: float = 0.0
    rate: int = 0
    channels: int = 0
    silent: float = 0.0
    """Share of 50 ms frames below -60 dBFS."""
    clipped: float = 0.0
    """Share of samples in runs of at least three at full scale."""
    offset: float = 0.0
    """Largest mean of a channel (DC)."""
    digest: str = ""
    print: np.ndarray | None = None


def scan(files: list[Path], progress: Callable[[int, int], None] | None = None) -> list[Measured]:
    """Measure each file, in order. ``progress`` gets files done and in all."""
    done: list[Measured] = []
    tell = progress or (lambda done, total: None)
    if len(files) <= SMALL:
        for file in files:
            done.append(measure(file))
            tell(len(done), len(files))
        return done
    with ProcessPoolExecutor(max_workers=min(os.cpu_count() or 1, 8)) as pool:
        for measured in pool.map(measure, files, chunksize=4):
            done.append(measured)
            tell(len(done), len(files))
    return done


def measure(file: Path) -> Measured:
    try:
        sound = read_audio(file)
    except UserError as error:
        return Measured(error=str(error))
    samples = sound.samples if np.isfinite(sound.samples.sum()) else np.nan_to_num(sound.samples)
    if not samples.size:
        return Measured(error=f"{file} holds no samples; replace it or take it out.")
    return Measured(
        seconds=samples.shape[1] / sound.rate,
        rate=sound.rate,
        channels=len(samples),
        silent=silent_share(samples, sound.rate),
        clipped=clipped_share(samples),
        offset=float(np.abs(samples.mean(axis=1, dtype=np.float64)).max()),
        digest=file_digest(file),
        print=fingerprint(Sound(samples, sound.rate)),
    )


def silent_share(samples: np.ndarray, rate: int) -> float:
    """Share of 50 ms frames of (channels, n) whose level is below SILENT_DB."""
    frame = max(1, int(FRAME * rate))
    count = max(1, samples.shape[1] // frame)
    frames = samples[:, : count * frame].reshape(len(samples), count, -1)
    power = np.einsum("cfn,cfn->f", frames, frames) / (frames.shape[0] * frames.shape[2])
    return float((power < 10 ** (SILENT_DB / 10)).mean())


def clipped_share(samples: np.ndarray) -> float:
    """Share of samples of (channels, n) that lie in runs of three or more at full scale."""
    loud = np.abs(samples) >= FULL_SCALE
    if not loud.any() or samples.shape[1] < 3:
        return 0.0
    inner = loud[:, :-2] & loud[:, 1:-1] & loud[:, 2:]
    runs = np.zeros_like(loud)
    for start in range(3):
        runs[:, start : start + inner.shape[1]] |= inner
    return float(runs.mean())
