"""The whole round from the command line, on the real engine."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import soundfile

from engine.contract import events, liveness, rundir
from tests.cli.conftest import PROMPTS, Place


def test_a_round_leaves_everything_that_the_design_names(finished: Place) -> None:
    run = rundir.open_run(finished.runs / "first")
    for path in (run.config, run.events, run.engine_log, run.lock, run.best_model, run.final_model, run.evaluation()):
        assert path.exists(), path
    assert list(run.checkpoints.glob("step-*"))
    assert liveness.state_of(run).state == "done"
    kinds = {event["event"] for event in events.read(run.events)}
    assert {"start", "state", "train", "valid", "best", "checkpoint"} <= kinds


def test_the_base_model_is_validated_before_the_first_step(finished: Place) -> None:
    written = events.read(finished.runs / "first" / "events.jsonl")
    first_valid = next(index for index, event in enumerate(written) if event["event"] == "valid")
    first_train = next(index for index, event in enumerate(written) if event["event"] == "train")
    assert written[first_valid]["step"] == 0
    assert first_valid < first_train


def test_every_prompt_has_a_clip_of_every_model_of_the_exact_length(finished: Place) -> None:
    folder = finished.runs / "first" / "evaluation"
    lines = [json.loads(line) for line in (folder / "comparison_results.jsonl").read_text().splitlines()]
    assert [line["text_prompt"] for line in lines] == PROMPTS
    for line in lines:
        for model in ("base", "best", "final"):
            info = soundfile.info(str(folder / line[f"{model}_model_file"]))
            assert (info.frames, info.samplerate) == (2 * 16000, 16000)


def test_runs_and_status_say_what_happened(finished: Place) -> None:
    (summary,) = finished.json("runs")  # type: ignore[misc]
    assert summary["name"] == "first"
    assert summary["state"] == "done"
    assert summary["step"] == summary["total_steps"] == 6
    assert summary["best_valid"] < summary["base_valid"]
    assert "Nothing is running" in finished.mgl("status").stdout
    assert "cache" in finished.mgl("runs").stdout


def test_a_finished_run_can_be_exported_and_advised_on(finished: Place, tmp_path: Path) -> None:
    done = finished.mgl("export", "first", "-o", str(tmp_path / "notes.md"))
    assert done.returncode == 0, done.stderr
    assert PROMPTS[0] in (tmp_path / "notes.md").read_text()
    done = finished.mgl("export", "first", "--html", "-o", str(tmp_path / "page.html"))
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "page.html"))
    assert "data:audio/flac;base64," in (tmp_path / "page.html").read_text()
    assert not (tmp_path / "page.md").exists()
    advice = finished.json("advise", "first")["advice"]  # type: ignore[index, call-overload]
    assert advice
    assert set(advice[0]) == {"rule", "fires", "for", "against", "needs", "changes"}


def test_a_name_that_is_taken_is_refused_and_a_free_one_proposed(finished: Place) -> None:
    done = finished.mgl("train", "--name", "first")
    assert done.returncode == 1
    assert "first-2 is free" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_detached_run_is_stopped_and_resumed_to_its_end(place: Place) -> None:
    words = ["--set", "train.epochs=400", "--set", "train.save_steps=1000", "--name", "long"]
    done = place.mgl("train", "--detach", *words)
    assert done.returncode == 0, done.stderr
    run = rundir.open_run(place.runs / "long")
    _wait_for(run, "train")
    assert "long: running" in place.mgl("status").stdout
    stopped = place.mgl("stop", "long")
    assert (stopped.returncode, stopped.stdout.strip()) == (0, "long: stopped")
    assert place.mgl("stop", "long").returncode == 0
    step = max(event["step"] for event in events.read(run.events) if event["event"] == "checkpoint")
    assert place.mgl("resume", "long", "--detach").returncode == 0
    _wait_for(run, "train", after=step)
    place.mgl("stop", "long")


def test_a_killed_engine_is_lost(place: Place) -> None:
    assert place.mgl("train", "--detach", "--set", "train.epochs=400", "--name", "gone").returncode == 0
    run = rundir.open_run(place.runs / "gone")
    _wait_for(run, "train")
    os.kill(liveness.holder(run).pid, signal.SIGKILL)
    while liveness.is_held(run):
        time.sleep(0.05)
    (summary,) = place.json("runs")  # type: ignore[misc]
    assert summary["state"] == "lost"


def _wait_for(run: rundir.RunDir, kind: str, after: int = 0) -> None:
    deadline = time.monotonic() + 120
    while not any(e["event"] == kind and e.get("step", 0) > after for e in events.read(run.events)):
        assert time.monotonic() < deadline, run.engine_log.read_text()
        time.sleep(0.1)
