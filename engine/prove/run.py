"""The proof of a card, to be read from top to bottom: ``python -m engine prove``.

It prints JSON lines: ``progress`` (what is checked, done, total), ``line`` (one finding), and at the end ``record``
(all of it, which is kept), ``no_card`` (why there is nothing to prove) or ``unseen`` (torch cannot use it).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from engine import device as devices
from engine.contract import typed
from engine.contract.cards import Facts, Nvml, trouble
from engine.memory import Shortage
from engine.model import untrained
from engine.model.work import training_operations
from engine.prove import abilities, decoding, rates, record, training, verdicts
from engine.prove.record import Line, Rates, Record
from engine.train.setup import DTYPES

SHORT_SECONDS = 7.0
"""After so many seconds the short part begins no further check; the longest takes some three, imports five."""
SHORT = ("card", "telemetry", "speed", "scaler", "adamw", "fp16", "graphs", "encodec")
FULL = (
    "card",
    "telemetry",
    "speed",
    "scaler",
    "adamw",
    "fp16",
    "bf16",
    "graphs",
    "encodec",
    "micro-batches",
    "compile",
)

Report = Callable[[dict[str, Any]], None]


@dataclass
class Bench:
    """The card under proof, and what was measured of it so far."""

    device: torch.device
    facts: Facts
    full: bool
    values: bool
    rates: Rates = field(default_factory=Rates)
    fp32: training.Trained | None = None
    off: set[str] = field(default_factory=set)

    @property
    def precision(self) -> str:
        """That runs will compute in by default."""
        return abilities.Abilities(dict.fromkeys(self.off, "")).precision("fp16")


def main(index: int, *, short: bool, again: bool) -> int:
    """Prove card ``index`` unless that was done; returns the exit status: 1 when something fails."""

    def report(told: dict[str, Any]) -> None:
        print(json.dumps(told), flush=True)

    facts = devices.facts()
    if not facts.cards:
        return _without(facts, report)
    path = abilities.path_for(facts.cards[index])
    known = None if again else record.read(path, values=record.values_count())
    if known is None or not known.answers(short=short):
        known = prove(facts, index, full=not short, report=report)
        record.write(path, known)
    report({"record": typed.data(known), "file": str(path)})
    return int(any(line.verdict == "fails" for line in known.lines))


def _without(facts: Facts, report: Report) -> int:
    """Says why torch sees no card: there is none, or it is there and cannot be used."""
    if trouble(facts):
        report({"line": typed.data(verdicts.card(facts)), "unseen": True})
        return 1
    hidden = "CUDA_VISIBLE_DEVICES hides every GPU"
    report({"no_card": hidden if facts.hidden else "there is no NVIDIA GPU on this machine"})
    return 0


def prove(facts: Facts, index: int, *, full: bool, report: Report) -> Record:
    """Run the checks one after another; what one of them raises is its finding, and the next goes on."""
    bench = Bench(torch.device("cuda", index), facts, full, record.values_count())
    names = list(FULL if full else SHORT)
    lines: list[Line] = []
    lost, began = "", time.monotonic()
    for name in names:
        report({"progress": name, "done": len(lines), "total": len(names)})
        late = not full and time.monotonic() - began > SHORT_SECONDS
        if lost or late:
            line = verdicts.not_checked(name, lost or "left for `mgl-tui doctor --gpu`: the short proof's time was up")
        else:
            line, lost = _checked(name, bench)
        if name == "fp16" and line.off and "bf16" not in names:
            names.insert(names.index("fp16") + 1, "bf16")  # which would take its place
        if line.off:
            bench.off.add(line.off)
        lines.append(line)
        report({"line": typed.data(line)})
    report({"progress": "", "done": len(names), "total": len(names)})
    card = facts.cards[index]
    return Record(
        card=card.name, uuid=card.uuid, driver=facts.driver or "", torch=torch.__version__, t=round(time.time(), 3),
        full=full, values=bench.values, lines=lines, rates=bench.rates,
    )  # fmt: skip


def _checked(name: str, bench: Bench) -> tuple[Line, str]:
    """A check's line; and why no other can follow, where the card answers no more."""
    try:
        with Shortage() as shortage:
            line = _CHECKS[name](bench)
        if shortage:
            line = verdicts.not_checked(name, "the GPU's memory ran out; end what else runs on it, then check --again")
    except Exception as error:
        line = verdicts.broken(name, (str(error).strip().splitlines() or [type(error).__name__])[0])
    try:
        torch.cuda.empty_cache()
        torch.ones(1, device=bench.device).sum().item()
    except Exception:
        return line, f"the check of {name} left the card unusable in this process"
    return line, ""


