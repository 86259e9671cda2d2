"""Whole runs on the small model: what they leave behind, and how they end when something is wrong."""

from __future__ import annotations

import errno
import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from engine.contract import config, events, liveness
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from engine.model import lora
from engine.train import checkpoint, loop, setup
from engine.train.loop import train
from engine.train.step import Trainee
from tests.train.conftest import write_clips
from tui.runs import store
from tui.runs.history import History

MakeRun = Callable[..., RunDir]


def told(run: RunDir, kind: str) -> list[dict]:
    return [event for event in events.read(run.events) if event["event"] == kind]


def states(run: RunDir) -> list[str]:
    return [event["state"] for event in told(run, "state")]


def test_a_run_leaves_adapters_checkpoints_and_its_whole_course(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(train__epochs=2, data__cache_dir=str(tmp_path / "cache"))
    assert train(run, run.settings()) == "done"
    assert liveness.state_of(run).state == "done"
    start = told(run, "start")[0]
    assert start["total_steps"] == 6
    assert (start["train_clips"], start["valid_clips"]) == (10, 3)
    assert start["precision"] == "fp32"
    assert start["base_path"] == run.settings().model.base
    assert start["versions"]["torch"] == torch.__version__.split("+")[0]
    assert states(run)[:4] == ["preparing", "encoding", "baseline", "training"]
    assert states(run)[-2:] == ["finalizing", "done"]
    assert [event["step"] for event in told(run, "train")] == [1, 2, 3, 4, 5, 6]
    assert told(run, "train")[-1]["clips_seen"] == 20
    valid = told(run, "valid")
    assert [event["step"] for event in valid] == [0, 1, 2, 3, 4, 5, 6]
    for event in valid:
        assert len(event["per_codebook"]) == 4
        assert event["loss"] == pytest.approx(sum(event["per_codebook"]) / 4)
        assert event["loss"] == pytest.approx(sum(event["per_clip"]) / 3, abs=1e-4)
    assert len(set(start["valid_clip_ids"])) == 3
    assert told(run, "progress")[-1]["done"] == told(run, "progress")[-1]["total"]
    assert told(run, "gpu")[0]["ram_total"] > 0
    assert checkpoint.listed(run.checkpoints)[-1].name == "step-000006"
    assert lora.fingerprint(run.final_model) == lora.fingerprint(run.checkpoints / "step-000006" / "adapter")


def test_the_base_models_loss_is_measured_once_for_all_runs_over_the_same_clips(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(name: str, **settings: Any) -> tuple[dict, bool]:
        cache = str(tmp_path / "cache")
        run = make_run(name, data__cache_dir=cache, **settings)
        train(run, run.settings())
        said = "valid loss is that of an earlier run" in capsys.readouterr().out
        return {name: told(run, "valid")[0][name] for name in ("loss", "per_codebook", "per_clip")}, said

    first, said = measured("first")
    assert not said
    second, said = measured("second", lora__rank=2, train__learning_rate=1e-3)
    assert said
    assert second == first
    _, said = measured("third", data__duration=1.0)
    assert not said


def test_a_run_goes_on_from_the_adapter_of_another_and_keeps_the_base_line(make_run: MakeRun) -> None:
    first = make_run("first", train__epochs=8, train__learning_rate=5e-3, train__validate_steps=24)
    train(first, first.settings())
    reached = told(first, "valid")[-1]["loss"]
    second = make_run("second", lora__start_from="first:final")
    assert train(second, second.settings()) == "done"
    start = told(second, "valid")[0]
    assert start["loss"] == pytest.approx(reached, abs=1e-5)
    assert start["base_loss"] == told(first, "valid")[0]["loss"]
    assert History.of(second.events).base_valid == start["base_loss"]
    assert store.summary(second).base_valid == start["base_loss"]
    assert "went on from the adapter `first:final`" in (second.best_model / "README.md").read_text()
    shutil.rmtree(first.path)
    assert train(second, second.settings(), resume=True) == "done"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lora__start_from": "first:final", "lora__rank": 2}, "lora.rank is 2 and the adapter .* has 4"),
        ({"lora__start_from": "first:final", "lora__target_modules": ["q_proj"]}, "lora.target_modules"),
        ({"lora__start_from": "none:best"}, "none is no folder"),
        ({"lora__start_from": "/nowhere/at/all"}, "is no adapter"),
    ],
)
def test_an_adapter_that_cannot_be_gone_on_from_is_refused_before_anything_is_encoded(
    make_run: MakeRun, settings: dict[str, Any], said: str
) -> None:
    first = make_run("first")
    train(first, first.settings())
    second = make_run("second", **settings)
    with pytest.raises(UserError, match=said):
        train(second, second.settings())
    assert "encoding" not in states(second)


