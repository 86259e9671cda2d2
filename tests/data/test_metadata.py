"""Every layout of captions and splits that people keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.contract import config
from engine.contract.data import metadata
from engine.contract.errors import UserError


def read(folder: Path, name: str = "metadata.json") -> list[tuple[str, str, str]]:
    clips = metadata.read(config.Data(dir=str(folder), metadata=name))
    return [(clip.split, clip.audio.relative_to(folder.resolve()).as_posix(), clip.text) for clip in clips]


def put(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


EXPECTED = [("train", "train/a.wav", "soft drums"), ("valid", "valid/b.wav", "loud bass")]


def test_a_list_of_audio_and_text(tmp_path: Path) -> None:
    rows = [{"audio": "train/a.wav", "text": "soft drums"}, {"audio": "valid/b.wav", "text": "loud bass"}]
    put(tmp_path / "metadata.json", json.dumps(rows))
    assert read(tmp_path) == EXPECTED


def test_a_byte_order_mark_and_odd_spaces_do_no_harm(tmp_path: Path) -> None:
    put(tmp_path / "metadata.json", "\ufeff" + json.dumps([{"audio": "train/a.wav", "text": "  soft\n drums "}]))
    assert read(tmp_path) == EXPECTED[:1]


def test_huggingface_jsonl_and_csv_at_the_root(tmp_path: Path) -> None:
    lines = [
        '{"file_name": "train/a.wav", "text": "soft drums"}',
        "",
        '{"file_name": "valid/b.wav", "text": "loud bass"}',
    ]
    put(tmp_path / "jsonl" / "metadata.jsonl", "\n".join(lines))
    assert read(tmp_path / "jsonl") == EXPECTED
    put(tmp_path / "csv" / "metadata.csv", "file_name,caption\ntrain/a.wav,soft drums\nvalid/b.wav,loud bass\n")
    assert read(tmp_path / "csv") == EXPECTED
    assert read(tmp_path / "csv", "metadata.csv") == EXPECTED


def test_huggingface_metadata_inside_each_split(tmp_path: Path) -> None:
    put(tmp_path / "train" / "metadata.csv", 'file_name,text\na.wav,"soft drums"\n')
    put(tmp_path / "valid" / "metadata.csv", "file_name,text\nb.wav,loud bass\n")
    assert read(tmp_path) == EXPECTED


def test_a_text_file_beside_each_audio_file(tmp_path: Path) -> None:
    for name, text in (("train/a", "soft drums\n"), ("valid/b", "loud bass")):
        put(tmp_path / f"{name}.wav")
        put(tmp_path / f"{name}.txt", text)
    put(tmp_path / "train" / "uncaptioned.wav")
    assert read(tmp_path) == EXPECTED


def test_audiocrafts_json_beside_each_audio_file(tmp_path: Path) -> None:
    for name, text in (("train/a", "soft drums"), ("valid/b", "loud bass")):
        put(tmp_path / f"{name}.wav")
        put(tmp_path / f"{name}.json", json.dumps({"description": text, "bpm": 90}))
    assert read(tmp_path) == EXPECTED


def test_a_caption_of_several_lines_stays_one_caption(tmp_path: Path) -> None:
    put(tmp_path / "csv" / "metadata.csv", 'file_name,text\ntrain/a.wav,"soft\ndrums"\nvalid/b.wav,loud bass\n')
    assert read(tmp_path / "csv") == EXPECTED
    lines = [
        '{"file_name": "train/a.wav", "text": "soft\u2028drums"}',
        '{"file_name": "valid/b.wav", "text": "loud bass"}',
    ]
    put(tmp_path / "jsonl" / "metadata.jsonl", "\n".join(lines))
    assert read(tmp_path / "jsonl") == EXPECTED


def test_links_belong_to_the_split_that_they_lie_in(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "train" / "b.wav")
    put(tmp_path / "data" / "train" / "a.wav")
    (tmp_path / "data" / "valid").mkdir()
    (tmp_path / "data" / "valid" / "b.wav").symlink_to(tmp_path / "elsewhere" / "train" / "b.wav")
    put(tmp_path / "data" / "train" / "a.txt", "soft drums")
    put(tmp_path / "data" / "valid" / "b.txt", "loud bass")
    assert read(tmp_path / "data") == EXPECTED
    rows = [{"audio": "train/a.wav", "text": "soft drums"}, {"audio": "valid/b.wav", "text": "loud bass"}]
    put(tmp_path / "data" / "metadata.json", json.dumps(rows))
    assert read(tmp_path / "data") == EXPECTED


@pytest.mark.parametrize("name", ["valid", "validation", "val", "dev", "Valid"])
def test_names_of_the_valid_split(tmp_path: Path, name: str) -> None:
    put(tmp_path / "metadata.json", json.dumps([{"audio": f"{name}/b.wav", "text": "x"}]))
    assert read(tmp_path)[0][0] == "valid"


def test_a_split_written_beside_a_clip_wins_over_its_folder(tmp_path: Path) -> None:
    put(tmp_path / "metadata.json", json.dumps([{"audio": "train/a.wav", "text": "x", "split": "valid"}]))
    assert read(tmp_path)[0][0] == "valid"


def test_files_outside_a_split_folder_are_train_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path / "metadata.json", json.dumps([{"audio": "a.wav", "text": "x"}, {"audio": "test/b.wav", "text": "y"}]))
    clips = metadata.read(config.Data(dir=str(tmp_path)))
    assert [clip.split for clip in clips] == ["train", "test"]
    assert metadata.of_split(clips, "train") == clips[:1]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("metadata.json", "[{]", "is no valid JSON"),
        ("metadata.json", '{"audio": "a.wav"}', "must be a list"),
        ("metadata.json", "[]", "names no clip"),
        ("metadata.json", '[{"audio": "train/a.wav", "text": "x"}, {"audio": 3, "text": "y"}]', "Entry 2 of"),
        ("metadata.json", '["train/a.wav"]', "Entry 1 of"),
        ("metadata.jsonl", '{"file_name": "a.wav", "text": "x"}\n{', "line 2 is no valid JSON"),
        ("metadata.csv", "file,words\na.wav,x\n", 'no column with captions, but file, words; call it "text"'),
        pytest.param(
            "metadata.csv", f"file_name,text\na.wav,{'x' * 200_000}", "line 2 is no valid CSV", id="long line"
        ),
        ("metadata.json", '[{"audio": "a.wav", "text": "x", "split": 1}]', "has the split 1; write"),
        ("metadata.json", '[{"audio": "a\\u0000.wav", "text": "x"}]', "that no file can have"),
        ("metadata.json", '[{"audio": "a.wav", "text": "half \\ud83c"}]', "Entry 1 of .* middle of a character"),
        ("metadata.json", '[{"audio": "\\ud83c.wav", "text": "x"}]', "that no file can have"),
        pytest.param("metadata.json", "[" * 100_000, "is no valid JSON", id="nested"),
        ("metadata.json", json.dumps([{"audio": "a" * 300 + ".wav", "text": "x"}]), "that no file can have"),
    ],
)
def test_broken_metadata_is_one_sentence(tmp_path: Path, name: str, content: str, sentence: str) -> None:
    put(tmp_path / name, content)
    with pytest.raises(UserError, match=sentence) as caught:
        read(tmp_path, name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_captions_in_an_encoding_that_says_what_it_is_are_read(tmp_path: Path, encoding: str) -> None:
    put(tmp_path / "txt" / "train" / "a.wav")
    (tmp_path / "txt" / "train" / "a.txt").write_bytes("café, 鋼琴".encode(encoding))
    assert read(tmp_path / "txt") == [("train", "train/a.wav", "café, 鋼琴")]
    (tmp_path / "metadata.csv").write_bytes("file_name,text\ntrain/a.wav,café\n".encode(encoding))
    assert read(tmp_path) == [("train", "train/a.wav", "café")]


def test_captions_in_another_encoding_are_named_and_none_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "train" / "fine.wav")
    put(tmp_path / "train" / "fine.txt", "soft drums")
    for name, content in (("a.txt", "ca\nfé".encode("cp1252")), ("b.json", b"{"), ("c.json", b'{"text": "\\ud83c"}')):
        put(tmp_path / "train" / f"{name[0]}.wav")
        (tmp_path / "train" / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    sentence = str(caught.value)
    assert "3 captions in" in sentence
    assert "a.txt is not UTF-8 from line 2, byte 5 of the file on" in sentence
    assert "b.json is no valid JSON" in sentence
    assert "c.json was cut in the middle of a character" in sentence
    assert "iconv -f WINDOWS-1252 -t UTF-8" in sentence


def test_a_folder_that_is_missing_or_holds_no_metadata_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data folder .* does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"There is no metadata\.json in"):
        read(tmp_path)
