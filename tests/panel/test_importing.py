"""What other scripts left becomes a run: clips wherever they lie, the log's course, what was wrong."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.contract import events, liveness
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from engine.train.loop import train
from tests.review.clips import make_run
from tui import cli
from tui.review.evaluation import open_evaluation
from tui.review.results import load_results
from tui.runs.importing import bring_in, look, verdicts

PROMPTS = ["slow piano in a hall", "fast drums, dry"]


def tone(path: Path, pitch: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(2 * np.pi * pitch * np.arange(8000) / 8000), 8000)
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A round as the scripts of a first user left it: a list in a .json, clips beside it, a log that never fell."""
    folder = tmp_path / "round 1"
    rows = []
    for number, prompt in enumerate(PROMPTS):
        row = {"text_prompt": prompt, "duration": 1.0}
        for offset, model in enumerate(("base", "best", "final")):
            tone(folder / "out" / f"{model}_model" / f"sample_{number}.wav", 220 + 100 * number + 10 * offset)
            row[f"{model}_model_file"] = f"/home/somebody/else/{model}_model/sample_{number}.wav"
        rows.append(row)
    (folder / "out" / "comparison_results.json").write_text(json.dumps({"results": rows}))
    (folder / "train.log").write_text(
        "".join(f"Step {n}: loss={8.4 - n / 100:.2f}, lr={n * 2e-6:g}\n" for n in range(1, 13))
        + "Epoch 1: train_loss=8.35, valid_loss=8.19\n"
    )
    for which in ("best", "final"):
        adapter = folder / f"checkpoint_{which}"
        adapter.mkdir()
        (adapter / "adapter_config.json").write_text("{}")
        (adapter / "adapter_model.bin").write_bytes(b"the same weights")
    return folder


def test_a_round_of_other_scripts_becomes_a_run_and_stays_untouched(old: Path, tmp_path: Path) -> None:
    before = sorted((file, file.stat().st_mtime_ns) for file in old.rglob("*"))
    run, found = bring_in(old, tmp_path / "runs")
    assert run.name == "round-1"
    assert found.problems == []
    evaluation = open_evaluation(run.path)
    assert [item.text for item in evaluation.items] == PROMPTS
    assert evaluation.models == ("base", "best", "final")
    for number, item in enumerate(evaluation.items):
        for model, clip in item.clips.items():
            there = old / "out" / f"{model}_model" / f"sample_{number}.wav"
            assert clip.path is not None
            assert clip.path.read_bytes() == there.read_bytes()
    assert (run.best_model / "adapter_model.bin").is_file()
    assert run.settings().run.imported
    assert liveness.state_of(run).state == "imported"
    assert sorted((file, file.stat().st_mtime_ns) for file in old.rglob("*")) == before


def test_the_course_of_the_log_and_what_was_wrong_with_it_are_told(old: Path, tmp_path: Path) -> None:
    run, _ = bring_in(old, tmp_path / "runs")
    log = events.read(run.events)
    assert [event["loss"] for event in log if event["event"] == "train"][:2] == [8.39, 8.38]
    assert [(event["step"], event["loss"]) for event in log if event["event"] == "valid"] == [(12, 8.19)]
    told = {event["name"]: event["evidence"] for event in log if event["event"] == "health"}
    assert "blind guessing is 7.625 (ln 2048)" in told["start"]
    assert "the warm-up never ended" in told["learning-rate"]
    assert "the same weights" in told["best-is-final"]


