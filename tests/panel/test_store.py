"""Summaries of runs as the folders tell them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engine.contract import config, liveness
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir, create
from tests.panel import recording
from tests.review.clips import heard, judge, make_run
from tui.review.evaluation import open_evaluation
from tui.review.results import outcome
from tui.review.session import Session
from tui.runs import keeping, store


def by_name(folder: Path) -> dict[str, store.RunSummary]:
    return {summary.name: summary for summary in store.summaries(folder, outcome)}


def test_the_states_of_runs_come_from_log_and_lock(runs_dir: Path) -> None:
    create(runs_dir, "later", config.Settings())
    with liveness.hold(RunDir(runs_dir / "epoch1")):
        states = {name: summary.state for name, summary in by_name(runs_dir).items()}
    assert states == {"epoch1": "running", "fix": "failed", "full": "done", "later": "waiting"}
    assert by_name(runs_dir)["epoch1"].state == "lost"


def test_a_summary_holds_what_the_list_shows(runs_dir: Path) -> None:
    run = by_name(runs_dir)["epoch1"]
    assert (run.step, run.total_steps, run.checkpoint) == (82, 248, 50)
    assert run.base_valid == pytest.approx(3.312)
    assert run.best_step == 75
    assert run.seconds_per_step == pytest.approx(2.8, abs=0.1)
    assert run.held.total > 1000
    assert run.parent == "fix"
    assert {change.name for change in run.changed} == {"lora.rank", "train.learning_rate"}
    assert by_name(runs_dir)["fix"].non_finite == 97


def test_a_run_is_compared_with_the_one_it_was_made_from_and_with_no_other(runs_dir: Path) -> None:
    assert by_name(runs_dir)["fix"].parent == ""
    assert by_name(runs_dir)["fix"].changed == []
    gone = config.override(config.Settings(), ["run.parent=was-deleted"])
    create(runs_dir, "orphan", gone)
    assert by_name(runs_dir)["orphan"].parent == ""


def test_the_json_of_a_run_is_plain_and_strict(runs_dir: Path) -> None:
    for summary in store.summaries(runs_dir):
        row = summary.as_dict()
        json.dumps(row, allow_nan=False)
        assert {"name", "state", "step", "total_steps", "best_valid", "base_valid"} <= set(row)


def test_running_runs_come_first_then_the_newest(runs_dir: Path) -> None:
    with liveness.hold(RunDir(runs_dir / "full")):
        names = [summary.name for summary in store.summaries(runs_dir)]
    assert names == ["full", "epoch1", "fix"]


def test_a_store_goes_on_where_it_stopped(tmp_path: Path) -> None:
    recorder = recording.Recorder(tmp_path / "run")
    recorder.begin()
    recorder.baseline()
    recorder.train(1, 10)
    looked = store.Store(tmp_path)
    assert looked.summaries()[0].step == 10
    recorder.train(11, 30)
    assert looked.summaries()[0].step == 30
    assert looked.summaries()[0].best_step == 25


def test_a_run_that_vanishes_is_gone_from_the_list(runs_dir: Path) -> None:
    looked = store.Store(runs_dir)
    looked.summaries()
    shutil.rmtree(runs_dir / "fix")
    assert {summary.name for summary in looked.summaries()} == {"epoch1", "full"}


def test_no_runs_folder_is_no_runs(tmp_path: Path) -> None:
    assert store.summaries(tmp_path / "none") == []


def test_a_run_whose_settings_cannot_be_read_is_still_listed(runs_dir: Path) -> None:
    (runs_dir / "fix" / "config.toml").write_text("[lora\n")
    run = by_name(runs_dir)["fix"]
    assert run.state == "failed"
    assert run.settings is None


def test_folders_of_clips_that_another_script_made_are_listed(runs_dir: Path) -> None:
    folder = runs_dir / "theirs"
    folder.mkdir()
    (folder / store.RESULTS).write_text(json.dumps({"text_prompt": "x"}) + "\n")
    found = by_name(runs_dir)["theirs"]
    assert found.foreign
    assert found.clips
    assert not found.resumable


def test_a_run_in_the_archive_is_not_in_the_list_and_comes_back(runs_dir: Path) -> None:
    target = keeping.archive(runs_dir / "full", runs_dir)
    assert target == runs_dir / "archive" / "full"
    assert "full" not in by_name(runs_dir)
    assert keeping.archive(target, runs_dir) == runs_dir / "full"


def test_a_running_run_is_not_archived(runs_dir: Path) -> None:
    with liveness.hold(RunDir(runs_dir / "full")), pytest.raises(UserError, match="stop it before"):
        keeping.archive(runs_dir / "full", runs_dir)


def test_a_taken_name_in_the_archive_is_refused(runs_dir: Path) -> None:
    (runs_dir / "archive" / "full").mkdir(parents=True)
    with pytest.raises(UserError, match="exists"):
        keeping.archive(runs_dir / "full", runs_dir)


def test_the_listening_result_stays_hidden_until_all_is_judged(tmp_path: Path) -> None:
    run = make_run(tmp_path, "heard")
    evaluation = open_evaluation(run.path)
    begun = heard(Session.open(evaluation, "anna", config.Review(training_item=False), seed=1))
    begun.rate(3)
    assert by_name(tmp_path)["heard"].listen == "1/24"
    judge(evaluation, "anna", [{"base": 2, "best": 4, "final": 3}])
    assert by_name(tmp_path)["heard"].listen == "best 4.0"
    other = heard(Session.open(evaluation, "ben", config.Review(training_item=False), seed=1))
    other.rate(1)
    assert by_name(tmp_path)["heard"].listen == "best 4.0"  # nor does a second session that is not over
