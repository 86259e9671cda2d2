"""Training side by side: ours, the usual loop, the same with EnCodec in it, and transformers' Trainer.

    python bench/train.py --size mid

Same clips, same effective batch, same precision, random weights of the real classes (the embedded model for ``demo``;
``small`` is the architecture of facebook/musicgen-small). The ways take turns, so that a busy machine slows all of
them; medians are reported, and the CPU seconds a clip beside the clips a second, because other work on the machine
does not move them. Writes bench/results/train.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from decode import build  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

from engine.contract import config, events, rundir  # noqa: E402
from engine.model.work import training_operations  # noqa: E402
from engine.prove.rates import products  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "train.json"
WAYS = ("ours", "forward", "encodec", "trainer")
RATES = {"demo": 16000, "mid": 32000, "small": 32000}
FRAME_RATES = {"demo": 25, "mid": 50, "small": 50}
SECONDS = 15.0
CAPTION = "warm lo-fi hip hop with a dusty drum loop, mellow electric piano chords and vinyl crackle, number {}"


def model_folder(size: str, folder: Path) -> str:
    """Save the model of a size with a tokenizer; ``demo`` is there already."""
    if size == "demo":
        return "demo"
    words = sorted(set(CAPTION.split())) + [str(number) for number in range(100)]
    vocabulary = {token: number for number, token in enumerate(["<pad>", "</s>", "<unk>", ",", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    build(size).save_pretrained(folder)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    fast.save_pretrained(folder)
    return str(folder)


def write_clips(folder: Path, rate: int, train: int, valid: int) -> None:
    """Clips of coloured noise under distinct captions."""
    rng = np.random.default_rng(0)
    entries = []
    for split, count in (("train", train), ("valid", valid)):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            name = f"{split}/{number}.wav"
            noise = np.cumsum(rng.normal(0, 0.01, int(SECONDS * rate)))
            soundfile.write(folder / name, np.diff(noise, prepend=0) * 5, rate)
            entries.append({"audio": name, "text": CAPTION.format(len(entries))})
    (folder / "metadata.json").write_text(json.dumps(entries))


def settings_for(size: str, work: Path, clips: int, batch: int, accumulation: int) -> config.Settings:
    write_clips(work / "data", RATES[size], clips, 2)
    values = {
        "model.base": model_folder(size, work / "model"),
        "data.dir": str(work / "data"),
        "data.cache_dir": str(work / "cache"),
        "train.batch_size": batch,
        "train.gradient_accumulation_steps": accumulation,
        # The automatic one of a GPU is larger than that of the other ways.
        "train.micro_batch": batch,
        "train.epochs": 1000,
        "train.start_gate": False,
        "runs.dir": str(work / "runs"),
    }
    return config.override(config.Settings(), [f"{name}={json.dumps(value)}" for name, value in values.items()])


def first_step(settings: config.Settings, work: Path, name: str) -> float:
    """Seconds from `engine train` to the first optimizer step's event."""
    run = rundir.create(work / "runs", name, settings)
    began = time.time()
    engine = subprocess.Popen(
        [sys.executable, "-m", "engine", "train", str(run.path)], stdout=subprocess.DEVNULL, cwd=ROOT
    )
    tail = events.EventTail(run.events)
    while engine.poll() is None:
        for event in tail.events():
            if event["event"] == "train":
                engine.kill()
                engine.wait()
                return float(event["t"] - began)
        time.sleep(0.05)
    raise SystemExit(f"the engine ended before its first step; see {run.events}")


def take_turns(file: Path, rounds: int, steps: int, threads: int, ways: list[str]) -> dict[str, dict[str, Any]]:
    """Per way: wall and CPU seconds of all measured steps, and the largest memory."""
    results: dict[str, dict[str, Any]] = {way: {"wall": [], "cpu": []} for way in ways}
    for number in range(rounds):
        for way in ways:
            done = subprocess.run(
                [
                    sys.executable, str(Path(__file__).with_name("train_steps.py")), way, str(file),
                    "--steps", str(steps + 1), "--threads", str(threads),
                ],
                stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            got = json.loads(done.stdout.splitlines()[-1])
            for kind in ("wall", "cpu"):
                results[way][kind] += got.pop(kind)
            for name, value in got.items():
                results[way][name] = max(value, results[way].get(name, 0.0))
            print(f"round {number + 1} {way}: {statistics.median(results[way]['wall']):.2f} s a step", file=sys.stderr)
    return results


def table(results: dict[str, dict[str, Any]], clips: int) -> list[dict[str, Any]]:
    rows = []
    for way, result in results.items():
        wall, cpu = statistics.median(result["wall"]), statistics.median(result["cpu"])
        memory = {name: round(value, 2) for name, value in result.items() if name.startswith("peak_")}
        rows.append(
            {
                "way": way,
                "clips_per_second": round(clips / wall, 3),
                "cpu_seconds_per_clip": round(cpu / clips, 3),
                "data_wait": round(result["data_wait"], 4),
                **memory,
            }
        )
    return rows


def ratios(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """How many times faster ours is, by the wall clock and by CPU time."""
    by_way = {row["way"]: row for row in rows}
    ours = by_way["ours"]
    return {
        way: {
            "wall": round(ours["clips_per_second"] / row["clips_per_second"], 2),
            "cpu": round(row["cpu_seconds_per_clip"] / ours["cpu_seconds_per_clip"], 2),
        }
        for way, row in by_way.items()
        if way != "ours"
    }


def measure(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    clips = args.batch * args.accumulation
    settings = settings_for(args.size, work, max(clips, 8), args.batch, args.accumulation)
    file = work / "config.toml"
    file.write_text(config.dumps(settings))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    starts = {name: first_step(settings, work, name) for name in ("cold", "warm")}
    rows = table(take_turns(file, args.rounds, args.steps, args.threads, args.ways.split(",")), clips)
    decoder = build(args.size).decoder.config
    torch.set_num_threads(args.threads)
    rate = products(device, torch.float16 if device.type == "cuda" else torch.float32, decoder.hidden_size)
    flops = training_operations(decoder.to_dict(), round(SECONDS * FRAME_RATES[args.size]))
    for row in rows:
        row["share_of_matmul_rate"] = round(row["clips_per_second"] * flops / rate, 3)
    return {
        "size": args.size,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or "cpu",
        "threads": args.threads,
        "load": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "clips_per_step": clips,
        "steps": args.steps * args.rounds,
        "first_step_seconds": {name: round(value, 1) for name, value in starts.items()},
        "matmul_gflops": round(rate / 1e9, 1),
        "gflop_per_clip": round(flops / 1e9, 1),
        "ways": rows,
        "ours_is_faster_by": ratios(rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("demo", "mid", "small"), default="mid")
    parser.add_argument("--batch", type=int, default=2, help="clips of a micro-batch")
    parser.add_argument("--accumulation", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3, help="measured steps a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--ways", default=",".join(WAYS))
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="mgl-bench-"))
    try:
        result = measure(args, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    saved = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**saved, args.size: result}, indent=1) + "\n")
    for row in result["ways"]:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    print(f"first step: {result['first_step_seconds']}; ours is faster by {result['ours_is_faster_by']}")


if __name__ == "__main__":
    main()
