"""What a run's events add up to: columns for the charts and the latest of everything else.

``History.add`` folds events in as they come, from a log that is being followed or from one that is replayed. What their
order and their times have wrong is kept in ``problems`` for the screen to say.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, groupby
from math import isnan
from operator import attrgetter, le, lt, sub
from pathlib import Path
from typing import NamedTuple

from engine.contract.events import (
    AnyEvent,
    Best,
    Checkpoint,
    Clip,
    EventTail,
    Gpu,
    Health,
    Note,
    Other,
    Progress,
    Start,
    State,
    Train,
    Valid,
)
from tui.runs.series import NAN, Series, Smoothed

COLUMNS = ("loss", "lr", "grad_norm", "clips_per_second", "data_wait", "scale")
_FIELDS = [attrgetter(name) for name in ("t", "step", "skipped", "clips_seen", *COLUMNS)]
SMOOTHING = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
_MOST_UNASKED = 0.98
_SHARE_SMOOTHED = 1 / 15
"""Of a run's steps, what a mean that nobody chose looks back over at most: in a short run more would show its past."""


def smoothing_for(steps: float) -> float:
    """The factor of a moving mean that fits a run of so many steps; it looks back over about 1 / (1 - factor)."""
    fitting = [f for f in SMOOTHING if f <= _MOST_UNASKED and 1 / (1 - f) <= max(1.0, steps * _SHARE_SMOOTHED) + 1e-9]
    return fitting[-1]


class Validation(NamedTuple):
    step: int
    loss: float
    per_codebook: list[float]
    t: float
    per_clip: list[float]
    """In the order of the start's valid_clip_ids; empty in older logs."""
    base_loss: float = NAN
    """At step 0 of a run that goes on from an adapter: the base model's loss."""


class Mark(NamedTuple):
    """A step whose loss is not a number."""

    step: int
    reason: str


