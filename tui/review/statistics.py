"""Statistics that fit a few trials: exact, per pair of models, and put into plain sentences.

The unit is the item (one prompt with one seed). Several scores of one clip, by hidden repeats or by several
listeners, are averaged before anything is counted: pooling listeners would count the same clip twice.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from math import ceil, comb, exp, floor, lcm, lgamma, log, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ALPHA = 0.05
EXACT_WORK = 1_000_000
"""Sums of subsets counted one by one, above which an interval is taken from drawn subsets: half a second."""
SUBSETS = 20_000
"""Subsets drawn then, always the same ones: the ends move by about a hundredth of the interval's length."""
PROMISING = 0.15
"""Two-sided p below which a result is worth more trials but is not yet a result."""


@dataclass(frozen=True)
class Pair:
    """Model ``a`` against model ``b``."""

    a: str
    b: str
    differences: tuple[Fraction, ...]
    """value(a) - value(b) on each item where both were judged: points when scored, places when ranked."""
    corrected: float | None = None
    """The p-value, Holm-corrected over ``corrected_over`` pairs; None for a pair on its own."""
    corrected_over: int = 1

    @cached_property
    def wins(self) -> int:
        return sum(d > 0 for d in self.differences)

    @cached_property
    def losses(self) -> int:
        return sum(d < 0 for d in self.differences)

    @property
    def ties(self) -> int:
        return sum(d == 0 for d in self.differences)

    @property
    def trials(self) -> int:
        return len(self.differences)

    @cached_property
    def p(self) -> float:
        """Of the two-sided exact sign test, corrected where it is one of several pairs."""
        return sign_test(self.wins, self.losses) if self.corrected is None else self.corrected

    @property
    def mean_difference(self) -> float | None:
        return float(sum(self.differences, Fraction(0)) / self.trials) if self.differences else None

    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean difference, None with fewer than six items. Takes up to a second for many items."""
        return permutation_interval(self.differences)

    @property
    def sampled(self) -> bool:
        """The interval comes from drawn subsets, not from all: there are too many."""
        return _work(_steps(self.differences)[0]) > EXACT_WORK

    def as_data(self) -> dict[str, object]:
        """Plain values, for JSON."""
        names = ("a", "b", "wins", "ties", "losses", "p", "corrected_over", "mean_difference")
        found = {name: getattr(self, name) for name in names}
        return found | {"interval": self.interval(), "interval_sampled": self.sampled}


@dataclass(frozen=True)
class Consistency:
    """How well a listener agrees with themselves on the same clip judged twice."""

    pairs: int
    same: int
    mean_absolute_difference: float


def sign_test(wins: int, losses: int) -> float:
    """Two-sided exact sign test; ties are left out by the caller. 1.0 without trials."""
    n = wins + losses
    if n == 0:
        return 1.0
    most = max(wins, losses)
    ways = tail = comb(n, most)
    for k in range(most, n):
        ways = ways * (n - k) // (k + 1)
        tail += ways
    return min(1.0, 2 * tail / 2**n)


def permutation_interval(differences: Sequence[float | Fraction], alpha: float = ALPHA) -> tuple[float, float] | None:
    """The interval of a mean difference that inverts the sign-flip permutation test.

    Its ends are order statistics of the means of all non-empty subsets (Hartigan 1969, "Using subsample values as
    typical values"), so subsets are counted by size and sum instead of flipping 2^n signs one by one: 50 prompts
    are as exact as 8. Where that would take longer than ``EXACT_WORK`` allows, the same order statistics are taken of
    ``SUBSETS`` random subsets. None when there are too few differences for the level (fewer than 6 at 95 %).
    """
    return _interval(tuple(differences), alpha)


@lru_cache(maxsize=64)
def _interval(differences: tuple[float | Fraction, ...], alpha: float) -> tuple[float, float] | None:
    n = len(differences)
    rank = int(Fraction(alpha) / 2 * 2**n)
    if rank < 1:
        return None
    steps, unit = _steps(differences)
    if _work(steps) > EXACT_WORK:
        return _sampled_interval(steps, unit, alpha)
    counts: Counter[tuple[int, int]] = Counter({(0, 0): 1})
    for step in steps:
        grown = Counter(counts)
        for (size, total), count in counts.items():
            grown[size + 1, total + step] += count
        counts = grown
    del counts[0, 0]
    means: Counter[Fraction] = Counter()
    for (size, total), count in counts.items():
        means[Fraction(total, size * unit)] += count
    ordered = sorted(means.items())
    return _at_rank(ordered, rank), _at_rank(ordered[::-1], rank)


def flip_test(differences: Sequence[float | Fraction]) -> tuple[float, bool]:
    """Two-sided p of the permutation test that swaps two models in any of these comparisons; and whether it is drawn.

    All 2^n ways are counted by their sums; where that would take longer than ``EXACT_WORK`` allows, ``SUBSETS`` are
    drawn, always the same ones, and the data count as one of them. (1.0, False) without a difference.
    """
    steps, _ = _steps([difference for difference in differences if difference])
    seen = abs(sum(steps))
    if len(steps) * (sum(map(abs, steps)) + 1) > EXACT_WORK:
        return _drawn_flips(steps, seen), True
    sums: Counter[int] = Counter({0: 1})
    for step in steps:
        grown: Counter[int] = Counter()
        for total, count in sums.items():
            grown[total + step] += count
            grown[total - step] += count
        sums = grown
    return sum(count for total, count in sums.items() if abs(total) >= seen) / 2 ** len(steps), False


def _drawn_flips(steps: Sequence[int], seen: int) -> float:
    import numpy as np

    rng, values, far = np.random.default_rng(0), np.asarray(steps, dtype=np.float64), 1
    for _ in range(0, SUBSETS, 1000):
        signs = rng.integers(0, 2, (1000, len(steps))) * 2 - 1
        far += int((np.abs(signs @ values) >= seen - 1e-9).sum())
    return far / (SUBSETS + 1)


def _steps(differences: Sequence[float | Fraction]) -> tuple[list[int], int]:
    """The differences as whole numbers of a common unit, and how many units make one."""
    exact = [Fraction(d).limit_denominator(1000) for d in differences]
    unit = lcm(*(d.denominator for d in exact))
    return [int(d * unit) for d in exact], unit


def _work(steps: Sequence[int]) -> int:
    """How often a sum of a subset is counted on in the exact interval, at most."""
    return len(steps) ** 2 * (sum(map(abs, steps)) + 1) // 6


def _sampled_interval(steps: Sequence[int], unit: int, alpha: float) -> tuple[float, float]:
    import numpy as np

    ordered = np.sort(drawn_means(np.asarray(steps, dtype=np.float64) / unit))
    rank = int(alpha / 2 * (len(ordered) + 1))
    return float(ordered[rank - 1]), float(ordered[-rank])


def drawn_means(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of about ``SUBSETS`` random subsets of ``differences`` (n,), always the same ones."""
    import numpy as np

    rng, means = np.random.default_rng(0), []
    for _ in range(0, SUBSETS, 1000):
        chosen = rng.random((1000, len(differences))) < 0.5
        sizes = chosen.sum(axis=1)
        means.append((chosen @ differences)[sizes > 0] / sizes[sizes > 0])
    return np.concatenate(means)


def _at_rank(ordered: Sequence[tuple[Fraction, int]], rank: int) -> float:
    seen = 0
    for mean, count in ordered:
        seen += count
        if seen >= rank:
            return float(mean)
    raise ValueError("rank beyond the number of subsets")


def power(trials: int, preference: float = 0.8, alpha: float = ALPHA) -> float:
    """Chance that the sign test over ``trials`` ends below alpha when each is won with chance ``preference``."""
    least = _least_wins(trials, alpha)
    if least is None:
        return 0.0
    return _at_least(trials, least, preference) + _at_least(trials, least, 1 - preference)


def _at_least(trials: int, wins: int, preference: float) -> float:
    """Chance of so many wins or more."""
    likely = _likely(trials, preference)
    first = max(wins, likely.start)
    if first >= likely.stop:
        return 0.0
    term = total = _chance(trials, first, preference)
    for k in range(first, likely.stop - 1):
        term *= (trials - k) / (k + 1) * preference / (1 - preference)
        total += term
    return total


def _likely(trials: int, preference: float) -> range:
    """The counts of wins that are worth adding up: eight standard deviations about the mean, the rest is 1e-15."""
    mean, spread = trials * preference, 8 * sqrt(trials * preference * (1 - preference))
    return range(max(0, floor(mean - spread)), min(trials, ceil(mean + spread)) + 1)


@lru_cache(maxsize=256)
def _least_wins(trials: int, alpha: float) -> int | None:
    """The fewest wins of so many trials with which the sign test ends below alpha; None when not even all do."""
    tail, least = 0.0, None
    for wins in reversed(_likely(trials, 0.5)):
        tail += _chance(trials, wins, 0.5)
        if 2 * tail >= alpha:
            break
        least = wins
    return least


def _chance(trials: int, wins: int, preference: float) -> float:
    """The binomial probability, in logarithms: ``comb`` times a float overflows from about 1030 trials on."""
    if preference in (0.0, 1.0):
        return float(wins == trials * preference)
    ways = lgamma(trials + 1) - lgamma(wins + 1) - lgamma(trials - wins + 1)
    return exp(ways + wins * log(preference) + (trials - wins) * log(1 - preference))


def trials_to_settle(wins: int, losses: int, prompts: int, *, wanted: float = 0.8, alpha: float = ALPHA) -> int | None:
    """The smallest multiple of ``prompts`` above the trials done at which the rate seen so far would show itself.

    "Show itself" means: power of at least ``wanted``. None when eight times the prompts would not do.
    """
    done = wins + losses
    if done == 0 or prompts == 0:
        return None
    rate = max(wins, losses) / done
    for factor in range(2, 9):
        trials = prompts * factor
        if trials > done and power(trials, rate, alpha) >= wanted:
            return trials
    return None


def holm(values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979), in the order given."""
    order = sorted(range(len(values)), key=lambda at: values[at])
    corrected, highest = [0.0] * len(values), 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[at]))
        corrected[at] = highest
    return corrected


def corrected(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with their p-values Holm-corrected over all of them that were judged; one alone as it is."""
    judged = [pair.p for pair in pairs if pair.trials]
    if len(judged) < 2:
        return list(pairs)
    values = iter(holm(judged))
    return [
        replace(pair, corrected=next(values), corrected_over=len(judged)) if pair.trials else pair for pair in pairs
    ]


def compare(values: Mapping[str, Mapping[str, float | Fraction]], a: str, b: str) -> Pair:
    """Pair result from ``values[item][model]``, higher being better; items that lack one of the two are left out."""
    both = [item for item in values.values() if a in item and b in item]
    return Pair(a, b, tuple(Fraction(item[a]) - Fraction(item[b]) for item in both))


def consistency(pairs: Iterable[tuple[float, float]]) -> Consistency | None:
    """From pairs of judgements of one and the same clip by one listener; None without any."""
    both = list(pairs)
    if not both:
        return None
    return Consistency(
        pairs=len(both),
        same=sum(x == y for x, y in both),
        mean_absolute_difference=sum(abs(x - y) for x, y in both) / len(both),
    )


def tag_counts(tagged: Iterable[tuple[str, Iterable[str]]]) -> dict[str, dict[str, int]]:
    """``{tag: {model: clips}}`` from (model, tags of one clip), the most frequent tag first."""
    counts: dict[str, dict[str, int]] = {}
    for model, tags in tagged:
        for tag in set(tags):
            by_model = counts.setdefault(tag, {})
            by_model[model] = by_model.get(model, 0) + 1
    return dict(sorted(counts.items(), key=lambda entry: (-sum(entry[1].values()), entry[0])))


def p_text(p: float) -> str:
    """``p = 0.07``, ``p = 0.008`` or ``p < 0.001``."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.01 else f"p = {p:.2f}"


def conclusion(pair: Pair, prompts: int, *, says_over: bool = True) -> str:
    """One sentence on what this pair allows to say. ``prompts`` is the number of different prompts in the set.

    Over how many pairs the p-value is corrected stands in it, unless it is said beside it.
    """
    ahead, behind = (pair.a, pair.b) if pair.wins >= pair.losses else (pair.b, pair.a)
    most, untied = max(pair.wins, pair.losses), pair.wins + pair.losses
    if pair.trials == 0:
        return f"{pair.a} and {pair.b}: nothing judged yet."
    if untied == 0:
        return f"{pair.a} and {pair.b}: {_count(pair.trials, 'tie')}, no difference heard."
    ties = f" and {_count(pair.ties, 'tie')}" if pair.ties else ""
    if pair.wins == pair.losses:
        return f"{pair.a} and {pair.b}: {pair.wins} to {pair.losses}{ties}, nothing can be concluded."
    over = f" (Holm over {pair.corrected_over} pairs)" if pair.corrected_over > 1 and says_over else ""
    said = f"{most} of {untied} for {ahead} over {behind}{ties}, {p_text(pair.p)}{over}"
    if pair.p < ALPHA:
        return f"{said}: {ahead} is preferred."
    alpha = ALPHA / pair.corrected_over
    if sign_test(untied, 0) >= alpha:
        fewest = next(n for n in itertools.count(untied) if sign_test(n, 0) < alpha)
        return f"{said}: nothing can be concluded from fewer than {fewest} without ties."
    needed = trials_to_settle(pair.wins, pair.losses, prompts, alpha=alpha)
    if pair.p < PROMISING:
        return f"{said}: promising; {needed or 'many more'} prompts would settle it."
    if needed:
        return f"{said}: nothing can be concluded; {needed} prompts might settle it."
    return f"{said}: nothing can be concluded, and more prompts alone are unlikely to change that."


def consistency_sentence(found: Consistency | None, unit: str = "point") -> str:
    """What the hidden repeats say about the listener's own noise."""
    if found is None:
        return "No clip was judged twice: the listener's own noise is not known."
    return (
        f"{found.same} of {_count(found.pairs, 'clip')} judged twice got the same answer, "
        f"{found.mean_absolute_difference:.1f} {unit}s apart on average."
    )


def power_sentence(prompts: int) -> str:
    """How likely a session shows a preference that is there, and what two or three seeds a prompt would buy."""
    once, twice, thrice = (f"{100 * power(prompts * seeds):.0f}" for seeds in (1, 2, 3))
    return (
        f"If you truly prefer one model on 8 of 10 prompts, a session with {_count(prompts, 'prompt')} shows it {once} "
        f"times in 100; with 2 seeds a prompt {twice} times, with 3 seeds {thrice}."
    )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
