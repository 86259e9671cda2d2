"""Samples of the training as a timeline, and what hearing them does to a blind session of the same clips."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.contract.config import Review
from engine.contract.rundir import RunDir
from tests.review.clips import heard, judge, make_evaluation, make_run
from tui.review import notes, samples
from tui.review.evaluation import open_evaluation
from tui.review.session import Session

STEPS = ("step-000010", "step-000020", "step-000100")


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run whose best model is the weights of step 20: the clips of its first prompt are one and the same."""
    run = make_run(tmp_path / "runs")
    make_evaluation(run.evaluation("samples"), ["one", "two"], STEPS, seconds=1.1)
    sample = next((run.evaluation("samples") / "step-000020_model").glob("01*"))
    shutil.copy(sample, next((run.evaluation() / "best_model").glob("01*")))
    return run


def file_of(run: RunDir, step: int) -> Path:
    """The sample of the first prompt at a step."""
    found = samples.read(run.path)
    clip = found.clip(found.items[0], step)
    assert clip is not None
    assert clip.path is not None
    return clip.path


def test_steps_come_in_the_order_of_training_and_a_clip_that_is_not_made_yet_is_none(run: RunDir) -> None:
    next((run.evaluation("samples") / "step-000100_model").glob("02*")).unlink()
    found = samples.read(run.path)
    assert found.steps == (10, 20, 100)
    assert [found.clip(item, 100) is not None for item in found.items] == [True, False]


def test_a_run_without_samples_has_an_empty_timeline(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    assert not samples.exist(run.path)
    assert samples.read(run.path) == samples.Timeline()


def test_a_prompt_is_not_judged_blind_once_one_of_its_clips_was_heard_by_name(run: RunDir) -> None:
    session = heard(Session.open(open_evaluation(run.path), "anna", Review(training_item=False), seed=1))
    session.rate(4)
    assert session.rating(session.trial, "A").blind
    for listener, step in (("ben", 20), ("anna", 10)):
        samples.note_heard(run.path, listener, file_of(run, step), 3.0)
    session.rate(3)
    assert session.rating(session.trial, "A").blind  # another listener, and another step
    samples.note_heard(run.path, "anna", file_of(run, 20), 3.0)
    session.rate(2)
    assert not session.rating(session.trial, "A").blind
    session.go(1)
    session.rate(2)
    assert session.rating(session.trial, "A").blind
    notes.export(run)
    said = " ".join(run.notes.read_text().split())
    assert "where a clip had been heard by name as a sample of training" in said


def test_a_damaged_line_of_what_was_heard_costs_that_line(run: RunDir) -> None:
    samples.note_heard(run.path, "anna", file_of(run, 10), 3.0)
    with (run.review_dir / samples.HEARD).open("a") as file:
        file.write('{"listener": "anna"}\n{"listener": "an')
    assert samples.heard(run.path, "anna") == [file_of(run, 10)]
    assert samples.heard(run.path, "ben") == []


def test_a_session_that_is_not_over_would_be_spoiled_and_one_that_is_would_not(run: RunDir) -> None:
    assert samples.would_spoil(run.path, "anna")
    session = judge(open_evaluation(run.path), "anna", [{"base": 2, "best": 4, "final": 3}])
    assert samples.would_spoil(run.path, "anna")
    session.reveal()
    assert not samples.would_spoil(run.path, "anna")
    assert samples.would_spoil(run.path, "ben")
    shutil.rmtree(run.evaluation())
    assert not samples.would_spoil(run.path, "ben")
