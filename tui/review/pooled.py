"""What several listeners say together: who is preferred on these clips, and how far the listeners agree.

Listeners are never poured into one table of picks: their words on one clip are not independent, and one listener's
points are not another's. Models are swapped, or a listener's order is shuffled, only within what one listener said of
one prompt (one seed of it, where a prompt has several).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from tui.review.results import Results
from tui.review.statistics import ALPHA, flip_test, holm, p_text

Said = Mapping[str, Mapping[str, Mapping[str, Fraction]]]
"""``said[listener][item][model]``, higher is better."""

SHUFFLES = 5_000
"""Ways drawn to shuffle the orders within prompts, where there are more than that; always the same ones."""
RELIABLE, TENTATIVE = 0.8, 0.667
"""Krippendorff's own limits (Content Analysis, 2004): conclusions from 0.8 on, tentative ones from 0.667 on."""
NAMED = 4
"""Listeners that a sentence names; more are counted."""


@dataclass(frozen=True)
class Together:
    """Model ``a`` against model ``b`` over several listeners."""

    a: str
    b: str
    mean_difference: float
    """Over the prompts of the mean over the listeners; wins minus losses instead of points when they judged in
    different ways."""
    cells: int
    """What was compared: the two models by one listener on one prompt."""
    p: float
    """Two-sided, the models swapped within listener and prompt; Holm-corrected over ``corrected_over`` pairs."""
    drawn: bool
    corrected_over: int


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha, ordinal, over the order in which each listener put the clips of a prompt."""

    alpha: float
    """1 when all are of one mind, 0 by chance, below it when they are of opposite minds."""
    p: float
    """How often shuffled orders agree as well."""
    by_chance: float
    """What one in twenty of the shuffled orders reaches: few prompts reach much."""
    prompts: int


def said_by(results: Results) -> Said:
    """What each person who judged anything said, on average where they did so in several sessions.

    Whoever judged the run's clips in a session across runs is called "anna in NAME" there, and is anna.
    """
    every: dict[str, dict[str, dict[str, list[Fraction]]]] = {}
    for session in results.sessions:
        own = every.setdefault(session.listener.partition(" in ")[0], {})
        for item, of in results.values(session.listener).items():
            for model, value in of.items():
                own.setdefault(item, {}).setdefault(model, []).append(value)
    return {
        person: {item: {m: sum(v, Fraction(0)) / len(v) for m, v in of.items()} for item, of in values.items()}
        for person, values in every.items()
        if values
    }


def together(said: Said, pairs: Sequence[tuple[str, str]], *, mixed: bool = False) -> list[Together]:
    """Each pair of models over all listeners; a pair that nobody compared is left out. ``mixed``: only who wins counts,
    because some gave points and others places."""
    found = []
    for a, b in pairs:
        cells = _cells(said, a, b, mixed)
        if cells:
            p, drawn = flip_test(cells)
            prompts = len({item for values in said.values() for item, of in values.items() if a in of and b in of})
            found.append((a, b, float(sum(cells)) / prompts, len(cells), p, drawn))
    corrected = holm([p for *_, p, _ in found])
    return [
        Together(a, b, mean, cells, p, drawn, len(found))
        for (a, b, mean, cells, _, drawn), p in zip(found, corrected, strict=True)
    ]


def _cells(said: Said, a: str, b: str, mixed: bool) -> list[Fraction]:
    """value(a) - value(b) by listener and prompt, each a share of its prompt's mean over the listeners."""
    by_item: dict[str, list[Fraction]] = {}
    for values in said.values():
        for item, of in values.items():
            if a in of and b in of:
                difference = of[a] - of[b]
                one = Fraction((difference > 0) - (difference < 0)) if mixed else difference
                by_item.setdefault(item, []).append(one)
    return [difference / len(cells) for cells in by_item.values() for difference in cells]


def agreement(said: Said) -> Agreement | None:
    """How far the listeners agree; None when no clip was judged by two of them, or nobody set one clip above another.

    Each listener's values become places among the clips of a prompt, so that a generous listener and a strict one who
    prefer the same clips agree. The chance is that of places shuffled within listener and prompt.
    """
    places = _places(said)
    clips = [list(of.values()) for of in places.values() if len(of) > 1]
    alpha = krippendorff(clips)
    if alpha is None:
        return None
    by_chance = _shuffled(places)
    reached = float((by_chance >= alpha - 1e-9).mean())
    items = {item for (item, _), of in places.items() if len(of) > 1}
    return Agreement(alpha, reached, float(np.quantile(by_chance, 1 - ALPHA, method="inverted_cdf")), len(items))


def krippendorff(units: Iterable[Sequence[Fraction | float]]) -> float | None:
    """Krippendorff's alpha with the ordinal difference; ``units`` are what was judged, each with the values given it.

    Klaus Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011). Units of fewer than two values are left
    out. None when nothing is left, or all values are one.
    """
    units = [unit for unit in units if len(unit) > 1]
    counts = Counter(value for unit in units for value in unit)
    if len(counts) < 2:
        return None
    levels = sorted(counts)
    delta = _ordinal([counts[level] for level in levels])
    at = {level: number for number, level in enumerate(levels)}
    seen = sum(sum(delta[at[x], at[y]] for x, y in permutations(unit, 2)) / (len(unit) - 1) for unit in units)
    return float(1 - seen / _expected(delta, [counts[level] for level in levels]))


