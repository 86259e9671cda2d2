"""Two models over the same valid clips: losses paired clip by clip, which shows what two means cannot.

The loss of a clip varies far more between clips than between models, so the difference on each clip is looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.contract.errors import UserError
from tui.review.statistics import ALPHA, drawn_means, holm, p_text, sign_test
from tui.runs.history import History

EXACT = 20
"""Clips up to which all 2^n subsets are looked at; above it ``statistics.SUBSETS`` of them, always the same."""
FEWEST = 2
"""Shared clips below which nothing is compared."""

Losses = Mapping[str, float]
"""Loss of each valid clip in nats, by the clip's id."""


@dataclass(frozen=True)
class Paired:
    """Model ``a`` against model ``b`` on the valid clips that both were measured on."""

    a: str
    b: str
    clips: int
    mean_difference: float
    """Loss of a minus loss of b in nats: below zero a is better."""
    interval: tuple[float, float] | None
    """95 % permutation interval of the mean difference; None with fewer than six clips."""
    sampled: bool
    """The interval comes from drawn subsets."""
    p: float
    """Two-sided exact sign test, Holm-corrected over ``corrected_over`` pairs."""
    wins: int
    """Clips on which a has the lower loss."""
    losses: int
    corrected_over: int = 1

    def as_data(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        names = ("a", "b", "clips", "mean_difference", "interval", "sampled", "p", "wins", "losses", "corrected_over")
        return {name: getattr(self, name) for name in names}


def pair(a: str, a_losses: Losses, b: str, b_losses: Losses) -> Paired:
    """Pair two models over the clips that both have. Raises UserError with the number when they share fewer than 2."""
    shared = [clip for clip in a_losses if clip in b_losses]
    if len(shared) < FEWEST:
        raise UserError(
            f"{a} and {b} share {len(shared)} of {len(a_losses)} and {len(b_losses)} valid clips; "
            "losses over different clips cannot be compared, so validate both on the same ones."
        )
    differences = np.array([a_losses[clip] - b_losses[clip] for clip in shared])
    wins, losses = int((differences < 0).sum()), int((differences > 0).sum())
    interval, sampled = permutation_interval(differences)
    mean = float(differences.mean())
    return Paired(a, b, len(shared), mean, interval, sampled, sign_test(wins, losses), wins, losses)


def pairs(models: Mapping[str, Losses]) -> list[Paired]:
    """Every pair of models in their order, the later one as ``a``; p-values Holm-corrected over all of them.

    Raises UserError when a pair shares too few clips.
    """
    found = [pair(b, models[b], a, models[a]) for a, b in itertools.combinations(models, 2)]
    corrected = holm([one.p for one in found])
    return [replace(one, p=p, corrected_over=len(found)) for one, p in zip(found, corrected, strict=True)]


def of_runs(runs: Sequence[tuple[Path, History]]) -> tuple[list[Paired], str]:
    """Every pair of the runs' best models; of one run alone, its models. Also why there is none, else "".

    Raises nothing: logs without losses a clip, and runs without shared clips, are said. Runs of one name in several
    folders are called by their paths.
    """
    names = [path.name for path, _ in runs]
    histories = {str(path) if names.count(path.name) > 1 else path.name: history for path, history in runs}
    if len(histories) == 1:
        models: dict[str, Losses] = dict(*(history.clip_losses() for history in histories.values()))
        if models.get("best") == models.get("final"):
            models.pop("final", None)
    else:
        found = {name: history.clip_losses() for name, history in histories.items()}
        lacking = [name for name, losses in found.items() if "best" not in losses]
        if lacking:
            return [], f"{', '.join(lacking)}: the log holds no losses of single clips, so nothing can be paired."
        models = {name: losses["best"] for name, losses in found.items()}
    try:
        return pairs(models), ""
    except UserError as error:
        return [], str(error)


def permutation_interval(differences: np.ndarray, alpha: float = ALPHA) -> tuple[tuple[float, float] | None, bool]:
    """The interval of a mean that inverts the sign-flip permutation test, and whether subsets were drawn for it.

    Its ends are order statistics of the means of all non-empty subsets (Hartigan 1969, "Using subsample values as
    typical values"). Differences (n,) of losses are real numbers, so subsets cannot be counted by their sums as
    scores can. None when there are too few for the level (fewer than 6 at 95 %).
    """
    n = len(differences)
    if int(alpha / 2 * 2**n) < 1:
        return None, False
    if n > EXACT:
        means = drawn_means(differences)
    else:
        sums, sizes = np.zeros(1), np.zeros(1)
        for difference in differences:
            sums, sizes = np.concatenate([sums, sums + difference]), np.concatenate([sizes, sizes + 1])
        means = sums[1:] / sizes[1:]
    ordered = np.sort(means)
    rank = int(alpha / 2 * (len(ordered) + 1))
    return (float(ordered[rank - 1]), float(ordered[-rank])), n > EXACT


def sentence(found: Paired) -> str:
    """What a pair says, in words: "rank16 is better than rank12 on 15 of 20 valid clips, p = 0.04"."""
    over = f" (Holm over {found.corrected_over} pairs)" if found.corrected_over > 1 else ""
    if found.wins == found.losses:
        return f"{found.a} and {found.b} are level on {found.clips} valid clips: {found.wins} each way."
    better, worse, most = (
        (found.a, found.b, found.wins) if found.wins > found.losses else (found.b, found.a, found.losses)
    )
    said = f"{better} is better than {worse} on {most} of {found.clips} valid clips, {p_text(found.p)}{over}"
    return f"{said}." if found.p < ALPHA else f"{said}: that may be chance."