def test_training_lowers_the_loss(make_run: MakeRun) -> None:
    run = make_run(train__epochs=8, train__learning_rate=5e-3, train__validate_steps=24)
    train(run, run.settings())
    valid = [event["loss"] for event in told(run, "valid")]
    assert valid[-1] < valid[0] - 0.01
    assert told(run, "best")[-1]["loss"] == min(valid[1:])


def test_the_log_is_strict_json_with_known_fields_only(make_run: MakeRun) -> None:
    run = make_run()
    train(run, run.settings())
    for line in run.events.read_text().splitlines():
        event = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        assert set(event) <= {"t", "event", *events.EVENTS[event["event"]]}


def test_the_cards_say_what_was_trained_on_what_and_under_which_licence(make_run: MakeRun) -> None:
    run = make_run()
    train(run, run.settings())
    card = (run.best_model / "README.md").read_text()
    base = told(run, "valid")[0]["loss"]
    for part in ("CC-BY-NC 4.0", "Data fingerprint: `", f"base model: {base:.4f}", "[lora]", "rank = 4", "10 clips"):
        assert part in card


def test_a_second_run_on_the_same_data_encodes_nothing(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_run("first")
    train(first, first.settings())
    for loader in ("load_audio_encoder", "load_text_encoder", "load_base"):
        monkeypatch.setattr(f"engine.model.load.{loader}", lambda *_, **__: pytest.fail("an encoder was loaded"))
    second = make_run("second", lora__rank=2)
    assert train(second, second.settings()) == "done"
    assert "encoding" not in states(second)


def test_the_micro_batch_changes_the_weights_by_rounding_only(make_run: MakeRun) -> None:
    runs = [make_run(f"micro{n}", train__micro_batch=n) for n in (1, 4)]
    for run in runs:
        train(run, run.settings())
    losses = [[event["loss"] for event in told(run, "train")] for run in runs]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_a_start_at_blind_guessing_is_refused_with_the_numbers(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = loop.health.start
    monkeypatch.setattr(loop.health, "start", lambda loss, size: start(loss + 1, size))
    run = make_run(train__start_gate=True)
    with pytest.raises(
        UserError, match=r"the base model starts at 5\.1.*, blind guessing is 4\.159; .*start_gate = false"
    ):
        train(run, run.settings())
    assert liveness.state_of(run).state == "failed"
    assert not told(run, "train")


def test_three_steps_that_are_not_finite_stop_the_run_and_keep_its_checkpoint(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(train__epochs=4, train__save_steps=2, train__validate_steps=100)
    sums, calls = Trainee.sums, [0]

    def spoiled(self: Trainee, batch: object) -> torch.Tensor:
        calls[0] += self.decoder.training
        return sums(self, batch) * (math.nan if calls[0] > 10 else 1.0)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainee, "sums", spoiled)
    with pytest.raises(UserError, match=r"3 steps in a row .* step-00000. is kept"):
        train(run, run.settings())
    last = told(run, "train")[-3:]
    assert [event["loss"] for event in last] == [None] * 3
    assert last[0]["loss_reason"] == "nan"
    assert "not finite" in liveness.state_of(run).error
    monkeypatch.setattr(Trainee, "sums", sums)
    kept = checkpoint.listed(run.checkpoints)[-1] / "adapter"
    weights = lora.fingerprint(kept)
    assert weights
    assert train(run, run.settings(), resume=True) == "done"


@pytest.mark.parametrize(("scale", "end"), [(1024.0, "done"), (1.0, "failed")])
def test_steps_that_the_loss_scale_skipped_are_told_from_gradients_that_are_no_numbers(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, scale: float, end: str
) -> None:
    scaler, sums = torch.amp.GradScaler("cpu", init_scale=scale), Trainee.sums

    def without_gradient(self: Trainee, batch: object) -> torch.Tensor:
        found = sums(self, batch)  # type: ignore[arg-type]
        # The value is that of ``found``, the derivative of a root at 0 is none.
        return found + (found - found.detach()).abs().sqrt()

    monkeypatch.setattr(setup.torch.amp, "GradScaler", lambda *_, **__: scaler)
    monkeypatch.setattr(Trainee, "sums", without_gradient)
    run = make_run(train__epochs=2)
    if end == "failed":
        with pytest.raises(UserError, match="3 steps in a row"):
            train(run, run.settings())
        assert told(run, "train")[-1]["skipped"] == 0
    else:
        assert train(run, run.settings()) == "done"
        assert told(run, "train")[-1]["skipped"] == 6


def test_early_stopping_ends_after_so_many_validations_without_a_best(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(train__epochs=10, train__validate_steps=1, train__early_stopping=2)
    rising = iter(range(100))
    real = loop.evaluate_loss
    monkeypatch.setattr(loop, "evaluate_loss", lambda *a: real(*a)._replace(loss=1.0 + next(rising)))
    assert train(run, run.settings()) == "done"
    assert told(run, "train")[-1]["step"] == 3
    assert told(run, "best")[-1]["step"] == 1
    assert lora.fingerprint(run.best_model) != lora.fingerprint(run.final_model)


def test_only_the_last_checkpoints_are_kept(make_run: MakeRun) -> None:
    run = make_run(train__epochs=3, train__save_steps=2, train__keep_checkpoints=2)
    train(run, run.settings())
    assert [path.name for path in sorted(run.checkpoints.iterdir())] == ["step-000008", "step-000009"]
    assert [event["step"] for event in told(run, "checkpoint")] == [2, 4, 6, 8, 9]


def test_the_training_sample_is_validated_in_the_same_mode(make_run: MakeRun) -> None:
    run = make_run(train__validate_train_sample=True)
    train(run, run.settings())
    assert all(isinstance(event["train_sample_loss"], float) for event in told(run, "valid"))


def test_a_full_disk_leaves_no_half_checkpoint_and_says_so(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(train__epochs=2, train__save_steps=2)
    real = torch.save

    def full(*args: object, **kwargs: object) -> None:
        real(*args, **kwargs)
        if (run.checkpoints / "step-000002").exists():
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"step-000004 could not be saved \(No space left on device\); free disk space"):
        train(run, run.settings())
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-000002"]
    monkeypatch.setattr(torch, "save", real)
    assert train(run, run.settings(), resume=True) == "done"


def test_a_damaged_checkpoint_is_named(make_run: MakeRun) -> None:
    run = make_run()
    train(run, run.settings())
    (run.checkpoints / "step-000003" / "optimizer.pt").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"checkpoint .*step-000003 is damaged .* remove it"):
        train(run, run.settings(), resume=True)


def test_a_checkpoint_that_lacks_weights_of_an_adapter_is_named(make_run: MakeRun) -> None:
    run = make_run()
    train(run, run.settings())
    file = run.checkpoints / "step-000003" / "adapter" / lora.WEIGHTS
    save_file({name: tensor for name, tensor in load_file(file).items() if "layers.1.fc1" not in name}, file)
    with pytest.raises(UserError, match=r"step-000003 is damaged \(it lacks 2 of the adapters' weights: .*remove it"):
        train(run, run.settings(), resume=True)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("metadata.json", None, "There is no metadata.json"),
        ("metadata.json", "[{", "is no valid JSON"),
        ("metadata.json", "[]", "names no clip"),
        ("metadata.json", '[{"audio": "train/clip0.wav", "text": "a"}]', "No clip of .* is in the valid split"),
        ("train/clip0.wav", None, "clip0.wav cannot be read .no such file"),
        ("train/clip0.wav", "no audio", "clip0.wav cannot be read as audio"),
    ],
)
def test_bad_data_end_the_run_with_one_sentence(
    make_run: MakeRun, tmp_path: Path, file: str, content: str | None, sentence: str
) -> None:
    data = write_clips(tmp_path / "data", train=2, valid=1)
    (data / file).unlink()
    if content is not None:
        (data / file).write_text(content)
    run = make_run(clips=data)
    with pytest.raises(UserError, match=sentence):
        train(run, run.settings())
    state = liveness.state_of(run)
    assert state.state == "failed"
    assert "\n" not in state.error


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        ({"train__warmup_steps": 50}, r"warmup_steps = 50 cannot end in a run of 1 step: .*Set it to 0"),
        ({"data__duration": 1.0, "train__warmup_steps": 2}, r"warmup_steps = 2 cannot end in a run of 2 steps"),
        ({"lora__target_modules": ["query"]}, "lora.target_modules names query"),
        ({"spoiled": b""}, r"clip0.wav cannot be read as audio \(it is empty\)"),
        ({"spoiled": None}, r"clip0.wav cannot be read \(no such file"),
        ({"spoiled": 0.5}, r"clip0.wav lasts 0\.50 s; a clip must be at least a second"),
    ],
)
def test_what_the_metadata_tell_is_refused_before_anything_is_fetched_loaded_or_encoded(
    make_run: MakeRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assignments: dict,
    sentence: str,
) -> None:
    for loader in ("resolve_base", "load_audio_encoder", "load_text_encoder", "load_decoder"):
        monkeypatch.setattr(f"engine.model.load.{loader}", lambda *_, **__: pytest.fail("a model was wanted"))
    data = write_clips(tmp_path / "data", train=4, valid=1)
    if "spoiled" in assignments:
        spoiled = assignments["spoiled"]
        (data / "valid/clip0.wav").unlink()
        if isinstance(spoiled, bytes):
            (data / "valid/clip0.wav").write_bytes(spoiled)
        elif spoiled:
            soundfile.write(data / "valid/clip0.wav", np.zeros(int(spoiled * 16000)), 16000)
        assignments = {}
    run = make_run(clips=data, **assignments)
    with pytest.raises(UserError, match=sentence):
        train(run, run.settings())
    assert states(run) == ["preparing", "failed"]


