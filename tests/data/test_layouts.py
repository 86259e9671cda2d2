"""Data sets as other programs and machines leave them: read where there is no doubt, refused by name where there is."""

from __future__ import annotations

import gzip
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from engine.contract import config
from engine.contract.data import metadata
from engine.contract.errors import UserError

ROWS = [("train/a.wav", "soft drums"), ("valid/b.wav", "loud, low bass")]
EXPECTED = [("train", "train/a.wav", "soft drums"), ("valid", "valid/b.wav", "loud, low bass")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, _ in ROWS:
        touch(tmp_path / "set" / name)
    return tmp_path / "set"


def touch(path: Path, content: str | bytes = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(folder: Path, name: str = "metadata.json") -> list[tuple[str, str, str]]:
    clips = metadata.read(config.Data(dir=str(folder), metadata=name, cache_dir=str(folder.parent / "cache")))
    return [(clip.split, clip.audio.relative_to(folder.resolve()).as_posix(), clip.text) for clip in clips]


def refusal(folder: Path, name: str = "metadata.json") -> str:
    with pytest.raises(UserError) as caught:
        read(folder, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- tables


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("head", [("file_name", "text"), ("Audio Path", "Caption "), ("text", "file")])
def test_a_table_is_read_by_its_header_whatever_delimits_it(
    folder: Path, delimiter: str, encoding: str, head: tuple[str, str]
) -> None:
    rows = [head, *(row[::-1] if head[0] == "text" else row for row in ROWS)]
    lines = [delimiter.join(f'"{cell}"' if "," in cell else cell for cell in row) for row in rows]
    touch(folder / "metadata.csv", "\r\n".join([*lines, ""]).encode(encoding))
    assert read(folder) == EXPECTED


def test_a_table_that_excel_or_nobody_gave_a_header_is_read(folder: Path) -> None:
    touch(folder / "metadata.csv", 'sep=;\nfile_name;text\ntrain/a.wav;soft drums\nvalid/b.wav;"loud, low bass"\n')
    assert read(folder) == EXPECTED
    touch(folder / "metadata.csv", 'train/a.wav|soft drums\nvalid/b.wav|"loud, low bass"\n')
    assert read(folder) == EXPECTED
    touch(folder / "metadata.csv").unlink()
    touch(folder / "metadata.tsv", "file_name\ttext\ntrain/a.wav\tsoft drums\nvalid/b.wav\tloud, low bass\n")
    assert read(folder) == EXPECTED


def test_a_caption_with_commas_that_nobody_quoted_is_whole_or_refused_with_its_line(folder: Path) -> None:
    touch(folder / "metadata.csv", "file_name,text\ntrain/a.wav,soft drums\nvalid/b.wav,loud, low bass\n")
    assert read(folder) == EXPECTED
    touch(folder / "metadata.csv", "file_name,text,bpm\ntrain/a.wav,soft drums,90\nvalid/b.wav,loud, low bass,90\n")
    assert "metadata.csv line 3 has 4 cells and the header 3; put captions that hold a" in refusal(folder)


def test_a_quotation_mark_that_is_never_closed_swallows_no_clips(folder: Path) -> None:
    touch(folder / "metadata.csv", 'file_name,text\ntrain/a.wav,"soft drums\nvalid/b.wav,loud bass\n')
    assert "line 2 has a quotation mark that is never closed" in refusal(folder)
    touch(folder / "metadata.csv", 'file_name,text\ntrain/a.wav,soft "dusty" drums\nvalid/b.wav,7" noise\n')
    assert [text for _, _, text in read(folder)] == ['soft "dusty" drums', '7" noise']


@pytest.mark.parametrize("name", ["metadata.json", "metadata.jsonl"])
@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"audio": name, "text": text} for name, text in ROWS]),
        "\n".join(json.dumps({"file_name": name, "text": text}) for name, text in ROWS),
        json.dumps({"version": 1, "data": [{"audio": name, "text": text} for name, text in ROWS]}),
        json.dumps({"train": [{"path": "train/a.wav", "caption": "soft drums"}],
                    "validation": [{"path": "valid/b.wav", "caption": "loud, low bass"}]}),
        json.dumps(dict(ROWS)),
        json.dumps({name: {"caption": text, "bpm": 90} for name, text in ROWS}),
        json.dumps({"audio": [name for name, _ in ROWS], "text": [text for _, text in ROWS]}),
        json.dumps([{"audio": {"path": name, "bytes": None}, "text": text} for name, text in ROWS]),
        json.dumps([{"audio": {"path": name, "array": [0.0]}, "text": [text]} for name, text in ROWS]),
    ],
    ids=["list", "lines", "under a word", "by split", "by name", "objects by name", "columns", "dict", "dict, list"],
)  # fmt: skip
def test_json_is_read_in_each_form_that_leaves_no_doubt(folder: Path, name: str, content: str) -> None:
    touch(folder / name, content)
    assert read(folder) == EXPECTED


