"""The arithmetic of a run: steps, warm-up, learning rate."""

from __future__ import annotations

import pytest

from engine.contract import config
from engine.contract.errors import UserError
from engine.contract.plan import auto_warmup, learning_rate, plan


def settings(*assignments: str) -> config.Settings:
    return config.override(config.Settings(), list(assignments))


def test_a_hundred_clips_in_steps_of_eight() -> None:
    course = plan(settings(), 100)
    assert (course.effective_batch, course.steps_per_epoch, course.total_steps) == (8, 13, 13)
    assert course.warmup_steps == 1
    assert course.validate_every == 1
    assert course.checkpoints == 0


@pytest.mark.parametrize(("steps", "expected"), [(1, 0), (12, 0), (13, 1), (100, 8), (625, 50), (10000, 50)])
def test_the_automatic_warm_up_is_fifty_or_eight_percent(steps: int, expected: int) -> None:
    assert auto_warmup(steps) == expected


def test_a_warm_up_as_long_as_the_run_is_refused_with_one_that_would_do() -> None:
    with pytest.raises(UserError, match=r"train\.warmup_steps = 50 cannot end in a run of 13 steps.*Set it to 1"):
        plan(settings("train.warmup_steps=50"), 100)
    with pytest.raises(UserError, match="cannot end"):
        plan(settings("train.warmup_steps=13"), 100)
    assert plan(settings("train.warmup_steps=12"), 100).warmup_steps == 12


def test_no_clips_are_refused() -> None:
    with pytest.raises(UserError, match="no training clip"):
        plan(settings(), 0)


def test_validations_and_checkpoints_follow_from_the_settings() -> None:
    assert plan(settings("train.epochs=10"), 800).validate_every == 100
    assert plan(settings("train.validate_steps=7"), 800).validate_every == 7
    assert plan(settings("train.epochs=10"), 800).checkpoints == 4
    assert plan(settings("train.save_steps=1000", "train.epochs=10"), 800).checkpoints == 0


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_learning_rate_rises_to_its_peak_and_is_never_zero(schedule: str) -> None:
    given = settings("train.warmup_steps=10", "train.epochs=10", f'train.schedule="{schedule}"')
    course = plan(given, 80)
    rates = [learning_rate(given.train, course, step) for step in range(1, course.total_steps + 1)]
    assert rates[:10] == pytest.approx([1e-5 * step for step in range(1, 11)])
    assert max(rates) == rates[9] == given.train.learning_rate
    assert min(rates) > 0
    falling = rates[9:]
    assert falling == sorted(falling, reverse=True)
    assert (falling[-1] == falling[0]) is (schedule == "constant")


def test_a_run_of_one_step_trains_at_the_peak() -> None:
    given = settings()
    assert learning_rate(given.train, plan(given, 1), 1) == given.train.learning_rate
