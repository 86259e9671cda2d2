"""A tournament: more models than can be told apart at once, heard two by two.

The pair that comes next is the one of which least is known. What the pairs say together is the Bradley-Terry model: the
chance that one clip is preferred to another depends on the difference of two scores. Who preferred what on one prompt
counts once: several words on it, by hidden repeats or several listeners, are averaged first.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import combinations
from math import ceil, erfc, sqrt
from typing import TYPE_CHECKING

from tui.review.order import Trial
from tui.review.statistics import ALPHA, holm, p_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_LETTERS = 5
"""Models up to which all clips of a prompt are heard together."""
HEARINGS = 16
"""How often a model is heard at most; with fewer prompts, once a prompt."""
PRIOR = 0.5
"""Wins, and as many losses, that each model is given against one of the mean strength: without them the score of a
model that won or lost every time would be infinite, and its interval as well."""
NORMAL = 1.959964
"""Standard deviations to each side that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Outcome:
    """Two clips of one prompt."""

    a: str
    b: str
    item: str
    share: float
    """1 when a was preferred, 0 when b was, a half for a tie; between them as a mean."""


@dataclass(frozen=True)
class Against:
    """Model ``a`` against model ``b``, from all that was said."""

    a: str
    b: str
    difference: float
    """Score of a minus score of b: the logarithm of the odds that a is preferred."""
    interval: tuple[float, float]
    """95 %, not corrected."""
    p: float
    """Two-sided, of no difference; Holm-corrected over ``corrected_over`` pairs."""
    corrected_over: int = 1


@dataclass(frozen=True)
class Standing:
    """Scores of all models, the highest first."""

    models: tuple[str, ...]
    scores: tuple[float, ...]
    """Natural logarithms of the strengths, their mean 0."""
    covariance: NDArray[np.float64]
    """Of the scores (models, models)."""
    outcomes: tuple[Outcome, ...]

    def interval(self, model: str) -> tuple[float, float]:
        """95 % of a model's score."""
        at = self.models.index(model)
        half = NORMAL * sqrt(max(0.0, float(self.covariance[at, at])))
        return self.scores[at] - half, self.scores[at] + half

    @cached_property
    def heard(self) -> dict[str, int]:
        """How many pairs each model was in."""
        counts = Counter(model for outcome in self.outcomes for model in (outcome.a, outcome.b))
        return {model: counts[model] for model in self.models}

    @cached_property
    def pairs(self) -> tuple[Against, ...]:
        """Every pair, the better one first."""
        found = []
        for i, j in combinations(range(len(self.models)), 2):
            difference, error = self.scores[i] - self.scores[j], self._error(i, j)
            p = erfc(abs(difference) / error / sqrt(2))
            interval = difference - NORMAL * error, difference + NORMAL * error
            found.append(Against(self.models[i], self.models[j], difference, interval, p))
        corrected = holm([pair.p for pair in found])
        return tuple(replace(pair, p=p, corrected_over=len(found)) for pair, p in zip(found, corrected, strict=True))

    def as_data(self) -> dict[str, object]:
        """Plain values, for JSON."""
        scores = [
            {"model": model, "score": score, "interval": self.interval(model), "pairs": self.heard[model]}
            for model, score in zip(self.models, self.scores, strict=True)
        ]
        return {"scores": scores, "pairs": [asdict(pair) for pair in self.pairs]}

    def _error(self, i: int, j: int) -> float:
        c = self.covariance
        return sqrt(float(c[i, i] + c[j, j] - 2 * c[i, j]))


