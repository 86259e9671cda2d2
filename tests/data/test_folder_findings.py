"""What lies in the data folder and is not used, and what the metadata name that is not there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engine.contract import config
from engine.contract.data import metadata
from engine.contract.errors import UserError
from engine.data.check import check, fix_split
from engine.data.findings import Finding
from engine.data.survey import used_clips
from tests.data.conftest import Data, music, tool, write


def test_audio_without_a_caption_is_counted_and_named(data: Data) -> None:
    for number, path in enumerate(sorted(data.folder.rglob("*.wav"))):
        if number < 2:
            path.with_suffix(".txt").write_text("warm drums")
    findings = without_table(data)
    finding = findings["left-out"]
    assert (finding.severity, finding.count) == ("warn", 4)
    assert finding.message == "4 files in the data folder are not used (4: no caption beside it)"
    assert len(finding.examples) == 4
    assert findings["missing-file"].message == "2 of 2 files exist"


def without_table(data: Data) -> dict[str, Finding]:
    settings = data.settings()
    (data.folder / "metadata.json").unlink()
    return {finding.id: finding for finding in check(settings).findings}


def test_audio_that_the_metadata_does_not_name_is_told(data: Data) -> None:
    write(data.folder / "train/forgotten.wav", music(30))
    finding = data.findings()["left-out"]
    assert finding.examples == ["train/forgotten.wav: metadata.json does not name it"]


def test_audio_in_a_format_that_is_not_read_is_told_unless_it_was_converted(data: Data) -> None:
    for name in ("songb", "other"):
        tool("ffmpeg", "-i", data.folder / "train/songb.wav", data.folder / f"train/{name}.m4a")
    finding = data.findings()["left-out"]
    assert finding.examples == ["train/other.m4a: M4A is not read"]


def test_captions_without_their_audio_are_told_and_other_texts_are_not(data: Data) -> None:
    for path in data.folder.rglob("*.wav"):
        path.with_suffix(".txt").write_text("warm drums")
    for name in ("train/lost.txt", "train/songb_lyrics.txt", "README.txt", "prompts.txt"):
        (data.folder / name).write_text("words")
    assert without_table(data)["left-out"].examples == ["train/lost.txt: no audio beside it"]


def test_hidden_files_and_runs_are_nobodys_clips(data: Data) -> None:
    for name in ("train/._songb.wav", ".cache/a.wav", "__MACOSX/a.wav", "runs/one/evaluation/a.wav"):
        write(data.folder / name, music(31))
    (data.folder / "runs/one/events.jsonl").write_text("")
    assert data.findings()["left-out"].severity == "ok"


def test_other_metadata_in_the_folder_is_told(data: Data) -> None:
    for name in ("metadata_by_track.json", "metadata.csv", "metadata.json.orig"):
        (data.folder / name).write_text("[]")
    finding = data.findings()["other-metadata"]
    assert (finding.severity, finding.examples) == ("info", ["metadata.csv", "metadata_by_track.json"])


def test_clips_that_training_leaves_alone_are_counted_by_split(data: Data) -> None:
    data.add("test/a.wav", music(32))
    data.add("demo/b.wav", music(33))
    finding = data.findings()["other-split"]
    assert (finding.severity, finding.clips) == ("info", ["test/a.wav", "demo/b.wav"])
    assert finding.message.endswith("that training leaves alone: test (1), demo (1)")


def test_files_that_are_found_elsewhere_are_told(data: Data) -> None:
    data.entries[1]["audio"] = "train\\songb.wav"
    finding = data.findings()["other-path"]
    assert finding.examples == ["train\\songb.wav is read from train/songb.wav"]


def test_a_missing_file_that_was_converted_names_the_other(data: Data) -> None:
    data.entries[1]["audio"] = "train/songb.mp3"
    finding = data.findings()["missing-file"]
    assert finding.examples == ["train/songb.mp3 (train/songb.wav is there)"]


def test_files_that_lie_one_level_lower_are_told(data: Data) -> None:
    for side in ("train", "valid"):
        (data.folder / "wavs").mkdir(exist_ok=True)
        shutil.move(data.folder / side, data.folder / "wavs" / side)
    finding = data.findings()["missing-file"]
    assert finding.count == 6
    assert f"They lie below {data.folder / 'wavs'}" in finding.fix


def test_one_side_of_a_data_set_says_so(data: Data) -> None:
    for path in data.folder.rglob("*.wav"):
        path.with_suffix(".txt").write_text("warm drums")
    settings = config.override(data.settings(), [f"data.dir={data.folder / 'train'}"])
    (data.folder / "metadata.json").unlink()
    finding = next(finding for finding in check(settings).findings if finding.id == "no-valid-set")
    assert finding.fix == f"{data.folder / 'train'} is one side of the data set in {data.folder}: set data.dir to that."
    with pytest.raises(UserError, match=r"set data\.dir to that"):
        used_clips(settings.data)


@pytest.mark.parametrize(
    "names",
    [
        [f"data/song{letter}.wav" for letter in "abcdef"],
        [f"artist{n}/album/0{m}.wav" for n in range(3) for m in range(2)],
        [f"wavs/0{n}.wav" for n in range(6)],
        [f"song{n}/000{m}.wav" for n in range(3) for m in range(2)],
    ],
    ids=["songs", "artists and albums", "numbers", "a folder a track"],
)
def test_a_split_comes_out_of_any_folders(tmp_path: Path, tiny_model: Path, names: list[str]) -> None:
    rows = "".join(f"{name},drums {number}\n" for number, name in enumerate(names))
    for number, name in enumerate(names):
        write(tmp_path / name, music(100 + number, 4.0))
    (tmp_path / "metadata.csv").write_text(f"file_name,text\n{rows}")
    settings = config.override(config.Settings(), [f"data.dir={tmp_path}", f"model.base={tiny_model}"])
    file = fix_split(settings)
    clips = metadata.read(config.Data(dir=str(tmp_path), metadata=file.name))
    sides = [clip.split for clip in clips]
    assert set(sides) == {"train", "valid"}
    assert [clip.text for clip in clips] == [f"drums {number}" for number in range(6)]
    if names[0].startswith("song"):
        assert all(sides[n] == sides[n + 1] for n in (0, 2, 4))


def test_pieces_in_a_folder_of_their_own_are_a_track_and_genres_are_not() -> None:
    from engine.contract.data.split import track_names

    pieces = [f"train/song{n}/{m:04d}.wav" for n in range(3) for m in range(5)]
    assert track_names(pieces) == [f"song{n}" for n in range(3) for _ in range(5)]
    assert track_names([name.replace("/", "\\") for name in pieces]) == track_names(pieces)
    genres = [f"{genre}/{m:04d}.wav" for genre in ("dub", "jazz") for m in range(50)]
    assert track_names(genres) == genres


def test_both_sides_of_a_folder_that_is_a_track_are_a_leak(data: Data) -> None:
    for number, name in enumerate(("train/mine/0001.wav", "valid/mine/0002.wav", "train/yours/0001.wav")):
        data.add(name, music(40 + number))
    assert data.findings()["track-leak"].clips == ["train/mine/0001.wav", "valid/mine/0002.wav"]


def test_clips_that_are_all_of_another_split_cannot_be_split(data: Data) -> None:
    for entry in data.entries:
        entry["split"] = "extra"
    with pytest.raises(UserError, match="No clip is in train or valid"):
        fix_split(data.settings())
    assert json.loads((data.folder / "metadata.json").read_text())[0]["split"] == "extra"
