"""What a run's history and its listening results add up to, in the few numbers that the rules of advice look at."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from operator import lt
from statistics import fmean
from typing import TYPE_CHECKING

from engine.contract.config import Settings
from tui.review.results import Results
from tui.review.statistics import Pair
from tui.runs.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAN = math.nan
_WINDOW, _BLOCK = 50, 10
_APART = 0.12
"""Share of the median of the steps before by which a spike lies above it at least."""


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
    spiked: tuple[int, ...]
    """Steps whose loss stands far above the 50 before (median + 6 median deviations)."""
    clipped: float
    """Share of steps whose gradient norm was above train.max_grad_norm."""
    peak_lr: float
    blind: float
    """Loss of blind guessing: ln of the codebook's size."""

    @property
    def spikes(self) -> int:
        return len(self.spiked)


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
    steps = history.steps
    if len(losses) < len(steps):
        steps = array("d", compress(steps, map(math.isfinite, history.columns["loss"].values)))
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
        spiked=tuple(int(steps[at]) for at in _spikes(losses)),
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
    # A million are all finite as a rule, and adding them up is cheaper than asking each.
    return values if math.isfinite(sum(values)) else array("d", filter(math.isfinite, values))


def _spikes(losses: array[float]) -> list[int]:
    """Places of losses that stand far above the ``_WINDOW`` before them; among the first, above all before them."""
    import numpy as np

    values = np.frombuffer(losses)
    full = min(len(losses), _WINDOW + _BLOCK)
    found = [at for at in range(10, full) if _stands_out(values[max(0, at - _WINDOW) : at][None], values[at : at + 1])]
    places = _suspects(values, full)
    for begin in range(0, len(places), 8192):
        near = places[begin : begin + 8192]
        windows = values[near[:, None] + np.arange(-_WINDOW, 0)]
        found += near[_stands_out(windows, values[near])].tolist()
    return found


def _stands_out(before: NDArray[np.float64], losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of ``losses`` (n,) lie far above the median of what came before each, ``before`` (n, steps)."""
    import numpy as np

    half = before.shape[1] // 2
    ordered = np.partition(before, (half - 1, half), axis=1)
    middle = ordered[:, half] if before.shape[1] % 2 else (ordered[:, half - 1] + ordered[:, half]) / 2
    found = losses > middle + _APART * np.abs(middle)
    spread = np.median(np.abs(before[found] - middle[found, None]), axis=1)
    found[found] = losses[found] > middle[found] + 6 * spread
    return found


def _suspects(values: NDArray[np.float64], first: int) -> NDArray[np.int64]:
    """Places from ``first`` on that may be spikes, and all that are: few of a million have to be looked at closely."""
    import numpy as np

    if first >= len(values):
        return np.zeros(0, np.int64)
    # The 50 before hold at least 4 whole blocks of 10. Of their 40 losses, the 15th smallest is no larger than the
    # median of the 50, and no smaller than the least of the blocks' 4th smallest.
    blocks = np.sort(values[: len(values) // _BLOCK * _BLOCK].reshape(-1, _BLOCK), axis=1)[:, 3]
    least = np.lib.stride_tricks.sliding_window_view(blocks, 4).min(axis=1)
    places = np.arange(first, len(values))
    bound = least[places // _BLOCK - 4]
    return places[values[first:] > bound + _APART * np.abs(bound)]
