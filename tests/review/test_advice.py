import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.contract.config import Settings, fields, override
from engine.contract.rundir import RunDir
from tests.review.clips import judge, make_evaluation, make_run, write_events
from tui.review.advice import advise, advise_run, settle
from tui.review.evaluation import Evaluation, open_evaluation
from tui.review.results import Results, results_of
from tui.review.rules import RULES, Advice
from tui.runs.history import History

FALLING = [(0, 4.5), (100, 4.4), (200, 4.3), (300, 4.2), (400, 4.1)]
FLAT = [(0, 4.5), (100, 3.6), (200, 3.5), (300, 3.49), (400, 3.495)]


def history(tmp_path: Path, valid: Sequence[tuple[int, float]], **more: Any) -> History:
    run = RunDir(tmp_path / "history")
    run.path.mkdir()
    write_events(run, valid, **more)
    return History.of(run.events)


def train_losses(valid: Sequence[tuple[int, float]], gap: float = 0.05) -> list[float]:
    """Train losses that lie ``gap`` below the last valid loss."""
    return [valid[-1][1] - gap] * valid[-1][0]


def tagged(evaluation: Evaluation, tag: str, model: str, items: int, scores: dict[str, int]) -> Results:
    session = judge(evaluation, "anna", [scores])
    for index, trial in enumerate(session.trials[:items]):
        letter = next(letter for letter in trial.letters if trial.model(letter) == model)
        session.go(index, letter)
        session.toggle_tag(tag)
    return results_of(evaluation)


def by_rule(given: list[dict]) -> dict[str, dict]:
    return {advice["rule"]: advice for advice in given}


BEST_WINS = {"base": 2, "best": 4, "final": 3}


def test_generic_clips_of_a_preferred_model_ask_for_more_rank(tmp_path: Path, evaluation: Evaluation) -> None:
    results = tagged(evaluation, "generic", "best", 5, BEST_WINS)
    given = advise(Settings(), history(tmp_path, FLAT, losses=train_losses(FLAT)), results)
    first = given[0]
    assert (first["rule"], first["fires"]) == ("generic", True)
    assert first["changes"] == {"lora.rank": 16, "lora.alpha": 32}
    assert first["for"] == [
        "best beats base on 8 of 8 (+2.0), p = 0.008",
        "'generic' on 5 of 8 for best (0 for base)",
    ]


def test_a_valid_loss_that_still_falls_asks_for_more_epochs(tmp_path: Path) -> None:
    found = by_rule(advise(Settings(), history(tmp_path, FALLING, losses=train_losses(FALLING))))
    assert found["underfit"]["fires"]
    assert found["underfit"]["changes"] == {"train.epochs": 3}
    assert "valid still falls at the end (-0.100 per 100 steps)" in found["underfit"]["for"][0]
    assert any("more epochs may do it" in reason for reason in found["generic"]["against"])


def test_a_loss_that_is_not_finite_asks_for_a_lower_learning_rate_first(tmp_path: Path) -> None:
    losses = [4.0] * 200 + [math.nan] * 200
    given = advise(Settings(), history(tmp_path, FALLING, losses=losses))
    assert given[0]["rule"] == "unstable"
    assert given[0]["changes"] == {"train.learning_rate": 5e-5}
    assert given[0]["for"] == ["200 steps without a finite loss"]


def test_spikes_and_noise_ask_for_a_lower_learning_rate(tmp_path: Path, evaluation: Evaluation) -> None:
    losses = [4.0 + 0.01 * (step % 5) for step in range(400)]
    losses[150] = losses[250] = 9.0
    found = by_rule(advise(Settings(), history(tmp_path, FLAT, losses=losses)))
    assert found["unstable"]["for"] == ["2 spikes in the train loss"]
    results = tagged(evaluation, "noise", "best", 4, BEST_WINS)
    assert by_rule(advise(Settings(), History(), results))["unstable"]["fires"]


def test_noise_that_the_base_model_has_as_well_is_not_blamed_on_training(evaluation: Evaluation) -> None:
    tagged(evaluation, "noise", "base", 4, BEST_WINS)
    results = tagged(evaluation, "noise", "best", 4, BEST_WINS)
    assert not by_rule(advise(Settings(), History(), results))["unstable"]["fires"]


RISING = [(0, 4.5), (100, 3.8), (200, 3.5), (300, 3.8), (400, 4.0)]
BY_HEART = [(0, 0.9), (100, 0.5), (200, 0.35), (300, 0.28), (400, 0.25)]


def test_a_valid_loss_that_rises_again_is_a_remark_since_best_model_is_from_before(tmp_path: Path) -> None:
    found = by_rule(advise(Settings(), history(tmp_path, RISING, losses=train_losses(RISING, 0.5))))["overfit"]
    assert found["fires"]
    assert found["changes"] == {}
    assert "best_model is from before the rise" in found["for"][0]


