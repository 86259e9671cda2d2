"""Listens to every file once: what is wrong with its sound, and its fingerprint. On all cores; imports no torch.

What was measured of a file is kept in the cache by its path, size and time of change: a second check reads no audio.
"""

from __future__ import annotations

import functools
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
from engine.contract.sound import BadSound, header
from engine.data import workers
from engine.data.audio import Sound, finite, mixed, read_audio
from engine.data.cache import file_digest
from engine.data.fingerprint import fingerprint
from engine.data.shortfall import shortfall

SILENT_DB = -60.0
FULL_SCALE = 0.999
FRAME = 0.05
FLOATS = ("FLOAT", "DOUBLE")
SMALL = 24
"""Files up to which a pool of processes costs more than it saves."""


_VERSION = 2
"""Of what is measured and how: what another version kept is measured anew."""
Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds."""


class Measured(msgspec.Struct, frozen=True):
    """What one file sounds like; ``error`` says why it cannot be read, and the rest then means nothing."""

    error: str = ""
    seconds: float = 0.0
    shortfall: str = ""
    """What it promises and does not hold, or holds and is not read, in a few words."""
    rate: int = 0
    channels: int = 0
    format: str = ""
    """As libsndfile names it, such as "WAV"; ``subtype`` likewise, such as "PCM_16"."""
    subtype: str = ""
    lufs: float = -math.inf
    """Integrated loudness (BS.1770) of its own channels, -inf for silence."""
    silent: float = 0.0
    """Share of 50 ms frames below -60 dBFS of what is trained on."""
    kept: float = 1.0
    """Power of what is trained on, of that which channels that have nothing to do with each other would have given."""
    clipped: float = 0.0
    """Share of samples in runs of at least three at full scale."""
    peak: float = 0.0
    """Largest absolute sample, full scale 1.0."""
    not_finite: int = 0
    """Samples that are NaN or infinite."""
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
    files: list[Path],
    channels: int = 1,
    kept: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Measured]:
    """Measure each file, in order, as a model hears it that has ``channels``.

    ``kept`` is a file of earlier measurements, of one data set: it forgets files that are gone. ``progress`` gets files
    done and in all.
    """
    known = _kept(kept, channels) if kept else {}
    stamps = {str(file): _stamp(file) for file in files}
    done = {name: known[name][1] for name, stamp in stamps.items() if name in known and known[name][0] == stamp}
    missing = [name for name in stamps if name not in done]
    tell = progress or (lambda done, total: None)
    tell(len(done), len(stamps))
    try:
        for name, measured in zip(missing, _measured(missing, channels), strict=True):
            done[name] = measured
            tell(len(done), len(stamps))
    finally:
        # Also when it is interrupted: what was listened to is not listened to again.
        if kept and missing:
            others = {name: entry for name, entry in known.items() if name not in stamps and os.path.exists(name)}
            here = {name: (stamps[name], measured) for name, measured in done.items() if not measured.error}
            _keep(kept, channels, others | here)
    return [done[str(file)] for file in files]


def _measured(names: list[str], channels: int) -> Iterator[Measured]:
    one = functools.partial(measure, channels=channels)
    if len(names) <= SMALL:
        yield from map(one, map(Path, names))
        return
    pool = ProcessPoolExecutor(min(os.cpu_count() or 1, 8), initializer=workers.begin, initargs=(os.getpid(),))
    try:
        yield from pool.map(one, map(Path, names), chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)


def _stamp(file: Path) -> Stamp:
    """Size and time of change, (-1, -1) of a file that is not there."""
    try:
        status = file.stat()
    except (OSError, ValueError):
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


def _kept(file: Path, channels: int) -> dict[str, tuple[Stamp, Measured]]:
    try:
        how, known = msgspec.msgpack.decode(
            file.read_bytes(), type=tuple[tuple[int, int], dict[str, tuple[Stamp, Measured]]]
        )
    except (OSError, ValueError):
        # None yet, or a damaged one: all files are listened to again.
        return {}
    return known if how == (_VERSION, channels) else {}


def _keep(file: Path, channels: int, known: dict[str, tuple[Stamp, Measured]]) -> None:
    """Losing it costs time only, so a full disk is no error here."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, msgspec.msgpack.encode(((_VERSION, channels), known)))
    except OSError:
        pass


def measure(file: Path, channels: int = 1) -> Measured:
    """What one file sounds like to a model that hears ``channels``."""
    try:
        own, rate = read_audio(file)
        said = header(file)
    except (UserError, BadSound) as error:
        return Measured(error=str(error))
    if not own.size:
        return Measured(error=f"{file} holds no samples; replace it or take it out.")
    samples = finite(own)
    trained = mixed(samples, channels)
    peak = float(np.abs(samples).max())
    return Measured(
        seconds=own.shape[1] / rate,
        shortfall=shortfall(file, said, own.shape[1] / rate),
        rate=rate,
        channels=len(own),
        format=said.format,
        subtype=said.subtype,
        lufs=loudness.integrated(samples, rate),
        silent=silent_share(trained, rate),
        kept=kept_share(samples, trained),
        # Floats beyond full scale are not clipped there, but may be at their peak.
        clipped=clipped_share(samples / peak if said.subtype in FLOATS and peak > 1 else samples),
        peak=peak,
        not_finite=int(own.size - np.isfinite(own).sum()) if samples is not own else 0,
        offset=float(np.abs(samples.mean(axis=1, dtype=np.float64)).max()),
        digest=file_digest(file),
        print_bytes=fingerprint(Sound(samples, rate)).tobytes(),
    )


def kept_share(samples: np.ndarray, trained: np.ndarray) -> float:
    """Power of the mono mix (1, n) over that of unrelated channels (c, n) mixed alike: 1, or c for equal ones, or 0
    where they cancel. 1 where nothing is mixed."""
    own = float(np.einsum("cn,cn->", samples, samples, dtype=np.float64))
    if len(trained) > 1 or len(samples) == 1 or own == 0:
        return 1.0
    # Of the mean of c unrelated channels the power is their mean power / c.
    return float(np.einsum("cn,cn->", trained, trained, dtype=np.float64)) * len(samples) ** 2 / own


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