def fit(models: Sequence[str], outcomes: Sequence[Outcome]) -> Standing:
    """Scores by the Bradley-Terry model, a tie as half a win each.

    Found by the MM algorithm (Hunter 2004, "MM algorithms for generalized Bradley-Terry models"), of which each step
    raises the likelihood; with ``PRIOR``. The covariance is the inverse of the information there.
    """
    import numpy as np

    at = {model: number for number, model in enumerate(models)}
    wins = np.zeros((len(models), len(models)))
    for outcome in outcomes:
        wins[at[outcome.a], at[outcome.b]] += outcome.share
        wins[at[outcome.b], at[outcome.a]] += 1 - outcome.share
    played, won = wins + wins.T, wins.sum(axis=1) + PRIOR
    strength = np.ones(len(models))
    for _ in range(10_000):
        before = strength
        strength = won / ((played / (before[:, None] + before[None, :])).sum(axis=1) + 2 * PRIOR / (before + 1))
        if np.abs(np.log(strength / before)).max() < 1e-10:
            break
    chance = strength[:, None] / (strength[:, None] + strength[None, :])
    weight = played * chance * (1 - chance)
    own = strength / (strength + 1)
    information = np.diag(weight.sum(axis=1) + 2 * PRIOR * own * (1 - own)) - weight
    # Scores are told from their mean: that of an invented opponent means nothing.
    centred = np.eye(len(models)) - 1 / len(models)
    covariance = centred @ np.linalg.inv(information) @ centred.T
    scores = centred @ np.log(strength)
    order = sorted(range(len(models)), key=lambda i: (-round(float(scores[i]), 9), i))
    return Standing(
        tuple(models[i] for i in order), tuple(float(scores[i]) for i in order),
        covariance[np.ix_(order, order)], tuple(outcomes),
    )  # fmt: skip