def test_train_and_valid_that_are_one_are_told(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    lines = [f"Epoch {n}: train_loss={5 - n}, valid_loss={5 - n}" for n in (1, 2)]
    (tmp_path / "old" / "log.txt").write_text("\n".join(lines))
    run, _ = bring_in(tmp_path / "old", tmp_path / "runs")
    told = {event["name"] for event in events.read(run.events) if event["event"] == "health"}
    assert told == {"valid-is-train"}


def test_a_clip_that_is_nowhere_is_told_with_where_it_was_looked_for(old: Path, tmp_path: Path) -> None:
    (old / "out" / "final_model" / "sample_1.wav").unlink()
    run, found = bring_in(old, tmp_path / "runs")
    assert len(found.problems) == 1
    assert "final" in found.problems[0]
    assert str(old / "out") in found.problems[0]
    assert open_evaluation(run.path).items[1].clips["best"].path is not None


def test_results_of_other_nestings_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    for model in ("base", "best"):
        tone(folder / f"{model}_1.wav", 300)
    nested = {"evaluations": {"a slow song": {"audio": {"base": "base_1.wav", "best": {"path": "best_1.wav"}}}}}
    (folder / "comparison_results.json").write_text(json.dumps(nested))
    (row,) = look(folder).clips
    assert row["text_prompt"] == "a slow song"
    assert row["best_model_file"] == str(folder / "best_1.wav")


def test_a_folder_with_nothing_of_the_kind_is_told_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "readme.txt").write_text("hello")
    with pytest.raises(UserError, match="no adapter, no log with losses"):
        bring_in(tmp_path / "old", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_tracks_on_both_sides_and_prompts_that_are_captions_are_told_from_the_metadata(
    old: Path, tmp_path: Path
) -> None:
    rows = [{"audio": f"train/song{n}_part{k}.wav", "text": f"song {n}"} for n in range(10) for k in (1, 2)]
    rows += [{"audio": "valid/song3_part3.wav", "text": PROMPTS[1].upper()}, {"audio": "valid/new.wav", "text": "new"}]
    (old / "data").mkdir()
    (old / "data" / "metadata.json").write_text(json.dumps(rows))
    run, found = bring_in(old, tmp_path / "runs")
    told = {event["name"]: event["evidence"] for event in events.read(run.events) if event["event"] == "health"}
    assert told["track-leak"].startswith("1 of 2 tracks of the valid set are in the train set too (song3)")
    assert told["prompt-in-captions"].startswith("1 of 2 prompts are captions")
    assert found.problems == []


def test_one_file_of_metadata_a_side_is_read_and_a_clean_split_is_not_told_of(old: Path, tmp_path: Path) -> None:
    for side, names in (("train", ("a", "b")), ("valid", ("c", "d"))):
        (old / side).mkdir()
        (old / side / "metadata.jsonl").write_text(
            "".join(json.dumps({"file_name": f"{name}.wav", "text": name}) + "\n" for name in names)
        )
    run, found = bring_in(old, tmp_path / "runs")
    assert sorted((clip.split, clip.text) for clip in found.data) == [
        ("train", "a"), ("train", "b"), ("valid", "c"), ("valid", "d"),
    ]  # fmt: skip
    assert "track-leak" not in {event.get("name") for event in events.read(run.events)}


def test_the_same_file_on_both_sides_is_one_track(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    rows = [{"audio": f"{side}/beat.wav", "text": "beat"} for side in ("train", "valid")]
    (tmp_path / "old" / "metadata.json").write_text(json.dumps(rows))
    (tmp_path / "old" / "log.txt").write_text("Epoch 1: train_loss=5.0, valid_loss=4.9")
    _, found = bring_in(tmp_path / "old", tmp_path / "runs")
    assert [name for name, *_ in verdicts(found)] == ["track-leak"]


def test_damaged_metadata_costs_itself_alone(old: Path, tmp_path: Path) -> None:
    (old / "metadata.json").write_text("[")
    _, found = bring_in(old, tmp_path / "runs")
    assert len(found.problems) == 1
    assert "metadata.json is no valid JSON" in found.problems[0]


def test_a_log_that_tells_no_loss_in_known_words_is_named_with_what_it_would_have_to_say(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "koulutus.log").write_text("Askel 1: häviö=8.41\nAskel 2: häviö=8.39\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"koulutus\.log was read, and no line tells a loss .* train_loss=8\.35"):
        bring_in(tmp_path / "old", tmp_path / "runs")


def test_what_cannot_be_read_in_a_round_costs_itself_alone(old: Path, tmp_path: Path) -> None:
    os.mkfifo(old / "pipe.log")
    (old / "gone.txt").symlink_to(old / "nowhere")
    (old / "train.log").rename(old / "loop")
    (old / "train.log").symlink_to(old / "loop")
    run, found = bring_in(old, tmp_path / "runs")
    assert len(found.log.train) == 12
    assert open_evaluation(run.path).problems == ()


def test_a_round_in_a_folder_whose_name_is_no_utf8_is_brought_in(old: Path, tmp_path: Path) -> None:
    odd = old.rename(tmp_path / os.fsdecode(b"caf\xe9 [b]"))
    run, _ = bring_in(odd, tmp_path / "runs", "odd")
    assert run.settings().run.imported


def test_a_name_that_is_taken_is_not_overwritten(old: Path, tmp_path: Path) -> None:
    bring_in(old, tmp_path / "runs")
    second, _ = bring_in(old, tmp_path / "runs")
    assert second.name == "round-1-2"
    with pytest.raises(UserError, match="never overwritten"):
        bring_in(old, tmp_path / "runs", "round-1")
    shutil.rmtree(old)
    assert open_evaluation(second.path).problems == ()


def test_files_of_raters_beside_the_clips_become_listeners(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text_prompt": prompt, "selected_model": "best_model"} for prompt in PROMPTS]
    (old / "evaluation_anna.json").write_text(json.dumps({"evaluator": "anna", "evaluations": rows}))
    assert cli.main(["--runs", str(tmp_path / "runs"), "import", str(old)]) == 0
    said = capsys.readouterr().out
    assert "anna: 2 picks" in said
    assert "blind guessing is 7.625" in said
    results = load_results(tmp_path / "runs" / "round-1")
    assert [session.listener for session in results.sessions] == ["anna"]


def test_an_imported_round_is_compared_without_claiming_its_settings_and_is_never_trained(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    bring_in(old, runs, "old")
    make_run(runs, "new", clips=False)
    assert cli.main(["--runs", str(runs), "compare", "old", "new", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["settings"] is None
    assert [run["state"] for run in told["runs"]] == ["imported", "done"]
    assert told["pairs"] == []
    assert "old, new" in told["pairs_note"]
    for words in (["status", "old"], ["advise", "old"], ["export", "old"]):
        assert cli.main(["--runs", str(runs), *words]) == 0
    with pytest.raises(UserError, match="not trained"):
        train(RunDir(runs / "old"), RunDir(runs / "old").settings(), resume=True)
    assert liveness.state_of(RunDir(runs / "old")).state == "imported"
