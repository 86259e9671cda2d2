"""What several listeners say together: models swapped within listener and prompt, and how far they agree."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from itertools import permutations, product

import numpy as np
import pytest
import scipy.stats
from msgspec import structs

from tests.review.clips import judge
from tui.review import pooled, statistics
from tui.review.evaluation import Evaluation
from tui.review.results import results_of

BEST_WINS = {"base": 2, "best": 4, "final": 3}
BASE_WINS = {"base": 4, "best": 2, "final": 3}


def by_hand(differences: list[Fraction]) -> float:
    """All signs, one by one."""
    seen = abs(sum(differences))
    ways = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in
            product((1, -1), repeat=len(differences))]  # fmt: skip
    return sum(way >= seen for way in ways) / len(ways)


@pytest.mark.parametrize("seed", range(6))
def test_swapping_two_models_is_counted_as_all_its_ways_one_by_one(seed: int) -> None:
    rng = random.Random(seed)
    differences = [Fraction(rng.randint(-4, 5), rng.choice((1, 2, 3))) for _ in range(10)]
    p, drawn = statistics.flip_test(differences)
    assert p == pytest.approx(by_hand(differences))
    assert not drawn


def test_the_swapping_is_that_of_scipy() -> None:
    differences = [3, 1, 0, 2, -1, 2, 1, 1, -2]
    values = np.asarray(differences, dtype=float)
    told = scipy.stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert statistics.flip_test(differences)[0] == pytest.approx(told.pvalue)


def test_too_many_ways_are_drawn_always_the_same_and_come_near_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = [Fraction(n % 5 - 1) for n in range(16)]
    exact, _ = statistics.flip_test(differences)
    monkeypatch.setattr(statistics, "EXACT_WORK", 0)
    first, drawn = statistics.flip_test(differences)
    assert drawn
    assert first == statistics.flip_test(differences)[0]
    assert first == pytest.approx(exact, abs=0.02)
    assert statistics.flip_test([])[0] == 1.0


def test_alpha_is_that_of_its_author_s_own_example() -> None:
    rows = ["1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."]
    units = [[float(v) for v in unit if v != "."] for unit in zip(*(row.split() for row in rows), strict=True)]
    assert pooled.krippendorff(units) == pytest.approx(0.815, abs=0.0006)


def test_alpha_is_one_when_all_are_of_one_mind_and_unknown_when_nothing_differs() -> None:
    assert pooled.krippendorff([[1, 1], [2, 2], [3, 3]]) == 1.0
    assert pooled.krippendorff([[2, 2], [2, 2]]) is None
    assert pooled.krippendorff([[1], [2]]) is None


def test_a_strict_listener_and_a_generous_one_who_prefer_the_same_agree(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [{"base": 1, "best": 3, "final": 2}])
    judge(evaluation, "ben", [{"base": 3, "best": 5, "final": 4}])
    found = pooled.agreement(pooled.said_by(results_of(evaluation)))
    assert found
    assert found.alpha == 1.0
    assert found.p < 0.01
    assert found.prompts == 8


def test_the_chance_of_an_agreement_is_that_of_orders_shuffled_within_a_prompt() -> None:
    orders = {"anna": [(1, 2, 3), (1, 2, 3)], "ben": [(1, 2, 3), (1, 3, 2)]}
    models = ("base", "best", "final")
    said = {
        name: {str(n): dict(zip(models, map(Fraction, order), strict=True)) for n, order in enumerate(own)}
        for name, own in orders.items()
    }
    found = pooled.agreement(said)
    assert found
    alphas = [
        pooled.krippendorff([(a, b) for a, b in zip((1, 2, 3, 1, 2, 3), one + two, strict=True)])
        for one, two in product(permutations((1, 2, 3)), repeat=2)
    ]
    assert found.alpha == pytest.approx(pooled.krippendorff([(1, 1), (2, 2), (3, 3), (1, 1), (2, 3), (3, 2)]))
    share = np.mean([alpha >= found.alpha - 1e-9 for alpha in alphas])
    assert found.p == pytest.approx(share, abs=0.02)


def test_one_listener_s_many_words_are_not_several_listeners(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [BEST_WINS])
    assert pooled.sentences(results_of(evaluation)) == []


def test_listeners_who_agree_are_pooled_within_listener_and_prompt_and_corrected(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [BASE_WINS, BEST_WINS])
    judge(evaluation, "ben", [BEST_WINS])
    said = pooled.sentences(results_of(evaluation))
    # All comparisons but one are of one sign: the one way that is as far out, and the sixteen that are farther.
    cells = [Fraction(2, 2)] * 15 + [Fraction(-2, 2)]
    assert said[0].startswith("anna and ben together (models swapped within listener and prompt, Holm over 3 pairs): ")
    assert "best over base by 1.75 points, p" in said[0]
    assert statistics.flip_test(cells)[0] == pytest.approx(2 * (1 + 16) / 2**16)
    assert "sign test over the 8 prompts" in said[0]
    assert "alpha" in said[-1]


def test_listeners_of_opposite_minds_are_said_to_be(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [BEST_WINS])
    judge(evaluation, "ben", [BASE_WINS])
    said = pooled.sentences(results_of(evaluation))
    assert "base and best level in 16 comparisons" in said[0]
    assert "of opposite minds" in said[-1]


def test_points_and_places_are_pooled_by_who_wins(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [BEST_WINS])
    judge(evaluation, "ben", [{"base": 3, "best": 1, "final": 2}], mode="ranking")
    said = pooled.sentences(results_of(evaluation))
    assert "best over base by 1.00 more wins than losses a prompt, p < 0.001" in said[0]


def test_whoever_judged_in_a_session_across_runs_as_well_is_one_listener(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [BEST_WINS])
    judge(evaluation, "ben", [BASE_WINS])
    results = results_of(evaluation)
    named = {"anna": "anna", "ben": "anna in rank12+rank16"}
    twice = replace(
        results,
        sessions=tuple(structs.replace(s, listener=named[s.listener]) for s in results.sessions),
        judgements=tuple(replace(j, listener=named[j.listener]) for j in results.judgements),
    )
    assert pooled.sentences(twice) == []
    assert pooled.said_by(twice)["anna"][evaluation.items[0].key]["best"] == 3


def test_a_session_that_is_still_open_is_not_pooled(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [BEST_WINS])
    judge(evaluation, "ben", [BASE_WINS]).undo()
    assert pooled.sentences(results_of(evaluation)) == []