def averaged(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """One outcome for each pair and prompt: the mean of all that was said of it."""
    said: dict[tuple[str, str, str], list[float]] = {}
    for outcome in outcomes:
        a, b = sorted((outcome.a, outcome.b))
        said.setdefault((a, b, outcome.item), []).append(outcome.share if a == outcome.a else 1 - outcome.share)
    return [Outcome(a, b, item, sum(shares) / len(shares)) for (a, b, item), shares in said.items()]


# -- what is heard


Items = Sequence[tuple[str, Sequence[str]]]
"""Key of a prompt and the models that have a clip of it."""


def is_one(trials: Sequence[Trial]) -> bool:
    """Whether a session with these trials is a tournament."""
    return any(trial.kind == "pair" for trial in trials)


def is_needed(items: Items) -> bool:
    """Whether these are more models than are heard together."""
    return len({model for _, of in items for model in of}) > MOST_LETTERS


def planned(items: Items) -> int:
    """How many pairs a session has: every model is heard once a prompt, but no more than ``HEARINGS`` times."""
    models = {model for _, of in items for model in of}
    possible = sum(len(of) * (len(of) - 1) // 2 for _, of in items)
    return min(possible, ceil(len(models) * min(len(items), HEARINGS) / 2))


def next_trial(seed: int, items: Items, trials: Sequence[Trial], outcomes: Sequence[Outcome]) -> Trial | None:
    """The pair that would tell most after these trials, on the prompt least heard; None when all is heard."""
    main = [trial for trial in trials if trial.kind == "pair"]
    rng = random.Random(f"{seed}:{len(trials)}")
    drawn = {(frozenset(trial.order), trial.item) for trial in main}
    open_pairs: dict[frozenset[str], list[str]] = {}
    for key, of in items:
        for pair in map(frozenset, combinations(of, 2)):
            if (pair, key) not in drawn:
                open_pairs.setdefault(pair, []).append(key)
    if not open_pairs:
        return None
    pair = _least_known(rng, list(open_pairs), main, outcomes)
    item = _least_heard(rng, open_pairs[pair], pair, main)
    first = Counter(trial.order[0] for trial in main)
    # A set's own order is another one in every process.
    order = sorted(sorted(pair), key=lambda model: (first[model], rng.random()))
    return Trial(_free_id(trials), item, "pair", tuple(order))


def first_trials(seed: int, items: Items, *, training: bool) -> list[Trial]:
    """With what a session begins: a pair to get used to it, which does not count, and the first that does."""
    first = next_trial(seed, items, [], [])
    if first is None:
        return []
    rng = random.Random(f"{seed}:training")
    key, of = rng.choice([each for each in items if len(each[1]) > 1])
    trials = [Trial("training", key, "training", tuple(rng.sample(sorted(of), 2)))] if training else []
    return [*trials, first]


def whole_draw(seed: int, items: Items, *, training: bool, repeats: int) -> list[Trial]:
    """All trials of a session in which nobody looks at what was said: every pair about equally often."""
    trials = first_trials(seed, items, training=training)
    while trials and sum(trial.kind == "pair" for trial in trials) < planned(items):
        trial = next_trial(seed, items, trials, [])
        if trial is None:
            break
        trials.append(trial)
    while trials and sum(trial.kind == "repeat" for trial in trials) < min(repeats, planned(items)):
        trials.append(repeated(seed, trials))
    return trials


def repeated(seed: int, trials: Sequence[Trial]) -> Trial:
    """One of the pairs again, the other way round, hidden."""
    again = {(trial.item, frozenset(trial.order)) for trial in trials if trial.kind == "repeat"}
    main = [t for t in trials if t.kind == "pair" and (t.item, frozenset(t.order)) not in again]
    chosen = random.Random(f"{seed}:again:{len(again)}").choice(main)
    return Trial(f"again-{len(again) + 1}", chosen.item, "repeat", chosen.order[::-1])


def _least_known(
    rng: random.Random, pairs: Sequence[frozenset[str]], main: Sequence[Trial], outcomes: Sequence[Outcome]
) -> frozenset[str]:
    """The pair of which one more word narrows all scores most: the largest p (1 - p) times variance of its difference.

    That is the step of D-optimal design (Glickman and Jensen 2005, "Adaptive paired comparison designs"). Pairs that
    are drawn and not judged count as ties, so that a page, on which nobody looks at what was said, gets them evenly.
    """
    import numpy as np

    models = sorted({model for pair in pairs for model in pair} | {m for trial in main for m in trial.order})
    judged = {(frozenset((outcome.a, outcome.b)), outcome.item) for outcome in outcomes}
    open_trials = [trial for trial in main if (frozenset(trial.order), trial.item) not in judged]
    waiting = [Outcome(trial.order[0], trial.order[1], trial.item, 0.5) for trial in open_trials]
    found = fit(models, [*outcomes, *waiting])
    at = {model: number for number, model in enumerate(found.models)}
    gains = {}
    for pair in pairs:
        i, j = (at[model] for model in pair)
        chance = 1 / (1 + np.exp(found.scores[j] - found.scores[i]))
        gains[pair] = round(chance * (1 - chance) * found._error(i, j) ** 2, 9)
    most = max(gains.values())
    return rng.choice(sorted((pair for pair in pairs if gains[pair] == most), key=sorted))


def _least_heard(rng: random.Random, keys: Sequence[str], pair: frozenset[str], main: Sequence[Trial]) -> str:
    own = Counter(trial.item for trial in main for model in trial.order if model in pair)
    every = Counter(trial.item for trial in main)
    return min(keys, key=lambda key: (own[key], every[key], rng.random()))


def _free_id(trials: Sequence[Trial]) -> str:
    taken = {trial.id for trial in trials}
    return next(str(n) for n in range(1, len(trials) + 2) if str(n) not in taken)


# -- in words


def sentences(found: Standing, label: Callable[[str], str] = str) -> list[str]:
    """What can be concluded: each pair that differs, then in one sentence those of which nothing is known.

    ``label`` says what a model is called.
    """
    over = f" (Holm over {len(found.pairs)} pairs)" if len(found.pairs) > 1 else ""
    said = [
        f"{label(pair.a)} is preferred to {label(pair.b)}, {p_text(pair.p)}{over}."
        for pair in found.pairs
        if pair.p < ALPHA
    ]
    between = _between(found, label)
    return [*said, f"Nothing can be concluded between {', nor between '.join(between)}{over}."] if between else said


def _between(found: Standing, label: Callable[[str], str]) -> list[str]:
    """The models between which nothing can be concluded: of neighbours in the standing as many as can be at once."""
    open_pairs = {(pair.a, pair.b) for pair in found.pairs if pair.p >= ALPHA}
    names, groups, end = found.models, [], 0
    for first in range(len(names)):
        last = first
        while last + 1 < len(names) and all((names[i], names[last + 1]) in open_pairs for i in range(first, last + 1)):
            last += 1
        if last > first and last >= end:
            groups.append(names[first : last + 1])
            end = last + 1
    told = {pair for group in groups for pair in combinations(group, 2)}
    groups += [pair for pair in combinations(names, 2) if pair in open_pairs - told]
    return [
        " and ".join(map(label, group)) if len(group) == 2 else f"any two of {', '.join(map(label, group))}"
        for group in groups
    ]
