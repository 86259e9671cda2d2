"""Captions out to a spreadsheet and in from it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from engine.contract.data.metadata import Clip
from engine.contract.errors import UserError
from tui.dataset import spreadsheet

FILE = Path("captions.csv")
TEXTS = ["slow piano", '=SUM(1;2), "quoted"', "'tis", "-5 dB; loud", "käse | 日本", "'=x", "@home", "+1"]
CLIPS = [Clip(f"train/{number}.wav", Path(f"{number}.wav"), text, "train") for number, text in enumerate(TEXTS)]


def saved(delimiter: str, rows: list[list[str]]) -> str:
    """A table as a spreadsheet saves it."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue()


def test_what_goes_out_comes_back_the_same_and_no_cell_is_a_formula() -> None:
    out = spreadsheet.written(CLIPS)
    rows = list(csv.reader(io.StringIO(out)))
    assert rows[0] == ["audio", "split", "text"]
    assert not any(cell[:1] in "=+-@" for row in rows for cell in row)
    assert spreadsheet.read(out, CLIPS, FILE) == ([], [], [])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_changes_come_in_whatever_parts_the_columns_and_whatever_their_order(delimiter: str) -> None:
    table = saved(delimiter, [["Text", "n", "Audio"], ["fast, piano; a|b\nsad", "1", "train/0.wav"], ["", "", ""]])
    changes, unknown, empty = spreadsheet.read(table, CLIPS, FILE)
    assert [(change.clip.name, change.text) for change in changes] == [("train/0.wav", "fast, piano; a|b sad")]
    assert (unknown, empty) == ([], [])


def test_rows_of_no_clip_and_captions_that_are_gone_are_told_and_change_nothing() -> None:
    table = saved(",", [["audio", "text"], ["train/99.wav", "x"], ["train/1.wav", " "]])
    assert spreadsheet.read(table, CLIPS, FILE) == ([], ["train/99.wav"], ["train/1.wav"])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["name", "words"], ["train/0.wav", "x"]], "no columns audio and text"),
        ([["audio", "text"], ["train/0.wav"]], "Row 2 of captions.csv has too few cells"),
        ([["audio", "text"], ["train/0.wav", "a"], ["train/0.wav", "b"]], "Row 3 of captions.csv has another caption"),
        ([], "no columns audio and text"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_sentence(rows: list[list[str]], said: str) -> None:
    with pytest.raises(UserError, match=said):
        spreadsheet.read(saved(",", rows), CLIPS, FILE)
