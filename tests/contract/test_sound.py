"""Sound files: what their headers promise, and whether all of it is there."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.contract import sound
from engine.contract.errors import UserError
from engine.data.audio import read_for_model, seconds_of
from tui.audio import clips
from tui.review import envelope, loudness


def wav(rate: int = 32_000, promised: int = 64_000, channels: int = 1) -> bytes:
    """A WAV file of 32,000 silent samples with any header."""
    form = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * 2 * channels % 2**32, 2 * channels, 16)
    data = b"WAVEfmt " + form + b"data" + struct.pack("<I", promised) + bytes(64_000)
    return b"RIFF" + struct.pack("<I", len(data)) + data


def flac(path: Path, promised: int) -> None:
    """A FLAC file of a second that says it has so many samples."""
    soundfile.write(path, np.zeros(32_000, np.float32), 32_000)
    content = bytearray(path.read_bytes())
    told = int.from_bytes(content[18:26], "big") >> 36 << 36 | promised
    content[18:26] = told.to_bytes(8, "big")
    path.write_bytes(content)


@pytest.fixture(params=["rate of 1 Hz", "rate of 2147483647 Hz", "hours"])
def forged(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "best_model" / "clip.wav"
    path.parent.mkdir()
    if request.param == "hours":
        path = path.with_suffix(".flac")
        flac(path, 2**36 - 1)
    else:
        path.write_bytes(wav(rate=int(request.param.split()[2])))
    return path, request.param


def test_what_a_header_promises_is_refused_before_memory_is_asked_for(forged: tuple[Path, str]) -> None:
    path, why = forged
    for read in (sound.header, sound.read):
        with pytest.raises(sound.BadSound, match=why):
            read(path)
    for read in (seconds_of, lambda path: read_for_model(path, 32_000, 1), lambda path: envelope.peaks(path, 60)):
        with pytest.raises(UserError, match=why) as said:
            read(path)
        assert str(path) in str(said.value)
    for read in (clips.duration, clips.browser_bytes, lambda path: clips.read(path, 48_000)):
        with pytest.raises(clips.UnreadableClip, match=why) as unheard:
            read(path)
        assert "best_model" not in str(unheard.value)
    assert loudness.measure(path) is None


def test_hours_that_are_not_there_take_no_memory(tmp_path: Path) -> None:
    flac(tmp_path / "a.flac", 20_000 * 32_000)
    tracemalloc.start()
    with pytest.raises(sound.BadSound, match="damaged"):
        sound.read(tmp_path / "a.flac")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert not sound.is_whole(tmp_path / "a.flac")


def test_a_pipe_is_no_clip_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(sound.BadSound, match="no regular file"):
        sound.header(tmp_path / "a.wav")


def test_a_file_is_whole_when_all_that_its_header_says_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    for content, whole in (
        (wav(), True),
        (wav()[:-1], False),
        (wav()[:44], False),
        (b"", False),
        (bytes(64_044), False),
    ):
        path.write_bytes(content)
        assert sound.is_whole(path) is whole
    soundfile.write(tmp_path / "a.flac", np.zeros(32_000, np.float32), 32_000)
    assert sound.is_whole(tmp_path / "a.flac")
    assert not sound.is_whole(tmp_path / "gone.wav")
    assert not sound.is_whole(tmp_path / "a\0.wav")
    assert not sound.is_whole(tmp_path / ("x" * 300))


def test_what_is_wrong_is_said_in_our_words_and_without_the_name(tmp_path: Path) -> None:
    path = tmp_path / "best: model.wav"
    path.write_bytes(b"no audio at all")
    with pytest.raises(sound.BadSound, match=r"^it is no WAV, FLAC, MP3 or OGG$"):
        sound.read(path)


def test_a_name_that_is_no_utf_8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9 \x1b[2J.wav"
    path.write_bytes(wav())
    assert sound.read(path)[0].shape == (32_000, 1)