def test_a_dict_that_hugging_face_wrote_into_a_table_is_read(folder: Path) -> None:
    cells = "\n".join(f"\"{{'bytes': None, 'path': '{name}'}}\",\"{text}\"" for name, text in ROWS)
    touch(folder / "metadata.csv", f"audio,text\n{cells}\n")
    assert read(folder) == EXPECTED


@pytest.mark.parametrize("nothing", ["null", "NaN", '""', '"  "'])
def test_a_caption_that_is_nothing_rejects_no_other(folder: Path, nothing: str) -> None:
    touch(
        folder / "metadata.json",
        f'[{{"audio": "train/a.wav", "text": {nothing}}}, {{"audio": "valid/b.wav", "text": "x"}}]',
    )
    assert read(folder) == [("train", "train/a.wav", ""), ("valid", "valid/b.wav", "x")]


def test_of_two_columns_that_hold_captions_the_one_that_is_filled_counts(folder: Path) -> None:
    rows = [{"file_name": "train/a.wav", "text": None, "caption": "soft drums"}]
    touch(folder / "metadata.json", json.dumps(rows))
    assert read(folder) == EXPECTED[:1]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("ytid,aspect\nabc,drums\n", 'no column that names the audio, but ytid, aspect; call it "file_name"'),
        ("file_name,genre,mood\ntrain/a.wav,dub,dark\n", "no column with captions, but file_name, genre, mood"),
        ("file_name,text\n,soft\ntrain/a.wav,x\n,y\n", "Line 2 of .* has no audio path .and 1 more such entries"),
    ],
)  # fmt: skip
def test_a_table_without_the_columns_names_those_it_has(folder: Path, content: str, sentence: str) -> None:
    import re

    touch(folder / "metadata.csv", content)
    assert re.search(sentence, refusal(folder))


@pytest.mark.parametrize("value", [True, ["a", "b"], {"en": "a"}])
def test_a_caption_that_is_no_text_is_refused_with_its_place(folder: Path, value: Any) -> None:
    touch(folder / "metadata.json", json.dumps([{"audio": "train/a.wav", "text": value}]))
    assert "Entry 1 of" in refusal(folder)
    assert "has a caption that is" in refusal(folder)


def test_a_spreadsheet_and_a_torn_archive_are_named(folder: Path) -> None:
    touch(folder / "metadata.csv", b"PK\x03\x04xlsx")
    assert "is a spreadsheet or an archive; save it as CSV" in refusal(folder)
    (folder / "metadata.csv").unlink()
    touch(folder / "data.jsonl.gz", gzip.compress(b"{}" * 100)[:-9])
    assert "is no whole gzip archive" in refusal(folder)


# -- where the audio is


@pytest.mark.parametrize(
    ("named", "lies"),
    [
        ("train\\a.wav", "train/a.wav"),
        ("./train/a.wav", "train/a.wav"),
        ("C:\\Users\\me\\set\\train\\a.wav", "train/a.wav"),
        ("/content/drive/set/train/a.wav", "train/a.wav"),
        ("dataset/set/train/a.wav", "train/a.wav"),
        ("train/A.WAV", "train/a.wav"),
        ("Train/a.wav", "train/a.wav"),
        ("train/a", "train/a.wav"),
        (unicodedata.normalize("NFD", "train/café.wav"), unicodedata.normalize("NFC", "train/café.wav")),
        (unicodedata.normalize("NFC", "train/café.wav"), unicodedata.normalize("NFD", "train/café.wav")),
    ],
)
def test_a_file_is_found_where_its_name_leaves_no_doubt(tmp_path: Path, named: str, lies: str) -> None:
    touch(tmp_path / lies)
    touch(tmp_path / "metadata.json", json.dumps([{"audio": named, "text": "x"}]))
    assert read(tmp_path) == [("train", lies, "x")]


