"""Evaluation from a finished run to its folder of clips, with the real model classes at tiny size."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

import engine.__main__
from engine.contract import config, events, liveness
from engine.contract.errors import UserError
from engine.generate import evaluate as evaluation
from engine.generate import models, results, studio
from engine.generate.evaluate import end_state, evaluate
from tests.generate.conftest import PROMPTS, lines_of, save_adapter
from tests.models import build_tiny

BEGUN = events.of("start")
STOPPED = events.of("state", state="stopped", signal="SIGTERM")
DONE = events.of("state", state="done")


def clips(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.wav"))}


def states(run) -> list[str]:
    return [event["state"] for event in events.read(run.events) if event["event"] == "state"]


def test_every_prompt_gets_a_clip_of_each_model_of_the_exact_length(make_run):
    run = make_run()
    evaluate(run, run.settings())
    lines = lines_of(run.evaluation())
    assert [line["text_prompt"] for line in lines] == PROMPTS
    for number, line in enumerate(lines, start=1):
        for model in ("base", "best", "final"):
            path = run.evaluation() / line[f"{model}_model_file"]
            assert path.parent.name == f"{model}_model"
            info = soundfile.info(path)
            assert (info.frames, info.samplerate, info.channels, info.subtype) == (16000, 16000, 1, "PCM_16")
        assert line["duration"] == 1.0
        assert line["prompt_id"] == str(number)
        assert (line["seed"], line["repeat"], line["guidance_scale"], line["top_k"]) == (0, 0, 3.0, 250)
        assert line["same_weights"] == []
        assert set(line["models"]) == set(line["measures"]) == {"base", "best", "final"}
        assert {"lufs", "true_peak_db", "tempo_bpm"} <= set(line["measures"]["base"])
    assert (run.evaluation() / "base_model" / "02-techno-130-bpm-dark.wav").is_file()
    assert list(lines[0])[:5] == ["text_prompt", "duration", "base_model_file", "best_model_file", "final_model_file"]
    assert not list(run.path.rglob("*.tmp"))


def test_models_differ_but_hear_the_same_noise(make_run):
    run = make_run()
    evaluate(run, run.settings())
    made = clips(run.evaluation())
    assert len(made) == 12
    assert len(set(made.values())) == 12
    # The same weights under another name give the same clips: only the weights make a difference.
    other = make_run("r2", best=2, final=1)
    evaluate(other, other.settings())
    swapped = clips(other.evaluation())
    for name in made:
        folder, file = name.split("/")
        twin = {"base_model": "base_model", "best_model": "final_model", "final_model": "best_model"}[folder]
        assert swapped[f"{twin}/{file}"] == made[name]


def test_a_clip_made_alone_is_the_clip_made_in_the_batch(make_run):
    run, alone = make_run(), make_run("r2", prompts=[PROMPTS[2]])
    evaluate(run, run.settings(), models=["best"])
    evaluate(alone, alone.settings(), models=["best"])
    (only,) = clips(alone.evaluation()).values()
    assert only == clips(run.evaluation())["best_model/03-a-choir.wav"]


def test_equal_weights_are_made_once_and_both_entries_name_them(make_run):
    run = make_run(best=5, final=5)
    evaluate(run, run.settings())
    for line in lines_of(run.evaluation()):
        assert line["same_weights"] == ["best", "final"]
        assert line["final_model_file"] == line["best_model_file"]
        assert line["measures"]["final"] == line["measures"]["best"]
    assert not (run.evaluation() / "final_model").exists()
    notes = [event["text"] for event in events.read(run.events) if event["event"] == "note"]
    assert any("best and final have the same weights" in note for note in notes)


def test_the_log_tells_of_progress_and_of_every_clip_and_ends_as_training_did(make_run):
    run = make_run()
    evaluate(run, run.settings())
    log = events.read(run.events)
    assert states(run) == ["done", "evaluating", "done"]
    made = [event for event in log if event["event"] == "clip"]
    assert len(made) == 12
    assert all((run.path / event["file"]).is_file() for event in made)
    progress = [event for event in log if event["event"] == "progress"]
    assert progress[-1]["phase"] == "evaluating"
    assert (progress[-1]["done"], progress[-1]["total"], progress[-1]["unit"]) == (12, 12, "clips")
    assert not liveness.is_held(run)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], {"state": "done"}),
        ([BEGUN], {"state": "stopped"}),
        ([BEGUN, STOPPED], {"state": "stopped", "signal": "SIGTERM"}),
        ([BEGUN, DONE, events.of("state", state="failed", error="disk full")], {"state": "done"}),
        ([BEGUN, STOPPED, BEGUN, DONE], {"state": "done"}),
    ],
)
def test_evaluation_leaves_the_state_that_training_ended_in(history, expected):
    assert end_state(history) == expected


def test_base_clips_are_made_once_for_all_runs(make_run, monkeypatch):
    run, other = make_run(), make_run("r2", best=7, final=8)
    evaluate(run, run.settings())
    made: list[str] = []
    original = studio.Studio.make
    monkeypatch.setattr(
        studio.Studio,
        "make",
        lambda self, decoder, tasks, *a, **k: (made.append(len(tasks)), original(self, decoder, tasks, *a, **k)),
    )
    evaluate(other, other.settings())
    assert made == [4, 4]  # best and final
    one, two = (r.evaluation() / "base_model" / "03-a-choir.wav" for r in (run, other))
    assert one.stat().st_ino == two.stat().st_ino
    assert lines_of(other.evaluation())[0]["measures"]["base"] == lines_of(run.evaluation())[0]["measures"]["base"]


@pytest.mark.parametrize("left", [b"", b"RIFF", "half", "zeros"])
def test_a_clip_that_a_power_loss_left_empty_or_cut_off_is_made_again_also_the_shared_one(make_run, left):
    run, other = make_run(), make_run("r2", best=7, final=8)
    evaluate(run, run.settings())
    whole = clips(run.evaluation())
    for path in (
        run.evaluation() / "base_model" / "03-a-choir.wav",
        run.evaluation() / "best_model" / "03-a-choir.wav",
    ):
        content = path.read_bytes()
        spoiled = {"half": content[: len(content) // 2], "zeros": bytes(len(content))}.get(left, left)
        with open(path, "r+b") as file:  # the shared clip is the same file
            file.truncate(0)
            file.write(spoiled)
    evaluate(other, other.settings(), models=["base"])
    assert clips(other.evaluation()) == {name: whole[name] for name in whole if name.startswith("base")}
    evaluate(run, run.settings())
    assert clips(run.evaluation()) == whole


def test_codes_that_are_damaged_are_made_again_with_their_clip(make_run):
    run = make_run()
    evaluate(run, run.settings(), models=["best"])
    codes = run.evaluation() / ".codes" / "best_model" / "03-a-choir.npy"
    before = codes.read_bytes()
    codes.write_bytes(b"")
    evaluate(run, run.settings(), models=["best"])
    assert codes.read_bytes() == before


def test_lines_that_cannot_be_read_are_said_and_kept_beside_the_new_ones(make_run):
    run = make_run()
    evaluate(run, run.settings(), models=["best"])
    path = run.evaluation() / "comparison_results.jsonl"
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    rows[0]["measures"] = "mine"
    rows[1]["models"] = {"best": 5}
    content = "".join(json.dumps(row) + "\n" for row in rows) + '{"text_prompt": "mi'
    path.write_text(content)
    evaluate(run, run.settings(), models=["best"])
    assert path.with_name(path.name + ".kept-1").read_text() == content
    assert len(lines_of(run.evaluation())) == len(rows)
    notes = [event["text"] for event in events.read(run.events) if event["event"] == "note"]
    assert [note for note in notes if "line 1: measures" in note]
    assert [note for note in notes if f"line {len(rows) + 1}" in note]


def test_a_second_evaluation_makes_nothing_and_another_seed_makes_all(make_run):
    run = make_run()
    evaluate(run, run.settings())
    first = {path: path.stat().st_mtime_ns for path in run.evaluation().rglob("*.wav")}
    evaluate(run, run.settings())
    assert {path: path.stat().st_mtime_ns for path in run.evaluation().rglob("*.wav")} == first
    before = clips(run.evaluation())
    evaluate(run, config.override(run.settings(), ["evaluate.seed=1"]))
    after = clips(run.evaluation())
    assert before.keys() == after.keys()
    assert all(before[name] != after[name] for name in before)


def test_an_evaluation_that_was_killed_goes_on_where_it_was(make_run, monkeypatch):
    run, whole = make_run(), make_run("r2")
    evaluate(whole, whole.settings(), models=["best", "final"])
    kept = []

    def killed_after_six(*args):
        if len(kept) == 6:
            raise KeyboardInterrupt
        kept.append(args[1])
        return results.save_clip(*args)

    monkeypatch.setattr(evaluation, "save_clip", killed_after_six)
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, run.settings(), models=["best", "final"])
    assert sum(len(line["models"]) for line in lines_of(run.evaluation())) == 6
    kept.clear()
    monkeypatch.setattr(evaluation, "save_clip", lambda *args: (kept.append(args[1]), results.save_clip(*args)))
    evaluate(run, run.settings(), models=["best", "final"])
    assert len(kept) == 2
    assert clips(run.evaluation()) == clips(whole.evaluation())


def test_a_signal_ends_it_cleanly_with_what_is_there(make_run, monkeypatch):
    run = make_run()
    made = 0

    def stop_after_two_models(*args):
        nonlocal made
        made += 1
        if made == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        return results.save_clip(*args)

    monkeypatch.setattr(evaluation, "save_clip", stop_after_two_models)
    evaluate(run, run.settings())
    assert states(run)[-1] == "stopped"
    assert all(line["final_model_file"] is None and line["best_model_file"] for line in lines_of(run.evaluation()))
    monkeypatch.undo()
    evaluate(run, run.settings())
    assert states(run)[-1] == "done"
    assert len(clips(run.evaluation())) == 12


def test_repeats_are_further_clips_of_other_noise(make_run):
    run = make_run(prompts=PROMPTS[:2])
    evaluate(run, run.settings(), models=["best"], repeats=2)
    lines = lines_of(run.evaluation())
    assert [(line["prompt_id"], line["repeat"]) for line in lines] == [("1", 0), ("1", 1), ("2", 0), ("2", 1)]
    assert len(set(clips(run.evaluation()).values())) == 4


def test_a_prompt_set_has_a_folder_of_its_own(make_run, tmp_path):
    run = make_run()
    file = tmp_path / "full.txt"
    file.write_text("one voice\ntwo voices\n")
    evaluate(run, run.settings(), prompts=file, set_name="full", models=["base"])
    assert [line["text_prompt"] for line in lines_of(run.path / "evaluation_full")] == ["one voice", "two voices"]
    assert not run.evaluation().exists()
    (event, _) = (event for event in events.read(run.events) if event["event"] == "clip")
    assert event["prompt_set"] == "full"


def test_checkpoints_other_runs_and_adapter_folders_can_be_evaluated_too(make_run, tmp_path, tiny_model):
    run, other = make_run(prompts=PROMPTS[:1]), make_run("r2", best=9)
    save_adapter(tmp_path / "shelf" / "mine", tiny_model, run.settings(), 11)
    evaluate(run, run.settings(), models=["base"])
    names = ["step-000004", "r2:best", str(tmp_path / "shelf" / "mine")]
    evaluate(run, run.settings(), models=names)
    (line,) = lines_of(run.evaluation())
    assert list(line["models"]) == ["base", "step-000004", "r2:best", "shelf:mine"]
    assert line["models"]["r2:best"] == "r2-best_model/01-slow-piano-rain.wav"
    assert line["base_model_file"]
    assert line["best_model_file"] is None
    assert len(set(clips(run.evaluation()).values())) == 4
    assert other.best_model.is_dir()


def test_a_run_that_was_stopped_gets_the_clips_of_the_models_that_it_has(make_run):
    run = make_run(prompts=PROMPTS[:1])
    shutil.rmtree(run.final_model)
    evaluate(run, run.settings())
    (line,) = lines_of(run.evaluation())
    assert list(line["models"]) == ["base", "best"]
    shutil.rmtree(run.best_model)
    with pytest.raises(UserError, match="The model best cannot be used"):
        evaluate(run, run.settings())


def test_another_runs_model_is_decoded_with_its_own_base(make_run, tmp_path):
    foreign = build_tiny(tmp_path / "foreign", seed=7)
    run, other = make_run(prompts=PROMPTS[:2]), make_run("r2", base=foreign, prompts=PROMPTS[:2])
    evaluate(run, run.settings(), models=["best", "r2:best"])
    evaluate(other, other.settings(), models=["best"])
    mine, theirs = clips(run.evaluation()), clips(other.evaluation())
    for name, audio in theirs.items():
        assert mine[name.replace("best_model", "r2-best_model")] == audio
        assert mine[name] != audio


@pytest.mark.parametrize("name", ["nonsense", "step-000999", "nowhere:best", "r1:nonsense"])
def test_a_model_that_is_none_is_named_with_those_that_are(make_run, name):
    run = make_run()
    with pytest.raises(UserError, match=r"nonsense|step-000999|nowhere"):
        evaluate(run, run.settings(), models=["base", name])
    assert states(run)[-1] == "failed"
    assert not run.evaluation().exists()


@pytest.mark.parametrize("damage", ["truncated", "no weights", "no settings"])
def test_a_broken_adapter_names_itself_before_anything_is_made(make_run, damage):
    run = make_run()
    weights = run.final_model / "adapter_model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "no weights":
        weights.unlink()
    else:
        (run.final_model / "adapter_config.json").write_text("{")
    with pytest.raises(UserError, match="The model final cannot be used"):
        evaluate(run, run.settings())
    assert not run.evaluation().exists()


def test_an_adapter_of_another_base_names_itself(make_run):
    run = make_run()
    weights = run.final_model / "adapter_model.safetensors"
    save_file({name: torch.zeros(3, 3) for name in load_file(weights)}, weights)
    with pytest.raises(UserError, match=r"The model final cannot be used: .* does not fit"):
        evaluate(run, run.settings())


def test_an_adapter_that_gives_no_numbers_names_itself_and_leaves_no_clip(make_run):
    run = make_run()
    weights = run.final_model / "adapter_model.safetensors"
    save_file({name: torch.full_like(tensor, float("nan")) for name, tensor in load_file(weights).items()}, weights)
    with pytest.raises(UserError, match=r"The model final cannot be used: .* not finite.*final_model"):
        evaluate(run, run.settings(), models=["best", "final"])
    assert {name.split("/")[0] for name in clips(run.evaluation())} == {"best_model"}
    assert states(run)[-1] == "failed"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_memory_that_runs_out_halves_the_batch(make_run, monkeypatch, error):
    run = make_run()
    sizes = []
    original = studio.Studio._batch

    def limited(self, decoder, here, *rest):
        sizes.append(self.batch)
        if self.batch > 1:
            raise error
        return original(self, decoder, here, *rest)

    monkeypatch.setattr(studio.Studio, "_batch", limited)
    evaluate(run, run.settings(), models=["best"])
    assert sizes == [4, 2, 1, 1, 1, 1]
    assert len(clips(run.evaluation())) == 4
    assert any("going on with 2 prompts" in e.get("text", "") for e in events.read(run.events))


def test_a_full_disk_is_one_sentence_and_leaves_no_half_clip(make_run, monkeypatch):
    run = make_run()
    written = results.write_atomically

    def full(path, content):
        if path.name == "03-a-choir.wav":
            path.with_name(f".{path.name}.tmp").write_bytes(b"half")
            path.with_name(f".{path.name}.tmp").unlink()
            raise OSError(28, "No space left on device")
        written(path, content)

    monkeypatch.setattr(results, "write_atomically", full)
    with pytest.raises(UserError, match=r"03-a-choir\.wav cannot be written \(no space left on device\); make room"):
        evaluate(run, run.settings(), models=["best"])
    assert sorted(path.name[:2] for path in run.evaluation().rglob("*.wav")) == ["01", "02"]
    assert states(run)[-1] == "failed"
    assert len(lines_of(run.evaluation())) == 2


def test_a_disk_without_room_for_the_log_itself_is_one_sentence_too(make_run, monkeypatch, capsys):
    run = make_run()

    def full(log, event, **fields):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(events.EventLog, "write", full)
    monkeypatch.setattr(sys, "argv", ["engine", "evaluate", str(run.path)])
    assert engine.__main__.main() == 1
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith(f"{run.path} cannot be written (no space left on device); make room")
    )


def test_an_empty_prompts_file_is_refused(make_run, tmp_path):
    run = make_run()
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(UserError, match="holds no prompt"):
        evaluate(run, run.settings(), prompts=tmp_path / "none.json")


def test_clips_are_the_same_whatever_state_random_numbers_are_in(make_run):
    run = make_run()
    torch.manual_seed(1)
    evaluate(run, run.settings(), models=["best"])
    first = clips(run.evaluation())
    other = make_run("r2")
    torch.manual_seed(2)
    evaluate(other, other.settings(), models=["best"])
    assert clips(other.evaluation()) == first


def test_long_and_short_prompts_do_not_touch_each_other(make_run):
    long = ", ".join(f"instrument number {n}" for n in range(6))
    mixed, short = make_run(prompts=[PROMPTS[0], long, PROMPTS[1]]), make_run("r2", prompts=PROMPTS[:2])
    for run in (mixed, short):
        evaluate(run, run.settings(), models=["best"])
    one, two = clips(mixed.evaluation()), clips(short.evaluation())
    assert one["best_model/01-slow-piano-rain.wav"] == two["best_model/01-slow-piano-rain.wav"]
    assert one["best_model/03-techno-130-bpm-dark.wav"] == two["best_model/02-techno-130-bpm-dark.wav"]


@pytest.fixture
def training_clips(tmp_path) -> Path:
    """A data folder of noise, three clips a split, that nothing has encoded yet."""
    data = tmp_path / "data"
    generator = np.random.default_rng(0)
    rows = []
    for split in ("train", "valid"):
        (data / split).mkdir(parents=True)
        for number in range(3):
            soundfile.write(data / split / f"{number}.wav", generator.normal(size=16000 * 2) * 0.1, 16000)
            rows.append({"audio": f"{split}/{number}.wav", "text": f"noise {number}"})
    (data / "metadata.json").write_text(json.dumps(rows))
    return data


def set_measures_of(run) -> dict:
    return json.loads((run.evaluation() / "set_measures.json").read_text())


def test_the_set_is_measured_against_the_training_clips_which_are_encoded_for_it(make_run, training_clips):
    run = make_run()
    settings = config.override(run.settings(), [f'data.dir="{training_clips}"', "data.duration=2.0"])
    evaluate(run, settings, models=["base", "best"])
    found = set_measures_of(run)
    assert found["models"]["base"]["frechet_distance"] > 0
    assert found["models"]["base"]["frechet_distance"] != found["models"]["best"]["frechet_distance"]
    assert "frechet_distance_reason" not in found["models"]["base"]
    assert "not the published FAD" in found["about"]


def test_a_further_model_joins_the_measures_of_those_before(make_run, training_clips, tmp_path):
    run = make_run()
    make_run("r2", base=build_tiny(tmp_path / "foreign", seed=7))
    settings = config.override(run.settings(), [f'data.dir="{training_clips}"', "data.duration=2.0"])
    evaluate(run, settings, models=["base"])
    before = set_measures_of(run)["models"]["base"]
    evaluate(run, settings, models=["best", "r2:best"])
    after = set_measures_of(run)["models"]
    assert list(after) == ["base", "best", "r2:best"]
    assert after["base"] == before
    assert after["best"]["frechet_distance"] > 0
    assert after["r2:best"]["frechet_distance"] is None
    assert "another base model" in after["r2:best"]["frechet_distance_reason"]


def test_a_distance_that_cannot_be_had_says_why(make_run, training_clips):
    run = make_run()
    settings = config.override(run.settings(), [f'data.dir="{training_clips}"', "data.duration=2.0"])

    def reason() -> str:
        evaluate(run, settings, models=["base"])
        found = set_measures_of(run)["models"]["base"]
        assert states(run)[-1] == "done"
        return found["frechet_distance_reason"] if found["frechet_distance"] is None else "there is one"

    sound = (training_clips / "train" / "1.wav").read_bytes()
    (training_clips / "train" / "1.wav").write_bytes(b"no sound")
    assert reason().startswith("the training clips cannot be encoded: ")
    (training_clips / "train" / "1.wav").write_bytes(sound)
    assert reason() == "there is one"
    shutil.rmtree(run.evaluation() / ".codes")
    assert reason().startswith("the codes of its clips are gone")


def test_one_models_weights_are_gone_before_the_next_ones_come(make_run, monkeypatch):
    alive: weakref.WeakSet[torch.nn.Parameter] = weakref.WeakSet()
    found = []

    def load_decoder(*arguments, **options):
        found.append((len(alive), torch.device(options["device"]).type))
        decoder, projection = whole(*arguments, **options)
        alive.update(decoder.parameters())
        return decoder, projection

    whole = models.load.load_decoder
    run = make_run(prompts=PROMPTS[:1])
    monkeypatch.setattr(models.load, "load_decoder", load_decoder)
    evaluate(run, run.settings())
    # On the CPU whatever decodes: a GPU never holds a model in fp32.
    assert found == [(0, "cpu")] * 3
