"""The course of a training in the few lines that matter, and the verdicts on it: a log to read, not to search."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Iterable
from statistics import fmean
from typing import NamedTuple

from tui import text
from tui.runs.history import History, Validation

MOST_VALIDATIONS = 12
MOST_NOTES = 5
MOST_ODD = 3
"""Steps that are named of each kind of trouble; the rest is counted."""
_WORST_FIRST = ("bad", "warn", "info", "ok")


class Verdict(NamedTuple):
    verdict: str
    name: str
    evidence: str


def verdicts(history: History) -> list[Verdict]:
    """What the engine judged of the run's health, the worst first."""
    found = [Verdict(event.verdict or "info", event.name, event.evidence) for event in history.health.values()]
    return sorted(
        found, key=lambda v: _WORST_FIRST.index(v.verdict) if v.verdict in _WORST_FIRST else len(_WORST_FIRST)
    )


def snapshot(history: History, spiked: tuple[int, ...] = ()) -> list[str]:
    """Baseline, validations, best, skipped steps, losses that are no number, speed, GPU, end; [] without a log."""
    lines = [*_start(history), *_course(history, spiked), *_sums(history)]
    return [f"{what:<12}{said}" for what, said in lines]


def _start(history: History) -> Iterable[tuple[str, str]]:
    start = history.start
    if not history.started:
        return
    versions = ", ".join(f"{name} {start.versions[name]}" for name in ("torch", "transformers", "peft")
                         if name in start.versions)  # fmt: skip
    when = _day(history.first_t) if history.state and history.state.state != "imported" else ""
    how = "; ".join(part for part in (when, start.device, start.precision, versions) if part)
    if how:
        yield "start", how
    clips = f"{start.train_clips} train and {start.valid_clips} valid clips" if start.train_clips else ""
    weights = f"{start.trainable_parameters:,} trainable parameters" if start.trainable_parameters else ""
    if clips or weights:
        yield "", "; ".join(part for part in (clips, weights) if part)


def _course(history: History, spiked: tuple[int, ...]) -> Iterable[tuple[str, str]]:
    """Validations and what went wrong between them, in the order of the steps."""
    rows: list[tuple[float, str, str]] = []
    shown, best = _chosen(history), history.best_point
    for valid in shown:
        said = f"valid {valid.loss:.4f}" if math.isfinite(valid.loss) else "valid loss not finite"
        at = "baseline" if valid.step == 0 else f"step {valid.step}"
        rows.append((valid.step, at, said + (", best" if best and valid.step == best[0] else "")))
    rows += [(mark.step, f"step {mark.step}", f"loss not finite: {mark.reason}") for mark in history.marks[:MOST_ODD]]
    losses = [history.columns["loss"][bisect_left(history.steps, step)] for step in spiked[:MOST_ODD]]
    rows += [(step, f"step {step}", f"train {loss:.4f}, far above the steps before")
             for step, loss in zip(spiked, losses, strict=False)]  # fmt: skip
    if len(spiked) > MOST_ODD:
        rows.append((spiked[MOST_ODD], "", f"{_counted(len(spiked) - MOST_ODD, 'more spike')}"))
    rows += [(step, f"step {step}", "resumed from its checkpoint") for step in history.resumed[:MOST_ODD]]
    yield from ((at, said) for _, at, said in sorted(rows, key=lambda row: row[0]))
    if len(shown) < len(history.valid):
        yield "", f"{len(history.valid) - len(shown)} more validations"


def _chosen(history: History) -> list[Validation]:
    """Validations evenly over the run, always with the first, the last and the best."""
    every = history.valid
    if len(every) <= MOST_VALIDATIONS:
        return list(every)
    kept = {round(k * (len(every) - 1) / (MOST_VALIDATIONS - 1)) for k in range(MOST_VALIDATIONS)}
    best = history.best_point
    return [valid for at, valid in enumerate(every) if at in kept or (best and valid.step == best[0])]


def _sums(history: History) -> Iterable[tuple[str, str]]:
    if history.steps:
        yield "not finite", _counted(len(history.marks), "step")
        scales = history.columns["scale"].values
        if history.skipped or any(value == value for value in scales[-1:]):
            yield "skipped", f"{_counted(history.skipped, 'fp16 step')} of {history.step}"
        if speed := _speed(history):
            yield "speed", speed
    spent = [f"{name} {text.duration(seconds)}" for name, seconds in history.phase_seconds.items() if seconds >= 1]
    if spent:
        yield "time", ", ".join(spent)
    for index, gpu in sorted(history.gpu.items()):
        said = _gpu(history, index, gpu.name or "")
        if said:
            yield "GPU" if gpu.name else "memory", said
    yield from (("note", note) for note in history.notes[:MOST_NOTES])
    if history.state:
        end = f"{history.state.state} at step {history.step}" if history.step else history.state.state
        yield "end", f"{_day(history.last_t)}; {end}" + (f": {history.error}" if history.error else "")


def _speed(history: History) -> str:
    seconds = history.seconds_per_step(len(history.steps))
    rates = [rate for rate in history.columns["clips_per_second"].values[-1000:] if rate == rate]
    waits = [wait for wait in history.columns["data_wait"].values[-1000:] if wait == wait]
    parts = [f"{seconds:.3g} s a step" if seconds > 0 else ""]
    parts.append(f"{fmean(rates):.3g} clips a second" if rates else "")
    parts.append(f"{fmean(waits):.0%} of it waiting for data" if waits and fmean(waits) >= 0.005 else "")
    return "; ".join(part for part in parts if part)


def _gpu(history: History, index: int, name: str) -> str:
    latest, peak = history.gpu[index], history.gpu_peak.get(index)
    parts = [name]
    if history.busy and index == min(history.gpu):
        parts.append(f"{fmean(history.busy):.0f} % busy while it trained")
    if peak:
        total = f" of {text.gib(latest.mem_total)}" if latest.mem_total else ""
        parts.append(f"{text.gib(peak)}{total} GiB at most")
    if latest.throttle:
        parts.append(f"held back by {', '.join(latest.throttle)} at the end")
    return ", ".join(part for part in parts if part)


def _day(t: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(t)) if t == t else ""


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