def test_clips_that_are_learned_by_heart_are_overfitting_although_valid_still_falls(tmp_path: Path) -> None:
    found = by_rule(advise(Settings(), history(tmp_path, BY_HEART, losses=train_losses(BY_HEART, 0.23))))
    assert found["overfit"]["fires"]
    assert "train is 0.020 where valid is 0.250" in found["overfit"]["for"][0]
    assert found["overfit"]["changes"] == {"lora.dropout": 0.1}
    assert not found["underfit"]["fires"]


def test_clips_that_are_learned_by_heart_forbid_what_would_fit_them_more(
    tmp_path: Path, evaluation: Evaluation
) -> None:
    log = history(tmp_path, BY_HEART, losses=train_losses(BY_HEART, 0.23))
    found = by_rule(advise(Settings(), log, tagged(evaluation, "generic", "best", 5, BEST_WINS)))
    assert found["overfit"]["fires"]
    assert not found["generic"]["fires"]
    assert "overfit forbids" in found["generic"]["needs"]


def test_wins_and_losses_that_cancel_out_are_not_called_no_difference(tmp_path: Path, evaluation: Evaluation) -> None:
    up, down, same = {"base": 2, "best": 4, "final": 3}, {"base": 4, "best": 2, "final": 3}, {"base": 3, "best": 3}
    judge(evaluation, "anna", [up, down, up, down, up, down, {**same, "final": 3}, up])
    found = by_rule(advise(Settings(), history(tmp_path, FLAT, losses=train_losses(FLAT)), results_of(evaluation)))
    assert not found["no-difference"]["fires"]


@pytest.mark.parametrize("tag", ["rhythm-off", "timbre-off"])
def test_a_rhythm_or_timbre_that_is_off_asks_for_more_clips_a_step_and_says_what_changes_nothing(
    evaluation: Evaluation, tag: str
) -> None:
    found = by_rule(advise(Settings(), History(), tagged(evaluation, tag, "best", 4, BEST_WINS)))["rhythm-or-timbre"]
    assert found["fires"]
    assert found["changes"] == {"train.gradient_accumulation_steps": 8}
    assert any("batch 1 x 8" in reason and "change nothing" in reason for reason in found["against"])


def test_with_many_clips_a_step_already_an_off_rhythm_asks_for_longer_windows(evaluation: Evaluation) -> None:
    results = tagged(evaluation, "rhythm-off", "best", 4, BEST_WINS)
    steady = override(Settings(), ["train.batch_size=4"])
    assert by_rule(advise(steady, History(), results))["rhythm-or-timbre"]["changes"] == {"data.duration": 30.0}


def test_a_rhythm_that_base_has_off_as_often_is_not_blamed_on_training(evaluation: Evaluation) -> None:
    tagged(evaluation, "rhythm-off", "base", 4, BEST_WINS)
    results = tagged(evaluation, "rhythm-off", "best", 4, BEST_WINS)
    assert not by_rule(advise(Settings(), History(), results))["rhythm-or-timbre"]["fires"]


def test_the_epochs_go_from_one_to_three_and_from_three_to_five(tmp_path: Path) -> None:
    log = history(tmp_path, FALLING, losses=train_losses(FALLING))
    for before, after in ((1, 3), (2, 3), (3, 5), (5, 10)):
        settings = override(Settings(), [f"train.epochs={before}"])
        assert by_rule(advise(settings, log))["underfit"]["changes"] == {"train.epochs": after}


def settled(*found: Advice) -> dict[str, Advice]:
    for advice in found:
        advice.fires = True
    return {advice.rule: advice for advice in settle(found, Settings())}


def test_of_two_that_move_a_setting_in_different_directions_the_weightier_one_fires() -> None:
    up, down = {"train.learning_rate": 2e-4}, {"train.learning_rate": 5e-5}
    found = settled(Advice("unstable", changes=down), Advice("no-difference", changes=up))
    assert found["unstable"].fires
    assert not found["no-difference"].fires
    assert "unstable" in found["no-difference"].needs


def test_the_same_run_is_offered_once() -> None:
    found = settled(
        Advice("underfit", changes={"train.epochs": 3}), Advice("best-is-final", changes={"train.epochs": 3})
    )
    assert not found["best-is-final"].fires
    assert "underfit offers the same run" in found["best-is-final"].needs


def test_at_most_three_fire_and_the_others_say_what_comes_first() -> None:
    found = settled(*(Advice(rule, changes={name: 99}) for rule, name in zip("abcde", fields(), strict=False)))
    assert [rule for rule, advice in found.items() if advice.fires] == ["a", "b", "c"]
    assert "a, b, c would teach more first" in found["d"].needs


def test_data_that_make_no_sense_silence_everything_else(tmp_path: Path, evaluation: Evaluation) -> None:
    results = tagged(evaluation, "generic", "best", 5, BEST_WINS)
    given = advise(Settings(), history(tmp_path, [(0, 8.3), (100, 8.2)]), results)
    assert [advice["rule"] for advice in given if advice["fires"]] == ["start-loss"]