def _card(bench: Bench) -> Line:
    return verdicts.card(bench.facts, bench.device.index)


def _nvml(bench: Bench) -> Line:
    nvml = Nvml()
    handle = nvml.handle(bench.facts.cards[bench.device.index])
    return verdicts.nvml(nvml.sample(handle), handle is not None)


def _rates(bench: Bench) -> Line:
    found = verdicts.Speeds(
        rates.products(bench.device, torch.float16), rates.products(bench.device, torch.float32),
        rates.copies(bench.device),
    )  # fmt: skip
    bench.rates.products, bench.rates.products_fp32, bench.rates.copies = found
    return verdicts.rates(found)


def _half(bench: Bench, precision: str) -> Line:
    batch = training.clips(1)
    if bench.fp32 is None:
        bench.fp32 = training.train_once(training.student(bench.device, "fp32"), batch)
    trainee = training.student(bench.device, precision)
    loss, gradient = training.train_once(trainee, batch)
    whole = bench.fp32.gradient
    # Two clips at once, as the least that training begins with where the memory allows it.
    took = training.step_seconds(trainee, 2) / 2
    least = _clip_floor(bench)
    step = verdicts.Step(
        bench.fp32.loss, loss, float(torch.nn.functional.cosine_similarity(gradient.double(), whole.double(), dim=0)),
        float(gradient.norm() / whole.norm()), float(torch.log(torch.tensor(2048.0))), took / least if least else None,
    )  # fmt: skip
    line = verdicts.half(precision, step, bench.values)
    if line.verdict == "works" and bench.rates.clip_seconds is None:
        bench.rates.clip_seconds = took
    return line


def _clip_floor(bench: Bench) -> float | None:
    """Least seconds of training on a clip: its products at the card's own rate."""
    operations = training_operations(untrained.decoder_sizes(), training.FRAMES)
    return operations / bench.rates.products if bench.rates.products else None


def _scaler(bench: Bench) -> Line:
    return verdicts.scaler(training.scaling(bench.device), bench.values)


def _adamw(bench: Bench) -> Line:
    return verdicts.adamw(*training.adamw(bench.device), bench.values)


def _micro(bench: Bench) -> Line:
    peaks, seconds = training.micro_batches(training.student(bench.device, bench.precision))
    bench.rates.peaks = {str(count): peak for count, peak in peaks.items()}
    if seconds:
        bench.rates.clip_seconds = min(took / count for count, took in seconds.items())
    return verdicts.micro(peaks, seconds, bench.facts.cards[bench.device.index].memory)


def _graphs(bench: Bench) -> Line:
    frames = training.FRAMES if bench.full else 253  # two graphs
    found = decoding.graphs(bench.device, DTYPES[bench.precision], frames, bench.rates.copies)
    line = verdicts.graphs(found, bench.values)
    bench.rates.step_seconds = found.plain_seconds if line.off else found.step_seconds
    return line


def _compile(bench: Bench) -> Line:
    return verdicts.compiled(*training.compiled(bench.device, bench.precision), bench.values)


def _encodec(bench: Bench) -> Line:
    return verdicts.encodec(decoding.encodec(bench.device, 5.0 if bench.full else 1.0), bench.values)


_CHECKS: dict[str, Callable[[Bench], Line]] = {
    "card": _card, "telemetry": _nvml, "speed": _rates, "fp16": lambda bench: _half(bench, "fp16"),
    "bf16": lambda bench: _half(bench, "bf16"), "scaler": _scaler, "adamw": _adamw, "graphs": _graphs,
    "micro-batches": _micro, "compile": _compile, "encodec": _encodec,
}  # fmt: skip
