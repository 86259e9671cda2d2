"""What a user can get wrong is answered with one sentence, and nothing is lost."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from engine.contract import config, rundir
from tests.cli.conftest import Place


def refused(place: Place, *words: str) -> str:
    done = place.mgl(*words)
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("mgl-tui: ")
    return last


def test_no_run_of_that_name(place: Place) -> None:
    for command in ("status", "stop", "resume", "export", "advise", "evaluate", "compare"):
        assert "There is no run none" in refused(place, command, "none")


def test_wrong_use_ends_with_status_2(place: Place) -> None:
    assert place.mgl("tarin").returncode == 2
    assert place.mgl("resume").returncode == 2


def test_a_misspelt_setting(place: Place) -> None:
    place.config.write_text(place.config.read_text().replace("rank = 4", "rnak = 4"))
    assert "did you mean lora.rank" in refused(place, "train")
    assert not place.runs.exists()


def test_a_warm_up_that_cannot_end(place: Place) -> None:
    sentence = refused(place, "train", "--set", "train.warmup_steps=6")
    assert "train.warmup_steps = 6" in sentence
    assert "auto" in sentence


def test_a_setting_that_a_resumed_run_cannot_change_leaves_the_run_as_it_was(place: Place) -> None:
    run = rundir.create(place.runs, "one", config.load(place.config))
    before = run.config.read_text()
    sentence = refused(place, "train", "--resume", "--name", "one", "--set", "train.learning_rate=0.5")
    assert "train.learning_rate: 0.001 -> 0.5" in sentence
    assert run.config.read_text() == before
    assert not run.events.exists()


def test_a_resumed_run_takes_the_settings_that_it_may_change(place: Place) -> None:
    run = rundir.create(place.runs, "one", config.load(place.config))
    done = place.mgl("train", "--resume", "--name", "one", "--set", "train.save_steps=5", "--set", "data.dir=none")
    assert "changed: train.save_steps: 2 -> 5" in done.stderr
    assert run.settings().train.save_steps == 5
    # Relative to where the command was given.
    assert f"The data folder {place.folder / 'none'} does not exist" in done.stderr


def test_on_a_terminal_the_checks_own_sentence_is_the_only_one(place: Place) -> None:
    for clip in (place.folder / "data").glob("*/*.wav"):
        clip.write_bytes((place.folder / "data/train/train0.wav").read_bytes())
    panel, terminal = pty.openpty()
    command = [sys.executable, "-m", "tui.cli", "check", "--fix-split"]
    engine = subprocess.Popen(
        command, cwd=place.folder, env=place.environment, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    assert engine.wait(60) == 1
    said = os.read(panel, 100_000).decode()
    os.close(panel)
    assert "All clips are of one track" in said
    assert "without a word" not in said


def test_a_new_split_is_said_how_to_use(place: Place) -> None:
    done = place.mgl("check", "--fix-split")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{place.folder / 'data/metadata_by_track.json'}\n"
    assert "--set data.metadata=metadata_by_track.json" in done.stderr


def test_a_name_that_is_no_file_name(place: Place) -> None:
    assert "is no name for a run" in refused(place, "train", "--name", "a/b")
    assert not place.runs.exists()


def test_metadata_that_is_missing_broken_or_empty(place: Place) -> None:
    metadata = place.folder / "data" / "metadata.json"
    for text in ("[]", "{", '"x"'):
        metadata.write_text(text)
        assert "metadata.json" in refused(place, "train")
    metadata.unlink()
    for file in (place.folder / "data").rglob("*.wav"):
        file.unlink()
    assert "metadata.json" in refused(place, "train")


def test_a_clip_that_is_missing_or_no_audio_or_too_short(place: Place) -> None:
    clip = place.folder / "data" / "train" / "train0.wav"
    samples, rate = soundfile.read(clip)
    soundfile.write(clip, samples[: rate // 2], rate)
    assert "train0.wav" in refused(place, "train")
    clip.write_bytes(b"no audio at all")
    assert "train0.wav" in refused(place, "train")
    clip.unlink()
    assert "train0.wav" in refused(place, "train")


def test_a_set_without_valid_clips(place: Place) -> None:
    metadata = place.folder / "data" / "metadata.json"
    entries = [entry for entry in json.loads(metadata.read_text()) if entry["audio"].startswith("train")]
    metadata.write_text(json.dumps(entries))
    assert "valid" in refused(place, "train")


def test_a_model_that_is_none(place: Place, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(place, "train", "--set", f"model.base={tmp_path / 'empty'}")
    sentence = refused(place, "train", "--set", "model.base=nobody/nothing")
    assert "nobody/nothing" in sentence
    assert "HF_HUB_OFFLINE" in sentence


@pytest.mark.parametrize("text", ["[]", "", "[1, 2]", "{"])
def test_prompts_that_are_none(place: Place, text: str) -> None:
    (place.folder / "data" / "prompts.json").write_text(text)
    assert "prompts.json" in refused(place, "train")


def test_the_panel_needs_a_terminal(place: Place) -> None:
    assert "needs a terminal" in refused(place)
    assert "needs a terminal" in refused(place, "review", str(place.folder))
