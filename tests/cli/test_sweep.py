"""A sweep from the command line: queued, trained by the queue alone, clips for the best setting only."""

from __future__ import annotations

import re
import subprocess
import time

from tests.cli.conftest import ROOT, Place
from tui.runs import queue, sweep


def test_a_sweep_trains_its_members_and_makes_clips_of_the_best(place: Place) -> None:
    done = place.mgl("sweep", "--set", "lora.rank=2,4", "--set", "train.epochs=1", "--top", "1", "--name", "ranks")
    assert done.returncode == 0, done.stderr
    assert "2 runs in the queue" in done.stdout
    end = time.monotonic() + 240
    while queue.entries(place.runs) or queue.runs(place.runs):
        assert time.monotonic() < end, (place.runs / "queue.log").read_text()
        time.sleep(0.2)
    found = sweep.ranking(place.runs, "ranks")
    assert found.settled
    best, last = (group.runs[0] for group in found.groups)
    assert (place.runs / best / "evaluation" / "comparison_results.jsonl").is_file()
    assert not (place.runs / last / "evaluation").exists()
    told = place.json("sweep", "--name", "ranks")
    assert [group["values"] for group in told["groups"]] == [dict(group.values) for group in found.groups]  # type: ignore[index]
    base = {place.json("status", name)[0]["base_valid"] for name in (best, last)}  # type: ignore[index]
    assert len(base) == 1


def test_values_that_are_not_allowed_are_named_and_nothing_is_made(place: Place) -> None:
    done = place.mgl("sweep", "--set", "lora.rank=8,0")
    assert done.returncode == 1
    assert "lora.rank = 0" in done.stderr
    assert not place.runs.exists()


def test_a_sweep_can_be_printed_for_a_scheduler(place: Place) -> None:
    done = place.mgl("sweep", "--set", "lora.rank=2,4", "--print", "--name", "ranks")
    assert [line.split(" -m ")[1] for line in done.stdout.splitlines()] == [
        f"engine train {(place.runs / name).resolve()}" for name in ("ranks-rank2", "ranks-rank4")
    ]
    assert queue.entries(place.runs) == []


def test_the_array_of_the_readme_trains_a_member_a_task(place: Place) -> None:
    script = re.search(r"```sh\n(#!/bin/bash\n#SBATCH.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert script is not None
    task = script[1].replace("cd ~/mgl-tui", f"cd '{place.folder}'")
    assert subprocess.run(["bash", "-n"], input=task, text=True, check=False).returncode == 0
    made = place.mgl("sweep", "--set", "lora.rank=2,4", "--set", "train.epochs=1", "--print", "--name", "ranks")
    (place.folder / "ranks.txt").write_text(made.stdout)
    environment = {**place.environment, "SLURM_ARRAY_TASK_ID": "1"}
    done = subprocess.run(["bash"], input=task, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    states = {run["name"]: run["state"] for run in place.json("runs")}  # type: ignore[attr-defined]
    assert states == {"ranks-rank2": "waiting", "ranks-rank4": "done"}


def test_a_sweep_is_stopped_as_one(place: Place) -> None:
    place.mgl("sweep", "--set", "lora.rank=2,4", "--print", "--name", "ranks")
    assert "ranks: 0 taken out of the queue" in place.mgl("stop", "ranks").stdout
