"""What a run's history and its listening results add up to, in the few numbers that the rules of advice look at."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import lt
from statistics import fmean, median

from engine.contract.config import Settings
from tui.review.results import Results
from tui.review.statistics import Pair
from tui.runs.history import History

NAN = math.nan


@dataclass(frozen=True)
class Training:
    """The course of the training; NaN and 0 where the log does not say."""

    steps: int
    total_steps: int
    base: float
    """Valid loss of the base model."""
    best: float
    best_step: int
    last: float
    """Valid loss at the last validation."""
    validations: int
    """Validations after step 0."""
    slope: float
    """Valid loss per 100 steps over the last third of the validations; negative is falling."""
    gap: float
    """Last valid loss minus the mean train loss around the end."""
    not_finite: int
    skipped: int
    spikes: int
    """Steps whose loss stands far above the 50 before (median + 6 median deviations)."""
    clipped: float
    """Share of steps whose gradient norm was above train.max_grad_norm."""
    peak_lr: float
    blind: float
    """Loss of blind guessing: ln of the codebook's size."""


@dataclass(frozen=True)
class Listening:
    """The result of listening, seen from the trained model that is judged (best, else final)."""

    trained: str = ""
    items: int = 0
    """Items on which the trained model was judged."""
    prompts: int = 0
    pair: Pair | None = None
    """The trained model over base."""
    pairs: tuple[Pair, ...] = ()
    tags: Mapping[str, int] = field(default_factory=dict)
    """On how many items the trained model got a tag."""
    base_tags: Mapping[str, int] = field(default_factory=dict)
    same_weights: bool = False
    """best and final are one."""
    complete: bool = False


def training(settings: Settings, history: History) -> Training:
    losses, norms, rates = (_finite(history.columns[name].values) for name in ("loss", "grad_norm", "lr"))
    valid = [(v.step, v.loss) for v in history.valid if v.step > 0 and math.isfinite(v.loss)]
    best_step, best = min(valid, key=lambda v: v[1], default=(0, NAN))
    last = valid[-1][1] if valid else NAN
    tail = losses[-max(5, len(losses) // 10) :]
    return Training(
        steps=history.step,
        total_steps=history.total_steps,
        base=history.base_valid,
        best=best,
        best_step=best_step,
        last=last,
        validations=len(valid),
        slope=_slope(valid[-max(3, len(valid) // 3) :]),
        gap=last - fmean(tail) if tail else NAN,
        not_finite=len(history.marks),
        skipped=history.skipped,
        spikes=_spikes(losses),
        clipped=sum(map(partial(lt, settings.train.max_grad_norm), norms)) / len(norms) if norms else 0.0,
        peak_lr=max(rates, default=NAN),
        blind=math.log(history.codebook_size) if history.codebook_size > 1 else NAN,
    )


def listening(results: Results | None) -> Listening | None:
    """None when no session has come to its end or to its reveal."""
    if results is not None:
        results = results.finished()
    if results is None or not any(j.value is not None or j.tags for j in results.judgements):
        return None
    trained = next((m for m in ("best", "final") if m in results.models), "")
    if not trained:
        trained = next((m for m in results.models if m != "base"), "base")
    counts = results.tags()
    return Listening(
        trained=trained,
        items=sum(trained in models for models in results.values().values()),
        prompts=results.evaluation.prompts,
        pair=results.pair(trained, "base") if "base" in results.models and trained != "base" else None,
        pairs=tuple(results.pairs()),
        tags={tag: by_model.get(trained, 0) for tag, by_model in counts.items()},
        base_tags={tag: by_model.get("base", 0) for tag, by_model in counts.items()},
        same_weights=any({"best", "final"} <= set(group) for group in results.evaluation.same_weights),
        complete=results.complete,
    )


def _slope(points: list[tuple[int, float]]) -> float:
    """Least-squares slope per 100 steps; NaN with fewer than two points."""
    if len(points) < 2:
        return NAN
    x, y = fmean(p[0] for p in points), fmean(p[1] for p in points)
    spread = sum((p[0] - x) ** 2 for p in points)
    return 100 * sum((p[0] - x) * (p[1] - y) for p in points) / spread if spread else NAN


def _finite(values: array[float]) -> array[float]:
    return array("d", filter(math.isfinite, values))


def _spikes(losses: array[float], window: int = 50) -> int:
    found = 0
    # Kept in order as the window moves on: the median of each of a million windows is then where it lies.
    before = sorted(losses[:10])
    for at in range(10, len(losses)):
        if at > window:
            del before[bisect_left(before, losses[at - window - 1])]
        middle = (before[(len(before) - 1) // 2] + before[len(before) // 2]) / 2
        if losses[at] > middle + 0.12 * abs(middle):
            spread = median(abs(loss - middle) for loss in before)
            found += losses[at] > middle + 6 * spread
        insort(before, losses[at])
    return found
