"""Writes run folders as an engine would, without one: plausible events at given times, seeded.

``python -m tests.panel.recording FOLDER`` writes the recorded run that ships with the tests: a spike, a step that is no
number, a lost engine, a resume, the end.
"""

from __future__ import annotations

import json
import math
import random
import sys
from pathlib import Path
from typing import Any

from engine.contract import config

START = 1_767_690_000.0
GIB = 2**30


class Recorder:
    """Writes events and log lines with a clock of its own."""

    def __init__(self, folder: Path, *, t: float = START, seed: int = 0, changes: list[str] | None = None) -> None:
        self.folder = folder
        self.t = t
        self.random = random.Random(seed)
        folder.mkdir(parents=True, exist_ok=True)
        self.settings = config.resolved(config.override(config.Settings(), changes or []), Path("/data"))
        (folder / "config.toml").write_text(config.dumps(self.settings), encoding="utf-8")
        self.last_valid = math.inf
        self.gpu_due = t

    def event(self, event: str, /, **fields: Any) -> None:
        with open(self.folder / "events.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"t": round(self.t, 3), "event": event, **fields}) + "\n")

    def log(self, text: str) -> None:
        with open(self.folder / "engine.log", "a", encoding="utf-8") as file:
            file.write(text + "\n")

    def state(self, state: str, **fields: Any) -> None:
        self.event("state", state=state, **fields)

    def begin(self, total_steps: int = 248, *, resumed_from: int | None = None) -> None:
        self.event(
            "start", versions={"torch": "2.14.1"}, device="cuda", host="box", total_steps=total_steps,
            steps_per_epoch=total_steps, train_clips=1984, valid_clips=220, trainable_parameters=7_667_712,
            base_path="facebook/musicgen-small", codebook_size=2048, warmup_steps=20, effective_batch=8,
            micro_batch=2, precision="fp16", resumed_from=resumed_from,
        )  # fmt: skip
        self.state("preparing")
        self.log("NVIDIA GeForce RTX 4090, torch 2.14.1, fp16; 1984 train clips, 220 valid clips")
        self.t += 4

    def encode(self, clips: int = 2204) -> None:
        self.state("encoding")
        for done in range(0, clips, 200):
            self.event("progress", phase="encoding", done=done, total=clips, unit="clips")
            self.gpu(util=61)
            self.t += 3
        self.event("progress", phase="encoding", done=clips, total=clips, unit="clips")

    def baseline(self, loss: float = 3.312) -> None:
        self.state("baseline")
        self.t += 6
        self.valid(0, loss)

    def valid(self, step: int, loss: float) -> None:
        parts = [round(loss + d, 4) for d in (-0.9, 0.1, 0.35, 0.45)]
        self.event("valid", step=step, epoch=step / 248, loss=round(loss, 4), per_codebook=parts, seconds=5.2)
        if step and loss < self.last_valid:
            previous = None if math.isinf(self.last_valid) else round(self.last_valid, 4)
            self.event("best", step=step, loss=round(loss, 4), previous=previous)
            self.log(f"step {step} valid {loss:.4f} ★ best → best_model")
            self.last_valid = loss
        else:
            self.log(f"step {step} valid {loss:.4f}")

    def gpu(self, *, util: float = 97, used: float = 9.8) -> None:
        if self.t < self.gpu_due:
            return
        self.gpu_due = self.t + 5
        jitter = self.random.uniform
        self.event(
            "gpu", index=0, name="NVIDIA GeForce RTX 4090", util=round(util + jitter(-2, 2)),
            mem_used=int((used + jitter(-0.1, 0.1)) * GIB), mem_total=24 * GIB, temperature=round(61 + jitter(-1, 1)),
            power=round(318 + jitter(-9, 9)), power_limit=450, clock_sm=2520, clock_mem=10251, fan=44, throttle=[],
            cpu=12.0, ram_used=9 * GIB, ram_total=64 * GIB, engine_rss=3 * GIB,
        )  # fmt: skip

    def loss(self, step: int) -> float:
        return 2.24 + 0.95 * math.exp(-step / 55) + self.random.gauss(0, 0.035)

    def train(self, first: int, last: int, *, spike: int = 0, nan: int = 0, valid_every: int = 25) -> None:
        self.state("training")
        for step in range(first, last + 1):
            self.t += 2.6 + self.random.uniform(-0.1, 0.1)
            fields: dict[str, Any] = {"loss": round(self.loss(step), 4)}
            if spike <= step < spike + 4 and spike:
                fields["loss"] += 1.6 - 0.35 * (step - spike)
            if step == nan:
                fields = {"loss": None, "loss_reason": "nan"}
            lr = 1e-4 * min(1.0, step / 20) * (0.5 + 0.5 * math.cos(math.pi * step / 248))
            self.event(
                "train", step=step, epoch=round(step / 248, 4), **fields, lr=lr,
                grad_norm=round(0.62 + 0.5 * math.exp(-step / 30) + self.random.uniform(0, 0.15), 4), scale=65536.0,
                skipped=step == nan, clips_per_second=round(8 / 2.6 + self.random.uniform(-0.1, 0.1), 3),
                data_wait=0.03, clips_seen=step * 8,
            )  # fmt: skip
            shown = "nan (step skipped)" if step == nan else f"{fields['loss']:.4f}"
            self.log(f"step {step} loss {shown} lr {lr:.2e}")
            self.gpu()
            if step % valid_every == 0:
                self.state("validating")
                self.t += 5
                self.valid(step, 2.30 + 0.9 * math.exp(-step / 60))
                self.state("training")
            if step % 50 == 0:
                self.checkpoint(step)

    def checkpoint(self, step: int) -> None:
        self.event("checkpoint", step=step, path=f"checkpoints/step-{step:06d}", seconds=1.2)
        self.log(f"saved checkpoints/step-{step:06d} in 1.2 s")
        (self.folder / "checkpoints" / f"step-{step:06d}").mkdir(parents=True, exist_ok=True)

    def health(self, name: str, verdict: str, evidence: str) -> None:
        self.event("health", name=name, verdict=verdict, evidence=evidence)

    def good_health(self) -> None:
        self.health("finite", "ok", "no NaN or Inf, 0 skipped fp16 steps")
        self.health("spikes", "ok", "no spike above 3σ in the last 200 steps")
        self.health("gradient", "ok", "norm 0.68, clipped in 4 % of the steps")
        self.health("gap", "ok", "valid − train +0.05")
        self.health("speed", "ok", "flat, −1 % over the run")
        self.health("data", "warn", "14 clips are shorter than 15 s and are padded")


def training(folder: Path, *, steps: int = 82) -> Path:
    """A run as its engine left it in the middle of the training."""
    recorder = Recorder(folder)
    recorder.begin()
    recorder.encode()
    recorder.baseline()
    recorder.train(1, steps)
    recorder.good_health()
    return folder


def recorded(folder: Path) -> Path:
    """The run that ships with the tests."""
    r = Recorder(folder, seed=3)
    r.begin()
    r.encode()
    r.baseline()
    r.train(1, 118, spike=61, nan=97)
    r.health("spikes", "warn", "step 61: loss 4.12, 6σ above the 50 steps before")
    r.health("finite", "warn", "1 step was no number and was skipped: 97")
    # The machine went down: no end in the log, and the steps after the last checkpoint are done again.
    r.t += 1800
    r.random.seed(4)
    r.begin(resumed_from=100)
    r.train(101, 248)
    r.good_health()
    r.state("saving")
    r.checkpoint(248)
    r.state("evaluating")
    for done in range(25):
        r.event("progress", phase="evaluating", done=done, total=24, unit="clips")
        r.t += 2
    r.state("done")
    r.log("done")
    return folder


if __name__ == "__main__":
    recorded(Path(sys.argv[1]))
