"""A resumed run is the run that was never interrupted."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.contract import config, events, liveness
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from engine.model import lora
from engine.train import checkpoint
from engine.train.journal import Journal
from engine.train.loop import train
from engine.train.signals import requests
from tests.train.conftest import new_run, write_clips

LONG = {"train__epochs": 6, "train__save_steps": 2, "train__validate_steps": 4, "lora__dropout": 0.1}
SAME_IN_ALL = {
    "train": ("step", "epoch", "loss", "lr", "grad_norm", "scale", "skipped", "clips_seen"),
    "valid": ("step", "epoch", "loss", "per_codebook", "per_clip"),
    "best": ("step", "loss", "previous"),
}


def course(run: RunDir) -> list[tuple]:
    """What a run's log says about its course, in the order of the steps."""
    told = [
        (event["event"], *(str(event[name]) for name in SAME_IN_ALL[event["event"]]))
        for event in events.read(run.events)
        if event["event"] in SAME_IN_ALL
    ]
    return sorted(told, key=lambda line: (int(line[1]), line[0]))


def saved(run: RunDir) -> list[int]:
    """Steps whose checkpoint the log tells of."""
    return [event["step"] for event in events.read(run.events) if event["event"] == "checkpoint"]


def in_a_child(run: RunDir, *, resume: bool) -> int:
    """Train in a forked process, which can be killed; returns its pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with liveness.hold(run):
                code = 0 if train(run, run.settings(), resume=resume) in ("done", "stopped") else 1
        finally:
            os._exit(code)
    return pid


def kill_after(pid: int, tail: events.EventTail, lines: int, delay: float) -> None:
    """SIGKILL a child when its log has grown by so many lines, and a moment more: anywhere in a step or a save."""
    tail.poll()
    seen = 0
    while seen < lines and os.waitpid(pid, os.WNOHANG) == (0, 0):
        seen += len(tail.poll())
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def weights(run: RunDir) -> tuple[str, str]:
    return lora.fingerprint(run.best_model), lora.fingerprint(run.final_model)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, clips: Path, tiny_model: Path) -> RunDir:
    """A run that nothing interrupted."""
    torch.set_num_threads(1)
    run = new_run(tmp_path_factory.mktemp("finished"), "whole", clips, tiny_model, **LONG)
    assert train(run, run.settings()) == "done"
    return run


@pytest.fixture
def whole(finished: RunDir, tmp_path: Path) -> RunDir:
    """A copy of it that a test may change."""
    return RunDir(shutil.copytree(finished.path, tmp_path / "whole"))


def test_the_same_settings_give_the_same_weights_and_events(make_run: Callable[..., RunDir], whole: RunDir) -> None:
    again = make_run("again", **LONG)
    train(again, again.settings())
    assert weights(again) == weights(whole)
    assert course(again) == course(whole)


def test_killed_at_random_moments_it_ends_with_the_weights_and_events_of_an_unbroken_run(
    make_run: Callable[..., RunDir], whole: RunDir
) -> None:
    run = make_run("killed", **LONG)
    chance = random.Random(time.time_ns())
    for attempt in range(4):
        pid = in_a_child(run, resume=attempt > 0)
        kill_after(pid, events.EventTail(run.events), lines=chance.randint(2, 15), delay=chance.uniform(0, 0.05))
        assert liveness.state_of(run).state == "lost"
    assert os.waitpid(in_a_child(run, resume=True), 0)[1] == 0
    assert liveness.state_of(run).state == "done"
    assert weights(run) == weights(whole)
    assert course(run) == course(whole)
    assert saved(run) == saved(whole)


def test_killed_between_a_checkpoint_and_its_event_it_still_tells_of_it(
    make_run: Callable[..., RunDir], whole: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def prune(*_: object) -> None:
        raise Killed

    run = make_run("killed", **LONG)
    monkeypatch.setattr(checkpoint, "prune", prune)
    with pytest.raises(Killed):
        train(run, run.settings())
    monkeypatch.undo()
    assert [path.name for path in checkpoint.listed(run.checkpoints)] == ["step-000002"]
    assert saved(run) == []
    assert train(run, run.settings(), resume=True) == "done"
    assert saved(run) == saved(whole)
    assert course(run) == course(whole)


def test_a_stop_is_answered_with_a_checkpoint_and_resume_goes_on_exactly(
    make_run: Callable[..., RunDir], whole: RunDir, train_command: list[str]
) -> None:
    run = make_run("stopped", **LONG)
    engine = subprocess.Popen([*train_command, str(run.path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    tail = events.EventTail(run.events)
    seen: list[events.AnyEvent] = []
    while not any(event["event"] == "train" for event in seen) and engine.poll() is None:
        seen += tail.events()
        time.sleep(0.005)
    engine.send_signal(signal.SIGTERM)
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(60) == 0, engine.stderr.read()  # type: ignore[union-attr]
    state = liveness.state_of(run)
    assert state.state == "stopped"
    last = max(event["step"] for event in events.read(run.events) if event["event"] == "train")
    assert checkpoint.listed(run.checkpoints)[-1].name == f"step-{last:06d}"
    assert last < 18
    assert train(run, run.settings(), resume=True) == "done"
    assert weights(run) == weights(whole)
    assert course(run) == course(whole)


def test_a_stop_before_training_leaves_a_stopped_run_that_can_start(make_run: Callable[..., RunDir]) -> None:
    run = make_run("early")
    with requests:
        os.kill(os.getpid(), signal.SIGTERM)
        assert train(run, run.settings()) == "stopped"
    assert liveness.state_of(run).state == "stopped"
    assert train(run, run.settings()) == "done"


def test_signals_ask_for_a_checkpoint_and_a_validation_between_steps(make_run: Callable[..., RunDir]) -> None:
    run = make_run("asked", train__epochs=2, train__validate_steps=100, train__save_steps=100)
    with requests:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        # A wish that comes before the first step is answered at once, when there is nothing to save yet.
        assert train(run, run.settings()) == "done"
    assert [event["step"] for event in events.read(run.events) if event["event"] == "checkpoint"] == [6]


def test_a_run_that_has_begun_is_not_begun_again(whole: RunDir) -> None:
    before = weights(whole)
    with pytest.raises(UserError, match="resume"):
        train(whole, whole.settings())
    assert weights(whole) == before


def test_resuming_a_finished_run_changes_nothing(whole: RunDir) -> None:
    before, told = weights(whole), course(whole)
    assert train(whole, whole.settings(), resume=True) == "done"
    assert weights(whole) == before
    assert course(whole) == told


@pytest.mark.parametrize(
    ("change", "named"),
    [("train.learning_rate=0.5", "train.learning_rate"), ("lora.rank=8", "lora.rank"), ("train.seed=7", "train.seed")],
)
def test_settings_that_would_make_the_curve_lie_are_refused_at_resume_and_at_once(
    whole: RunDir, monkeypatch: pytest.MonkeyPatch, change: str, named: str
) -> None:
    monkeypatch.setattr("engine.model.load.resolve_base", lambda *_: pytest.fail("a model was wanted"))
    with pytest.raises(UserError, match=named):
        train(whole, config.override(whole.settings(), [change]), resume=True)


def test_a_run_does_not_go_on_in_another_precision(whole: RunDir) -> None:
    whole.events.write_text(whole.events.read_text().replace('"precision": "fp32"', '"precision": "fp16"'))
    with pytest.raises(UserError, match="was trained in fp16 and would go on in fp32"):
        train(whole, whole.settings(), resume=True)


def test_settings_that_change_no_number_may_change_and_are_named(whole: RunDir) -> None:
    train(whole, config.override(whole.settings(), ["train.save_steps=5"]), resume=True)
    notes = [event["text"] for event in events.read(whole.events) if event["event"] == "note"]
    assert "changed at resume: train.save_steps: 2 -> 5" in notes


def test_other_data_are_refused_at_resume_before_they_are_encoded(
    tmp_path: Path, whole: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.model.load.load_audio_encoder", lambda *_, **__: pytest.fail("a clip was encoded"))
    other = write_clips(tmp_path / "other", train=10, valid=3, seconds=2.5)
    with pytest.raises(UserError, match="training data changed"):
        train(whole, config.override(whole.settings(), [f'data.dir="{other}"']), resume=True)


@pytest.mark.parametrize(
    "line", [b'{"t": 1, "event": "note", "text": "caf\xe9"}', b'{"t": 1, "event": "train", "step": "one", "loss": "x"}']
)
def test_a_killed_run_with_a_damaged_line_in_its_log_goes_on(
    make_run: Callable[..., RunDir], whole: RunDir, line: bytes
) -> None:
    run = make_run("damaged", **LONG)
    kill_after(in_a_child(run, resume=False), events.EventTail(run.events), lines=12, delay=0.0)
    run.events.write_bytes(run.events.read_bytes() + b"\n" + line + b"\n")
    assert train(run, run.settings(), resume=True) == "done"
    assert weights(run) == weights(whole)


@pytest.mark.parametrize(
    "change",
    [('"step": 18', '"step": "18"'), ('"saved": ', '"saved": 1e400, "x": '), ('"identity": {', '"identity": 5, "x": {'),
     ('"progress": {', '"progress": ' + "[" * 100_000)],
)  # fmt: skip
def test_a_checkpoint_whose_state_is_of_the_wrong_kind_is_one_sentence(whole: RunDir, change: tuple[str, str]) -> None:
    state = checkpoint.listed(whole.checkpoints)[-1] / "state.json"
    assert change[0] in state.read_text()
    state.write_text(state.read_text().replace(*change))
    with pytest.raises(UserError, match=r"step-000018 is damaged \(state.json.*remove it to resume"):
        train(whole, whole.settings(), resume=True)


def test_a_verdict_that_changed_back_after_a_resume_is_the_last_one_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    before = Journal(log)
    for step, verdict in ((2, "warn"), (4, "ok")):
        before.write("train", step=step, loss=3.0)
        before.write("health", name="spikes", verdict=verdict, evidence=verdict)
    before.close()
    again = Journal(log)
    again.rewind(0)
    again.write("health", name="spikes", verdict="warn", evidence="warn")
    again.close()
    assert events.read(log)[-1]["verdict"] == "warn"
