"""One track: read, cut, judged clip by clip, and its clips written to .prepare/."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from engine.contract.sound import BadSound
from engine.data.audio import Sound, resample
from engine.data.cache import file_digest
from engine.data.fingerprint import RATE, fingerprint
from engine.data.prepare import music
from engine.data.prepare.cut import FRAMES, SILENT, Cut, Way, cut, levels
from engine.data.prepare.decode import Track, opened
from engine.data.prepare.records import Left, Piece, Record, stage, staged_clip
from engine.data.prepare.sources import Source
from engine.data.scan import SILENT_DB, clipped_share

SILENT_SHARE = 0.2
"""A clip of which pauses take more is left out."""
PAUSE = 0.5
"""Seconds from which on silence is a pause; shorter ones lie between the notes of a staccato."""
QUIET_DB = SILENT_DB + 10
"""A clip whose level is below holds noise."""
CLIPPED_SHARE = 0.001
CANCELS = 0.1
"""Power that mixing to mono leaves of two channels, as a share of their mean: less, and one of them is kept."""
CEILING = 0.99
"""Peak to which a clip that goes beyond full scale is turned down."""
HEARD_SECONDS = 300
"""How much of a track tempo and key are measured on."""


class Job(NamedTuple):
    source: Source
    out: Path
    way: Way


class Seen(NamedTuple):
    """A source that was looked at: its size, time of change (ns) and SHA-256, or why it cannot be used."""

    source: Source
    size: int = 0
    changed: int = 0
    digest: str = ""
    error: str = ""


_known: set[str] = set()


def begin(known: Iterable[str]) -> None:
    """Tell this process the digests of what needs no cutting any more."""
    _known.update(known)


def prepare_track(job: Job) -> Seen:
    """Cut one track into .prepare/, unless it is known; its record is written last. Raises OSError on a full disk."""
    path = job.source.path
    try:
        status = path.stat()
        digest = file_digest(path) if path.is_file() else ""
    except OSError as error:
        return Seen(job.source, error=(error.strerror or str(error)).lower())
    seen = Seen(job.source, status.st_size, status.st_mtime_ns, digest)
    if digest in _known:
        return seen
    try:
        with opened(path) as track:
            record = Record(
                source=job.source.key, size=seen.size, changed=seen.changed, digest=digest, way=job.way.name,
                rate=track.rate, channels=track.channels, seconds=0.0,
            )  # fmt: skip
            heard = _Cutting(job, track, record).run()
    except BadSound as error:
        return seen._replace(error=str(error))
    bpm, key = music.tempo(heard), music.key(heard)
    record.words = {"tempo": f"{bpm} bpm" if bpm else "", "key": key or ""}
    stage(job.out, record)
    return seen


class _Cutting:
    """Goes through a track in chunks; what is left at the end of one begins the next."""

    def __init__(self, job: Job, track: Track, record: Record) -> None:
        self.job, self.track, self.record = job, track, record
        self.left: dict[str, Left] = defaultdict(Left)
        self.samples = 0

    def run(self) -> np.ndarray:
        """Fills the record; returns the track's beginning in mono at RATE, to measure tempo and key on."""
        rate, heard = self.track.rate, np.zeros(0, np.float32)
        rest = np.zeros((0, self.track.channels), np.float32)
        chunks = iter(self.track.chunks)
        chunk = next(chunks, None)
        while chunk is not None:
            following = next(chunks, None)
            if len(heard) < HEARD_SECONDS * RATE:
                heard = np.concatenate([heard, resample(np.nan_to_num(mixed(chunk))[None], rate, RATE)[0]])
            begin = self.samples - len(rest)
            self.samples += len(chunk)
            buffer = np.concatenate([rest, chunk]) if len(rest) else chunk
            last = following is None
            found = cut(levels(buffer, rate), len(buffer), rate, self.job.way, last=last, first=not self._any())
            self._take(found, buffer, begin)
            rest, chunk = buffer[found.rest :].copy(), following
        if not self.samples:
            raise BadSound("it holds no samples")
        self.record.seconds = round(self.samples / rate, 3)
        self.record.left_out = dict(self.left)
        return heard[: HEARD_SECONDS * RATE]

    def _any(self) -> bool:
        return bool(self.record.pieces) or any(reason not in ("silence", "too-short") for reason in self.left)

    def _leave(self, reason: str, samples: int) -> None:
        self.left[reason].count += 1
        self.left[reason].seconds = round(self.left[reason].seconds + samples / self.track.rate, 3)

    def _take(self, found: Cut, buffer: np.ndarray, offset: int) -> None:
        if found.silence:
            self._leave("silence", found.silence)
        for begin, end in found.ends:
            self._leave("too-short", end - begin)
        for begin, end in found.pieces:
            samples = buffer[begin:end]
            kept, one_channel = _mixable(samples)
            mono = mixed(kept)
            if reason := _wrong(samples, mono, self.track.rate):
                self._leave(reason, end - begin)
                continue
            peak = float(np.abs(kept).max())
            gain = CEILING / peak if peak > 1.0 else 1.0
            number = len(self.record.pieces) + 1
            file = staged_clip(self.job.out, self.record, number)
            _write(file, kept * np.float32(gain) if gain < 1 else kept, self.track)
            self.record.pieces.append(
                Piece(
                    file.name, round((offset + begin) / self.track.rate, 3), round((end - begin) / self.track.rate, 3),
                    one_channel, round(-20 * float(np.log10(gain)), 1),
                    base64.b64encode(fingerprint(Sound(mono[None], self.track.rate)).tobytes()).decode(),
                )
            )  # fmt: skip


