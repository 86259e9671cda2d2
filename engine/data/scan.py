"""Listens to every file once: what is wrong with its sound, and its fingerprint. On all cores; imports no torch.

What was measured of a file is kept in the cache by its path, size and time of change: a second check reads no audio.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec
import numpy as np

from engine.contract import loudness
from engine.contract.errors import UserError
from engine.contract.rundir import write_atomically
from engine.data.audio import Sound, read_audio
from engine.data.cache import file_digest
from engine.data.fingerprint import fingerprint

SILENT_DB = -60.0
FULL_SCALE = 0.999
FRAME = 0.05
SMALL = 24
"""Files up to which a pool of processes costs more than it saves."""


_VERSION = 1
"""Of what is measured and how: what another version kept is measured anew."""
Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds."""


class Measured(msgspec.Struct, frozen=True):
    """What one file sounds like; ``error`` says why it cannot be read, and the rest then means nothing."""

    error: str = ""
    seconds: float = 0.0
    rate: int = 0
    channels: int = 0
    lufs: float = -math.inf
    """Integrated loudness (BS.1770), -inf for silence."""
    silent: float = 0.0
    """Share of 50 ms frames below -60 dBFS."""
    clipped: float = 0.0
    """Share of samples in runs of at least three at full scale."""
    offset: float = 0.0
    """Largest mean of a channel (DC)."""
    digest: str = ""
    print_bytes: bytes = b""

    @property
    def print(self) -> np.ndarray:
        """The fingerprint, one uint32 a frame."""
        return np.frombuffer(self.print_bytes, np.uint32)


def kept_file(cache: Path, folder: Path) -> Path:
    """Where in the cache the measurements of a data folder are."""
    return cache / "measured" / f"{hashlib.sha256(os.fsencode(os.path.abspath(folder))).hexdigest()[:24]}.msgpack"


def scan(
    files: list[Path], kept: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> list[Measured]:
    """Measure each file, in order. ``kept`` is a file of earlier measurements; ``progress`` gets files done and in all.

    The file is one data set's: it forgets files that are gone.
    """
    known = _kept(kept) if kept else {}
    stamps = {str(file): _stamp(file) for file in files}
    done = {name: known[name][1] for name, stamp in stamps.items() if name in known and known[name][0] == stamp}
    missing = [name for name in stamps if name not in done]
    tell = progress or (lambda done, total: None)
    tell(len(done), len(stamps))
    try:
        for name, measured in zip(missing, _measured(missing), strict=True):
            done[name] = measured
            tell(len(done), len(stamps))
    finally:
        # Also when it is interrupted: what was listened to is not listened to again.
        if kept and missing:
            others = {name: entry for name, entry in known.items() if name not in stamps and os.path.exists(name)}
            here = {name: (stamps[name], measured) for name, measured in done.items() if not measured.error}
            _keep(kept, others | here)
    return [done[str(file)] for file in files]


def _measured(names: list[str]) -> Iterator[Measured]:
    if len(names) <= SMALL:
        yield from map(measure, map(Path, names))
        return
    pool = ProcessPoolExecutor(max_workers=min(os.cpu_count() or 1, 8))
    try:
        yield from pool.map(measure, map(Path, names), chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)


def _stamp(file: Path) -> Stamp:
    """Size and time of change, (-1, -1) of a file that is not there."""
    try:
        status = file.stat()
    except (OSError, ValueError):
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


def _kept(file: Path) -> dict[str, tuple[Stamp, Measured]]:
    try:
        version, known = msgspec.msgpack.decode(file.read_bytes(), type=tuple[int, dict[str, tuple[Stamp, Measured]]])
    except (OSError, ValueError):
        # None yet, or a damaged one: all files are listened to again.
        return {}
    return known if version == _VERSION else {}


def _keep(file: Path, known: dict[str, tuple[Stamp, Measured]]) -> None:
    """Losing it costs time only, so a full disk is no error here."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, msgspec.msgpack.encode((_VERSION, known)))
    except OSError:
        pass


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
        lufs=loudness.integrated(samples, sound.rate),
        offset=float(np.abs(samples.mean(axis=1, dtype=np.float64)).max()),
        digest=file_digest(file),
        print_bytes=fingerprint(Sound(samples, sound.rate)).tobytes(),
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
