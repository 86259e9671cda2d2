"""An engine that is killed, in any phase and between any two of its steps on the disk, loses nothing.

The engine counts what it does in the run's folder and in its cache, and kills itself at a place drawn beforehand: that
hits the moments between a file's making and its renaming, which a clock hardly ever does. ``--kills N`` draws as many
courses.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.contract import liveness
from engine.contract.events import EventLog, EventTail
from engine.contract.rundir import RunDir
from engine.generate.evaluate import evaluate
from engine.model import lora
from engine.train.loop import train
from tests.train.conftest import new_run, write_clips

PHASES = (
    "preparing", "encoding", "baseline", "training", "training", "validating", "training", "validating", "training",
    "finalizing", "evaluating", "evaluating", "evaluating",
)  # fmt: skip
"""Where it is killed, one after another."""
STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "course" in metafunc.fixturenames:
        metafunc.parametrize("course", range(metafunc.config.getoption("kills")))


def work(run: RunDir, cache: Path, at: Callable[[str, int], None]) -> None:
    """Train and evaluate; ``at(phase, n)`` is called at the n-th step on the disk of each phase."""
    phase, done = "starting", Counter[str]()
    ours = (str(run.path), str(cache))
    write = EventLog.write

    def step() -> None:
        done[phase] += 1
        at(phase, done[phase])

    def look(name: str, arguments: tuple[Any, ...]) -> None:
        if name in STEPS and str(arguments[0]).startswith(ours):
            step()

    def say(log: EventLog, event: str, **fields: Any) -> None:
        nonlocal phase
        if event == "state":
            phase = fields["state"]
        step()
        write(log, event, **fields)

    sys.addaudithook(look)
    EventLog.write = say  # type: ignore[method-assign]
    with liveness.hold(run):
        assert train(run, run.settings(), resume=True) == "done"
        evaluate(run, run.settings())


def in_a_child(run: RunDir, cache: Path, at: Callable[[str, int], None]) -> int:
    """Do the work in a forked process; returns how it ended, as os.waitpid tells it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(run, cache, at)
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]


def killed_at(run: RunDir, cache: Path, phase: str, place: int, *, torn: bool) -> bool:
    """Kill the work at a place of a phase, at times with half a line in the log; False when it never came there."""

    def at(now: str, number: int) -> None:
        if (now, number) == (phase, place):
            if torn:
                with open(run.events, "ab", buffering=0) as log:
                    log.write(b'{"t": 1767690000.5, "event": "tra')
            os.kill(os.getpid(), signal.SIGKILL)

    return os.WIFSIGNALED(in_a_child(run, cache, at))


def what_is_kept(run: RunDir) -> dict[str, Any]:
    """Weights, clips and results of a run; all that must not depend on how it came about."""
    clips = {str(path.relative_to(run.path)): path.read_bytes() for path in run.evaluation().rglob("*.wav")}
    results = (run.evaluation() / "comparison_results.jsonl").read_text().splitlines()
    weights = {model.name: lora.fingerprint(model) for model in (run.best_model, run.final_model)}
    return {"weights": weights, "clips": clips, "results": [json.loads(line) for line in results]}


def make(folder: Path, name: str, data: Path, model: Path) -> tuple[RunDir, Path]:
    """A run with a cache of its own, and that cache."""
    prompts, cache = folder / "prompts.json", folder / f"cache-{name}"
    prompts.write_text('["rain on a roof", "a slow choir"]')
    run = new_run(
        folder / "runs", name, data, model, data__cache_dir=str(cache), train__epochs=3, train__save_steps=2,
        train__validate_steps=2, lora__dropout=0.1, evaluate__prompts_file=str(prompts), evaluate__duration=1.0,
    )  # fmt: skip
    return run, cache


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("data") / "clips", train=10, valid=3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: Path, tiny_model: Path) -> tuple[dict[str, Any], Counter]:
    """What a run that nobody killed keeps, and how many steps on the disk each of its phases took."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    run, cache = make(folder, "whole", data, tiny_model)
    told = folder / "steps"

    def at(phase: str, number: int) -> None:
        with open(told, "a") as file:
            file.write(f"{phase}\n")

    assert in_a_child(run, cache, at) == 0
    return what_is_kept(run), Counter(told.read_text().split())


def test_killed_in_every_phase_a_run_ends_with_the_weights_and_clips_of_an_unbroken_one(
    tmp_path: Path, data: Path, tiny_model: Path, whole: tuple[dict[str, Any], Counter], course: int
) -> None:
    kept, steps = whole
    chance = random.Random(course)
    run, cache = make(tmp_path, "killed", data, tiny_model)
    for phase in PHASES:
        # A phase that is entered again has the less before it the more often it was; its first third comes always.
        often = PHASES.count(phase)
        place = chance.randint(1, max(1, steps[phase] // (1 if often == 1 else 2 * often)))
        torn = chance.random() < 0.3
        assert killed_at(run, cache, phase, place, torn=torn), f"{phase} never came to its step {place}"
        # Before it says that it evaluates, its training is what it did last.
        assert liveness.state_of(run).state == ("done" if (phase, place) == ("evaluating", 1) else "lost")
    assert in_a_child(run, cache, lambda *_: None) == 0
    assert liveness.state_of(run).state == "done"
    assert what_is_kept(run) == kept
    left = [path for path in run.path.rglob(".*") if path.suffix in (".part", ".tmp", ".gone")]
    assert left == []
    tail = EventTail(run.events)
    while tail.events():
        pass
    assert tail.unreadable <= len(PHASES)
    assert tail.left_out == 0
