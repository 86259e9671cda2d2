import math
import random
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from tui.review import statistics
from tui.review.statistics import (
    Pair,
    compare,
    conclusion,
    consistency,
    permutation_interval,
    power,
    sign_test,
    tag_counts,
    trials_to_settle,
)  # fmt: skip


@pytest.mark.parametrize(
    ("wins", "losses", "p"), [(8, 0, 0.0078), (7, 1, 0.0703), (6, 2, 0.2891), (4, 4, 1), (0, 0, 1)]
)
def test_the_sign_test_is_exact_and_two_sided(wins: int, losses: int, p: float) -> None:
    assert sign_test(wins, losses) == pytest.approx(p, abs=5e-5)
    assert sign_test(wins, losses) == sign_test(losses, wins)


def test_the_power_of_8_16_and_24_trials_is_the_published_one() -> None:
    assert [round(power(n, 0.8), 2) for n in (8, 16, 24)] == [0.17, 0.60, 0.81]


def test_the_interval_is_the_one_found_by_listing_every_subset() -> None:
    rng = random.Random(3)
    differences = [rng.randint(-2, 4) for _ in range(10)]
    means = sorted(sum(c) / len(c) for k in range(1, 11) for c in combinations(differences, k))
    rank = int(0.025 * 2**10)
    assert permutation_interval(differences) == pytest.approx((means[rank - 1], means[-rank]))


def test_the_interval_holds_the_shifts_that_a_sign_flip_test_does_not_reject() -> None:
    differences = [1.5, 0.5, 2.0, -0.5, 1.0, 3.0, 0.25, 1.25]
    found = permutation_interval(differences)
    assert found

    def p(shift: float) -> float:
        moved = [d - shift for d in differences]
        sums = [abs(sum(s * m for s, m in zip(signs, moved, strict=True))) for signs in product((-1, 1), repeat=8)]
        return sum(s >= abs(sum(moved)) - 1e-12 for s in sums) / len(sums)

    low, high = found
    assert p(low - 0.01) < 0.05 < p(low + 0.01)
    assert p(high + 0.01) < 0.05 < p(high - 0.01)


def test_five_differences_have_no_95_percent_interval() -> None:
    assert permutation_interval([1, 1, 1, 1, 1]) is None
    assert permutation_interval([1, 1, 1, 1, 1, 2]) == (1.0, 2.0)


def test_fifty_prompts_are_as_exact_as_eight() -> None:
    found = permutation_interval([1, 0, -1, 2, 1] * 10)
    assert found
    assert found[0] < 0.6 < found[1]


@pytest.mark.parametrize(("trials", "preference"), [(8, 0.8), (130, 0.6), (1040, 0.55), (4000, 0.52), (12, 1.0)])
def test_power_is_that_of_the_binomial_distribution_however_many_trials(trials: int, preference: float) -> None:
    wins = np.arange(trials + 1)
    p = 2 * stats.binom.sf(np.maximum(wins, trials - wins) - 1, trials, 0.5)
    assert power(trials, preference) == pytest.approx(stats.binom.pmf(wins, trials, preference)[p < 0.05].sum())


def test_a_thousand_trials_are_planned_for_and_concluded_from() -> None:
    assert trials_to_settle(68, 62, 130) is None
    assert trials_to_settle(72, 58, 130) == 780
    assert sign_test(800, 700) == pytest.approx(stats.binomtest(800, 1500).pvalue)
    assert "preferred" in conclusion(pair(800, 700), 500)


def test_with_many_prompts_the_interval_is_taken_from_drawn_subsets_and_says_so() -> None:
    rng = random.Random(5)
    many = Pair("best", "base", tuple(Fraction(rng.choice([-2, -1, 0, 1, 2, 3])) for _ in range(500)))
    assert many.as_data()["interval_sampled"]
    assert not pair(40, 10).sampled
    found = many.interval()
    assert found == permutation_interval(list(many.differences)), "drawn the same way each time"
    # Around the mean m, a subset's mean has the variance of sum((d - m)^2) / n^2, as a sum of flipped signs has.
    mean = many.mean_difference
    assert found
    assert mean
    half = 1.96 * math.sqrt(sum((float(d) - mean) ** 2 for d in many.differences)) / many.trials
    assert found == pytest.approx((mean - half, mean + half), abs=0.05 * half)


def test_a_pair_counts_wins_ties_losses_over_items_that_have_both() -> None:
    values = {"1": {"a": 4, "b": 2}, "2": {"a": 3, "b": 3}, "3": {"a": 1, "b": 2}, "4": {"a": 5}}
    pair = compare(values, "a", "b")
    assert (pair.wins, pair.ties, pair.losses) == (1, 1, 1)
    assert pair.mean_difference == pytest.approx(1 / 3)


def pair(wins: int, losses: int, ties: int = 0) -> Pair:
    return Pair("best", "base", tuple(map(Fraction, [1] * wins + [-1] * losses + [0] * ties)))


def test_seven_of_eight_is_promising_and_sixteen_prompts_would_settle_it() -> None:
    said = "7 of 8 for best over base, p = 0.07: promising; 16 prompts would settle it."
    assert conclusion(pair(7, 1), 8) == said


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (pair(8, 0), "best is preferred"),
        (pair(0, 8), "8 of 8 for base over best, p = 0.008: base is preferred"),
        (pair(5, 3), "nothing can be concluded"),
        (pair(4, 4), "4 to 4, nothing can be concluded"),
        (pair(0, 0, 8), "8 ties, no difference heard"),
        (pair(5, 0), "nothing can be concluded from fewer than 6 without ties"),
        (pair(0, 0), "nothing judged yet"),
        (pair(7, 1, 2), "and 2 ties"),
    ],
)
def test_every_outcome_has_a_sentence_that_says_what_it_allows(found: Pair, words: str) -> None:
    assert words in conclusion(found, 8)


def test_a_rate_near_one_half_is_never_promised_to_be_settled() -> None:
    assert trials_to_settle(5, 3, 8) is None
    assert trials_to_settle(0, 0, 8) is None


def test_consistency_comes_from_clips_judged_twice() -> None:
    found = consistency([(4, 4), (3, 4), (2, 4)])
    assert found
    assert (found.pairs, found.same) == (3, 1)
    assert found.mean_absolute_difference == 1.0
    assert consistency([]) is None


def test_tags_are_counted_by_model_the_most_frequent_first() -> None:
    counts = tag_counts([("base", ["noise"]), ("best", ["generic", "noise"]), ("best", ["noise"])])
    assert counts == {"noise": {"base": 1, "best": 2}, "generic": {"best": 1}}
    assert list(counts) == ["noise", "generic"]


def test_small_probabilities_are_written_without_false_zeros() -> None:
    assert [statistics.p_text(p) for p in (0.0703, 0.0078, 0.0001)] == ["p = 0.07", "p = 0.008", "p < 0.001"]
