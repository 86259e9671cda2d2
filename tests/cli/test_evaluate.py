"""``mgl-tui evaluate`` as a user types it: where the clips are, and what is said when it goes wrong."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.contract import config, events, liveness, rundir
from engine.contract.rundir import RunDir
from tests.cli.conftest import Place
from tests.generate.conftest import save_adapter
from tui.commands import progress


@pytest.fixture
def trained(place: Place, tiny_model: Path) -> RunDir:
    """A run whose training has ended, with adapters and no clips."""
    settings = config.load(place.config)
    run = rundir.create(place.runs, "one", settings)
    for number, folder in enumerate((run.best_model, run.final_model)):
        save_adapter(folder, tiny_model, settings, number)
    with events.EventLog(run.events) as log:
        log.write("start", total_steps=4)
        log.write("state", state="done")
    return run


def test_the_clips_of_a_prompt_set_and_how_to_hear_them_are_named(place: Place, trained: RunDir) -> None:
    (place.folder / "more.txt").write_text("a flute\n")
    done = place.mgl("evaluate", "one", "--prompts", "more.txt", "--set-name", "more", "--models", "base, best")
    assert done.returncode == 0, done.stderr
    folder = trained.path / "evaluation_more"
    assert f"clips       {folder}\n" in done.stdout
    assert f"mgl-tui review {folder}\n" in done.stdout
    assert len(list(folder.rglob("*.wav"))) == 2
    assert place.mgl("export", str(folder)).returncode == 0
    assert liveness.state_of(trained).state == "done"


def test_each_mistake_gets_its_own_sentence_and_the_next_evaluation_heals_the_state(
    place: Place, trained: RunDir
) -> None:
    for words, sentence in (
        (["--repeats", "0"], "evaluate.repeats = 0"),
        (["--repeats", "99"], "evaluate.repeats = 99"),
        (["--models", "base,none"], "no model 'none'; it has base, best, final"),
        (["--prompts", "nowhere.txt"], "nowhere.txt cannot be read"),
    ):
        done = place.mgl("evaluate", "one", *words)
        assert done.returncode == 1
        assert sentence in done.stderr.strip().splitlines()[-1]
        assert "Traceback" not in done.stderr
    assert place.mgl("evaluate", "one", "--models", "best").returncode == 0
    assert liveness.state_of(trained).state == "done"


def test_an_engine_that_was_killed_is_said_to_have_been(place: Place, trained: RunDir) -> None:
    trained.config.write_text(trained.config.read_text().replace("duration = 2.0", "duration = 30.0"))
    command = [sys.executable, "-m", "tui.cli", "evaluate", "one", "--repeats", "16"]
    shell = subprocess.Popen(command, cwd=place.folder, env=place.environment, stderr=subprocess.PIPE, text=True)
    while shell.poll() is None and not any(event["event"] == "progress" for event in events.read(trained.events)):
        time.sleep(0.05)
    os.kill(liveness.holder(trained).pid, signal.SIGKILL)
    said = shell.communicate(timeout=60)[1].strip().splitlines()[-1]
    assert shell.returncode == 1
    assert said.startswith("mgl-tui: the engine was killed while evaluating (SIGKILL)")
    assert said.endswith("start it again: what it had finished is kept.")
    assert liveness.state_of(trained).state == "lost"


def test_on_a_full_disk_where_the_engine_can_say_nothing_the_command_line_says_it(
    trained: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.engine_log.write_text("words of yesterday\n")
    assert progress.last_words(trained) == "words of yesterday"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    assert progress.last_words(trained).startswith(f"{trained.path} cannot be written: the disk is full; make room")
