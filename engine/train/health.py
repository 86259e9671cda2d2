"""Judgement of a run's course: pure functions over its events, each verdict with its evidence in numbers."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple, TypeVar

from engine.contract.bounds import MEMORISED
from engine.contract.events import AnyEvent, Best, Gpu, Start, Train, Valid
from engine.train.journal import Journal

Events = Sequence[AnyEvent]
Step = TypeVar("Step", Train, Valid)

WARN_SHARE = 6.5 / math.log(2048)
"""A start above this share of blind guessing's loss is suspicious (6.5 of 7.625 for MusicGen's 2048 codes)."""
SPIKE_WINDOW = 20
SPIKE_SIGMAS = 6.0
RISE = 0.02
"""Nats by which a loss must move to count as having moved; valid losses of fine-tuning move by tenths."""
SLOWER = 0.7
WAITING = 0.2
THROTTLED = 0.2


class Verdict(NamedTuple):
    """``verdict`` is ok, warn or bad; ``evidence`` says why in numbers."""

    name: str
    verdict: str
    evidence: str


def verdicts(events: Events, *, ended: bool = False) -> list[Verdict]:
    """All that can be judged from a run's events so far; ``ended`` adds what only the end can tell."""
    start_event = next((event for event in reversed(events) if isinstance(event, Start)), None)
    steps, valid = _by_step(events, Train), _by_step(events, Valid)
    gpu = [event for event in events if isinstance(event, Gpu)]
    found = [
        _start(valid, start_event),
        non_finite(steps),
        spikes(steps),
        divergence(valid),
        overfitting(steps, valid),
        throughput(steps),
        data_wait(steps),
        throttling(gpu),
    ]
    if ended:
        found += [underfitting(valid), plateau(valid), learning_rate(steps, start_event), best_is_final(events, steps)]
    return [verdict for verdict in found if verdict]


def report(journal: Journal, *, ended: bool = False) -> None:
    """Write a `health` event for each verdict that is not the last one in the log, word for word."""
    for verdict in verdicts(journal.history, ended=ended):
        known = journal.health.get(verdict.name)
        if known is None or (known.verdict, known.evidence) != verdict[1:]:
            journal.write("health", **verdict._asdict())


def start(loss: float, codebook_size: int) -> Verdict:
    """Whether the base model knows this kind of audio at all: bad at blind guessing's loss or above."""
    blind = math.log(codebook_size)
    evidence = f"the base model starts at {loss:.3f}, blind guessing is {blind:.3f}"
    if not loss < blind:
        return Verdict("start", "bad", evidence)
    return Verdict("start", "warn" if loss >= WARN_SHARE * blind else "ok", evidence)


def _start(valid: Sequence[Valid], start_event: Start | None) -> Verdict | None:
    if not valid or valid[0].step != 0 or start_event is None or start_event.codebook_size < 2:
        return None
    loss = valid[0].loss
    return start(math.nan if loss is None else loss, start_event.codebook_size)


def non_finite(steps: Sequence[Train]) -> Verdict | None:
    """Steps whose loss or gradient was not a number; fp16 steps that the loss scale skipped are counted apart."""
    if not steps:
        return None
    skipped = int(steps[-1].skipped)
    lost = [e.step for e in steps if e.loss is None]
    # Without a loss scale there is no skipping: a gradient that is not finite is one more lost step.
    lost += [e.step for e in steps if e.scale is None and e.grad_norm is None and e.loss is not None]
    aside = f", {skipped} skipped fp16 steps" if steps[-1].scale else ""
    if lost:
        evidence = f"{len(lost)} steps with NaN or Inf, the last at step {max(lost)}{aside}"
        return Verdict("non-finite", "bad", evidence)
    often = skipped > max(5, 0.05 * steps[-1].step)
    return Verdict("non-finite", "warn" if often else "ok", f"no NaN or Inf{aside}")


