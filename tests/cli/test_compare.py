"""Runs beside one another on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.contract import config
from engine.contract.events import EventLog
from engine.contract.rundir import RunDir
from tests.review.clips import make_foreign_evaluation, make_run
from tui import cli
from tui.review import notes


def measured(runs: Path, name: str, gain: float, clips: int = 20) -> None:
    """A run whose valid loss fell by ``gain`` on all but the first five clips."""
    run = make_run(runs, name, clips=False)
    run.events.unlink()
    hard = [4 + n / 7 for n in range(clips)]
    with EventLog(run.events) as log:
        log.write("start", total_steps=10, valid_clip_ids=[f"clip{n}" for n in range(clips)])
        log.write("valid", step=0, loss=sum(hard) / clips, per_clip=hard)
        fell = [loss - gain * (1 if n >= 5 else -1) for n, loss in enumerate(hard)]
        log.write("valid", step=10, loss=sum(fell) / clips, per_clip=fell)
        log.write("state", state="done")


def compare(capsys: pytest.CaptureFixture[str], runs: Path, *names: str) -> dict:
    assert cli.main(["--runs", str(runs), "compare", *names, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_two_runs_are_paired_over_their_valid_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path, "rank12", 0.1)
    measured(tmp_path, "rank16", 0.2)
    (pair,) = compare(capsys, tmp_path, "rank12", "rank16")["pairs"]
    assert (pair["a"], pair["b"], pair["clips"], pair["wins"], pair["losses"]) == ("rank16", "rank12", 20, 15, 5)
    assert pair["mean_difference"] == pytest.approx(-0.05)
    assert pair["p"] == pytest.approx(0.0414, abs=1e-4)
    low, high = pair["interval"]
    assert low < -0.05 < high < 0
    cli.main(["--runs", str(tmp_path), "compare", "rank12", "rank16"])
    assert "rank16 is better than rank12 on 15 of 20 valid clips, p = 0.04." in capsys.readouterr().out


def test_runs_of_one_name_in_two_folders_are_two_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "mine", "try", 0.1)
    measured(tmp_path / "theirs", "try", 0.2)
    mine, theirs = str(tmp_path / "mine" / "try"), str(tmp_path / "theirs" / "try")
    (pair,) = compare(capsys, tmp_path, mine, theirs)["pairs"]
    assert (pair["a"], pair["b"], pair["wins"]) == (theirs, mine, 15)


def test_a_run_alone_is_compared_with_its_base(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path, "rank12", 0.1)
    (pair,) = compare(capsys, tmp_path, "rank12")["pairs"]
    assert (pair["a"], pair["b"]) == ("best", "base")


def test_logs_without_losses_of_clips_are_compared_as_before_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(tmp_path, "new", 0.1)
    make_run(tmp_path, "older", clips=False)
    told = compare(capsys, tmp_path, "new", "older")
    assert told["pairs"] == []
    assert "older" in told["pairs_note"]


def test_folders_without_settings_are_not_said_to_have_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        make_foreign_evaluation(tmp_path / name / "evaluation")
    assert compare(capsys, tmp_path, "one", "two")["settings"] is None
    cli.main(["--runs", str(tmp_path), "compare", "one", "two"])
    said = capsys.readouterr().out
    assert "The settings of one, two are not known." in said
    assert "settings equal" not in said


def test_the_notes_say_what_the_valid_losses_say_against_base_and_parent(tmp_path: Path) -> None:
    measured(tmp_path, "rank12", 0.1)
    measured(tmp_path, "rank16", 0.2)
    run = RunDir(tmp_path / "rank16")
    settings = run.settings().model_copy(update={"run": config.Run(parent="rank12")})
    run.config.write_text(config.dumps(settings), encoding="utf-8")
    notes.export(run)
    text = run.notes.read_text(encoding="utf-8")
    assert "best is better than base on 15 of 20 valid clips, p = 0.04" in text
    assert "rank16 is better than rank12 on 15 of 20 valid clips, p = 0.04" in text
