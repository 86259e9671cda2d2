"""Edits of a data set: kept at once, in the file's own format, never over another's change, each can be taken back."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from engine.contract.data import metadata, split
from engine.contract.errors import UserError
from tests.dataset.conftest import ROWS, contents, opened, put, write
from tui.dataset import files, moves, words
from tui.dataset.dataset import Change, Dataset


def texts(folder: Path) -> list[str]:
    """What the reader that training uses finds."""
    return [clip.text for clip in opened(folder).clips]


def splits(folder: Path) -> list[str]:
    return [clip.split for clip in opened(folder).clips]


def retext(data: Dataset, number: int, text: str) -> str:
    return data.change([Change(data.clips[number], text=text)], "caption kept")


def test_a_caption_is_kept_at_once_and_nothing_else_changes(folder: Path) -> None:
    data = opened(folder)
    before = contents(folder)
    assert retext(data, 0, 'boombap "drums", 80 % swing') == "caption kept"
    assert texts(folder) == ['boombap "drums", 80 % swing', *(text for _, text in ROWS[1:])]
    assert [clip.text for clip in data.clips] == texts(folder)
    after = contents(folder)
    changed = {name for name in after if after[name] != before.get(name)}
    (file,) = {name for name in changed if not name.endswith(files.FIRST)}
    assert changed == {file, file + files.FIRST}
    assert after[file + files.FIRST] == before[file]


def test_what_stands_in_the_file_beside_the_caption_stays_byte_for_byte(tmp_path: Path) -> None:
    for format, file in (("json", "metadata.json"), ("jsonl", "metadata.jsonl"), ("csv", "metadata.csv")):
        folder = write(tmp_path / format, format)
        before = (folder / file).read_bytes()
        retext(opened(folder), 1, "boombap, vinyl noise")
        assert (folder / file).read_bytes() == before.replace(b"boomap, vinyl", b"boombap, vinyl")


def test_everything_can_be_taken_back_to_the_byte(folder: Path) -> None:
    data = opened(folder)
    before = contents(folder)
    retext(data, 2, "loud piano")
    data.change(words.replaced(data.clips, "boomap", "boombap"), "2 captions: boomap -> boombap")
    assert texts(folder) == ["Boombap drums, soft bass", "boombap, vinyl noise", "loud piano"]
    assert data.undo() == "Taken back: 2 captions: boomap -> boombap"
    assert data.undo() == "Taken back: caption kept"
    assert {name: content for name, content in contents(folder).items() if not name.endswith(files.FIRST)} == before
    with pytest.raises(UserError, match="nothing to take back"):
        data.undo()


def test_a_clip_goes_out_and_comes_back_to_where_it_was(folder: Path) -> None:
    data = opened(folder)
    data.change(moves.take_out(data.clips[2:]), "taken out")
    assert splits(folder) == ["train", "train", "out of valid"]
    assert data.clips[2].is_out
    data.change(moves.bring_back(data.clips), "brought back")
    assert splits(folder) == ["train", "train", "valid"]
    data.undo()
    data.undo()
    assert splits(folder) == ["train", "train", "valid"]
    assert texts(folder) == [text for _, text in ROWS]


def test_a_clip_moves_with_all_of_its_track(folder: Path) -> None:
    data = opened(folder)
    data.change(moves.take_out(data.clips[1:2]), "taken out")
    tracks = split.tracks(data.clips)
    data.change(moves.move_track(data.clips, tracks, 0), "moved")
    assert splits(folder) == ["valid", "out of valid", "valid"]
    data.undo()
    assert splits(folder) == ["train", "out of train", "valid"]


def test_a_clip_of_another_split_is_not_moved(tmp_path: Path) -> None:
    put(tmp_path / "metadata.json", json.dumps([{"audio": "test/x.wav", "text": "x"}]))
    data = opened(tmp_path)
    with pytest.raises(UserError, match="leaves alone"):
        moves.move_track(data.clips, ["x"], 0)


def test_files_beside_the_clips_can_hold_no_split_so_that_one_file_takes_over_and_it_is_said(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "txt")
    data = opened(folder)
    said = data.change(moves.take_out(data.clips[:1]), "taken out.")
    assert said == "taken out. Captions and splits stand in metadata.json from now on, and are read from there."
    assert (folder / "train" / "a1_01.txt").read_text() == "Boomap drums, soft bass\n"
    retext(data, 0, "new words")
    assert texts(folder)[0] == "new words"


def test_a_table_whose_records_differ_in_length_is_not_given_a_column(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / "train" / f"{name}.wav")
    table = "file_name,text\ntrain/a.wav,one,and more\ntrain/b.wav,two\n"
    put(tmp_path / "metadata.csv", table)
    data = opened(tmp_path)
    data.change(moves.take_out(data.clips[1:]), "taken out")
    assert splits(tmp_path) == ["train", "out of train"]
    assert (tmp_path / "metadata.csv").read_text() == table
    named = opened(tmp_path, "metadata.csv")
    with pytest.raises(UserError, match=r'set data.metadata = "metadata.json"'):
        named.change(moves.take_out(named.clips[1:]), "taken out")


@pytest.mark.parametrize(
    "held",
    [
        {name: text for name, text in ROWS},
        {"data": [{"audio": name, "text": text} for name, text in ROWS], "license": "CC0"},
    ],
)
def test_a_metadata_file_of_another_form_becomes_a_list_and_is_kept_as_it_was(tmp_path: Path, held: object) -> None:
    for name, _ in ROWS:
        put(tmp_path / name)
    put(tmp_path / "metadata.json", json.dumps(held))
    data = opened(tmp_path)
    said = data.change(moves.take_out(data.clips[:1]), "taken out.")
    assert said == "taken out. metadata.json is a plain list from now on; as it was, it is kept in metadata.json.orig."
    assert json.loads((tmp_path / "metadata.json.orig").read_text()) == held
    assert splits(tmp_path) == ["out of train", "train", "valid"]
    data.undo()
    assert splits(tmp_path) == ["train", "train", "valid"]
    assert texts(tmp_path) == [text for _, text in ROWS]


@pytest.mark.parametrize(("name", "sign"), [("metadata.csv", ";"), ("metadata.tsv", "\t")])
def test_a_table_keeps_its_own_delimiter(tmp_path: Path, name: str, sign: str) -> None:
    for clip, _ in ROWS:
        put(tmp_path / clip)
    table = f"file_name{sign}text\n" + "".join(f"{clip}{sign}{text}\n" for clip, text in ROWS)
    put(tmp_path / name, table)
    data = opened(tmp_path)
    retext(data, 1, "boombap, vinyl noise")
    assert (tmp_path / name).read_text() == table.replace("boomap, vinyl", "boombap, vinyl")


def test_what_another_program_wrote_meanwhile_stays(folder: Path) -> None:
    data = opened(folder)
    other = opened(folder)
    retext(other, 1, "written elsewhere")
    retext(data, 0, "written here")
    assert texts(folder) == ["written here", "written elsewhere", "soft piano"]
    assert [clip.text for clip in data.clips] == texts(folder)


def test_a_caption_that_another_program_changed_is_not_written_over(folder: Path) -> None:
    data = opened(folder)
    retext(opened(folder), 0, "written elsewhere")
    with pytest.raises(UserError, match=r"caption of .*a1_01.wav in .* changed by another program meanwhile"):
        retext(data, 0, "written here")
    assert texts(folder)[0] == "written elsewhere"
    assert data.clips[0].text == "written elsewhere"
    retext(data, 0, "written here")
    assert texts(folder)[0] == "written here"


def test_of_several_changes_none_is_kept_where_one_is_refused(folder: Path) -> None:
    data = opened(folder)
    retext(opened(folder), 1, "boomap elsewhere")
    with pytest.raises(UserError):
        data.change(words.replaced(data.clips, "boomap", "boombap"), "replaced")
    assert texts(folder) == ["Boomap drums, soft bass", "boomap elsewhere", "soft piano"]


def test_an_undo_leaves_what_another_program_made_of_it(folder: Path) -> None:
    data = opened(folder)
    retext(data, 0, "written here")
    retext(opened(folder), 0, "written elsewhere")
    with pytest.raises(UserError, match="another program"):
        data.undo()
    assert texts(folder)[0] == "written elsewhere"


def test_an_entry_is_found_again_where_others_came_before_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "json")
    data = opened(folder)
    rows = json.loads((folder / "metadata.json").read_text())
    rows.insert(0, {"audio": "train/new.wav", "text": "new"})
    (folder / "metadata.json").write_text(json.dumps(rows))
    retext(data, 2, "loud piano")
    assert texts(folder) == ["new", "Boomap drums, soft bass", "boomap, vinyl noise", "loud piano"]
    data.undo()
    assert texts(folder)[-1] == "soft piano"


def _retext_often(folder: str, number: int) -> None:
    data = Dataset(metadata.config.Data(dir=folder))
    for time in range(20):
        data.reload()
        retext(data, number, f"clip {number}, time {time}")


def test_two_processes_that_edit_at_once_lose_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "json")
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_retext_often, args=(str(folder), number)) for number in (0, 2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert texts(folder) == ["clip 0, time 19", "boomap, vinyl noise", "clip 2, time 19"]


def test_the_encoding_the_mode_and_a_link_stay_as_they_are(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.csv"
    real.write_bytes("file_name,text\ntrain/a.wav,größer\n".encode("utf-8-sig"))
    real.chmod(0o640)
    put(tmp_path / "data" / "train" / "a.wav")
    (tmp_path / "data" / "metadata.csv").symlink_to(real)
    data = opened(tmp_path / "data")
    retext(data, 0, "kleiner, ö")
    assert real.read_bytes() == 'file_name,text\ntrain/a.wav,"kleiner, ö"\n'.encode("utf-8-sig")
    assert real.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "data" / "metadata.csv").is_symlink()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_a_sentence(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "json")
    data = opened(folder)
    folder.chmod(0o500)
    with pytest.raises(UserError, match="make the folder and the file writable"):
        retext(data, 0, "x")
    folder.chmod(0o700)
    assert data.edits == []


def test_a_split_by_track_is_the_one_that_the_check_would_write(tmp_path: Path) -> None:
    rows = [{"audio": f"train/beat{n % 5}_0{n}.wav", "text": "x"} for n in range(20)]
    put(tmp_path / "metadata.json", json.dumps(rows))
    data = opened(tmp_path)
    expected = split.split_by_track(data.clips, [])
    data.change(moves.split_anew(data.clips, split.tracks(data.clips)), "split by track")
    assert splits(tmp_path) == expected
    assert {"train", "valid"} == set(expected)