def test_the_command_prints_the_sentence_and_no_traceback(make_run: MakeRun, train_command: list[str]) -> None:
    run = make_run(model__base="/no/such/model")
    done = subprocess.run([*train_command, str(run.path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no folder and no hub name" in done.stderr
    assert "Traceback" not in done.stderr
    assert liveness.state_of(run).state == "failed"


def test_a_tracker_that_is_not_installed_is_named(make_run: MakeRun) -> None:
    run = make_run(train__report_to="wandb")
    with pytest.raises(UserError, match="pip install wandb"):
        train(run, run.settings())


class Tracker:
    """Stands in for a tracker, none of which is installed here."""

    name = "stand-in"

    def __init__(self) -> None:
        self.told: list[dict] = []
        self.finished = 0

    def log(self, values: dict, step: int | None = None, **_: object) -> None:
        self.told.append({"step": step, **values})

    def finish(self) -> None:
        self.finished += 1


def test_a_tracker_hears_every_curve_and_is_closed_however_the_run_ends(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = {}
    for name, sums in (("whole", Trainee.sums), ("broken", lambda *_: 1 / 0)):
        tracker, run = Tracker(), make_run(name)

        def tracked(run: RunDir, settings: config.Settings, tracker: Tracker = tracker) -> object:
            accelerator = setup.accelerator_for(run, settings)
            accelerator.trackers.append(tracker)
            return accelerator

        monkeypatch.setattr(loop, "accelerator_for", tracked)
        monkeypatch.setattr(Trainee, "sums", sums)
        end = train(run, run.settings())
        ended[end] = tracker.finished
        if name == "whole":
            for kind in ("train", "valid"):
                curve = [entry[f"{kind}/loss"] for entry in tracker.told if f"{kind}/loss" in entry]
                assert curve == [event["loss"] for event in told(run, kind)]
    assert ended == {"done": 1, "failed": 1}


def test_a_stereo_base_model_is_trained_on_both_channels(make_run: MakeRun, tmp_path: Path) -> None:
    from tests.models import build_tiny

    stereo = build_tiny(tmp_path / "stereo", channels=2)
    run = make_run(model=stereo, data__cache_dir=str(tmp_path / "cache"))
    assert train(run, run.settings()) == "done"
    assert len(told(run, "valid")[0]["per_codebook"]) == 8


def test_two_processes_draw_the_curve_of_one(make_run: MakeRun, train_command: list[str], tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("drums\nbass\npiano\n")
    same: dict[str, object] = {"train__epochs": 2, "evaluate__duration": 1.0}
    same["evaluate__prompts_file"] = str(tmp_path / "prompts.txt")
    one, two = make_run("one", **same), make_run("two", **same)
    train(one, one.settings())
    # --multi_gpu makes accelerate start two processes, with or without a GPU; with --cpu it starts one.
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = [train_command[0], *launch, *train_command[1:], str(two.path), "--evaluate"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [told(run, "start")[0]["processes"] for run in (one, two)] == [1, 2]
    for kind in ("train", "valid"):
        losses = [[event["loss"] for event in told(run, kind)] for run in (one, two)]
        assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert liveness.state_of(two).state == "done"
    assert len((two.evaluation() / "comparison_results.jsonl").read_text().splitlines()) == 3


def test_compiling_is_left_to_gpus(make_run: MakeRun) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    run = make_run(train__compile=True)
    assert train(run, run.settings()) == "done"
    assert "train.compile is left off" in told(run, "note")[0]["text"]


@pytest.mark.parametrize("where", ["in the baseline", "in the first step"])
def test_a_compiler_that_fails_costs_one_note_and_nothing_else(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def no_triton(*_: object) -> None:
        raise ImportError("no triton here")

    def compile(self: torch.nn.Module) -> None:
        self._compiled_call_impl = torch.compile(self._call_impl, backend=no_triton)

    trainee = setup._trainee
    cache = str(tmp_path / "cache")
    plain, run = make_run("plain", data__cache_dir=cache), make_run("compiled", data__cache_dir=cache)
    if where == "in the first step":
        # The base model's loss is known from the first run then.
        train(plain, plain.settings())
    with monkeypatch.context() as patched:
        patched.setattr(setup, "_trainee", lambda *given: trainee(*given[:4], True, given[5]))
        patched.setattr(torch.nn.Module, "compile", compile)
        assert train(run, run.settings()) == "done"
    if where == "in the baseline":
        train(plain, plain.settings())
    assert [event["text"] for event in told(run, "note")] == [
        "train.compile is left off: the compiler failed (no triton here)"
    ]
    losses = [[event["loss"] for event in told(one, "train")] for one in (plain, run)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)


def test_settings_of_other_parts_do_not_matter_at_resume(make_run: MakeRun) -> None:
    run = make_run()
    train(run, run.settings())
    changed = config.override(run.settings(), ["evaluate.seed=9", "review.repeats=2"])
    assert train(run, changed, resume=True) == "done"
