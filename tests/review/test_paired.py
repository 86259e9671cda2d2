"""Valid losses paired clip by clip."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from engine.contract.errors import UserError
from tui.review import paired, statistics


def losses(values: list[float]) -> dict[str, float]:
    return {f"clip{n}": value for n, value in enumerate(values)}


RNG = np.random.default_rng(3)
HARD = RNG.normal(4, 1, 20)
"""Losses of twenty clips: they differ among themselves far more than two models do."""


def test_a_small_gain_on_most_clips_is_seen_where_means_drown_in_the_clips() -> None:
    better = HARD - 0.02
    better[:5] = HARD[:5] + 0.01
    found = paired.pair("rank16", losses(list(better)), "rank12", losses(list(HARD)))
    assert (found.wins, found.losses, found.clips) == (15, 5, 20)
    assert found.mean_difference == pytest.approx(-0.0125)
    assert found.p == pytest.approx(stats.binomtest(15, 20).pvalue)
    assert found.interval is not None
    assert found.interval[1] < 0
    assert stats.ttest_ind(better, HARD).pvalue > 0.9
    assert paired.sentence(found) == "rank16 is better than rank12 on 15 of 20 valid clips, p = 0.04."


def test_the_interval_is_the_one_that_enumerating_all_subsets_gives() -> None:
    differences = RNG.normal(0.1, 1, 9)
    means = sorted(np.mean(subset) for size in range(1, 10) for subset in itertools.combinations(differences, size))
    rank = int(0.025 * 2**9)
    interval, sampled = paired.permutation_interval(differences)
    assert interval == pytest.approx((means[rank - 1], means[-rank]))
    assert not sampled


def test_a_mean_outside_the_interval_is_what_the_sign_flip_test_rejects() -> None:
    differences = RNG.normal(0.3, 1, 10)
    (low, high), _ = paired.permutation_interval(differences)  # type: ignore[misc]

    def rejected(mean: float) -> bool:
        def statistic(x: np.ndarray, axis: int) -> np.ndarray:
            return np.mean(x, axis=axis)

        test = stats.permutation_test(
            (differences - mean,), statistic, permutation_type="samples", n_resamples=np.inf, vectorized=True
        )
        return test.pvalue < 0.05

    assert rejected(low - 0.02)
    assert rejected(high + 0.02)
    assert not rejected(low + 0.02)
    assert not rejected(high - 0.02)


def test_above_twenty_clips_subsets_are_drawn_the_same_every_time_and_it_is_said() -> None:
    many = RNG.normal(0.2, 1, 200)
    first, second = paired.permutation_interval(many), paired.permutation_interval(many)
    assert first == second
    assert first[1]
    (low, high), _ = first  # type: ignore[misc]
    half = 1.96 * many.std(ddof=1) / np.sqrt(200)
    assert (low, high) == pytest.approx((many.mean() - half, many.mean() + half), abs=0.03)


def test_five_clips_have_no_interval_at_this_level() -> None:
    assert paired.permutation_interval(np.arange(5.0)) == (None, False)


def test_runs_are_paired_over_the_clips_that_they_share() -> None:
    a, b = losses([1.0, 2.0, 3.0]), {**losses([1.5, 2.5]), "other": 9.0}
    found = paired.pair("a", a, "b", b)
    assert (found.clips, found.wins) == (2, 2)


def test_runs_without_shared_clips_are_refused_with_the_number() -> None:
    with pytest.raises(UserError, match="share 0 of 2 and 1 valid clips"):
        paired.pair("a", losses([1.0, 2.0]), "b", {"other": 1.0})


def test_all_pairs_are_corrected_after_holm_and_say_over_how_many() -> None:
    models = {"a": losses(list(HARD)), "b": losses(list(HARD - 0.1)), "c": losses(list(HARD + np.resize([1, -1], 20)))}
    found = {(one.a, one.b): one for one in paired.pairs(models)}
    assert set(found) == {("b", "a"), ("c", "a"), ("c", "b")}
    assert all(one.corrected_over == 3 for one in found.values())
    assert found["b", "a"].p == pytest.approx(3 * stats.binomtest(20, 20).pvalue)
    assert "Holm over 3 pairs" in paired.sentence(found["b", "a"])


def test_holms_correction_is_the_step_down_of_the_definition() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert statistics.holm([]) == []


def test_equal_losses_are_level_and_prove_nothing() -> None:
    found = paired.pair("a", losses([1.0] * 8), "b", losses([1.0] * 8))
    assert (found.p, found.wins, found.losses) == (1.0, 0, 0)
    assert "level on 8 valid clips" in paired.sentence(found)
