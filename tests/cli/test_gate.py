"""The decision after listening is kept in the run, with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.contract import rundir
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tests.review.clips import judge, make_run
from tui import cli
from tui.review import notes
from tui.review.evaluation import open_evaluation
from tui.review.results import load_results


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A finished run that nobody has listened to."""
    return make_run(tmp_path / "runs")


def gate(run: RunDir, *words: str) -> int:
    return cli.main(["gate", str(run.path), *words])


def test_a_decision_is_kept_with_its_reason_and_told(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert gate(run, "adjust", "--why", "still generic", "--listener", "anna") == 0
    kept = json.loads(run.gate.read_text(encoding="utf-8"))
    assert set(kept) == {"decision", "why", "listener", "t"}
    assert (kept["decision"], kept["why"], kept["listener"]) == ("adjust", "still generic", "anna")
    assert kept["t"] > 1_700_000_000
    capsys.readouterr()
    assert gate(run, "--json") == 0
    assert json.loads(capsys.readouterr().out) == kept
    assert gate(run) == 0
    assert capsys.readouterr().out == "first: adjust: still generic (anna)\n"


def test_a_run_without_a_decision_says_so(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert gate(run, "--json") == 0
    assert json.loads(capsys.readouterr().out)["decision"] is None
    assert gate(run) == 0
    assert "nothing is decided yet" in capsys.readouterr().out


def test_extending_before_anybody_has_listened_is_asked_about(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert gate(run, "extend") == 1
    assert "Nobody has listened" in capsys.readouterr().err
    assert not run.gate.exists()
    assert gate(run, "extend", "--yes") == 0
    judge(open_evaluation(run.path), "anna", [{"base": 2, "best": 4, "final": 3}])
    assert gate(run, "extend", "--why", "it grows") == 0
    assert json.loads(run.gate.read_text(encoding="utf-8"))["why"] == "it grows"


def test_the_decision_is_no_listener_and_nobody_is_called_gate(run: RunDir) -> None:
    judge(open_evaluation(run.path), "anna", [{"base": 2, "best": 4, "final": 3}])
    assert gate(run, "stop") == 0
    results = load_results(run.path)
    assert [session.listener for session in results.sessions] == ["anna"]
    assert results.unreadable == ()
    with pytest.raises(UserError, match="cannot be called gate"):
        rundir.checked_name("gate", "listener")


def test_the_notes_tell_the_decision(run: RunDir) -> None:
    gate(run, "stop", "--why", "the data <b>lack</b> it", "--listener", "anna")
    notes.export(run)
    assert r"- gate: stop: the data &lt;b\>lack&lt;/b\> it (anna)" in run.notes.read_text(encoding="utf-8")


def test_a_damaged_decision_is_one_sentence_and_can_be_made_again(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    run.review_dir.mkdir()
    run.gate.write_text('{"decision": "maybe"}', encoding="utf-8")
    assert gate(run) == 1
    said = capsys.readouterr().err
    assert "gate.json" in said
    assert "decide again" in said
    notes.export(run)
    assert "gate.json" in run.notes.read_text(encoding="utf-8")
    assert gate(run, "stop") == 0
    assert gate(run) == 0
