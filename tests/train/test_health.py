"""Verdicts over made-up courses: values in, values out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from engine.contract import events as event_log
from engine.train import health
from engine.train.journal import Journal


def steps(losses: list[float | None], **fields: Any) -> list[dict]:
    """Train events; a field is a value, or a function of the step."""
    base = {"lr": 1e-4, "grad_norm": 0.5, "scale": None, "skipped": 0, "clips_per_second": 10.0, "data_wait": 0.01}
    course = []
    for number, loss in enumerate(losses, start=1):
        given = {name: value(number) if callable(value) else value for name, value in fields.items()}
        course.append({"event": "train", "step": number, "loss": loss, **base, **given})
    return course


def valid(losses: list[float], every: int = 10, **fields: Any) -> list[dict]:
    return [
        {"event": "valid", "step": number * every, "loss": loss, "per_codebook": [loss] * 4, **fields}
        for number, loss in enumerate(losses)
    ]


def verdict(name: str, events: list[dict], *, ended: bool = True) -> health.Verdict | None:
    return next((found for found in verdicts(events, ended=ended) if found.name == name), None)


def verdicts(events: list[dict], *, ended: bool = False) -> list[health.Verdict]:
    return health.verdicts([event_log.of(**event) for event in events], ended=ended)


START = {"event": "start", "codebook_size": 2048, "warmup_steps": 10, "total_steps": 100}


@pytest.mark.parametrize(
    ("loss", "expected"),
    [(3.4, "ok"), (6.4, "ok"), (6.5, "warn"), (7.6, "warn"), (math.log(2048), "bad"), (8.3, "bad"), (math.nan, "bad")],
)
def test_the_start_is_judged_against_blind_guessing(loss: float, expected: str) -> None:
    assert health.start(loss, 2048).verdict == expected
    assert "7.625" in health.start(loss, 2048).evidence


def test_the_gate_moves_with_the_vocabulary() -> None:
    assert health.start(4.0, 64).verdict == "warn"
    assert health.start(4.2, 64).verdict == "bad"
    assert health.start(4.2, 512).verdict == "ok"


def test_a_quiet_run_gets_no_bad_verdict() -> None:
    course = [START, *steps([4 - 0.01 * n for n in range(60)]), *valid([4.0, 3.8, 3.6, 3.5, 3.45, 3.42, 3.41])]
    found = verdicts(course, ended=True)
    assert {v.name for v in found if v.verdict == "bad"} == set()
    assert {"start", "non-finite", "spikes", "divergence", "overfitting", "throughput"} <= {v.name for v in found}


def test_nothing_is_judged_before_there_is_evidence() -> None:
    assert verdicts([START]) == []


def test_lost_steps_and_skipped_fp16_steps_are_told_apart() -> None:
    skipped = verdict("non-finite", steps([3.0] * 20, scale=65536.0, skipped=2, grad_norm=None))
    assert skipped == health.Verdict("non-finite", "ok", "no NaN or Inf, 2 skipped fp16 steps")
    lost = verdict("non-finite", steps([3.0, None, 3.0]))
    assert lost is not None
    assert lost.verdict == "bad"
    assert "1 steps with NaN or Inf, the last at step 2" in lost.evidence
    no_scale = verdict("non-finite", steps([3.0] * 4, grad_norm=lambda n: None if n == 3 else 0.5))
    assert no_scale is not None
    assert no_scale.verdict == "bad"


def test_many_skipped_steps_are_a_warning() -> None:
    assert verdict("non-finite", steps([3.0] * 50, scale=1.0, skipped=20)).verdict == "warn"  # type: ignore[union-attr]


def test_a_spike_is_named_with_height_and_step() -> None:
    losses = [3.0 + 0.01 * (n % 3) for n in range(40)]
    assert verdict("spikes", steps(losses)).verdict == "ok"  # type: ignore[union-attr]
    losses[30] = 4.5
    found = verdict("spikes", steps(losses))
    assert found == health.Verdict("spikes", "warn", "1 spikes, the highest +1.49 at step 31")


@pytest.mark.parametrize(("last", "expected"), [(3.9, "ok"), (4.05, "warn"), (4.5, "bad")])
def test_divergence_is_valid_loss_above_the_base(last: float, expected: str) -> None:
    found = verdict("divergence", valid([4.0, 3.9, last]))
    assert found is not None
    assert found.verdict == expected
    assert "base 4.000" in found.evidence


def test_overfitting_is_valid_rising_while_train_falls() -> None:
    falling = steps([4.0 - 0.02 * n for n in range(60)])
    found = verdict("overfitting", [*falling, *valid([4.0, 3.6, 3.5, 3.55, 3.6, 3.62])])
    assert found is not None
    assert found.verdict == "warn"
    assert "valid +0.120 since step 20" in found.evidence
    rising = steps([4.0 + 0.02 * n for n in range(60)])
    assert verdict("overfitting", [*rising, *valid([4.0, 3.6, 3.5, 3.55, 3.62])]).verdict == "ok"  # type: ignore[union-attr]


def test_a_training_sample_gives_the_gap_between_train_and_valid() -> None:
    found = verdict("overfitting", [*steps([3.0] * 30), *valid([4.0, 3.5, 3.4], train_sample_loss=3.1)])
    assert found is not None
    assert found.verdict == "ok"
    assert "train 3.100 where valid is 3.400" in found.evidence


@pytest.mark.parametrize(("train", "expected"), [(0.02, "warn"), (0.18, "warn"), (0.2, "ok")])
def test_clips_that_are_learned_by_heart_are_overfitting_though_valid_still_falls(train: float, expected: str) -> None:
    found = verdict("overfitting", [*steps([train] * 30), *valid([0.44, 0.3, 0.26, 0.25])])
    assert found is not None
    assert found.verdict == expected
    assert f"train {train:.3f} where valid is 0.250" in found.evidence


def test_every_verdict_names_what_it_is_about() -> None:
    course = [START, *steps([4 - 0.01 * n for n in range(60)]), *valid([4.0, 3.8, 3.6, 3.5, 3.45, 3.42, 3.41])]
    said = [found.evidence for found in verdicts(course, ended=True)]
    assert len(said) == len(set(said)) >= 10
    subjects = ("valid", "base model", "train", "learning rate", "NaN", "spike", "clips/s", "data", "plateau", "best")
    assert [text for text in said if not any(subject in text for subject in subjects)] == []
    assert "learning rate up at step 10, 0.0001 at its peak" in said


def test_underfitting_is_valid_still_falling_at_the_end() -> None:
    assert verdict("underfitting", valid([4.0, 3.8, 3.6, 3.4, 3.2, 3.0])).verdict == "warn"  # type: ignore[union-attr]
    assert verdict("underfitting", valid([4.0, 3.5, 3.4, 3.4, 3.4, 3.4])).verdict == "ok"  # type: ignore[union-attr]
    assert verdict("underfitting", valid([4.0, 3.8, 3.6, 3.4]), ended=False) is None


def test_a_plateau_is_valid_that_stood_still() -> None:
    assert verdict("plateau", valid([4.0, 3.5, 3.4, 3.400, 3.401, 3.400, 3.402])).verdict == "warn"  # type: ignore[union-attr]
    assert verdict("plateau", valid([4.0, 3.5, 3.4, 3.35, 3.3, 3.25])).verdict == "ok"  # type: ignore[union-attr]


def test_a_learning_rate_that_never_got_up_is_bad() -> None:
    found = verdict("learning-rate", [{**START, "warmup_steps": 50}, *steps([3.0] * 12)])
    assert found is not None
    assert found.verdict == "bad"
    assert "12 steps of a warm-up of 50" in found.evidence
    assert verdict("learning-rate", [START, *steps([3.0] * 12)]).verdict == "ok"  # type: ignore[union-attr]


def test_speed_that_fell_and_data_that_were_awaited_are_warnings() -> None:
    slowing = steps([3.0] * 60, clips_per_second=lambda n: 10.0 if n < 30 else 4.0, data_wait=0.4)
    assert verdict("throughput", slowing) == health.Verdict("throughput", "warn", "4.00 clips/s, -60% over the run")
    assert verdict("data-wait", slowing) == health.Verdict("data-wait", "warn", "40% of the time waiting for data")


def test_heat_is_a_warning_sooner_than_the_power_limit() -> None:
    def samples(reasons: list[str], share: float) -> list[dict]:
        return [{"event": "gpu", "throttle": reasons if n < share * 20 else []} for n in range(20)]

    assert verdict("throttling", samples(["thermal"], 0.1)).verdict == "warn"  # type: ignore[union-attr]
    assert verdict("throttling", samples(["power"], 0.1)).verdict == "ok"  # type: ignore[union-attr]
    assert verdict("throttling", samples(["power"], 0.5)).verdict == "warn"  # type: ignore[union-attr]
    assert verdict("throttling", [{"event": "gpu", "throttle": None}] * 20) is None


def test_best_at_the_last_step_is_said() -> None:
    course = [*steps([3.0] * 20), {"event": "best", "step": 20, "loss": 3.0}]
    assert verdict("best-is-final", course).verdict == "warn"  # type: ignore[union-attr]
    course[-1]["step"] = 10
    assert verdict("best-is-final", course).evidence == "best is step 10 of 20"  # type: ignore[union-attr]


def test_of_a_step_repeated_after_a_resume_the_last_counts() -> None:
    course = [*steps([3.0, None, 3.0]), *steps([3.0, 3.0, 3.0])]
    assert verdict("non-finite", course).verdict == "ok"  # type: ignore[union-attr]


def test_a_verdict_is_written_when_it_is_new_or_its_evidence_is(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    journal = Journal(log)
    for event in valid([4.0, 3.9]):
        journal.write(**event)
        health.report(journal)
        health.report(journal)
    told = [event for event in event_log.read(log) if event["event"] == "health"]
    assert [event["name"] for event in told] == ["divergence"]


def test_a_rewound_journal_writes_a_repeated_step_only_when_its_numbers_differ(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    first = Journal(log)
    for event in valid([4.0, 3.9, 3.8]):
        first.write(**event)
    first.close()
    again = Journal(log)
    again.rewind(10)
    assert [event["step"] for event in again.history] == [0, 10]
    again.write(**valid([4.0, 3.9, 3.8])[2])
    assert len(event_log.read(log)) == 3
    again.write(**{**valid([4.0, 3.9, 3.8])[2], "loss": 3.7})
    assert len(event_log.read(log)) == 4
    assert [event["loss"] for event in again.history] == [4.0, 3.9, 3.8, 3.7]
