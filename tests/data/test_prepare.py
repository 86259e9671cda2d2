"""From raw tracks to a data set, on real files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutagen.id3
import numpy as np
import pytest
import soundfile

from engine.contract import config
from engine.contract.data import metadata, split
from engine.contract.errors import UserError
from engine.data.audio import resample
from engine.data.check import check
from engine.data.prepare import course, decode, plan, records
from engine.data.prepare import music as measured
from engine.data.prepare.course import Wish, prepare
from engine.data.prepare.cut import Way
from engine.demo import synth
from engine.demo.styles import KEYS, TEMPI, Clip
from tests.conftest import need
from tests.data.conftest import music, write

RATE = 16000


class Killed(BaseException):
    """The process is gone."""


def made(out: Path, *sources: Path, **how: Any) -> dict[str, Any]:
    """What prepare says of sources cut into clips of two seconds, unless told otherwise."""
    return prepare(Wish(list(sources), out, how.pop("way", Way(2)), **how), lambda done, total: None)


def tracks(folder: Path, count: int = 6, seconds: float = 7) -> Path:
    for number in range(count):
        write(folder / f"song {chr(97 + number)}.wav", music(number, seconds, RATE), RATE)
    return folder


def entries(out: Path) -> list[dict[str, str]]:
    return list(json.loads((out / "metadata.json").read_text()))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def ffmpeg(source: Path, target: Path, *words: str) -> Path:
    need(shutil.which("ffmpeg"), "ffmpeg writes this file")
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ffmpeg", "-v", "error", "-i", f"file:{source}", *words, f"file:{target}"], check=True)
    return target


def test_tracks_become_numbered_clips_with_captions_that_the_check_has_nothing_against(tmp_path: Path) -> None:
    found = made(tmp_path / "out", tracks(tmp_path / "raw", 8))
    assert found["new_tracks"] == 8
    assert found["clips"] == 24
    assert {"audio": "train/song a_0001.wav", "text": "song a", "track": "song a"} in entries(tmp_path / "out")
    settings = config.override(config.Settings(), [f'data.dir="{tmp_path / "out"}"', "data.duration=2"])
    findings = {finding.id: finding.severity for finding in check(settings).findings}
    for id in (
        "track-leak",
        "no-valid-set",
        "silence",
        "clipping",
        "missing-file",
        "unreadable-audio",
        "caption-empty",
    ):
        assert findings[id] == "ok", id


def test_a_track_lies_on_one_side_with_the_share_that_was_asked_for_and_the_same_with_the_same_seed(
    tmp_path: Path,
) -> None:
    raw = tracks(tmp_path / "raw", 10, 5)
    sides = {}
    for name, seed in (("a", 0), ("again", 0), ("b", 1)):
        found = made(tmp_path / name, raw, valid=0.3, seed=seed)
        assert found["valid"] == {"clips": 6, "tracks": 3}
        sides[name] = {entry["track"]: entry["audio"].split("/")[0] for entry in entries(tmp_path / name)}
    assert sides["a"] == sides["again"] != sides["b"]


def test_the_samples_of_a_clip_are_those_of_the_track_bit_by_bit(tmp_path: Path) -> None:
    for name, subtype, rate, channels in (
        ("a", "PCM_16", 44100, 2),
        ("b", "PCM_24", 48000, 1),
        ("c", "PCM_16", 22050, 6),
    ):
        wave = np.stack([music(n, 5, rate) for n in range(channels)], axis=1)
        wave *= 0.95 / np.abs(wave).max()
        soundfile.write(tmp_path / f"{name}.wav", wave, rate, subtype=subtype)
        made(tmp_path / f"out-{name}", tmp_path / f"{name}.wav", way=Way(2, exact=True))
        source, _ = soundfile.read(tmp_path / f"{name}.wav", dtype="int32", always_2d=True)
        clip = tmp_path / f"out-{name}" / "train" / f"{name}_0002.wav"
        header = soundfile.info(clip)
        assert (header.samplerate, header.channels, header.subtype) == (rate, channels, subtype)
        samples, _ = soundfile.read(clip, dtype="int32", always_2d=True)
        begin = next(iter(json.loads((tmp_path / f"out-{name}" / "prepared.json").read_text())["tracks"]))["pieces"][1][
            "begin"
        ]
        np.testing.assert_array_equal(samples, source[round(begin * rate) :][: len(samples)])


@pytest.mark.parametrize("ending", ["flac", "m4a"])
def test_a_long_track_that_is_read_in_chunks_gives_the_clips_of_a_short_one(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave = np.stack([music(n, 23, RATE) for n in range(2)], axis=1)
    track = ffmpeg(write(tmp_path / "x.wav", wave, RATE), tmp_path / f"a.{ending}")
    way = Way(2, exact=True, overlap=0.5)
    made(tmp_path / "whole", track, way=way)
    monkeypatch.setattr(decode, "CHUNK", 50_001)
    made(tmp_path / "out", track, way=way)
    assert len(bytes_of(tmp_path / "whole")) == 15 + 2
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize("ending", ["flac", "mp3", "ogg", "opus", "aiff", "m4a", "wma", "w64"])
def test_tracks_of_any_format_are_read_with_their_tags(ending: str, tmp_path: Path) -> None:
    source = write(tmp_path / "x.wav", music(1, 5, 44100), 44100)
    ffmpeg(source, tmp_path / "raw" / f"one.{ending}", "-metadata", "genre=Boom Bap", "-b:a", "96k")
    found = made(tmp_path / "out", tmp_path / "raw")
    assert found["clips"] == 2
    if ending not in ("aiff", "w64"):
        assert entries(tmp_path / "out")[0]["text"] == "Boom Bap"


def test_what_sox_writes_is_read(tmp_path: Path) -> None:
    need(shutil.which("sox"), "sox writes these files")
    source = write(tmp_path / "x.wav", music(1, 5, 44100), 44100)
    (tmp_path / "raw").mkdir()
    for name, words in {
        "a.wav": ("-b", "24", "-r", "48000", "-c", "2"), "b.wav": ("-e", "float", "-b", "32"), "c.au": ("-e", "u-law"),
        "d.wav": ("-b", "8"), "e.aiff": ("-r", "22050"), "f.wav": ("-c", "6"), "g.flac": ("-b", "24", "-r", "96000"),
    }.items():  # fmt: skip
        subprocess.run(["sox", "-D", source, *words, tmp_path / "raw" / name], check=True)
    found = made(tmp_path / "out", tmp_path / "raw")
    assert (found["new_tracks"], found["clips"], found["unread"]) == (7, 14, [])
    headers = {file.stem: soundfile.info(file) for file in tmp_path.glob("out/*/*_0001.wav")}
    assert {name[0]: (h.samplerate, h.channels) for name, h in headers.items()} == {
        "a": (48000, 2), "b": (44100, 1), "c": (44100, 1), "d": (44100, 1), "e": (22050, 1), "f": (44100, 6),
        "g": (96000, 1),
    }  # fmt: skip
    assert {h.subtype for name, h in headers.items() if name[0] in "abg"} == {"PCM_24"}


def test_killed_between_any_two_steps_on_the_disk_the_next_call_ends_with_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tracks(tmp_path / "raw", 3, 5)
    made(tmp_path / "whole", raw)
    whole = bytes_of(tmp_path / "whole")
    steps = {"left": 0}

    def counted(step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **how: Any) -> Any:
            if not steps["left"]:
                raise Killed
            steps["left"] -= 1
            return step(*words, **how)

        return call

    monkeypatch.setattr(plan.os, "rename", counted(os.rename))
    monkeypatch.setattr(plan, "write_atomically", counted(plan.write_atomically))
    monkeypatch.setattr(records, "write_atomically", counted(records.write_atomically))
    monkeypatch.setattr(Path, "unlink", counted(Path.unlink))
    for kill_at in range(1, 40):
        steps["left"] = kill_at
        out = tmp_path / f"out-{kill_at}"
        try:
            made(out, raw)
        except Killed:
            steps["left"] = 10**6
            made(out, raw)
            assert bytes_of(out) == whole
            continue
        assert kill_at > 10
        break


def test_without_ffmpeg_the_files_that_want_it_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tracks(tmp_path / "raw", 2)
    ffmpeg(raw / "song a.wav", raw / "two.m4a")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = made(tmp_path / "out", raw)
    assert any("need ffmpeg" in line and "two.m4a" in line for line in found["lines"])
    assert found["new_tracks"] == 2
    with pytest.raises(UserError, match=r"two\.m4a .*ffmpeg"):
        made(tmp_path / "other", raw / "two.m4a")


def test_damaged_tracks_are_told_and_a_wrong_name_is_none_of_them(tmp_path: Path) -> None:
    raw = tracks(tmp_path / "raw", 2, 4)
    (raw / "song b.wav").rename(raw / "really a wav.mp3")
    whole = ffmpeg(raw / "song a.wav", tmp_path / "whole.flac").read_bytes()
    (raw / "half.flac").write_bytes(whole[: len(whole) // 2])
    (raw / "noise.mp3").write_bytes(np.random.default_rng(0).bytes(50_000))
    found = made(tmp_path / "out", raw)
    assert {Path(one["file"]).name for one in found["unread"]} == {"half.flac", "noise.mp3"}
    assert {entry["track"] for entry in entries(tmp_path / "out")} == {"song a", "really a wav"}


def test_what_is_no_audio_is_left_out_with_its_reason_and_the_rest_is_made(tmp_path: Path) -> None:
    raw = tracks(tmp_path / "raw", 2)
    (raw / "empty.wav").touch()
    (raw / "text.wav").write_text("no audio at all " * 50)
    (raw / "cover.jpg").write_bytes(b"\xff\xd8")
    os.mkfifo(raw / "pipe.wav")
    (raw / "loop").symlink_to(raw, target_is_directory=True)
    (raw / "nowhere.wav").symlink_to(tmp_path / "gone.wav")
    found = made(tmp_path / "out", raw)
    assert found["new_tracks"] == 2
    reasons = {Path(one["file"]).name: one["reason"] for one in found["unread"]}
    assert reasons.keys() == {"empty.wav", "text.wav", "pipe.wav", "nowhere.wav"}
    assert reasons["empty.wav"] == "it is empty"
    assert found["no_audio"] == {".jpg": 1}


def test_names_with_anything_in_them_give_names_that_can_be_used(tmp_path: Path) -> None:
    names = ["-dash", "quo\"te's", "new\nline", "käse und  brot", "tab\there", "a" * 240, ".wav"]
    for number, name in enumerate(names[:-1]):
        write(tmp_path / "raw" / f"{name}.wav", music(number, 3, RATE), RATE)
    with open(os.fsencode(tmp_path / "raw") + b"/latin\xe9.wav", "wb") as file:
        file.write(write(tmp_path / "x.wav", music(50, 3, RATE), RATE).read_bytes())
    found = made(tmp_path / "out", tmp_path / "raw", valid=0.0)
    assert found["clips"] == len(names)
    made_names = {entry["audio"] for entry in entries(tmp_path / "out")}
    assert {
        "train/dash_0001.wav",
        "train/new line_0001.wav",
        "train/käse und brot_0001.wav",
        "train/latin__0001.wav",
    } < made_names
    clips = metadata.read(config.Data(dir=str(tmp_path / "out")))
    assert all(clip.audio.is_file() and clip.text for clip in clips)
    assert made(tmp_path / "out", tmp_path / "raw", valid=0.0)["new_tracks"] == 0


def test_two_tracks_of_one_name_in_two_folders_are_two_tracks(tmp_path: Path) -> None:
    for number, folder in enumerate(("one", "two", "three")):
        write(tmp_path / "raw" / folder / "01.wav", music(number, 5, RATE), RATE)
    made(tmp_path / "out", tmp_path / "raw")
    assert {entry["track"] for entry in entries(tmp_path / "out")} == {"01", "three_01", "two_01"}
    assert {entry["text"] for entry in entries(tmp_path / "out")} == {"one", "two", "three"}


def test_tracks_that_are_pieces_of_one_or_share_audio_stay_together(tmp_path: Path) -> None:
    raw = tracks(tmp_path / "raw", 6)
    for part in (1, 2, 3):
        write(raw / f"mix_part{part}.wav", music(20 + part, 5, RATE), RATE)
    whole = music(30, 12, RATE)
    write(raw / "original.wav", whole, RATE)
    write(raw / "quieter.wav", whole * 0.5, RATE)
    for seed in range(4):
        out = tmp_path / f"out-{seed}"
        found = made(out, raw, way=Way(4), valid=0.4, seed=seed)
        side = {entry["audio"].split("/")[1][:-9]: entry["audio"].split("/")[0] for entry in entries(out)}
        assert len({side[f"mix_part{part}"] for part in (1, 2, 3)}) == 1
        assert side["original"] == side["quieter"]
    assert found["shared"] == [["original", "quieter"]]


def test_stereo_that_cancels_in_mono_keeps_its_left_channel_and_says_so(tmp_path: Path) -> None:
    wave = music(1, 5, RATE)
    write(tmp_path / "raw" / "wide.wav", np.stack([wave, -0.95 * wave], axis=1), RATE)
    found = made(tmp_path / "out", tmp_path / "raw")
    samples, _ = soundfile.read(tmp_path / "out" / "train" / "wide_0001.wav", always_2d=True)
    assert samples.shape[1] == 1
    np.testing.assert_allclose(samples[:, 0], wave[: len(samples)], atol=1e-4)
    assert found["one_channel"] == ["wide"]
    assert any("cancel" in line and "wide" in line for line in found["lines"])


def test_near_silent_and_clipped_parts_are_left_out_with_a_count(tmp_path: Path) -> None:
    wave = music(1, 12, RATE)
    wave[2 * RATE : 4 * RATE] *= 0.001 / np.abs(wave).max()
    wave[6 * RATE : 8 * RATE] = np.clip(wave[6 * RATE : 8 * RATE] * 40, -1, 1)
    write(tmp_path / "raw" / "a.wav", wave, RATE)
    found = made(tmp_path / "out", tmp_path / "raw", way=Way(2, exact=True))
    assert found["clips"] == 4
    left = found["left_out"]
    assert left["clipped"] == {"count": 1, "seconds": 2.0}
    assert left.get("near-silent", left.get("silence"))["seconds"] == pytest.approx(2, abs=0.1)


def test_a_float_track_beyond_full_scale_is_turned_down_and_one_that_is_clipped_is_not_kept(tmp_path: Path) -> None:
    wave = music(1, 5, RATE)
    wave *= 1.5 / np.abs(wave).max()
    for name, samples in (("over", wave), ("flat", np.clip(wave * 8, -1.2, 1.2))):
        (tmp_path / "raw").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "raw" / f"{name}.wav", samples, RATE, subtype="FLOAT")
    found = made(tmp_path / "out", tmp_path / "raw")
    assert found["turned_down"] == ["over"]
    assert {entry["track"] for entry in entries(tmp_path / "out")} == {"over"}
    samples, _ = soundfile.read(tmp_path / "out" / "train" / "over_0001.wav")
    assert np.abs(samples).max() <= 0.991
    np.testing.assert_allclose(
        samples / np.abs(samples).max(), wave[: len(samples)] / np.abs(wave[: len(samples)]).max(), atol=1e-3
    )


def test_values_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    wave = music(1, 6, RATE)
    wave[3 * RATE] = np.nan
    (tmp_path / "raw").mkdir()
    soundfile.write(tmp_path / "raw" / "a.wav", wave, RATE, subtype="FLOAT")
    found = made(tmp_path / "out", tmp_path / "raw", way=Way(2, exact=True))
    assert found["clips"] == 2
    assert found["left_out"]["not-finite"]["count"] == 1


def test_the_caption_is_the_first_that_says_anything_or_what_was_asked_for_joined(tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "Dub"
    for number, name in enumerate(("tagged", "beside", "fields", "03 - slow_piano")):
        write(raw / f"{name}.wav", music(number, 3, RATE), RATE)
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TCON(text=["Hip-Hop; Other"]))
    tags.add(mutagen.id3.TMOO(text=["dark"]))
    tags.add(mutagen.id3.TBPM(text=["92.2"]))
    tags.add(mutagen.id3.TKEY(text=["F#m"]))
    ffmpeg(raw / "tagged.wav", raw / "tagged.mp3")
    (raw / "tagged.wav").unlink()
    tags.save(raw / "tagged.mp3")
    (raw / "beside.txt").write_text("a caption,\nby hand\n")
    (raw / "fields.json").write_text(json.dumps({"style": "boom bap", "mood": ["calm", "dark"], "bpm": 90}))

    def captions(name: str, **how: Any) -> dict[str, str]:
        made(tmp_path / name, tmp_path / "raw", **how)
        return {entry["track"]: entry["text"] for entry in entries(tmp_path / name)}

    first = captions("a")
    assert first == {
        "tagged": "Hip-Hop, dark, 92 bpm, F sharp minor",
        "beside": "a caption, by hand",
        "fields": "boom bap, calm, dark, 90 bpm",
        "03 - slow_piano": "Dub",
    }
    joined = captions("b", captions=["name", "folder"], add="zzz style, ")
    assert joined["03 - slow_piano"] == "zzz style, slow piano, Dub"
    assert captions("c", captions=["sidecar"], add="zzz", behind=True)["beside"] == "a caption, by hand, zzz"
    with pytest.raises(UserError, match="tagz"):
        captions("d", captions=["tagz"])


def test_a_table_of_the_tracks_gives_their_captions_by_text_or_by_fields(tmp_path: Path) -> None:
    raw = tracks(tmp_path / "raw", 3, 3)
    (raw / "metadata.csv").write_text("file_name,genre,mood\nsong a.wav,dub,dark\nsong b.wav,,\n")
    (raw / "metadata.json").write_text("{")
    found = made(tmp_path / "out", raw)
    said = {entry["track"]: entry["text"] for entry in entries(tmp_path / "out")}
    assert said == {"song a": "dub, dark", "song b": "song b", "song c": "song c"}
    assert any("metadata.json" in told for told in found["unread_captions"])


def test_a_second_call_adds_only_what_is_new_and_leaves_captions_that_were_mended(tmp_path: Path) -> None:
    raw, out = tracks(tmp_path / "raw", 6), tmp_path / "out"
    made(out, raw)
    mended = [{**entry, "text": "mended by hand"} for entry in entries(out)][1:]
    (out / "metadata.json").write_text(json.dumps(mended))
    before = bytes_of(out)
    assert made(out, raw)["new_tracks"] == 0
    assert bytes_of(out) == before
    write(raw / "new.wav", music(99, 7, RATE), RATE)
    (out / "metadata_by_track.json").write_text(json.dumps(mended))
    found = made(out, raw)
    assert any("metadata_by_track.json does not have the new clips" in line for line in found["lines"])
    assert (found["new_tracks"], found["known_tracks"], found["new_clips"]) == (1, 6, 3)
    assert entries(out)[: len(mended)] == mended
    assert {entry["track"] for entry in entries(out)[len(mended) :]} == {"new"}
    assert {name: content for name, content in bytes_of(out).items() if name in before and name.endswith(".wav")} == {
        name: content for name, content in before.items() if name.endswith(".wav")
    }


def test_a_renamed_source_is_known_a_changed_one_is_told_and_a_copy_is_left_out(tmp_path: Path) -> None:
    raw, out = tracks(tmp_path / "raw", 4), tmp_path / "out"
    made(out, raw)
    (raw / "song a.wav").rename(raw / "renamed.wav")
    write(raw / "song b.wav", music(77, 7, RATE), RATE)
    shutil.copy(raw / "song c.wav", raw / "copy.wav")
    (raw / "link.wav").symlink_to(raw / "song d.wav")
    before = bytes_of(out / "train") | bytes_of(out / "valid")
    found = made(out, raw)
    assert found["new_tracks"] == 0
    assert [Path(one["to"]).name for one in found["moved"]] == ["renamed.wav"]
    assert [Path(one).name for one in found["changed"]] == ["song b.wav"]
    assert sorted(Path(one["file"]).name for one in found["same"]) == ["copy.wav", "link.wav"]
    assert bytes_of(out / "train") | bytes_of(out / "valid") == before
    assert made(out, raw)["moved"] == []
    for clip in [*out.glob("*/song b_*.wav")]:
        clip.unlink()
    (out / "metadata.json").write_text(json.dumps([e for e in entries(out) if e["track"] != "song b"]))
    assert made(out, raw)["new_clips"] == 3


def test_what_belongs_to_a_known_track_joins_its_side(tmp_path: Path) -> None:
    raw, out = tracks(tmp_path / "raw", 5), tmp_path / "out"
    write(raw / "mix_part1.wav", music(40, 7, RATE), RATE)
    made(out, raw, valid=0.5)
    for number in range(2, 6):
        write(raw / f"mix_part{number}.wav", music(40 + number, 7, RATE), RATE)
    made(out, raw, valid=0.5)
    clips = metadata.read(config.Data(dir=str(out)))
    assert len({clip.split for clip in clips if clip.track == "mix"}) == 1


def test_the_data_set_may_lie_in_the_source_and_the_source_in_the_data_set(tmp_path: Path) -> None:
    raw = tracks(tmp_path / "raw", 3)
    assert made(raw / "set", raw)["new_tracks"] == 3
    assert made(raw / "set", raw)["known_tracks"] == 3
    assert made(raw / "set", raw)["new_tracks"] == 0
    around = tmp_path / "around"
    tracks(around / "raw", 3)
    assert made(around, around / "raw")["new_tracks"] == 3
    assert made(around, around)["new_tracks"] == 0


def test_a_call_that_comes_to_nothing_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.wav").touch()
    for sources in ([tmp_path / "raw"], [tmp_path / "gone"]):
        with pytest.raises(UserError):
            made(tmp_path / "out", *sources)
        assert not (tmp_path / "out").exists()


def test_a_second_prepare_of_the_same_data_set_waits_for_the_first_and_then_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, out = tracks(tmp_path / "raw", 2, 3), tmp_path / "out"
    monkeypatch.setattr(course, "PATIENCE", 0.0)
    with course._held(out), pytest.raises(UserError, match="Another prepare is at work"):
        made(out, raw)
    assert made(out, raw)["clips"] == 2


def test_a_folder_of_the_data_set_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    raw, out = tracks(tmp_path / "raw", 2, 3), tmp_path / "out"
    out.mkdir()
    (out / "train").touch()
    with pytest.raises(UserError, match="train cannot be written"):
        made(out, raw)
    (out / "train").unlink()
    assert made(out, raw)["clips"] == 2


def test_nothing_of_somebody_else_is_written_over(tmp_path: Path) -> None:
    raw, out = tracks(tmp_path / "raw", 3), tmp_path / "out"
    (out / "train").mkdir(parents=True)
    (out / "train" / "song a_0001.wav").write_text("mine")
    before = bytes_of(raw)
    made(out, raw, valid=0.0)
    assert (out / "train" / "song a_0001.wav").read_text() == "mine"
    assert "train/raw_song a_0001.wav" in {entry["audio"] for entry in entries(out)}
    assert bytes_of(raw) == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "metadata.json").write_text('[{"audio": "a.wav", "text": "mine"}]')
    with pytest.raises(UserError, match="prepare did not write"):
        made(other, raw)
    assert [path.name for path in other.iterdir()] == ["metadata.json"]
    with pytest.raises(UserError, match="cut as 2s and not as 3s"):
        made(out, raw, way=Way(3))


def test_a_data_set_split_again_keeps_tracks_together(tmp_path: Path) -> None:
    out = tmp_path / "out"
    made(out, tracks(tmp_path / "raw", 8))
    clips = metadata.read(config.Data(dir=str(out)))
    for seed in range(3):
        sides = split.split_by_track(clips, [], seed)
        by_track = {(clip.track, side) for clip, side in zip(clips, sides, strict=True)}
        assert len(by_track) == 8
    assert split.tracks(clips) == [clip.track for clip in clips]


def test_tempo_and_key_are_told_only_where_they_are_sure() -> None:
    told: dict[str, set[int | None]] = {"techno": set(), "strings": set()}
    for style, found in told.items():
        for tempo in TEMPI:
            wave = synth.render(Clip(style, tempo, KEYS[0], 1, 4), frames=1000)
            bpm = measured.tempo(resample(wave[None], synth.SAMPLE_RATE, measured.RATE)[0])
            assert bpm in (None, tempo.bpm)
            found.add(bpm)
    assert told == {"techno": {94, 125, None}, "strings": {None}}
    assert measured.tempo(np.random.default_rng(0).normal(0, 0.1, 60 * measured.RATE)) is None


def _cadence(third: int, root: float) -> np.ndarray:
    """I IV V I with the bass on the roots, (n,) at the rate of the measurement."""

    def tone(pitch: float, seconds: float) -> np.ndarray:
        time = np.arange(int(seconds * measured.RATE)) / measured.RATE
        return np.asarray(sum(np.sin(2 * np.pi * pitch * n * time) / n for n in (1, 2, 3)) * np.exp(-1.5 * time) * 0.1)

    chords = (((0, third, 7), 4), ((5, 5 + third, 12), 2), ((7, 11, 14), 2), ((0, third, 7), 4))
    bars = [
        sum(tone(root * 2 ** (step / 12), 0.5 * beats) for step in chord)
        + 2 * tone(root / 2 * 2 ** (chord[0] / 12), 0.5 * beats)
        for chord, beats in chords
    ]
    return np.tile(np.concatenate(bars), 10)


def test_a_key_is_told_where_the_bass_says_the_same() -> None:
    assert measured.key(_cadence(4, 130.81)) == "C major"
    assert measured.key(_cadence(3, 185.0)) == "F sharp minor"
    assert measured.key(np.random.default_rng(0).normal(0, 0.1, 60 * measured.RATE)) is None