def spikes(steps: Sequence[Train]) -> Verdict | None:
    """Losses far above those before them."""
    losses = _losses(steps)
    if len(losses) <= SPIKE_WINDOW:
        return None
    found = []
    # Kept in order as the window moves on: a validation may look back at a hundred thousand steps.
    before = sorted(loss for _, loss in losses[:SPIKE_WINDOW])
    for place in range(SPIKE_WINDOW, len(losses)):
        step, loss = losses[place]
        middle = (before[(SPIKE_WINDOW - 1) // 2] + before[SPIKE_WINDOW // 2]) / 2
        if loss > middle + 0.05 * middle:
            # 1.48 times the median deviation is a standard deviation that outliers do not move.
            sigma = 1.48 * median(abs(value - middle) for value in before)
            if loss > middle + SPIKE_SIGMAS * sigma:
                found.append((step, loss - middle))
        del before[bisect_left(before, losses[place - SPIKE_WINDOW][1])]
        insort(before, loss)
    if not found:
        return Verdict("spikes", "ok", f"no spike in {len(losses)} steps")
    step, height = max(found, key=lambda spike: spike[1])
    return Verdict("spikes", "warn", f"{len(found)} spikes, the highest +{height:.2f} at step {step}")


def divergence(valid: Sequence[Valid]) -> Verdict | None:
    """Valid loss above the base model's: training does harm."""
    known = _losses(valid)
    if len(known) < 2 or known[0][0] != 0:
        return None
    base, (step, now) = known[0][1], known[-1]
    where = "below" if now < base else "above"
    evidence = f"valid {now:.3f} at step {step}, {abs(now - base):.3f} {where} base {base:.3f}"
    if now > base + 10 * RISE:
        return Verdict("divergence", "bad", evidence)
    return Verdict("divergence", "warn" if now > base + RISE else "ok", evidence)


def overfitting(steps: Sequence[Train], valid: Sequence[Valid]) -> Verdict | None:
    """Valid loss rising since its best while train loss falls, or train loss far below it."""
    known = [(step, loss) for step, loss in _losses(valid) if step > 0]
    if len(known) < 2:
        return None
    best_step, best = min(known, key=lambda point: point[1])
    rise = known[-1][1] - best
    sample = [(e.step, e.train_sample_loss) for e in valid if e.train_sample_loss is not None]
    train = sample if len(sample) > 1 else _losses(steps)
    before = [loss for step, loss in train if step <= best_step]
    after = [loss for step, loss in train if step > best_step]
    fell = _tail_mean(before) - _tail_mean(after) if before and after else 0.0
    now, learned = known[-1][1], sample[-1][1] if sample else _end_mean([loss for _, loss in _losses(steps)])
    gap = f", train {learned:.3f} where valid is {now:.3f}" if math.isfinite(learned) else ""
    if rise > RISE and fell > 0:
        evidence = f"overfitting: valid +{rise:.3f} since step {best_step}, train {-fell:+.3f}{gap}"
        return Verdict("overfitting", "bad" if rise > 10 * RISE else "warn", evidence)
    if now - learned > MEMORISED * now:
        return Verdict("overfitting", "warn", f"overfitting{gap.replace(',', ':', 1)}: the clips are learned by heart")
    return Verdict("overfitting", "ok", f"no overfitting: valid {rise:+.3f} since its best{gap}")


def underfitting(valid: Sequence[Valid]) -> Verdict | None:
    """Valid loss still falling at the end."""
    known = _losses(valid)
    if len(known) < 4:
        return None
    (first, before), (last, now) = known[len(known) * 2 // 3 - 1], known[-1]
    falls = before - now > RISE
    evidence = f"{now - before:+.3f} in the last {last - first} of {last} steps"
    said = "valid still falls" if falls else "valid has come to rest"
    return Verdict("underfitting", "warn" if falls else "ok", f"{said}: {evidence}")


def plateau(valid: Sequence[Valid]) -> Verdict | None:
    """Valid loss that stood still for the second half."""
    known = _losses(valid)
    if len(known) < 6:
        return None
    half = known[len(known) // 2 :]
    spread = max(loss for _, loss in half) - min(loss for _, loss in half)
    flat = spread < RISE / 4
    evidence = f"{'a' if flat else 'no'} plateau: valid moved by {spread:.3f} since step {half[0][0]}"
    return Verdict("plateau", "warn" if flat else "ok", evidence)


def learning_rate(steps: Sequence[Train], start_event: Start | None) -> Verdict | None:
    """A warm-up that the run did not outlive."""
    if not steps or start_event is None or start_event.warmup_steps is None:
        return None
    warmup, last, peak = start_event.warmup_steps, steps[-1].step, max(e.lr or 0.0 for e in steps)
    if last < warmup:
        evidence = f"{last} steps of a warm-up of {warmup}: the learning rate only reached {peak:.2g}"
        return Verdict("learning-rate", "bad", evidence)
    return Verdict("learning-rate", "ok", f"learning rate up at step {warmup}, {peak:.2g} at its peak")


def throughput(steps: Sequence[Train]) -> Verdict | None:
    """Speed now against speed at first."""
    speeds = [e.clips_per_second for e in steps if e.clips_per_second]
    # The first steps warm caches and compile.
    speeds = speeds[2:]
    if len(speeds) < 20:
        return None
    first, now = median(speeds[:10]), median(speeds[-10:])
    evidence = f"{now:.2f} clips/s, {now / first - 1:+.0%} over the run"
    return Verdict("throughput", "warn" if now < SLOWER * first else "ok", evidence)


def data_wait(steps: Sequence[Train]) -> Verdict | None:
    """Time in which the device had nothing to do because its data were not ready."""
    waits = [e.data_wait for e in steps[-50:] if e.data_wait is not None]
    if len(waits) < 5:
        return None
    share = median(waits)
    return Verdict("data-wait", "warn" if share > WAITING else "ok", f"{share:.0%} of the time waiting for data")


def throttling(gpu: Sequence[Gpu]) -> Verdict | None:
    """A card that lowered its clocks. Reaching the power limit is normal for some cards, heat is not."""
    told = [e.throttle for e in gpu if e.throttle is not None]
    if len(told) < 5:
        return None
    kinds = ("thermal", "power", "hardware")
    shares = {kind: sum(kind in reasons for reasons in told) / len(told) for kind in kinds}
    # What the hardware slows down for without saying is mostly heat.
    unsaid = f", hardware {shares['hardware']:.0%}" if shares["hardware"] else ""
    evidence = (
        f"clocks lowered: thermal {shares['thermal']:.0%}, power {shares['power']:.0%}{unsaid} of {len(told)} samples"
    )
    slow = shares["thermal"] + shares["hardware"] > 0.02 or shares["power"] > THROTTLED
    return Verdict("throttling", "warn" if slow else "ok", evidence)


def best_is_final(events: Events, steps: Sequence[Train]) -> Verdict | None:
    """Whether best and final are the same weights, so that comparing them tells nothing."""
    best = next((event for event in reversed(events) if isinstance(event, Best)), None)
    if not best or not steps:
        return None
    last = steps[-1].step
    if best.step == last:
        return Verdict("best-is-final", "warn", f"best is the last step, {last}: best and final are the same weights")
    return Verdict("best-is-final", "ok", f"best is step {best.step} of {last}")


def _by_step(events: Events, kind: type[Step]) -> list[Step]:
    """Events of a kind by step; of a step that was repeated after a resume the last counts."""
    return [event for _, event in sorted({event.step: event for event in events if isinstance(event, kind)}.items())]


def _losses(events: Sequence[Train] | Sequence[Valid]) -> list[tuple[int, float]]:
    return [(event.step, event.loss) for event in events if event.loss is not None]


def _end_mean(values: list[float]) -> float:
    """Mean of the last tenth, five at least; NaN of too few."""
    return sum(tail) / len(tail) if len(tail := values[-max(5, len(values) // 10) :]) >= 5 else math.nan


def _tail_mean(values: list[float]) -> float:
    tail = values[-max(1, len(values) // 3) :]
    return sum(tail) / len(tail)
