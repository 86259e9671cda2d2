"""What a run's events add up to: columns for the charts and the latest of everything else.

``History.add`` folds events in as they come, from a log that is being followed or from one that is replayed. It
believes nothing: an event with a missing or foreign field is used as far as it goes, and what looked wrong is kept in
``problems`` for the screen to say.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import Any, NamedTuple

from engine.contract.events import EVENTS
from tui.runs.series import NAN, Series, Smoothed

COLUMNS = ("loss", "lr", "grad_norm", "clips_per_second", "data_wait", "scale")
SMOOTHING = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)


class Valid(NamedTuple):
    step: int
    loss: float
    per_codebook: list[float]
    t: float


class Mark(NamedTuple):
    """A step whose loss is not a number."""

    step: int
    reason: str


class History:
    """All that the Monitor shows of one run."""

    def __init__(self) -> None:
        self.start: dict[str, Any] = {}
        self.phase = ""
        self.phase_since = NAN
        self.error = ""
        self.steps = array("d")
        self.clips_seen = array("d")
        self.seconds = array("d")
        """Time spent since the first event, without what lies between a lost engine and its successor."""
        self.columns = {name: Series() for name in COLUMNS}
        self.smooth = Smoothed(0.9)
        self.marks: list[Mark] = []
        self.valid: list[Valid] = []
        self.valid_seconds = array("d")
        self.best: tuple[int, float] | None = None
        self.checkpoints: list[tuple[int, float]] = []
        self.resumed: list[int] = []
        self.skipped = 0
        self.epoch = NAN
        self.phase_seconds: dict[str, float] = {}
        """Time spent in each phase that has ended, over all engines of the run."""
        self._phase_began = 0.0
        self.counted: dict[str, Any] = {}
        """The latest progress event of the phase that runs; what it counts need not have the phase's name."""
        self._counted_from = (NAN, 0.0)
        self.gpu: dict[int, dict[str, Any]] = {}
        self.gpu_peak: dict[int, float] = {}
        self.memory_seconds = array("d")
        self.memory = Series()
        self.health: dict[str, dict[str, Any]] = {}
        self.clips = 0
        self.notes: list[str] = []
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
        return int(number(self.start.get("total_steps"), 0))

    @property
    def base_valid(self) -> float:
        """Valid loss of the base model (step 0); NaN before it is known."""
        return self.valid[0].loss if self.valid and self.valid[0].step == 0 else NAN

    @property
    def best_valid(self) -> float:
        if self.best:
            return self.best[1]
        return min((v.loss for v in self.valid if v.step > 0 and v.loss == v.loss), default=NAN)

    @property
    def codebook_size(self) -> int:
        return int(number(self.start.get("codebook_size"), 0))

    @property
    def elapsed(self) -> float:
        """Seconds that engines of this run have worked."""
        return self._elapsed

    def problems(self) -> list[str]:
        """What in the log looked wrong, one short sentence each."""
        said = []
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
        return number(self.counted.get("done"), 0), number(self.counted.get("total"), 0)

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

    def smoothing(self, direction: int) -> float:
        """Take the next or previous smoothing; returns it."""
        at = min(range(len(SMOOTHING)), key=lambda i: abs(SMOOTHING[i] - self.smooth.factor)) + direction
        self._smooth_again(SMOOTHING[max(0, min(len(SMOOTHING) - 1, at))])
        return self.smooth.factor

    def _smooth_again(self, factor: float) -> None:
        self.smooth = Smoothed(factor)
        self.smooth.extend(self.columns["loss"].values)

    # -- folding events in

    def add(self, events: list[dict[str, Any]]) -> None:
        """Fold in events in the order they were written."""
        at = 0
        while at < len(events):
            if events[at].get("event") != "train":
                self._add_one(events[at])
                at += 1
                continue
            end = at + 1
            while end < len(events) and events[end].get("event") == "train":
                end += 1
            self._add_train(events[at:end])
            at = end
        self.count += len(events)

    def _add_one(self, event: dict[str, Any]) -> None:
        self._tick(event, gap=event["event"] == "start")
        name = event["event"]
        if name in EVENTS:
            getattr(self, f"_on_{name}")(event)
        else:
            self.unknown[name] = self.unknown.get(name, 0) + 1

    def _tick(self, event: dict[str, Any], *, gap: bool = False) -> None:
        if gap:
            self.last_t = number(event["t"], self.last_t)
        self._ticks([event])

    def _ticks(self, events: list[dict[str, Any]]) -> list[float]:
        """Seconds worked until each event. A clock that jumps back adds nothing and is counted."""
        last, elapsed = self.last_t, self._elapsed
        if last != last:
            self.first_t = last = events[0]["t"]
        seconds = []
        for event in events:
            t = event["t"]
            if t >= last:
                elapsed += t - last
            elif t < last - 1:
                self.clock_jumps += 1
            last = t
            seconds.append(elapsed)
        self.last_t, self._elapsed = last, elapsed
        return seconds

    def _add_train(self, events: list[dict[str, Any]]) -> None:
        kept = self._in_order(events)
        if not kept:
            return
        self.seconds.extend(self._ticks(kept))
        self.steps.extend([event["step"] for event in kept])
        for name, series in self.columns.items():
            series.extend(_column(kept, name))
        losses = self.columns["loss"].values[-len(kept) :]
        self.smooth.extend(losses)
        for event, loss in zip(kept, losses, strict=True):
            if loss != loss:
                self.marks.append(Mark(int(event["step"]), str(event.get("loss_reason") or "no number")))
        self.skipped += sum(1 for event in kept if event.get("skipped"))
        last = self.clips_seen[-1] if self.clips_seen else 0.0
        self.clips_seen.extend(accumulate(_column(kept, "clips_seen"), _not_less, initial=last))
        self.clips_seen.pop(-len(kept) - 1)
        self.epoch = number(kept[-1].get("epoch"))
        self._at = self.steps[-1]

    def _in_order(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The train events whose step is beyond the last one.

        A resumed engine comes to steps of its predecessor again, and logs those that came out differently: they
        replace the old ones. Any other step that goes back is passed over.
        """
        last = self.steps[-1] if self.steps else -1.0
        kept, replaced = [], 0
        for event in events:
            step = event.get("step")
            if not isinstance(step, (int, float)):
                self.out_of_order += 1
            elif step > last:
                kept.append(event)
                last = step
                self._known_until = -1.0
            elif step <= self._known_until and self._replace(event):
                replaced += 1
            else:
                self.out_of_order += 1
        if replaced:
            self._smooth_again(self.smooth.factor)
        return kept

    def _replace(self, event: dict[str, Any]) -> bool:
        step = event["step"]
        at = bisect_left(self.steps, step)
        if at == len(self.steps) or self.steps[at] != step:
            return False
        for name, series in self.columns.items():
            series.replace(at, number(event.get(name)))
        self.marks = [mark for mark in self.marks if mark.step != step]
        if event.get("loss") is None:
            self.marks.append(Mark(int(step), str(event.get("loss_reason") or "no number")))
        self._ticks([event])
        self._at = step
        return True

    def _on_start(self, event: dict[str, Any]) -> None:
        self.start = event
        self.error = ""
        self._known_until = self.steps[-1] if self.steps else -1.0
        if event.get("resumed_from") is not None:
            self._at = number(event["resumed_from"], 0)
            self.resumed.append(int(self._at))

    def _on_state(self, event: dict[str, Any]) -> None:
        if self.phase:
            spent = self.phase_seconds.get(self.phase, 0.0) + self._elapsed - self._phase_began
            self.phase_seconds[self.phase] = spent
        self._phase_began = self._elapsed
        self.phase = str(event.get("state") or "")
        self.phase_since = number(event.get("t"))
        self.error = str(event.get("error") or "")
        self.counted = {}

    def _on_progress(self, event: dict[str, Any]) -> None:
        if self.counted.get("phase") != event.get("phase"):
            self._counted_from = event["t"], number(event.get("done"), 0)
        self.counted = event

    def _on_valid(self, event: dict[str, Any]) -> None:
        step = int(number(event.get("step"), 0))
        parts = event.get("per_codebook")
        codebooks = [number(value) for value in parts] if isinstance(parts, list) else []
        valid = Valid(step, number(event.get("loss")), codebooks, number(event.get("t")))
        at = bisect_left([v.step for v in self.valid], step)
        if at < len(self.valid) and self.valid[at].step == step:
            self.valid[at] = valid
            return
        self.valid.insert(at, valid)
        self.valid_seconds.insert(at, self._elapsed)

    def _on_best(self, event: dict[str, Any]) -> None:
        loss = number(event.get("loss"))
        if loss == loss:
            self.best = (int(number(event.get("step"), 0)), loss)

    def _on_checkpoint(self, event: dict[str, Any]) -> None:
        self.checkpoints.append((int(number(event.get("step"), 0)), number(event.get("t"))))

    def _on_gpu(self, event: dict[str, Any]) -> None:
        index = int(number(event.get("index"), 0))
        self.gpu[index] = event
        used = number(event.get("mem_used"), number(event.get("engine_rss")))
        if used == used:
            self.gpu_peak[index] = max(self.gpu_peak.get(index, 0.0), used)
        if index == min(self.gpu):
            self.memory.extend([used])
            self.memory_seconds.append(self._elapsed)

    def _on_health(self, event: dict[str, Any]) -> None:
        self.health[str(event.get("name") or "?")] = event

    def _on_clip(self, event: dict[str, Any]) -> None:
        self.clips += 1

    def _on_note(self, event: dict[str, Any]) -> None:
        self.notes.append(str(event.get("text") or ""))


def number(value: Any, otherwise: float = NAN) -> float:
    """``value`` as a float, or ``otherwise`` when it is no number."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else otherwise


def _column(events: list[dict[str, Any]], name: str) -> array[float]:
    values = [event.get(name) for event in events]
    try:
        return array("d", values)  # type: ignore[arg-type]
    except TypeError:
        return array("d", [number(value) for value in values])


def _not_less(before: float, value: float) -> float:
    return value if value > before else before