def mixed(samples: np.ndarray) -> np.ndarray:
    """(n, channels) as mono (n,): their mean, in a tenth of the time that numpy takes over so short an axis."""
    return (
        samples[:, 0]
        if samples.shape[1] == 1
        else samples @ np.full(samples.shape[1], 1 / samples.shape[1], np.float32)
    )


def _mixable(samples: np.ndarray) -> tuple[np.ndarray, bool]:
    """(n, channels) as they are, or one channel (n, 1) where mixing them to mono would cancel them."""
    channels = samples.shape[1]
    if channels == 1:
        return samples, False
    powers = np.einsum("nc,nc->c", samples, samples, dtype=np.float64)
    mono = mixed(samples)
    if float(mono @ mono) >= CANCELS * 2 / channels * powers.mean():
        return samples, False
    # Of channels about as loud the first, which is left.
    return samples[:, [int(np.argmax(powers >= 0.8 * powers.max()))]], True


def _wrong(samples: np.ndarray, mono: np.ndarray, rate: int) -> str:
    """Why a clip is left out, "" if it is not. Judged as it is trained on: mixed to mono."""
    if not np.isfinite(float(np.einsum("nc,nc->", samples, samples))):
        return "not-finite"
    if float(mono @ mono) / len(mono) < 10 ** (QUIET_DB / 10) or _pauses(mono, rate) > SILENT_SHARE:
        return "near-silent"
    peak = float(np.abs(samples).max())
    if peak <= 1.0:
        return "clipped" if clipped_share(samples.T) > CLIPPED_SHARE else ""
    # What goes beyond full scale is clipped where it is flat at its top.
    flat = (np.abs(samples[1:]) >= 0.999 * peak) & (samples[1:] == samples[:-1])
    return "clipped" if flat.mean() > CLIPPED_SHARE else ""


def _pauses(mono: np.ndarray, rate: int) -> float:
    """Share of (n,) that lies in pauses."""
    silent = levels(mono[:, None], rate) < SILENT
    turns = np.flatnonzero(np.diff(np.r_[0, silent.astype(np.int8), 0]))
    lengths = turns[1::2] - turns[::2]
    return float(lengths[lengths >= PAUSE * FRAMES].sum() / max(1, len(silent)))


def _write(path: Path, samples: np.ndarray, track: Track) -> None:
    # As whole numbers: 16 and 24 bits of the source come out as the same bits.
    if track.subtype == "PCM_16":
        whole: np.ndarray = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    else:
        whole = np.clip(np.rint(samples * 8388608.0), -8388608, 8388607).astype(np.int32) * 256
    # By way of memory: libsndfile would not say that the disk is full.
    content = io.BytesIO()
    soundfile.write(content, whole, track.rate, subtype=track.subtype, format="WAV")
    path.write_bytes(content.getbuffer())
