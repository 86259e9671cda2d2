"""The samples of a track, piece by piece: by libsndfile, and what it cannot read by ffmpeg where there is one."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from engine.contract import sound
from engine.contract.sound import BadSound
from engine.data.prepare.sources import FFMPEG

CHUNK = 24_000_000
"""Values in memory at a time, four and a half minutes of a CD: a night's recording takes no more than a song."""
_SIXTEEN_BITS = ("PCM_16", "PCM_S8", "PCM_U8", "ULAW", "ALAW")
_LOSSY = ("MPEG_LAYER", "VORBIS", "OPUS", "GSM", "ADPCM")
_LOSSLESS = frozenset((".wv", ".ape", ".tta", ".dsf", ".dff", ".tak", ".alac"))
NO_FFMPEG = "it wants ffmpeg, which is not here"


@dataclass(frozen=True)
class Track:
    """An open track. ``subtype`` is what its clips are written as, "PCM_16" or "PCM_24"."""

    rate: int
    channels: int
    subtype: str
    chunks: Iterator[np.ndarray]
    """(n, channels) float32 each, as they are in the file: values may go beyond full scale."""


@contextmanager
def opened(path: Path) -> Iterator[Track]:
    """The track of a file. Raises BadSound, also while its chunks are read."""
    try:
        header = sound.header(path)
    except BadSound as error:
        # What is empty, gone or closed to us is so for ffmpeg too.
        if not path.is_file() or not os.access(path, os.R_OK) or not path.stat().st_size:
            raise
        if not shutil.which("ffmpeg"):
            raise BadSound(NO_FFMPEG if path.suffix.lower() in FFMPEG else str(error)) from None
        # What a name promises to ffmpeg alone, libsndfile has nothing to say about.
        with _by_ffmpeg(path, "" if path.suffix.lower() in FFMPEG else f"{error}, and ") as track:
            yield track
        return
    with _guarded(), soundfile.SoundFile(os.fsencode(path)) as file:
        bits = "PCM_16" if header.subtype in _SIXTEEN_BITS or header.subtype.startswith(_LOSSY) else "PCM_24"
        yield Track(header.rate, header.channels, bits, _chunks(file))


@contextmanager
def _guarded() -> Iterator[None]:
    try:
        yield
    except soundfile.LibsndfileError:
        raise BadSound("damaged, or no audio") from None


def _chunks(file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    while len(chunk := file.read(CHUNK // file.channels, dtype="float32", always_2d=True)):
        yield chunk


@contextmanager
def _by_ffmpeg(path: Path, otherwise: str) -> Iterator[Track]:
    # An AU stream tells rate and channels in front and no length, which a pipe cannot know. "file:" keeps a name with
    # a colon or a leading dash what it is.
    command: list[str | bytes] = [
        "ffmpeg", "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe", "-i", b"file:" + os.fsencode(path),
        "-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "-",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words)
        assert process.stdout is not None
        try:
            head = process.stdout.read(24)
            if len(head) < 24:
                raise BadSound(f"{otherwise}ffmpeg cannot read it")
            _, offset, _, _, rate, channels = struct.unpack(">6I", head)
            process.stdout.read(offset - 24)
            if not sound.RATES[0] <= rate <= sound.RATES[1] or not 1 <= channels <= sound.MOST_CHANNELS:
                raise BadSound(f"ffmpeg says {rate} Hz and {channels} channels")
            bits = "PCM_24" if path.suffix.lower() in _LOSSLESS else "PCM_16"
            yield Track(rate, channels, bits, _piped(process, channels))
        finally:
            process.stdout.close()
            process.kill()
            process.wait()


def _piped(process: subprocess.Popen[bytes], channels: int) -> Iterator[np.ndarray]:
    assert process.stdout is not None
    size = CHUNK // channels * channels * 4
    while content := process.stdout.read(size):
        whole = len(content) // (channels * 4) * (channels * 4)
        yield np.frombuffer(content[:whole], ">f4").astype(np.float32).reshape(-1, channels)
    if process.wait():
        raise BadSound("ffmpeg found it damaged")
