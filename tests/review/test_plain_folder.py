"""A folder of sound files without any record is heard by file name across its subfolders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.contract.errors import UserError
from tui.review.evaluation import find_folder, open_evaluation
from tui.runs.store import evaluation_folders, is_foreign, summaries


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place in ("old", "new_model", "more/third"):
        for number in (1, 2, 10):
            write(tmp_path / "round" / place / f"{number} drums.wav")
    write(tmp_path / "round" / "old" / "alone.flac")
    return tmp_path / "round"


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = abs(hash(path)) % 1000
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, 1600), 16000)


def test_files_of_one_name_are_one_item_and_folders_are_models(folder: Path) -> None:
    opened = open_evaluation(folder)
    assert [item.text for item in opened.items] == ["1 drums", "2 drums", "10 drums", "alone"]
    assert set(opened.models) == {"old", "new", "more-third"}
    assert opened.missing_models == ()
    assert opened.problems == ()
    assert opened.home == folder
    clips = opened.items[0].clips
    assert {model: clip.path for model, clip in clips.items()} == {
        "old": folder / "old" / "1 drums.wav",
        "new": folder / "new_model" / "1 drums.wav",
        "more-third": folder / "more" / "third" / "1 drums.wav",
    }
    assert list(opened.items[3].clips) == ["old"]


def test_files_without_subfolders_are_items_of_one_model(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav", "b.flac"):
        write(tmp_path / "clips" / name)
    opened = open_evaluation(tmp_path / "clips")
    assert [(item.text, list(item.clips)) for item in opened.items] == [
        ("a", ["clips"]),
        ("b", ["clips"]),
        ("b.wav", ["clips"]),
    ]


def test_list_and_listening_agree_on_what_a_folder_of_clips_is(folder: Path) -> None:
    assert is_foreign(folder)
    assert evaluation_folders(folder) == [find_folder(folder)] == [folder]
    (found,) = summaries(folder.parent)
    assert (found.name, found.foreign, found.clips, found.settings) == ("round", True, True, None)


@pytest.mark.parametrize("record", ["config.toml", "metadata.json", "data.jsonl"])
def test_a_run_and_a_data_set_are_no_folder_of_clips(folder: Path, record: str) -> None:
    (folder / record).write_text("")
    assert evaluation_folders(folder) == []
    with pytest.raises(UserError, match=r"no comparison_results\.jsonl"):
        find_folder(folder)


def test_the_folder_of_sessions_is_none(tmp_path: Path) -> None:
    write(tmp_path / "sessions" / "one" / "evaluation" / "base_model" / "a.wav")
    assert not is_foreign(tmp_path / "sessions")
    assert not is_foreign(tmp_path / "nowhere")