class History:
    """All that the Monitor shows of one run."""

    def __init__(self) -> None:
        self.start = Start(t=0.0)
        """The last engine's; all empty before the first."""
        self.started = False
        self.state: State | None = None
        self.phase = ""
        self.phase_since = NAN
        self.error = ""
        self.steps = array("d")
        self.clips_seen = array("d")
        self.seconds = array("d")
        """Time spent since the first event, without what lies between a lost engine and its successor."""
        self.columns = {name: Series() for name in COLUMNS}
        self._smooth = Smoothed(0.9)
        self._factor: float | None = None
        """The smoothing that somebody chose."""
        self.marks: list[Mark] = []
        self.valid: list[Validation] = []
        self.valid_seconds = array("d")
        self.best: tuple[int, float] | None = None
        self.checkpoints: list[tuple[int, float]] = []
        self.resumed: list[int] = []
        self.skipped = 0
        self.epoch = NAN
        self.phase_seconds: dict[str, float] = {}
        """Time spent in each phase that has ended, over all engines of the run."""
        self._phase_began = 0.0
        self.counted: Progress | None = None
        """The latest progress event of the phase that runs; what it counts need not have the phase's name."""
        self._counted_from = (NAN, 0.0)
        self.gpu: dict[int, Gpu] = {}
        self.gpu_peak: dict[int, float] = {}
        self.busy = array("d")
        """Per cent that the first GPU was busy, by sample, while it trained."""
        self.memory_seconds = array("d")
        self.memory = Series()
        self.health: dict[str, Health] = {}
        self.clips = 0
        self.notes: list[str] = []
        self.unread: list[str] = []
        """What its reader could not read of the log, one short sentence each."""
        self.first_t = NAN
        self.last_t = NAN
        self.count = 0
        self.unknown: dict[str, int] = {}
        self.clock_jumps = 0
        self.out_of_order = 0
        self._elapsed = 0.0
        self._known_until = -1.0
        self._at = 0.0

    # -- what follows from the events

    @property
    def step(self) -> int:
        """The optimizer step the engine was at last; 0 before the first."""
        return int(self._at)

    @property
    def total_steps(self) -> int:
        return self.start.total_steps

    @property
    def base_valid(self) -> float:
        """Valid loss of the base model (step 0); NaN before it is known."""
        if not self.valid or self.valid[0].step:
            return NAN
        first = self.valid[0]
        return first.loss if first.base_loss != first.base_loss else first.base_loss

    @property
    def best_point(self) -> tuple[int, float] | None:
        """(step, loss) of the best validation after step 0, as the log says or else as its validations do."""
        if self.best:
            return self.best
        trained = [(v.step, v.loss) for v in self.valid if v.step > 0 and v.loss == v.loss]
        return min(trained, key=lambda point: point[1], default=None)

    @property
    def best_valid(self) -> float:
        return self.best_point[1] if self.best_point else NAN

    def clip_losses(self) -> dict[str, dict[str, float]]:
        """Loss of each valid clip, by id, of "base" (step 0), "best" and "final"; only of what was validated so."""
        ids = self.start.valid_clip_ids
        known = [v for v in self.valid if ids and len(v.per_clip) == len(ids)]
        trained = [v for v in known if v.step > 0 and v.loss == v.loss]
        models = {
            "base": next((v for v in known if v.step == 0 and v.base_loss != v.base_loss), None),
            "best": min(trained, key=lambda v: v.loss, default=None),
            "final": trained[-1] if trained else None,
        }
        return {
            model: {clip: loss for clip, loss in zip(ids, v.per_clip, strict=True) if loss == loss}
            for model, v in models.items()
            if v is not None
        }

    @property
    def codebook_size(self) -> int:
        return self.start.codebook_size

    @property
    def elapsed(self) -> float:
        """Seconds that engines of this run have worked."""
        return self._elapsed

    def problems(self) -> list[str]:
        """What in the log looked wrong, one short sentence each."""
        said = list(self.unread)
        if self.unknown:
            names = ", ".join(sorted(self.unknown)[:3])
            said.append(f"{sum(self.unknown.values())} events of unknown kind passed over ({names})")
        if self.clock_jumps:
            said.append(f"the clock went back {self.clock_jumps} times; times are counted without it")
        if self.out_of_order:
            said.append(f"{self.out_of_order} train events out of order passed over")
        return said

    def seconds_per_step(self, last: int = 50) -> float:
        """Mean over the last steps that were logged, from the engine's times; NaN when there are too few."""
        count = min(last, len(self.steps) - 1)
        if count < 1:
            return NAN
        steps = self.steps[-1] - self.steps[-1 - count]
        return (self.seconds[-1] - self.seconds[-1 - count]) / steps if steps > 0 else NAN

    def eta(self) -> float:
        """Seconds until the phase that runs is through, from the engine's times; NaN when that cannot be said."""
        if self.phase in ("training", "validating", "saving") and self.total_steps:
            return (self.total_steps - self.step) * self.seconds_per_step()
        done, total = self.phase_progress()
        began, before = self._counted_from
        if not total or done <= before:
            return NAN
        return (total - done) * (self.last_t - began) / (done - before)

    def phase_progress(self) -> tuple[float, float]:
        """(done, total) of the phase that runs; total 0 when it does not count anything."""
        if self.phase in ("training", "validating", "saving"):
            return self.step, self.total_steps
        return (self.counted.done, self.counted.total) if self.counted else (0, 0)

    def xs(self, axis: str) -> array[float]:
        """The x of every train event on one axis: step, clips or time (hours are for the screen)."""
        return {"step": self.steps, "clips": self.clips_seen, "time": self.seconds}[axis]

    def valid_x(self, index: int, axis: str) -> float:
        """Where a validation lies on an axis."""
        if axis == "time":
            return self.valid_seconds[index]
        if axis == "step":
            return self.valid[index].step
        at = bisect_right(self.steps, self.valid[index].step) - 1
        return self.clips_seen[at] if at >= 0 else 0.0

    @property
    def smooth(self) -> Smoothed:
        """The smoothed loss, brought up to date when somebody looks: most readers of a log draw no curve."""
        losses = self.columns["loss"].values
        factor = smoothing_for(max(self.total_steps, self.step)) if self._factor is None else self._factor
        if factor != self._smooth.factor:
            self._smooth = Smoothed(factor)
        while (done := len(self._smooth.values)) < len(losses):
            self._smooth.extend(losses[done : done + 4096])
        return self._smooth

    def smoothing(self, direction: int) -> float:
        """Take the next or previous smoothing; returns it."""
        at = SMOOTHING.index(self.smooth.factor) + direction
        self._factor = SMOOTHING[max(0, min(len(SMOOTHING) - 1, at))]
        return self._factor

    # -- folding events in

    @classmethod
    def of(cls, path: Path) -> History:
        """The history of a whole log, which never lies in memory as such; an empty one when there is none."""
        history, tail = cls(), EventTail(path)
        while events := tail.events():
            history.add(events)
        history.unread = tail.problems()
        return history

    def add(self, events: Sequence[AnyEvent]) -> None:
        """Fold in events in the order they were written."""
        for kind, group in groupby(events, type):
            if kind is Train:
                self._add_train(list(group))  # type: ignore[arg-type]
                continue
            for event in group:
                self._tick(event, gap=kind is Start)
                self._add_one(event)
        self.count += len(events)

    def _add_one(self, event: AnyEvent) -> None:
        match event:
            case Start():
                self._on_start(event)
            case State():
                self._on_state(event)
            case Progress():
                if self.counted is None or self.counted.phase != event.phase:
                    self._counted_from = event.t, event.done
                self.counted = event
            case Valid():
                self._on_valid(event)
            case Best() if event.loss is not None:
                self.best = (event.step, event.loss)
            case Checkpoint():
                self.checkpoints.append((event.step, event.t))
            case Gpu():
                self._on_gpu(event)
            case Health():
                self.health[event.name] = event
            case Clip():
                self.clips += 1
            case Note():
                self.notes.append(event.text)
            case Other():
                self.unknown[event.event] = self.unknown.get(event.event, 0) + 1

    def _tick(self, event: AnyEvent, *, gap: bool = False) -> None:
        if gap:
            self.last_t = event.t
        self._ticks([event.t])

    def _ticks(self, times: Sequence[float]) -> list[float]:
        """Seconds worked until each time. A clock that jumps back adds nothing and is counted."""
        last, elapsed = self.last_t, self._elapsed
        if last != last:
            self.first_t = last = times[0]
        if last <= times[0] and all(map(le, times, times[1:])):
            seconds = list(accumulate(map(sub, times, [last, *times]), initial=elapsed))[1:]
            self.last_t, self._elapsed = times[-1], seconds[-1]
            return seconds
        seconds = []
        for t in times:
            if t >= last:
                elapsed += t - last
            elif t < last - 1:
                self.clock_jumps += 1
            last = t
            seconds.append(elapsed)
        self.last_t, self._elapsed = last, elapsed
        return seconds

    def _add_train(self, events: list[Train]) -> None:
        kept = self._in_order(events)
        if not kept:
            return
        times, steps, skipped, seen, *columns = (list(map(field, kept)) for field in _FIELDS)
        self.seconds.extend(array("d", self._ticks(times)))
        self.steps.extend(array("d", steps))
        for series, values in zip(self.columns.values(), columns, strict=True):
            series.extend(_column(values))
        losses = self.columns["loss"].values[-len(kept) :]
        if isnan(sum(losses)):
            self.marks += [
                Mark(event.step, event.loss_reason or "no number")
                for event, loss in zip(kept, losses, strict=True)
                if loss != loss
            ]
        self.skipped = max(self.skipped, int(max(skipped)))
        self._count_clips(_column(seen))
        self.epoch = number(kept[-1].epoch)
        self._at = self.steps[-1]

    def _count_clips(self, seen: array[float]) -> None:
        """Clips seen never become fewer; where a step does not tell them, they are those of the step before."""
        last = self.clips_seen[-1] if self.clips_seen else 0.0
        if not (last <= seen[0] and all(map(le, seen, seen[1:]))):
            seen = array("d", accumulate(seen, _not_less, initial=last))[1:]
        self.clips_seen.extend(seen)

    def _in_order(self, events: list[Train]) -> list[Train]:
        """The train events whose step is beyond the last one.

        A resumed engine comes to steps of its predecessor again, and logs those that came out differently: they
        replace the old ones. Any other step that goes back is passed over.
        """
        last = self.steps[-1] if self.steps else -1.0
        steps = [last, *[event.step for event in events]]
        if all(map(lt, steps, steps[1:])):
            self._known_until = -1.0
            return events
        kept, replaced = [], 0
        for event in events:
            if event.step > last:
                kept.append(event)
                last = event.step
                self._known_until = -1.0
            elif event.step <= self._known_until and self._replace(event):
                replaced += 1
            else:
                self.out_of_order += 1
        if replaced:
            self._smooth = Smoothed(self._smooth.factor)
        return kept

    def _replace(self, event: Train) -> bool:
        at = bisect_left(self.steps, event.step)
        if at == len(self.steps) or self.steps[at] != event.step:
            return False
        for name, series in self.columns.items():
            series.replace(at, number(getattr(event, name)))
        self.marks = [mark for mark in self.marks if mark.step != event.step]
        if event.loss is None:
            self.marks.append(Mark(event.step, event.loss_reason or "no number"))
        self._ticks([event.t])
        self._at = event.step
        return True

    def _on_start(self, event: Start) -> None:
        self.start, self.started = event, True
        self.error = ""
        self.gpu = {}  # it may go on with another card
        self._known_until = self.steps[-1] if self.steps else -1.0
        if event.resumed_step is not None:
            self._at = event.resumed_step
            self.resumed.append(event.resumed_step)

    def _on_state(self, event: State) -> None:
        if self.phase:
            spent = self.phase_seconds.get(self.phase, 0.0) + self._elapsed - self._phase_began
            self.phase_seconds[self.phase] = spent
        self._phase_began = self._elapsed
        self.state, self.phase, self.phase_since, self.error = event, event.state, event.t, event.error or ""
        self.counted = None

    def _on_valid(self, event: Valid) -> None:
        codebooks, clips = ([number(loss) for loss in losses] for losses in (event.per_codebook, event.per_clip))
        valid = Validation(event.step, number(event.loss), codebooks, event.t, clips, number(event.base_loss))
        at = bisect_left(self.valid, event.step, key=lambda known: known.step)
        if at < len(self.valid) and self.valid[at].step == event.step:
            self.valid[at] = valid
            return
        self.valid.insert(at, valid)
        self.valid_seconds.insert(at, self._elapsed)

    def _on_gpu(self, event: Gpu) -> None:
        index = event.index or 0
        self.gpu[index] = event
        used = number(event.mem_used, number(event.engine_rss))
        if used == used:
            self.gpu_peak[index] = max(self.gpu_peak.get(index, 0.0), used)
        if index == min(self.gpu):
            if event.util is not None and self.phase == "training":
                self.busy.append(event.util)
            self.memory.extend([used])
            self.memory_seconds.append(self._elapsed)


def number(value: float | None, otherwise: float = NAN) -> float:
    """A number that an event tells, or ``otherwise`` where it tells none."""
    return otherwise if value is None else float(value)


def _column(values: Sequence[float | None]) -> array[float]:
    try:
        return array("d", values)  # type: ignore[arg-type]
    except TypeError:
        return array("d", [NAN if value is None else value for value in values])


def _not_less(before: float, value: float) -> float:
    return value if value > before else before