def test_a_file_that_lies_where_it_is_said_to_wins(tmp_path: Path) -> None:
    for name in ("train/a.wav", "train/A.wav", "train\\a.wav"):
        touch(tmp_path / name)
    touch(
        tmp_path / "metadata.json",
        json.dumps([{"audio": "train\\a.wav", "text": "x"}, {"audio": "train/A.wav", "text": "y"}]),
    )
    assert [path for _, path, _ in read(tmp_path)] == ["train\\a.wav", "train/A.wav"]


def test_what_could_be_two_files_is_taken_for_neither(tmp_path: Path) -> None:
    for name in ("a.wav", "a.flac", "B.wav", "b.WAV"):
        touch(tmp_path / name)
    touch(tmp_path / "metadata.json", json.dumps([{"audio": "a", "text": "x"}, {"audio": "b.wav", "text": "y"}]))
    assert [path for _, path, _ in read(tmp_path)] == ["a", "b.wav"]


def test_one_missing_file_is_not_looked_for_under_another_split(tmp_path: Path) -> None:
    for name in ("train/a.wav", "a.wav", "b.wav"):
        touch(tmp_path / name)
    rows = [
        {"audio": f"{side}/{name}.wav", "text": "x"} for side, name in (("train", "a"), ("train", "c"), ("valid", "b"))
    ]
    touch(tmp_path / "metadata.json", json.dumps(rows))
    assert [path for _, path, _ in read(tmp_path)] == ["train/a.wav", "train/c.wav", "valid/b.wav"]


# -- which files


def test_a_named_file_that_is_missing_is_never_replaced_by_another(folder: Path) -> None:
    touch(folder / "metadata.json", json.dumps([{"audio": name, "text": text} for name, text in ROWS]))
    touch(folder / "metadata_by_track.json", "[]")
    touch(folder / "train" / "a.txt", "soft drums")
    sentence = refusal(folder, "metadata_by_trak.json")
    assert "There is no metadata_by_trak.json in" in sentence
    assert "did you mean metadata_by_track.json?" in sentence


def test_a_data_folder_one_level_off_is_said(folder: Path) -> None:
    touch(folder / "metadata.json", json.dumps([{"audio": name, "text": text} for name, text in ROWS]))
    assert f"a data set lies in {folder}: set data.dir to that folder" in refusal(folder.parent)
    assert f"is one side of the data set in {folder}: set data.dir to that" in refusal(folder / "train")


def test_tables_of_two_data_sets_below_are_not_mixed(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        touch(tmp_path / version / "train" / "a.wav")
        touch(tmp_path / version / "metadata.json", json.dumps([{"audio": "train/a.wav", "text": version}]))
    assert f"lies in {tmp_path / 'v1'} and in {tmp_path / 'v2'}" in refusal(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_audiocrafts_manifests_are_read_with_the_captions_beside_the_audio(folder: Path, packed: bool) -> None:
    for side, (name, text) in zip(("train", "valid"), ROWS, strict=True):
        line = json.dumps({"path": f"dataset/set/{name}", "duration": 15.0, "sample_rate": 48000, "amplitude": None})
        content = f"{line}\n".encode()
        touch(
            folder / side / ("data.jsonl.gz" if packed else "data.jsonl"), gzip.compress(content) if packed else content
        )
        touch((folder / name).with_suffix(".json"), json.dumps({"description": text, "bpm": 90}))
    assert read(folder) == EXPECTED


def test_a_manifest_tells_the_side_of_clips_that_lie_together(tmp_path: Path) -> None:
    for side, name in (("train", "a"), ("valid", "b")):
        touch(tmp_path / "all" / f"{name}.wav")
        touch(tmp_path / "all" / f"{name}.txt", "drums")
        touch(tmp_path / side / "data.jsonl", json.dumps({"path": f"/old/all/{name}.wav", "duration": 1}))
    assert read(tmp_path) == [("train", "all/a.wav", "drums"), ("valid", "all/b.wav", "drums")]


def test_a_table_a_side_is_read(tmp_path: Path) -> None:
    for side, name in (("train", "a"), ("val", "b")):
        touch(tmp_path / "wavs" / f"{name}.wav")
        touch(tmp_path / f"{side}.csv", f"file_name,text\nwavs/{name}.wav,drums\n")
    assert read(tmp_path) == [("train", "wavs/a.wav", "drums"), ("valid", "wavs/b.wav", "drums")]


@pytest.mark.parametrize("ending", [".txt", ".caption", ".caption.txt", "_prompt.txt", ".wav.txt"])
def test_captions_beside_the_audio_are_read_as_other_programs_call_them(folder: Path, ending: str) -> None:
    for name, text in ROWS:
        stem = (folder / name).with_suffix("")
        touch(stem.with_name(stem.name + ending), text)
        touch(stem.with_name(stem.name + "_lyrics.txt"), "la la la")
    assert read(folder) == EXPECTED


def test_folders_that_are_links_are_read(tmp_path: Path) -> None:
    touch(tmp_path / "disk" / "a.wav")
    touch(tmp_path / "disk" / "a.txt", "drums")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "round").symlink_to(tmp_path / "disk")
    assert read(tmp_path / "set") == [("train", "train/a.wav", "drums")]


# -- sides


@pytest.mark.parametrize(
    ("names", "sides"),
    [
        (["data/a.mp3", "data/b.mp3"], ["train", "train"]),
        (["artist/album/a.mp3", "other/album/b.mp3"], ["train", "train"]),
        (["data/train/a.mp3", "data/valid/b.mp3"], ["train", "valid"]),
        (["Training/a.mp3", "dev/b.mp3"], ["train", "valid"]),
        (["train/a.mp3", "valid/b.mp3", "test/c.mp3", "more/d.mp3", "e.mp3"],
         ["train", "valid", "test", "more", "train"]),
        (["artist/a.mp3", "test/b.mp3"], ["train", "test"]),
    ],
)  # fmt: skip
def test_folders_are_sides_where_they_are_called_so(tmp_path: Path, names: list[str], sides: list[str]) -> None:
    touch(tmp_path / "metadata.json", json.dumps([{"audio": name, "text": "x"} for name in names]))
    assert [clip.split for clip in metadata.read(config.Data(dir=str(tmp_path)))] == sides


def test_a_clip_that_is_moved_by_its_entry_leaves_all_others_where_they_are(tmp_path: Path) -> None:
    rows = [{"audio": "artist/a.mp3", "text": "x"}, {"audio": "other/b.mp3", "text": "x", "split": "Validation"}]
    touch(tmp_path / "metadata.json", json.dumps(rows))
    assert [clip.split for clip in metadata.read(config.Data(dir=str(tmp_path)))] == ["train", "valid"]


# -- Hugging Face's data sets


def parquet(path: Path, rows: dict[str, list[Any]]) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(rows), path)


