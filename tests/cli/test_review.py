"""Several runs heard at once, from the command line: the session that is made, and what is made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.review.clips import judge, make_run
from tests.review.many import a_run
from tui import cli
from tui.review.evaluation import open_evaluation


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for number, name in enumerate(("rank12", "rank16")):
        a_run(tmp_path / "runs", name, 300 + 100 * number)
    return tmp_path / "runs"


def test_runs_that_are_reviewed_together_become_a_session_also_without_a_terminal(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--runs", str(runs), "review", "rank12", "rank16"]) == 1
    said = capsys.readouterr().err
    assert f"{runs}/sessions/rank12+rank16: a blind session across 2 runs" in said
    assert "needs a terminal" in said
    assert open_evaluation(runs / "sessions" / "rank12+rank16").models == ("base", "rank12", "rank16")


def test_one_that_there_is_not_or_that_cannot_be_heard_is_one_sentence(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(runs, "bare", clips=False)
    for others, said in (
        (["nowhere"], "There is no run nowhere"),
        (["bare"], "bare has no clips and no best_model"),
        (["rank12"], "two runs or more"),
    ):
        assert cli.main(["--runs", str(runs), "review", "rank12", *others]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    assert not (runs / "sessions").exists()


def test_a_session_is_listed_and_its_notes_are_written_by_its_name(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["--runs", str(runs), "review", "rank12", "rank16"])
    judge(open_evaluation(runs / "sessions" / "rank12+rank16"), "anna", [{"base": 2, "rank12": 3, "rank16": 5}])
    capsys.readouterr()
    assert cli.main(["--runs", str(runs), "runs", "--json"]) == 0
    (listed,) = [run for run in json.loads(capsys.readouterr().out) if run["across"]]
    assert (listed["name"], listed["across"], listed["listen"]) == ("rank12+rank16", ["rank12", "rank16"], "rank16 5.0")
    assert cli.main(["--runs", str(runs), "export", "rank12+rank16", "--json"]) == 0
    assert "rank16 over base" in (runs / "sessions" / "rank12+rank16" / "notes.md").read_text()


def test_compare_tells_what_was_heard_of_the_runs_together(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--runs", str(runs), "review", "rank12", "rank16"])
    session = open_evaluation(runs / "sessions" / "rank12+rank16")
    judge(session, "anna", [{"base": 2, "rank12": 3, "rank16": 5}]).reveal()
    capsys.readouterr()
    assert cli.main(["--runs", str(runs), "compare", "rank12", "rank16"]) == 0
    said = "Heard blind (rank12+rank16): rank16 over rank12 3-0-0, p = 0.75 (Holm over 3 pairs)."
    told = capsys.readouterr().out
    assert said in told
    assert "best 3.0" in told
    assert "best 5.0" in told
    assert cli.main(["--runs", str(runs), "compare", "rank12", "rank16", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert said in document["heard"]
