"""What is wrong with how clips sound, in files that ffmpeg, sox and soundfile wrote."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.contract import sound
from engine.contract.errors import UserError
from engine.data import audio
from tests.data.conftest import RATE, Data, music, tool, write
from tests.models import build_tiny


def about(data: Data, id: str) -> tuple[str, list[str], list[str]]:
    finding = data.findings()[id]
    return finding.severity, finding.clips, finding.examples


def test_a_clip_that_is_silent_once_it_is_mixed_is_silent(data: Data) -> None:
    left = music(40)
    data.add("train/inverted.wav", np.stack([left, -left], axis=1))
    tool("sox", write(data.folder / "mono.wav", music(41), RATE), data.folder / "train/sox.wav", "remix", "1", "1i")
    (data.folder / "mono.wav").unlink()
    data.entries.append({"audio": "train/sox.wav", "text": "drums"})
    severity, clips, examples = about(data, "silence")
    assert (severity, clips) == ("warn", ["train/inverted.wav", "train/sox.wav"])
    assert examples[0].endswith("100% silent")
    assert about(data, "mono-cancellation")[2] == [
        "train/inverted.wav: nothing is left",
        "train/sox.wav: nothing is left",
    ]


@pytest.mark.parametrize(
    ("right", "cancels"),
    [
        (lambda left, other: left, False),
        (lambda left, other: np.zeros_like(left), False),
        (lambda left, other: other, False),
        (lambda left, other: -0.5 * left, True),
        (lambda left, other: -left + 0.3 * other, True),
    ],
    ids=["the same", "silent", "another", "half of it inverted", "nearly inverted"],
)
def test_only_channels_that_cancel_are_told(
    data: Data, right: Callable[[np.ndarray, np.ndarray], np.ndarray], cancels: bool
) -> None:
    left, other = music(42), music(43)
    data.add("train/stereo.wav", np.stack([left, right(left, other)], axis=1))
    assert (about(data, "mono-cancellation")[1] == ["train/stereo.wav"]) is cancels


def test_six_channels_of_which_one_sounds_do_not_cancel(data: Data) -> None:
    data.add("train/six.wav", np.stack([music(44), *[np.zeros(8 * RATE, np.float32)] * 5], axis=1))
    assert about(data, "mono-cancellation")[0] == "ok"
    assert about(data, "extra-channels")[0] == "ok"


def test_what_a_stereo_model_hears_does_not_cancel_and_further_channels_are_told(tmp_path: Path) -> None:
    data = Data(tmp_path / "data", build_tiny(tmp_path / "stereo", channels=2))
    data.add("train/inverted.wav", np.stack([music(45), -music(45)], axis=1))
    data.add("train/three.wav", np.stack([music(46)] * 3, axis=1))
    findings = data.findings()
    assert findings["mono-cancellation"].severity == findings["silence"].severity == "ok"
    assert findings["extra-channels"].clips == ["train/three.wav"]


def test_the_check_measures_what_training_reads(data: Data) -> None:
    samples = np.stack([music(47), -music(47)], axis=1)
    samples[100:200] = np.nan
    file = write(data.folder / "train/x.wav", samples)
    soundfile.write(file, samples, RATE, subtype="FLOAT")
    trained = audio.read_for_model(file, 16000, 1)
    assert np.isfinite(trained).all()
    assert np.abs(trained).max() < 1e-6


@pytest.mark.parametrize(
    ("subtype", "gain", "beyond"),
    [("PCM_16", 40.0, False), ("FLOAT", 40.0, True), ("DOUBLE", 40.0, True), ("FLOAT", 1.0, False)],
)
def test_only_floats_go_beyond_full_scale(data: Data, subtype: str, gain: float, beyond: bool) -> None:
    loud = music(48) / np.abs(music(48)).max() * gain
    data.add("train/loud.wav", np.clip(loud, -1, 1) if subtype == "PCM_16" else loud, subtype=subtype)
    findings = data.findings()
    assert (findings["beyond-full-scale"].clips == ["train/loud.wav"]) is beyond
    if beyond:
        assert findings["beyond-full-scale"].examples == ["train/loud.wav: peak +32.0 dBFS"]
    # What is beyond full scale is not cut there.
    assert (findings["clipping"].severity == "warn") is (subtype == "PCM_16")


def test_a_loud_mp3_overshoots_and_is_not_told(data: Data) -> None:
    loud = write(data.folder / "loud.wav", np.clip(music(49) * 5, -0.999, 0.999))
    tool("ffmpeg", "-i", loud, "-b:a", "64k", data.folder / "train/loud.mp3")
    loud.unlink()
    data.entries.append({"audio": "train/loud.mp3", "text": "loud drums"})
    assert np.abs(soundfile.read(data.folder / "train/loud.mp3")[0]).max() > 1
    assert about(data, "beyond-full-scale")[0] == "ok"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_counted_and_trained_as_silence(data: Data, value: float) -> None:
    samples = music(50)
    samples[1000:1003] = value
    data.add("train/holes.wav", samples, subtype="FLOAT")
    assert about(data, "non-finite") == ("warn", ["train/holes.wav"], ["train/holes.wav: 3 samples"])
    whole = music(50)
    whole[1000:1003] = 0
    trained = audio.read_for_model(data.folder / "train/holes.wav", 16000, 1)
    assert np.array_equal(trained[0], audio.resample(whole[None], RATE, 16000)[0])


def test_a_sample_rate_below_the_models_is_told(data: Data) -> None:
    tool("sox", data.folder / "train/songb.wav", "-r", "8000", data.folder / "train/phone.wav")
    data.entries.append({"audio": "train/phone.wav", "text": "a telephone"})
    finding = data.findings()["low-sample-rate"]
    assert (finding.severity, finding.examples) == ("warn", ["train/phone.wav: 8000 Hz"])
    assert finding.message.startswith("1 clip has a sample rate below the model's 16000 Hz")


def test_a_name_that_says_another_format_than_the_content_is_told_and_the_content_read(data: Data) -> None:
    for name, suffix in (("as_wav.wav", "mp3"), ("as_mp3.mp3", "flac"), ("fine.wav", "wav"), ("fine.opus", "opus")):
        source = data.folder / f"x.{suffix}"
        tool("ffmpeg", "-i", data.folder / "train/songb.wav", source)
        source.rename(data.folder / "train" / name)
        data.entries.append({"audio": f"train/{name}", "text": "drums"})
    findings = data.findings()
    assert findings["format-mismatch"].examples == ["train/as_wav.wav: holds MP3", "train/as_mp3.mp3: holds FLAC"]
    assert findings["unreadable-audio"].severity == "ok"


@pytest.mark.parametrize("suffix", ["aiff", "aif", "au", "caf", "w64", "ogg", "opus", "flac", "mp3", "WAV", "wave"])
def test_formats_that_libsndfile_reads_are_read_whole(data: Data, suffix: str) -> None:
    kind = {"wave": "wav", "WAV": "wav", "aif": "aiff"}.get(suffix, suffix)
    name = data.folder / f"train/other.{suffix}"
    tool("ffmpeg", "-i", data.folder / "train/songb.wav", *(["-f", kind] if kind == "wav" else []), name)
    data.entries.append({"audio": f"train/{name.name}", "text": "drums"})
    findings = data.findings()
    told = {id for id, finding in findings.items() if f"train/{name.name}" in finding.clips}
    assert told == {"duplicate-audio"}


@pytest.mark.parametrize(
    ("suffix", "sentence"),
    [("m4a", "it is M4A or MP4"), ("wma", "it is WMA"), ("webm", "it is WebM or Matroska"), ("aac", "it is AAC")],
)
def test_a_format_that_is_not_read_is_named_whatever_the_file_is_called(data: Data, suffix: str, sentence: str) -> None:
    tool("ffmpeg", "-i", data.folder / "train/songb.wav", data.folder / f"x.{suffix}")
    (data.folder / f"x.{suffix}").rename(data.folder / "train/songb.wav")
    finding = data.findings()["unreadable-audio"]
    assert (finding.severity, finding.clips) == ("block", ["train/songb.wav"])
    assert f"({sentence}, which ffmpeg converts)" in finding.examples[0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html><title>404</title>", "a web page that was saved in place of the sound"),
        (b"PK\x03\x04" + bytes(60), "a ZIP archive"),
    ],
)
def test_what_was_saved_in_place_of_a_sound_is_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        audio.read_audio(tmp_path / "a.wav")


def piped(source: Path, target: Path, *arguments: str) -> None:
    """What ffmpeg writes where it cannot go back to fill in the header."""
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    command = ["ffmpeg", "-v", "error", "-i", str(source), *arguments, "-"]
    target.write_bytes(subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout)


@pytest.fixture
def song(data: Data) -> Path:
    """Eight seconds whose bit rate varies: silence, then music."""
    samples = np.concatenate([np.zeros(4 * RATE, np.float32), music(60, 4.0)])
    return write(data.folder / "song.wav", samples)


@pytest.mark.parametrize("how", ["cut.wav", "cut.mp3", "cut.ogg", "piped.mp3", "two.mp3", "two.ogg"])
def test_sound_that_is_not_given_is_told(data: Data, song: Path, how: str) -> None:
    target, suffix = data.folder / "train" / how, how[-3:]
    if how == "piped.mp3":
        piped(song, target, "-q:a", "3", "-f", "mp3")
    else:
        whole = data.folder / f"whole.{suffix}"
        tool("ffmpeg", "-i", song, "-b:a", "96k", "-ar", "44100", whole)
        content = whole.read_bytes()
        target.write_bytes(content * 2 if how.startswith("two") else content[: len(content) // 2])
    data.entries.append({"audio": f"train/{how}", "text": "drums"})
    assert about(data, "cut-short")[:2] == ("warn", [f"train/{how}"])


@pytest.mark.parametrize("suffix", ["wav", "ogg", "w64", "mp3", "adts"])
def test_a_file_that_was_written_into_a_pipe_whole_is_whole(data: Data, song: Path, suffix: str) -> None:
    target = data.folder / f"train/piped.{suffix}"
    piped(song, target, *(["-b:a", "128k"] if suffix == "mp3" else []), "-f", suffix)
    data.entries.append({"audio": f"train/{target.name}", "text": "drums"})
    findings = data.findings()
    assert findings["cut-short"].severity == "ok"
    assert (findings["unreadable-audio"].severity == "ok") is (suffix != "adts")


def test_a_flac_that_does_not_tell_its_length_says_so(song: Path, tmp_path: Path) -> None:
    piped(song, tmp_path / "a.flac", "-f", "flac")
    with pytest.raises(sound.BadSound, match="does not tell how long it is"):
        sound.header(tmp_path / "a.flac")


def test_windows_are_counted_of_what_an_mp3_holds(data: Data, song: Path) -> None:
    tool("ffmpeg", "-i", song, "-b:a", "96k", "-ar", "44100", data.folder / "whole.mp3")
    content = (data.folder / "whole.mp3").read_bytes()
    (data.folder / "cut.mp3").write_bytes(content[: len(content) // 2])
    assert sound.header(data.folder / "cut.mp3").seconds > 7
    read = audio.read_for_model(data.folder / "cut.mp3", 16000, 1).shape[1] / 16000
    assert audio.seconds_of(data.folder / "cut.mp3") == pytest.approx(read, abs=0.001)
    assert read < 5