def test_no_difference_asks_for_more_steps_when_few_and_for_a_higher_rate_otherwise(
    tmp_path: Path, evaluation: Evaluation
) -> None:
    judge(evaluation, "anna", [{"base": 3, "best": 3, "final": 3}])
    results = results_of(evaluation)
    short = [(0, 4.5), (12, 4.49)]
    assert by_rule(advise(Settings(), history(tmp_path, short), results))["no-difference"]["changes"] == {
        "train.epochs": 3
    }
    (tmp_path / "long").mkdir()
    log = history(tmp_path / "long", FLAT, losses=train_losses(FLAT))
    found = by_rule(advise(Settings(), log, results))["no-difference"]
    assert found["fires"]
    assert found["changes"] == {"train.learning_rate": 2e-4}
    assert any("something was learned" in reason for reason in found["against"])


def test_a_learning_rate_that_never_got_up_asks_for_a_shorter_warm_up(tmp_path: Path) -> None:
    settings = override(Settings(), ["train.warmup_steps=50"])
    found = by_rule(advise(settings, history(tmp_path, [(0, 4.5), (12, 4.4)], lr=2.4e-5)))["warm-up"]
    assert found["fires"]
    assert found["changes"] == {"train.warmup_steps": "auto"}
    assert "2.4e-05 of 0.0001" in found["for"][0]


def test_too_few_prompts_ask_for_more_seeds_with_the_number_that_would_do(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [{"base": 4, "best": 2, "final": 3}, BEST_WINS])
    found = by_rule(advise(Settings(), History(), results_of(evaluation)))["too-few-prompts"]
    assert found["fires"]
    assert found["changes"] == {"evaluate.repeats": 2}
    assert "16 prompts would settle it" in found["for"][0]


def test_best_and_final_of_one_run_ask_for_more_validations(tmp_path: Path) -> None:
    evaluation = open_evaluation(make_evaluation(tmp_path / "evaluation", same_weights=("best", "final")))
    judge(evaluation, "anna", [{"base": 2, "best": 4, "final": 4}])
    log = history(tmp_path, [(0, 4.5), (12, 4.4)])
    found = by_rule(advise(Settings(), log, results_of(evaluation)))["best-is-final"]
    assert found["fires"]
    assert found["changes"] == {"train.validate_steps": 1}


@pytest.mark.parametrize(
    ("tag", "rule", "setting"),
    [("off-style", "off-style", "evaluate.guidance_scale"), ("loops", "loops", "evaluate.temperature")],
)
def test_what_is_a_matter_of_sampling_costs_no_training(
    evaluation: Evaluation, tag: str, rule: str, setting: str
) -> None:
    found = by_rule(advise(Settings(), History(), tagged(evaluation, tag, "best", 3, BEST_WINS)))[rule]
    assert found["fires"]
    assert list(found["changes"]) == [setting]


def test_silence_that_was_learned_sends_to_the_data(evaluation: Evaluation) -> None:
    found = by_rule(advise(Settings(), History(), tagged(evaluation, "fades-out", "best", 3, BEST_WINS)))["silence"]
    assert found["fires"]
    assert found["changes"] == {}


def test_a_start_at_blind_guessing_comes_before_everything_else(tmp_path: Path) -> None:
    given = advise(Settings(), history(tmp_path, [(0, 8.3), (100, 8.2)]))
    assert given[0]["rule"] == "start-loss"
    assert "blind guessing is 7.62" in given[0]["for"][0]


def test_without_judgements_it_says_to_listen_first_and_nothing_crashes() -> None:
    given = advise(Settings(), History())
    assert len(given) == len(RULES)
    assert [advice["rule"] for advice in given if advice["fires"]] == ["listen-first"]
    assert all(set(a) == {"rule", "fires", "for", "against", "needs", "changes"} for a in given)


def test_a_rule_that_did_not_fire_says_what_it_needs_and_what_was_found(tmp_path: Path) -> None:
    given = advise(Settings(), history(tmp_path, FLAT))
    assert all(advice["needs"] for advice in given)
    assert by_rule(given)["unstable"]["needs"].endswith("found 0, 0, 0")


def test_rules_that_fire_come_first_and_every_change_is_a_legal_setting(tmp_path: Path, evaluation: Evaluation) -> None:
    results = tagged(evaluation, "generic", "best", 5, BEST_WINS)
    given = advise(Settings(), history(tmp_path, FALLING, losses=train_losses(FALLING)), results)
    fired = [advice["fires"] for advice in given]
    assert fired == sorted(fired, reverse=True)
    for advice in given:
        for name, value in advice["changes"].items():
            assert name in fields()
            override(Settings(), [f"{name}={value!r}".replace("'", '"')])


def test_advice_of_a_run_folder_reads_what_is_there(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", clips=False)
    assert {advice["rule"] for advice in advise_run(run)} >= {"generic", "underfit", "listen-first"}