@pytest.mark.parametrize("place", ["", "data"])
def test_parquet_files_with_the_sound_in_them_are_read(tmp_path: Path, place: str) -> None:
    for side, name, text in (("train", "a.wav", "soft drums"), ("validation", "b.wav", "loud bass")):
        sound = {"bytes": f"sound of {name}".encode(), "path": name}
        parquet(tmp_path / "set" / place / f"{side}-00000-of-00001.parquet", {"audio": [sound], "text": [text]})
    data = config.Data(dir=str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))
    clips = metadata.read(data)
    assert [(clip.split, clip.name, clip.text) for clip in clips] == [
        ("train", "a.wav", "soft drums"),
        ("valid", "b.wav", "loud bass"),
    ]
    assert [clip.audio.read_bytes() for clip in clips] == [b"sound of a.wav", b"sound of b.wav"]
    written = [clip.audio.stat().st_mtime_ns for clip in clips]
    assert metadata.read(data) == clips
    assert [clip.audio.stat().st_mtime_ns for clip in clips] == written


def test_parquet_that_names_files_is_read(folder: Path) -> None:
    parquet(
        folder / "metadata.parquet", {"file_name": [name for name, _ in ROWS], "caption": [text for _, text in ROWS]}
    )
    assert read(folder) == EXPECTED


def test_a_data_set_that_was_saved_to_disk_is_read(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    for side in ("train", "test"):
        table = pa.table({"audio": [{"bytes": b"x", "path": None}], "text": [side]})
        (tmp_path / "set" / side).mkdir(parents=True)
        with pa.ipc.new_stream(tmp_path / "set" / side / "data-00000-of-00001.arrow", table.schema) as file:
            file.write_table(table)
    clips = metadata.read(config.Data(dir=str(tmp_path / "set"), cache_dir=str(tmp_path / "cache")))
    assert [(clip.split, clip.text, clip.audio.name) for clip in clips] == [
        ("test", "test", "000001-1.wav"),
        ("train", "train", "000001-1.wav"),
    ]


def test_parquet_without_pyarrow_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    touch(tmp_path / "metadata.parquet", b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install pyarrow" in refusal(tmp_path)


def test_a_damaged_parquet_file_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    touch(tmp_path / "metadata.parquet", b"PAR1 no more")
    assert "metadata.parquet cannot be read" in refusal(tmp_path)
