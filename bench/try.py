"""A warm try against transformers' generate(), and how long until the first of four variations is heard.

    python bench/try.py --size mid --seconds 15

One clip by one model, guidance 3, top-k 250; random weights of the real classes (the embedded model for ``demo``), with
a random adapter of rank 12. The warm process is the real one; generate() has its model in memory already and its
adapter merged. They take turns, and medians are reported. Writes bench/results/try.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import queue
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.decode import build
from engine.contract import config, rundir, tries
from engine.contract.rundir import RunDir
from engine.contract.tries import Answer, Bye, Done, Failed, Made, Ready, Try
from engine.model import load, lora
from tui.runs.studio import Studio

RESULTS = Path(__file__).parent / "results" / "try.json"
PROMPT = "slow piano and soft strings"


def make_run(folder: Path, size: str, seconds: float) -> RunDir:
    """A run with a random best adapter; its base is the embedded model, or one of the size in ``folder``."""
    base = "demo"
    if size != "demo":
        base = str(folder / "base")
        model = build(size)
        model.save_pretrained(base)
        load.load_tokenizer(load.resolve_base("demo")).save_pretrained(base)
        del model
    settings = config.override(config.Settings(), [f'model.base="{base}"', f"evaluate.duration={seconds}"])
    run = rundir.create(folder / "runs", "bench", settings)
    decoder, _ = load.load_decoder(load.resolve_base(base), device="cpu", dtype=torch.float32)
    adapted = lora.attach(decoder, settings.lora)
    with torch.no_grad():
        for name, weight in lora.trainable(adapted).items():
            if "lora_B" in name:
                weight.normal_(std=0.01)
    lora.save(adapted, run.best_model, base=base)
    return run


class Owner:
    """Asks the warm process, and times its answers."""

    def __init__(self, run: RunDir, seconds: float) -> None:
        self.run, self.seconds, self._number = run, seconds, 0
        self._answers: queue.SimpleQueue[tuple[float, Answer]] = queue.SimpleQueue()
        self.studio = Studio(run.path.parent, lambda answer: self._answers.put((time.perf_counter(), answer)))

    def ask(self, **fields: Any) -> dict[str, float]:
        """Seconds until the process was ready, until the first clip and until all were on disk."""
        self._number += 1
        wish = Try(id=self._number, run=str(self.run.path), prompt=PROMPT, seconds=self.seconds,
                   models=["best"], seed=10 * self._number, **fields)  # fmt: skip
        began, found = time.perf_counter(), {}
        self.studio.ask(wish, "auto")
        while "all" not in found:
            when, answer = self._answers.get()
            assert not isinstance(answer, (Failed, Bye)), answer
            name = {Ready: "ready", Made: "first", Done: "all"}.get(type(answer))
            if name:
                found.setdefault(name, when - began)
        return found


def generate(model: Any, tokenizer: Any, seconds: float, rate: int, hop: int) -> float:
    """Seconds that generate() takes for one clip, from text to audio."""
    frames = round(seconds * rate / hop)
    began = time.perf_counter()
    inputs = tokenizer([PROMPT], return_tensors="pt")
    with torch.no_grad():
        model.generate(
            input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, do_sample=True, guidance_scale=3.0,
            top_k=250, max_new_tokens=frames + 3,
        )  # fmt: skip
    return time.perf_counter() - began


def measure(size: str, seconds: float, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder), size, seconds)
        base = load.resolve_base(run.settings().model.base)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = load.load_base(base, device=device, dtype=torch.float32)
        model.decoder.eval()
        lora.merge_into(model.decoder, run.best_model)
        tokenizer = load.load_tokenizer(base)
        rate, hop = model.audio_encoder.config.sampling_rate, model.audio_encoder.config.hop_length
        owner = Owner(run, seconds)
        try:
            cold = owner.ask()
            warm, theirs, four = [], [], []
            for _ in range(rounds):
                warm.append(owner.ask()["all"])
                theirs.append(generate(model, tokenizer, seconds, rate, hop))
                four.append(owner.ask(variations=tries.VARIATIONS))
                _say(size, warm[-1], theirs[-1], four[-1])
        finally:
            owner.studio.close()
    return {
        "seconds_of_clip": seconds,
        "cold_first": cold["first"],
        "warm": statistics.median(warm),
        "generate": statistics.median(theirs),
        "faster": statistics.median(b / a for a, b in zip(warm, theirs, strict=True)),
        "first_of_four": statistics.median(f["first"] for f in four),
        "all_of_four": statistics.median(f["all"] for f in four),
    }


def _say(size: str, warm: float, theirs: float, four: dict[str, float]) -> None:
    print(f"{size}: warm {warm:.1f} s, generate() {theirs:.1f} s, first of four {four['first']:.1f} s", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--size", action="append", choices=("demo", "mid", "small"), help="repeatable")
    options.add_argument("--seconds", type=float, default=15.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, help="of both sides; the default is torch's")
    args = options.parse_args()
    if args.threads:
        import os

        os.environ["OMP_NUM_THREADS"] = str(args.threads)  # the warm process inherits it
        torch.set_num_threads(args.threads)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found["machine"] = f"{platform.processor() or platform.machine()}, torch {torch.__version__}"
    for size in args.size or ["demo", "mid"]:
        found[size] = {**measure(size, args.seconds, args.rounds), "threads": args.threads or torch.get_num_threads()}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        print(json.dumps({size: found[size]}, indent=1))


if __name__ == "__main__":
    main()
