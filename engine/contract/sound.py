"""Sound files read with care: what a header promises is looked at before any memory is asked for.

The one way by which engine and panel read clips. A file says in a few bytes how long it is and how fast it plays; a
rate of 1 Hz makes resampling a thousandfold, and a forged length asks for terabytes.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATES = (1_000, 768_000)
"""Hz that a file of music may have."""
MOST_CHANNELS = 64
LONGEST = 24 * 3600.0
"""Seconds that a header may promise."""
BLOCK = 1 << 20
"""Samples read at a time, so that memory grows with what is in the file and not with what it says."""
UNTOLD = 2**63 - 1
"""What libsndfile says of the length of a FLAC that was written into a pipe."""
FORMATS = {
    ".wav": ("WAV", "WAVEX", "RF64"), ".wave": ("WAV", "WAVEX", "RF64"), ".flac": ("FLAC",), ".mp3": ("MP3",),
    ".ogg": ("OGG",), ".oga": ("OGG",), ".opus": ("OGG",), ".aif": ("AIFF",), ".aiff": ("AIFF",), ".aifc": ("AIFF",),
    ".au": ("AU",), ".caf": ("CAF",), ".w64": ("W64",),
}  # fmt: skip
"""How names of files end that are read as audio -> the formats that this promises, as libsndfile names them."""
FOREIGN = (".m4a", ".mp4", ".aac", ".wma", ".webm", ".mka", ".ape", ".wv", ".ac3", ".mpc", ".amr", ".mid", ".midi")
"""How names of sound files end that are not read."""

_BEGINNINGS = (
    (b"version https://git-lfs", 0, "a Git LFS pointer and not the sound, which `git lfs pull` brings"),
    (b"<!doctype", 0, "a web page that was saved in place of the sound"),
    (b"<html", 0, "a web page that was saved in place of the sound"),
    (b"ftyp", 4, "M4A or MP4, which ffmpeg converts"),
    (b"\x30\x26\xb2\x75", 0, "WMA, which ffmpeg converts"),
    (b"\x1a\x65\xdf\xa3", 0, "WebM or Matroska, which ffmpeg converts"),
    (b"\x0b\x77", 0, "AC-3, which ffmpeg converts"),
    (b"\xff\xf1", 0, "AAC, which ffmpeg converts"),
    (b"\xff\xf9", 0, "AAC, which ffmpeg converts"),
    (b"mac ", 0, "Monkey's Audio, which ffmpeg converts"),
    (b"wvpk", 0, "WavPack, which ffmpeg converts"),
    (b"mthd", 0, "MIDI, which holds no sound"),
    (b"pk\x03\x04", 0, "a ZIP archive"),
)
"""What files begin with that pass for sound and are not read, in small letters; from which byte on; what they are."""


class BadSound(ValueError):
    """Why a file cannot be read as audio, in a few words without its name: a blind listener may be told them."""


class Header(NamedTuple):
    frames: int
    rate: int
    """Hz"""
    channels: int
    format: str
    subtype: str
    """As libsndfile names them, such as ``("WAV", "PCM_16")``."""

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


def header(path: Path) -> Header:
    """What a WAV, FLAC, MP3 or OGG file says of itself. Raises BadSound."""
    import soundfile

    _refuse_strange(path)
    try:
        found = soundfile.info(os.fsencode(path))
    except (OSError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        # TypeError: a name that ends in .raw has no header to read the rate from.
        raise BadSound(_what_it_is(path) or _words(error)) from None
    if not RATES[0] <= found.samplerate <= RATES[1]:
        raise BadSound(f"its header says a sample rate of {found.samplerate} Hz")
    if not 1 <= found.channels <= MOST_CHANNELS:
        raise BadSound(f"its header says {found.channels} channels")
    if found.frames == UNTOLD:
        raise BadSound("it does not tell how long it is, as when it was written into a pipe; ffmpeg writes it anew")
    if not 0 <= found.frames / found.samplerate <= LONGEST:
        raise BadSound(f"its header promises {found.frames / found.samplerate / 3600:,.0f} hours of sound")
    return Header(found.frames, found.samplerate, found.channels, found.format, found.subtype)


def read(path: Path) -> tuple[NDArray[np.float32], int]:
    """The samples (frames, channels) of a file and its rate in Hz. Raises BadSound."""
    import numpy as np
    import soundfile

    said, blocks = header(path), []
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            while len(block := file.read(BLOCK // said.channels, dtype="float32", always_2d=True)):
                blocks.append(block)
    except (OSError, RuntimeError, ValueError) as error:
        raise BadSound(_words(error)) from None
    return (np.concatenate(blocks) if blocks else np.zeros((0, said.channels), np.float32)), said.rate


def is_whole(path: Path) -> bool:
    """Whether a file has sound in it, and all that its header promises: a power loss leaves files empty or cut off."""
    try:
        with open(path, "rb") as file:
            begin, size = file.read(12), os.fstat(file.fileno()).st_size
        if begin[:4] == b"RIFF" and begin[8:] == b"WAVE":
            return int.from_bytes(begin[4:8], "little") + 8 == size and header(path).frames > 0
        return 0 < header(path).frames == len(read(path)[0])
    except (OSError, ValueError):
        return False


def _refuse_strange(path: Path) -> None:
    """What is no file that we may read: a pipe would be waited for, and libsndfile has no words for the rest."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            os.close(os.open(path, os.O_RDONLY))
    except FileNotFoundError:
        raise BadSound("there is no such file") from None
    except (OSError, ValueError) as error:
        raise BadSound((getattr(error, "strerror", None) or str(error)).lower()) from None
    if stat.S_ISDIR(status.st_mode):
        raise BadSound("it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise BadSound("it is no regular file")
    if status.st_size == 0:
        raise BadSound("it is empty")


def _what_it_is(path: Path) -> str:
    """What a file is that libsndfile does not read, by how it begins; "" where that tells nothing."""
    try:
        with open(path, "rb") as file:
            begin = file.read(64).lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    except OSError:
        return ""
    return next((f"it is {what}" for sign, at, what in _BEGINNINGS if begin[at:].startswith(sign)), "")


def _words(error: Exception) -> str:
    # By libsndfile's numbers: its own words are "System error." and the file's name.
    known = {1: "it is no WAV, FLAC, MP3 or OGG", 4: "its encoding is not known"}
    return known.get(getattr(error, "code", 0), "damaged, or no audio")