def _ordinal(counts: Sequence[int]) -> NDArray[np.float64]:
    """Squared ordinal differences (levels, levels): how many values lie between two levels."""
    middle = np.cumsum(counts) - np.asarray(counts) / 2
    return np.asarray((middle[:, None] - middle[None, :]) ** 2, dtype=np.float64)


def _expected(delta: NDArray[np.float64], counts: Sequence[int]) -> float:
    """The difference of values that are paired by chance, over all pairs."""
    weights = np.asarray(counts, dtype=np.float64)
    return float(weights @ delta @ weights) / (weights.sum() - 1)


def _places(said: Said) -> dict[tuple[str, str], dict[str, Fraction]]:
    """``{(item, model): {listener: place}}``: ties share the mean of their places."""
    found: dict[tuple[str, str], dict[str, Fraction]] = {}
    for listener, values in said.items():
        for item, of in values.items():
            for model, value in of.items():
                lower, level = sum(v < value for v in of.values()), sum(v == value for v in of.values())
                found.setdefault((item, model), {})[listener] = lower + Fraction(level + 1, 2)
    return found


def _shuffled(places: Mapping[tuple[str, str], Mapping[str, Fraction]]) -> NDArray[np.float64]:
    """Alpha of orders that are shuffled within listener and prompt."""
    shared = {clip: of for clip, of in places.items() if len(of) > 1}
    counts = Counter(value for of in shared.values() for value in of.values())
    levels = sorted(counts)
    sizes = [counts[level] for level in levels]
    delta, at = _ordinal(sizes), {level: number for number, level in enumerate(levels)}
    clips, listeners = list(shared), sorted({name for of in shared.values() for name in of})
    codes = np.zeros((SHUFFLES, len(clips), len(listeners)), dtype=np.int16)
    there = np.zeros((len(clips), len(listeners)), dtype=bool)
    rng = np.random.default_rng(0)
    for column, listener in enumerate(listeners):
        by_item: dict[str, list[int]] = {}
        for row, clip in enumerate(clips):
            if listener in shared[clip]:
                by_item.setdefault(clip[0], []).append(row)
        for rows in by_item.values():
            own = np.asarray([at[shared[clips[row]][listener]] for row in rows], dtype=np.int16)
            codes[:, rows, column] = rng.permuted(np.tile(own, (SHUFFLES, 1)), axis=1)
            there[rows, column] = True
    weights = 2 / (there.sum(axis=1) - 1)
    seen = np.zeros(SHUFFLES)
    for one, other in combinations(range(len(listeners)), 2):
        both = there[:, one] & there[:, other]
        seen += delta[codes[:, both, one], codes[:, both, other]] @ weights[both]
    return np.asarray(1 - seen / _expected(delta, sizes), dtype=np.float64)


def sentences(results: Results) -> list[str]:
    """What the listeners say together, in words; [] with fewer than two who judged, and of a tournament.

    Only of sessions that may be shown (``Results.finished``).
    """
    results = results.finished()
    said = said_by(results)
    if len(said) < 2 or results.standing is not None:
        return []
    judging = {session.mode for session in results.sessions if results.values(session.listener)}
    mixed = len(judging) > 1
    found = together(said, [(b, a) for a, b in combinations(results.models, 2)], mixed=mixed)
    who = _who(list(said))
    return [*([_preferred(found, who, results, mixed)] if found else []), _agreed(agreement(said), who)]


def _preferred(found: Sequence[Together], who: str, results: Results, mixed: bool) -> str:
    how = "models swapped within listener and prompt"
    if any(one.drawn for one in found):
        how += ", drawn"
    if len(found) > 1:
        how += f", Holm over {len(found)} pairs"
    unit = "more wins than losses a prompt" if mixed else f"{results.unit}s"
    pairs = "; ".join(_pair(one, results, unit) for one in found)
    return (
        f"{who} together ({how}): {pairs}. That is about these very clips; for other prompts the sign test over the "
        f"{_count(results.evaluation.prompts, 'prompt')} counts."
    )


def _pair(found: Together, results: Results, unit: str) -> str:
    ahead, behind = (found.a, found.b) if found.mean_difference >= 0 else (found.b, found.a)
    ahead, behind, size = results.label(ahead), results.label(behind), abs(found.mean_difference)
    if size == 0:
        return f"{behind} and {ahead} level in {found.cells} comparisons"
    chance = "" if found.p < ALPHA else ", which may be chance"
    return f"{ahead} over {behind} by {size:.2f} {unit}, {p_text(found.p)}{chance}"


def _agreed(found: Agreement | None, who: str) -> str:
    if found is None:
        return f"{who}: whether they agree is not known; two of them must have judged the same clips, not all alike."
    measure = f"Krippendorff's alpha {found.alpha:.2f} (ordinal, over each one's order within a prompt)"
    over = f"with {_count(found.prompts, 'prompt')} chance reaches {max(0.0, found.by_chance):.2f} once in twenty"
    if found.p >= ALPHA:
        said = "are of opposite minds" if found.alpha < -0.2 else "cannot be said to agree"
        return f"{who} {said}: {measure}; {over}, so a mean over them says little."
    if found.alpha >= RELIABLE:
        return f"{who} agree: {measure}; {over}."
    if found.alpha >= TENTATIVE:
        return f"{who} agree for the most part: {measure}; {over}. Conclusions are tentative below {RELIABLE}."
    return f"{who} agree in part: {measure}; {over}. Each one's own result says more than the mean."


def _who(listeners: Sequence[str]) -> str:
    if len(listeners) > NAMED:
        return f"{len(listeners)} listeners"
    return f"{', '.join(listeners[:-1])} and {listeners[-1]}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
