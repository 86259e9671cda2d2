from pathlib import Path

import pytest

from engine.contract.config import Review
from tests.review.clips import heard, judge, make_evaluation
from tui.review.evaluation import Evaluation, open_evaluation
from tui.review.results import load_results, results_of
from tui.review.session import Session

BEST_WINS = {"base": 2, "best": 4, "final": 3}
BASE_WINS = {"base": 4, "best": 2, "final": 3}


def test_scores_are_brought_back_from_letters_to_models(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [BEST_WINS])
    assert results_of(evaluation).means() == {"base": 2.0, "best": 4.0, "final": 3.0}


def test_a_pair_is_counted_over_prompts_and_concluded_in_a_sentence(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [BASE_WINS, BEST_WINS])
    results = results_of(evaluation)
    pair = results.pair("best", "base")
    assert (pair.wins, pair.ties, pair.losses) == (7, 0, 1)
    assert pair.mean_difference == 1.5
    said = (
        "7 of 8 for best over base, p = 0.21 (Holm over 3 pairs): nothing can be concluded; 24 prompts might settle it."
    )
    assert said in results.sentences()
    assert pair.p == pytest.approx(0.0703, abs=1e-4), "a pair on its own is not corrected"


def test_the_training_item_never_reaches_the_statistics(evaluation: Evaluation) -> None:
    session = heard(Session.open(evaluation, "anna", Review(), seed=1))
    for letter in "ABC":
        session.go(0, letter)
        session.rate(5)
        session.toggle_tag("noise")
    results = results_of(evaluation)
    assert results.means() == {}
    assert results.tags() == {}


def test_two_listeners_are_averaged_over_each_prompt_not_pooled(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [BEST_WINS])
    judge(evaluation, "ben", [BASE_WINS])
    results = results_of(evaluation)
    assert results.pair("best", "base").trials == 8
    assert results.pair("best", "base").ties == 8
    assert results.pairs("anna")[0].wins == 8


def test_ranks_count_upside_down_and_all_bad_is_a_tie(evaluation: Evaluation) -> None:
    session = judge(evaluation, "anna", [{"base": 3, "best": 1, "final": 1}], mode="ranking")
    session.go(0)
    session.toggle_all_bad()
    results = results_of(evaluation)
    pair = results.pair("best", "base")
    assert (pair.wins, pair.ties) == (7, 1)
    assert results.pair("final", "best").ties == 8
    assert results.unit == "place"


def test_hidden_repeats_say_how_consistent_the_listener_is(evaluation: Evaluation) -> None:
    session = judge(evaluation, "anna", [BEST_WINS], repeats=2)
    again = next(i for i, trial in enumerate(session.trials) if trial.kind == "repeat")
    letter = next(letter for letter in "ABC" if session.trials[again].model(letter) == "best")
    session.go(again, letter)
    session.rate(2)
    found = results_of(evaluation).consistency("anna")
    assert found
    assert (found.pairs, found.same) == (6, 5)
    assert found.mean_absolute_difference == pytest.approx(2 / 6)


def test_equal_weights_count_as_one_model_and_measure_the_listeners_noise(tmp_path: Path) -> None:
    evaluation = open_evaluation(make_evaluation(tmp_path / "evaluation", same_weights=("best", "final")))
    judge(evaluation, "anna", [{"base": 2, "best": 4, "final": 3}])
    results = results_of(evaluation)
    assert results.models == ("base", "best")
    assert results.label("best") == "best = final"
    assert results.means()["best"] == 3.5
    assert len(results.pairs()) == 1
    found = results.consistency("anna")
    assert found
    assert (found.pairs, found.same, found.mean_absolute_difference) == (8, 0, 1.0)


def test_tags_are_counted_by_item_whoever_gave_them(evaluation: Evaluation) -> None:
    for listener in ("anna", "ben"):
        session = heard(Session.open(evaluation, listener, Review(training_item=False), seed=3))
        letter = next(letter for letter in "ABC" if session.trials[0].model(letter) == "best")
        session.go(0, letter)
        session.toggle_tag("noise")
    assert results_of(evaluation).tags() == {"noise": {"best": 1}}


def test_a_damaged_session_is_named_and_the_others_count(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [BEST_WINS])
    (evaluation.home / "review" / "ben.json").write_text("{")
    results = load_results(evaluation.home)
    assert len(results.sessions) == 1
    assert "ben.json" in results.unreadable[0]


def test_an_open_session_stays_out_of_what_other_places_show(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [BEST_WINS])
    ben = judge(evaluation, "ben", [BASE_WINS])
    ben.undo()
    assert results_of(evaluation).finished().means() == {"base": 2.0, "best": 4.0, "final": 3.0}
    ben.reveal()
    assert results_of(evaluation).finished().means()["base"] > 2.0


def test_complete_means_that_one_listener_has_judged_everything(evaluation: Evaluation) -> None:
    assert not results_of(evaluation).complete
    session = heard(Session.open(evaluation, "ben", Review(training_item=False), seed=3))
    session.rate(3)
    assert not results_of(evaluation).complete
    judge(evaluation, "anna", [BEST_WINS])
    assert results_of(evaluation).complete
