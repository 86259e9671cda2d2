"""Reading audio files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.audio.conftest import noise
from tui.audio import clips
from tui.audio.clips import UnreadableClip


def sine(rate: int, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440.0 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize(("own", "device"), [(32_000, 48_000), (44_100, 48_000), (48_000, 44_100), (32_000, 32_000)])
def test_a_clip_is_resampled_to_the_device(tmp_path: Path, own: int, device: int) -> None:
    soundfile.write(tmp_path / "a.wav", sine(own), own, subtype="FLOAT")
    read = clips.read(tmp_path / "a.wav", device)
    assert read.shape == (device, 2)
    middle = slice(device // 10, -device // 10)
    np.testing.assert_allclose(read[middle, 0], sine(device)[middle], atol=1e-3)


def test_mono_plays_on_both_sides_and_stereo_keeps_its_sides(tmp_path: Path) -> None:
    left, right = noise(0.5, 1), noise(0.5, 2)
    soundfile.write(tmp_path / "mono.wav", left, 32_000, subtype="FLOAT")
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, right], 1), 32_000, subtype="FLOAT")
    mono, stereo = clips.read(tmp_path / "mono.wav", 32_000), clips.read(tmp_path / "stereo.wav", 32_000)
    np.testing.assert_array_equal(mono[:, 0], mono[:, 1])
    np.testing.assert_array_equal(stereo, np.stack([left, right], 1))


def test_samples_that_are_no_numbers_become_silence(tmp_path: Path) -> None:
    samples = sine(32_000)
    samples[100] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 32_000, subtype="FLOAT")
    assert np.isfinite(clips.read(tmp_path / "a.wav", 48_000)).all()


@pytest.mark.parametrize(("name", "content"), [("gone.wav", None), ("text.wav", b"not audio"), ("empty.wav", b"")])
def test_a_broken_file_is_one_sentence_that_does_not_tell_its_name(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    path = tmp_path / "base_model" / name
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    for read in (lambda: clips.read(path, 48_000), lambda: clips.duration(path), lambda: clips.browser_bytes(path)):
        with pytest.raises(UnreadableClip) as caught:
            read()
        assert "base_model" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_file_without_a_sample_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), 32_000)
    with pytest.raises(UnreadableClip, match="no sound"):
        clips.read(tmp_path / "a.wav", 48_000)


def test_a_browser_gets_wav_and_flac_as_they_are_and_the_rest_as_flac(tmp_path: Path) -> None:
    for name, subtype in (("a.wav", "PCM_16"), ("a.flac", "PCM_16"), ("a.aiff", "PCM_24")):
        soundfile.write(tmp_path / name, sine(32_000), 32_000, subtype=subtype)
    assert clips.browser_bytes(tmp_path / "a.wav") == ((tmp_path / "a.wav").read_bytes(), "audio/wav")
    assert clips.browser_bytes(tmp_path / "a.flac") == ((tmp_path / "a.flac").read_bytes(), "audio/flac")
    packed, kind = clips.browser_bytes(tmp_path / "a.aiff")
    assert kind == "audio/flac"
    np.testing.assert_allclose(soundfile.read(io.BytesIO(packed), dtype="float32")[0], sine(32_000), atol=1e-6)
