"""Evaluation by two processes: the clips of one, and an end with a sentence when one of them is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from engine.contract import events
from engine.contract.rundir import RunDir
from tests.generate.conftest import lines_of

PROMPTS = [f"prompt number {n}, style {n % 7}" for n in range(500)]


def without_gpu(cache: Path) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "XDG_CACHE_HOME": str(cache)}


def one_process(run: RunDir, cache: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine", "evaluate", str(run.path)],
        env=without_gpu(cache), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@contextmanager
def two_processes(run: RunDir, cache: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """The launcher, and the two processes it started once both have made a clip, the first one first."""
    # --multi_gpu is what makes accelerate start several processes, with or without a GPU; --cpu would start one.
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    launcher = subprocess.Popen(
        [sys.executable, *launch, "--module", "engine", "evaluate", str(run.path)],
        env=without_gpu(cache), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        part = run.evaluation() / ".comparison_results.jsonl.part-1"
        while launcher.poll() is None and not (part.exists() and part.with_name("comparison_results.jsonl").exists()):
            time.sleep(0.05)
        engines = [p for p in psutil.Process(launcher.pid).children() if "evaluate" in p.cmdline()]
        yield launcher, sorted(engines, key=lambda process: process.environ()["RANK"])
    finally:
        for process in psutil.Process(launcher.pid).children() if launcher.poll() is None else []:
            process.kill()
        launcher.kill()
        launcher.communicate()


def clips(run: RunDir) -> dict[str, bytes]:
    folder = run.evaluation()
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.wav"))}


def last_state(run: RunDir) -> dict:
    return [event for event in events.read(run.events) if event["event"] == "state"][-1]


@pytest.mark.slow
def test_two_processes_make_the_clips_of_one_for_500_prompts_and_3_models(make_run, tmp_path):
    alone, shared = make_run(prompts=PROMPTS, batch_size=50), make_run("r2", prompts=PROMPTS, batch_size=50)
    one_process(alone, tmp_path / "cache")
    with two_processes(shared, tmp_path / "other cache") as (launcher, engines):
        assert len(engines) == 2
        _, said = launcher.communicate(timeout=300)
        assert launcher.returncode == 0, said
    made = clips(shared)
    assert len(made) == 1500
    assert made == clips(alone)

    def told(run):
        return [{**line, "measures": None} for line in lines_of(run.evaluation())]

    assert told(shared) == told(alone)
    assert not list(shared.evaluation().glob(".comparison*"))
    assert sum(event["event"] == "clip" for event in events.read(shared.events)) == 1500


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_other_with_a_sentence_and_the_next_evaluation_goes_on(make_run, tmp_path):
    run, whole = make_run(prompts=PROMPTS[:24], duration=8.0), make_run("r2", prompts=PROMPTS[:24], duration=8.0)
    with two_processes(run, tmp_path / "cache") as (launcher, engines):
        engines[1].kill()
        _, said = launcher.communicate(timeout=120)
    assert launcher.returncode != 0
    assert "Process 2 of 2 is gone: no sign of life for" in said
    assert last_state(run)["state"] == "failed"
    assert last_state(run)["error"].startswith("Process 2 of 2 is gone")
    before = {path: path.stat().st_mtime_ns for path in run.evaluation().rglob("*.wav")}
    assert 0 < len(before) < 72
    one_process(run, tmp_path / "cache")
    one_process(whole, tmp_path / "other cache")
    assert clips(run) == clips(whole)
    assert sum(path.stat().st_mtime_ns == stamp for path, stamp in before.items()) > len(before) / 2


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_stop_of_one_process_stops_both_with_what_is_there(make_run, tmp_path, rank):
    run = make_run(prompts=PROMPTS[:60], duration=8.0)
    with two_processes(run, tmp_path / "cache") as (launcher, engines):
        engines[rank].send_signal(signal.SIGTERM)
        _, said = launcher.communicate(timeout=120)
        assert launcher.returncode == 0, said
    assert (last_state(run).state, last_state(run).signal) == ("stopped", "SIGTERM")
    named = [run.evaluation() / file for line in lines_of(run.evaluation()) for file in line["models"].values()]
    assert sorted(named) == sorted(run.evaluation().rglob("*.wav"))
    assert 0 < len(named) < 180


@pytest.mark.slow
def test_a_process_that_fails_ends_the_other_with_its_sentence(make_run, tmp_path):
    run = make_run(prompts=PROMPTS[:60], duration=8.0)
    with two_processes(run, tmp_path / "cache") as (launcher, _):
        # To the second process the disk is broken at its last clip.
        (run.evaluation() / "base_model" / "60-prompt-number-59-style-3.wav").mkdir()
        _, said = launcher.communicate(timeout=120)
    assert launcher.returncode != 0
    assert "style-3.wav cannot be written" in said
    assert "engine/generate" not in said  # no traceback of ours
    assert last_state(run)["state"] == "failed"
    assert last_state(run)["error"].startswith("Process 2 of 2 failed: ")
    assert "style-3.wav cannot be written" in last_state(run)["error"]
