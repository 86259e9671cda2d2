"""What can be named where a run or a folder of clips is asked for."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from engine.contract.errors import UserError
from tests.review.clips import make_foreign_evaluation, make_run
from tui.commands import find


def found(tmp_path: Path, name: Path | str) -> Path:
    return find.run_or_clips(argparse.Namespace(runs=tmp_path / "runs", config=None), str(name)).path


def test_a_run_a_folder_of_clips_and_its_results_file_are_found(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", clips=False)
    clips = make_foreign_evaluation(tmp_path / "old" / "evaluation")
    assert found(tmp_path, "first") == run.path
    assert found(tmp_path, tmp_path / "old") == tmp_path / "old"
    assert found(tmp_path, clips) == clips
    assert found(tmp_path, clips / "comparison_results.jsonl") == clips


def test_a_folder_without_either_is_told_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"neither a run \(config.toml\) nor clips \(comparison_results.jsonl"):
        found(tmp_path, tmp_path / "empty")
