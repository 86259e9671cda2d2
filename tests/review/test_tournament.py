"""More models than letters: heard two by two, the pair of which least is known next, scored by Bradley and Terry."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from engine.contract.config import Review
from engine.contract.rundir import RunDir
from tests.review.clips import PROMPTS, make_evaluation
from tui.review import notes, shared, tournament
from tui.review.evaluation import Evaluation, open_evaluation
from tui.review.results import outcome, results_of
from tui.review.session import Session
from tui.review.tournament import PRIOR, Outcome, Standing, fit, planned

MODELS = ("base", "a", "b", "c", "d", "e")
STRENGTH = {"base": -1.5, "a": -0.5, "b": 0.0, "c": 0.1, "d": 0.7, "e": 1.2}


def said(wins: dict[tuple[str, str], float]) -> list[Outcome]:
    """One outcome a prompt: ``wins[a, b]`` for a."""
    return [Outcome(a, b, f"{n}", 1.0) for (a, b), count in wins.items() for n in range(round(count))]


def drawn(rng: random.Random, models: tuple[str, ...], each: int) -> list[Outcome]:
    """What a listener says who follows the model: ``each`` outcomes a pair."""
    found = []
    for a, b in itertools.combinations(models, 2):
        chance = 1 / (1 + math.exp(STRENGTH[b] - STRENGTH[a]))
        found += [Outcome(a, b, str(n), float(rng.random() < chance)) for n in range(each)]
    return found


def by_scipy(models: tuple[str, ...], outcomes: list[Outcome]) -> tuple[np.ndarray, np.ndarray]:
    """Scores and their covariance where scipy finds the least of the same loss, its curvature by differences."""
    at = {model: n for n, model in enumerate(models)}

    def loss(x: np.ndarray) -> float:
        total = PRIOR * (np.log1p(np.exp(-x)) + np.log1p(np.exp(x))).sum()
        for o in outcomes:
            d = x[at[o.a]] - x[at[o.b]]
            total += o.share * np.log1p(np.exp(-d)) + (1 - o.share) * np.log1p(np.exp(d))
        return float(total)

    found = minimize(loss, np.zeros(len(models)), method="BFGS", options={"gtol": 1e-8}).x
    step, n = 1e-4, len(models)
    eye = np.eye(n) * step
    curvature = np.array([
        [(loss(found + i + j) - loss(found + i - j) - loss(found - i + j) + loss(found - i - j)) / (4 * step**2)
         for j in eye] for i in eye
    ])  # fmt: skip
    centred = np.eye(n) - 1 / n
    return centred @ found, centred @ np.linalg.inv(curvature) @ centred


def test_scores_and_their_covariance_are_those_that_scipy_finds() -> None:
    outcomes = [*drawn(random.Random(1), MODELS, 3), Outcome("a", "b", "x", 0.5), Outcome("e", "base", "y", 0.25)]
    scores, covariance = by_scipy(MODELS, outcomes)
    found = fit(MODELS, outcomes)
    order = [MODELS.index(model) for model in found.models]
    assert found.scores == pytest.approx(scores[order], abs=1e-5)
    assert found.covariance == pytest.approx(covariance[np.ix_(order, order)], abs=1e-3)
    assert list(found.scores) == sorted(found.scores, reverse=True)


def test_two_models_have_the_odds_of_their_wins() -> None:
    # With so many outcomes the prior's one win and one loss weigh nothing.
    found = fit(("a", "b"), said({("a", "b"): 30_000, ("b", "a"): 10_000}))
    (pair,) = found.pairs
    assert (pair.a, pair.b) == ("a", "b")
    assert pair.difference == pytest.approx(math.log(3), abs=1e-3)
    error = math.sqrt(1 / 30_000 + 1 / 10_000)  # of a logarithm of odds
    assert (pair.interval[1] - pair.interval[0]) / (2 * tournament.NORMAL) == pytest.approx(error, rel=0.01)


def test_who_won_every_time_has_a_score_and_an_interval_all_the_same() -> None:
    found = fit(("a", "b", "c"), said({("a", "b"): 5, ("a", "c"): 5, ("b", "c"): 5}))
    assert found.models == ("a", "b", "c")
    assert all(math.isfinite(end) for model in found.models for end in found.interval(model))


def test_ties_alone_leave_all_level() -> None:
    found = fit(("a", "b", "c"), [Outcome(a, b, str(n), 0.5) for a, b in ("ab", "bc", "ac") for n in range(8)])
    assert found.scores == pytest.approx((0, 0, 0))
    assert tournament.sentences(found) == ["Nothing can be concluded between any two of a, b, c (Holm over 3 pairs)."]


def test_what_differs_is_said_for_each_pair_and_what_does_not_in_one_sentence() -> None:
    found = fit(("a", "b", "c"), said({("a", "b"): 15, ("b", "a"): 1, ("a", "c"): 15, ("b", "c"): 8, ("c", "b"): 8}))
    first, second, last = tournament.sentences(found, label=str.upper)
    assert first.startswith("A is preferred to B, p")
    assert second.startswith("A is preferred to C, p")
    assert last == "Nothing can be concluded between B and C (Holm over 3 pairs)."


def test_neighbours_that_cannot_be_told_apart_are_said_together() -> None:
    wins = {("a", "b"): 9, ("b", "a"): 7, ("b", "c"): 10, ("c", "b"): 6, ("a", "c"): 11, ("c", "a"): 5, ("a", "d"): 40,
            ("b", "d"): 40, ("c", "d"): 40, ("d", "e"): 10, ("e", "d"): 6}  # fmt: skip
    said_of = tournament.sentences(fit(tuple("abcde"), said(wins)))
    assert said_of[-1] == (
        "Nothing can be concluded between any two of a, b, c, nor between d and e (Holm over 10 pairs)."
    )
    assert len(said_of) == 7


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = []
    for seed in range(60):
        found = fit(MODELS, drawn(random.Random(seed), MODELS, 6))
        held += [pair.interval[0] <= STRENGTH[pair.a] - STRENGTH[pair.b] <= pair.interval[1] for pair in found.pairs]
    assert 0.90 < np.mean(held) < 0.995


def test_several_words_on_one_pair_and_prompt_count_once() -> None:
    words = [Outcome("a", "b", "1", 1.0), Outcome("b", "a", "1", 1.0), Outcome("a", "b", "2", 1.0)]
    assert tournament.averaged(words) == [Outcome("a", "b", "1", 0.5), Outcome("a", "b", "2", 1.0)]


ITEMS = [(prompt, MODELS) for prompt in PROMPTS]


def test_a_page_hears_every_model_once_a_prompt_and_every_pair_about_equally_often() -> None:
    trials = tournament.whole_draw(3, ITEMS, training=True, repeats=2)
    pairs = [trial for trial in trials if trial.kind == "pair"]
    assert len(pairs) == planned(ITEMS) == 24
    assert Counter(trial.kind for trial in trials) == {"training": 1, "pair": 24, "repeat": 2}
    heard = Counter(model for trial in pairs for model in trial.order)
    assert set(heard.values()) == {8}
    between = Counter(frozenset(trial.order) for trial in pairs)
    assert len(between) == 15
    assert set(between.values()) <= {1, 2}
    first = Counter(trial.order[0] for trial in pairs)
    assert all(3 <= first[model] <= 5 for model in MODELS)
    on_a_prompt = Counter(trial.item for trial in pairs)
    assert set(on_a_prompt.values()) <= {2, 3, 4}


def test_the_draw_is_the_same_in_every_process() -> None:
    trials = tournament.whole_draw(3, ITEMS, training=False, repeats=0)
    assert [trial.order for trial in trials[:3]] == [("c", "base"), ("a", "e"), ("d", "b")]


def test_what_is_settled_is_asked_less_than_what_is_open() -> None:
    items = [(prompt, ("good", "fair", "like", "poor")) for prompt in (*PROMPTS, *map(str, range(8)))]
    strength = {"good": 6.0, "fair": 0.0, "like": 0.1, "poor": -6.0}
    rng, outcomes = random.Random(5), []
    trials = tournament.first_trials(1, items, training=False)
    while len(trials) <= 30:
        a, b = trials[-1].order
        chance = 1 / (1 + math.exp(strength[b] - strength[a]))
        outcomes.append(Outcome(a, b, trials[-1].item, float(rng.random() < chance)))
        fresh = tournament.next_trial(1, items, trials, outcomes)
        assert fresh is not None
        trials.append(fresh)
    between = Counter(frozenset(trial.order) for trial in trials)
    assert between[frozenset(("fair", "like"))] > between[frozenset(("good", "poor"))]


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    """Six models: one more than are heard together."""
    folder = make_evaluation(tmp_path / "run" / "evaluation", PROMPTS[:4], models=MODELS, seconds=0.1)
    return open_evaluation(folder)


def judge_next(session: Session) -> None:
    """Judge the pair under the cursor as ``STRENGTH`` says."""
    trial = session.trial
    session.hear_elsewhere()
    for letter in trial.letters:
        session.go(session.index, letter)
        session.rate(1 + round(STRENGTH[trial.model(letter)] + 1.5))


def judge_on(session: Session) -> None:
    while (found := session.next_unjudged()) is not None:
        session.go(*found)
        judge_next(session)


def standing_of(evaluation: Evaluation) -> Standing:
    found = results_of(evaluation).standing
    assert found is not None
    return found


def test_six_models_are_heard_two_by_two_to_the_end(evaluation: Evaluation) -> None:
    session = Session.open(evaluation, "anna", Review(repeats=1), seed=1)
    assert session.trials[0].kind == "training"
    assert (session.total, len(session.counted)) == (26, 1)
    assert not session.complete
    judge_on(session)
    assert session.complete
    assert (session.done, session.total) == (26, 26)
    assert session.trials[-1].kind == "repeat"
    assert all(len(trial.order) == 2 for trial in session.trials)
    found = standing_of(evaluation)
    assert (found.models[0], found.models[-1]) == ("e", "base")
    assert len(found.outcomes) == 12
    assert results_of(evaluation).pairs() == []
    assert "Holm over 15 pairs" in results_of(evaluation).sentences()[-1]


def test_a_tournament_goes_on_where_it_was_left(evaluation: Evaluation) -> None:
    session = Session.open(evaluation, "anna", Review(training_item=False), seed=1)
    judge_next(session)
    drawn = list(session.trials)
    again = Session.open(evaluation, "anna", Review(training_item=False))
    assert again.trials == drawn
    assert len(drawn) == 2


def test_names_stay_hidden_in_the_list_of_runs_until_the_end(evaluation: Evaluation) -> None:
    session = Session.open(evaluation, "anna", Review(training_item=False), seed=1)
    judge_next(session)
    assert outcome(evaluation.home) == "2/4"
    judge_on(session)
    session.reveal()
    assert outcome(evaluation.home).startswith("e +")


def test_notes_and_their_json_tell_the_standing(evaluation: Evaluation) -> None:
    session = Session.open(evaluation, "anna", Review(training_item=False), seed=1)
    judge_on(session)
    session.reveal()
    notes.export(RunDir(evaluation.home), formats=("md", "json"))
    text = (evaluation.home / "notes.md").read_text()
    assert "Heard two by two. Scores by the Bradley-Terry model" in text
    assert "(Holm over 15 pairs)" in text
    found = json.loads((evaluation.home / "notes.json").read_text())["standing"]
    assert [each["model"] for each in found["scores"]] == list(standing_of(evaluation).models)
    assert len(found["pairs"]) == 15


def test_a_page_to_share_has_all_pairs_from_the_beginning(evaluation: Evaluation) -> None:
    key = shared.key_for(evaluation, Review(training_item=False))
    assert Counter(trial.kind for trial in key.trials) == {"pair": 12, "repeat": 1}
    assert all(len(trial.order) == 2 for trial in key.trials)


def test_five_models_are_heard_together(tmp_path: Path) -> None:
    folder = make_evaluation(tmp_path / "evaluation", PROMPTS[:2], models=MODELS[:5], seconds=0.1)
    session = Session.open(open_evaluation(folder), "anna", Review(), seed=1)
    assert session.trial.letters == "ABCDE"
