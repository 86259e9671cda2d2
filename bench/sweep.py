"""What a sweep costs a run, against one `mgl-tui train` alone with nothing shared.

    python bench/sweep.py [--runs 12] [--epochs 10]

Twelve runs of the demo's size (ranks x learning rates x seeds) are made by `mgl-tui sweep` and worked off by the queue,
with empty caches and clips of the best two settings; before and after it one run trains and makes its clips alone, with
empty caches too. Wall time, and the processor time of all processes, which others on the machine disturb less. Writes
bench/results/sweep.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.contract import events  # noqa: E402
from engine.contract.rundir import list_runs  # noqa: E402
from tui.runs import queue  # noqa: E402

GRID = ["--set", "lora.rank=4,8,16", "--set", "train.learning_rate=1e-3,2e-3", "--seeds", "2"]


def timed(work: Callable[[], None]) -> dict[str, float]:
    """Seconds by the clock and of processor, the latter of this process's children."""

    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return children.ru_utime + children.ru_stime

    began, before = time.time(), used()
    work()
    return {"wall": time.time() - began, "cpu": used() - before}


class Place:
    """A folder with the demo's data, caches and runs of its own."""

    def __init__(self, folder: Path, epochs: int) -> None:
        folder.mkdir()
        self.folder, self.epochs = folder, epochs
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
        self.call("engine", "demo-data", str(folder / "data"))

    def call(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=self.folder, env=self.environment, check=True, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return done.stdout

    def mgl(self, *words: str) -> str:
        known = ["--config", str(self.folder / "data" / "config.toml"), "--runs", str(self.folder / "runs")]
        return self.call("tui.cli", *words, *known, "--set", f"train.epochs={self.epochs}")

    def phases(self) -> dict[str, float]:
        """Median seconds of each phase over the runs, as their engines' own events tell."""
        found: dict[str, list[float]] = defaultdict(list)
        for run in list_runs(self.folder / "runs"):
            spent: dict[str, float] = defaultdict(float)
            for state, after in pairwise(e for e in events.read(run.events) if e["event"] == "state"):
                spent[state["state"]] += after["t"] - state["t"]
            for name, seconds in spent.items():
                found[name].append(seconds)
        return {name: round(statistics.median(seconds), 1) for name, seconds in found.items()}


def alone(folder: Path, epochs: int) -> tuple[dict[str, float], dict[str, float]]:
    place = Place(folder, epochs)
    return timed(lambda: void(place.mgl("train", "--name", "alone"))), place.phases()


def sweep(folder: Path, epochs: int, runs: int) -> tuple[dict[str, float], dict[str, float]]:
    place = Place(folder, epochs)

    def work() -> None:
        # Made, queued and worked off as `mgl-tui sweep` does, but by a child of this process, whose time is counted.
        place.mgl("sweep", "--name", "s", *GRID, "--print")
        members = list_runs(folder / "runs")[:runs]
        (folder / "runs" / queue._FILE).write_text(json.dumps([run.name for run in members]))
        place.call("tui.runs.queue", str(folder / "runs"))

    return timed(work), place.phases()


def void(_: object) -> None:
    """Nothing: the words of a command are not needed."""


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, default=12)
    options.add_argument("--epochs", type=int, default=10)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before, phases_alone = alone(folder / "before", args.epochs)
        together, phases = sweep(folder / "sweep", args.epochs, args.runs)
        after, _ = alone(folder / "after", args.epochs)
    one = {clock: (before[clock] + after[clock]) / 2 for clock in ("wall", "cpu")}
    result = {
        "load": os.getloadavg()[0], "runs": args.runs, "epochs": args.epochs,
        "alone_seconds": [{k: round(v, 1) for k, v in each.items()} for each in (before, after)],
        "sweep_seconds": {k: round(v, 1) for k, v in together.items()},
        "a_run_of_it_against_one_alone": {k: round(together[k] / args.runs / one[k], 2) for k in one},
        "phases_alone": phases_alone, "phases_of_a_member": phases,
    }  # fmt: skip
    (ROOT / "bench" / "results" / "sweep.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
