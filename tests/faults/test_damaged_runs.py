"""One damaged file of one run costs that run what is in it, and no other run anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.contract import config, rundir
from engine.contract.errors import UserError
from tests.conftest import ROOT
from tests.panel import recording
from tui.runs.follow import Followed
from tui.runs.store import Store, summaries

LINES = {
    "no UTF-8": b'{"t": 1767690001.0, "event": "note", "text": "caf\xe9"}',
    "text for a time": b'{"t": "noon", "event": "train", "step": 3, "loss": 2.0}',
    "a time beyond all calendars": b'{"t": 1e300, "event": "train", "step": 3, "loss": 2.0}',
    "text for a step": b'{"t": 1767690001.0, "event": "valid", "step": "three", "loss": 2.0}',
    "a step of 400 digits": b'{"t": 1767690001.0, "event": "train", "step": ' + b"9" * 400 + b', "loss": 2.0}',
    "text for losses": b'{"t": 1767690001.0, "event": "valid", "step": 3, "loss": "low", "per_codebook": "four"}',
    "text for a count": b'{"t": 1767690001.0, "event": "start", "total_steps": "all", "device": 7}',
    "no memory at all": b'{"t": 1767690001.0, "event": "gpu", "util": 5, "mem_used": 1, "mem_total": 0}',
    "a number for a state": b'{"t": 1767690001.0, "event": "state", "state": 7, "error": {}}',
    "half a character": rb'{"t": 1767690001.0, "event": "health", "name": "\ud83d", "verdict": 5}',
    "nested without end": b"[" * 100_000,
    "nothing but zeros": b"\0" * 5000,
    "a list": b"[1, 2]",
}


def mgl(runs: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", *words, "--runs", str(runs)], cwd=ROOT, text=True, capture_output=True,
        stdin=subprocess.DEVNULL, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs: ``good``, and ``bad``, whose log was damaged in the middle in every way of LINES."""
    folder = tmp_path / "runs"
    for name in ("good", "bad"):
        recording.training(folder / name, steps=30)
    damage(folder / "bad")
    return folder


def damage(run: Path, *names: str) -> None:
    log = run / "events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    bad = [LINES[name] + b"\n" for name in names or LINES]
    log.write_bytes(b"".join([*lines[:30], *bad, *lines[30:]]))


def test_all_runs_are_listed_with_what_could_be_read_of_each(runs: Path) -> None:
    good, bad = sorted(summaries(runs), key=lambda summary: summary.name, reverse=True)
    assert (good.name, bad.name) == ("good", "bad")
    assert (bad.step, bad.base_valid, bad.checkpoint) == (good.step, good.base_valid, good.checkpoint)


@pytest.mark.parametrize("command", ["runs", "status", "export", "advise", "compare", "queue"])
def test_no_command_fails_over_a_damaged_log(runs: Path, command: str) -> None:
    words = {"runs": [], "queue": [], "compare": ["good", "bad"]}.get(command, ["bad"])
    done = mgl(runs, command, *words)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_notes_say_what_could_not_be_read(runs: Path) -> None:
    assert mgl(runs, "export", "bad").returncode == 0
    assert "lines of events.jsonl could not be read" in (runs / "bad" / "notes.md").read_text()
    assert mgl(runs, "export", "good").returncode == 0
    assert "could not be read" not in (runs / "good" / "notes.md").read_text()


@pytest.mark.parametrize("name", LINES)
def test_the_monitor_shows_the_course_and_what_could_not_be_read(runs: Path, name: str) -> None:
    shutil.rmtree(runs / "bad")
    shutil.copytree(runs / "good", runs / "bad")
    damage(runs / "bad", name)
    followed = Followed(rundir.RunDir(runs / "bad"))
    followed.load()
    assert list(followed.history.steps) == list(range(1, 31))
    said = " ".join(followed.problems())
    assert ("could not be read" in said) is (name != "a time beyond all calendars" or "lines" in said)


SETTINGS = {
    "no UTF-8": b"\xff\xfe",
    "a number for a table": b"train = 5",
    "a number of 5000 digits": b"[train]\nepochs = " + b"9" * 5000,
    "nested without end": b"x = " + b"[" * 5000,
    "a zero": b"\0",
    "nobody's home": b'[data]\ndir = "~nobody-of-that-name/data"',
    "a name longer than any file's": b'[model]\nbase = "' + b"x" * 5000 + b'"',
    "a zero in a path": b'[data]\ndir = "a\\u0000b"',
}


@pytest.mark.parametrize("content", SETTINGS.values(), ids=SETTINGS)
def test_settings_that_cannot_be_read_are_one_sentence_and_hide_no_run(runs: Path, content: bytes) -> None:
    (runs / "bad" / "config.toml").write_bytes(content)
    assert {summary.name for summary in summaries(runs)} == {"good", "bad"}
    for command in ("runs", "advise", "export"):
        done = mgl(runs, command, *(["bad"] if command != "runs" else []))
        assert "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) <= 1


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder in the hands of a user without rights, whom this process is within the test."""
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        for path in folder.rglob("*"):
            path.chmod(0o755)
        shutil.rmtree(folder)


def test_a_folder_without_permission_is_said_and_hides_no_other(nobody: Path) -> None:
    for name in ("mine", "theirs"):
        recording.training(nobody / name, steps=5)
    (nobody / "theirs").chmod(0)
    assert [summary.name for summary in Store(nobody).summaries()] == ["mine"]
    assert [path.name for path in rundir.closed(nobody)] == ["theirs"]
    with pytest.raises(UserError, match="belongs to another user"):
        rundir.open_run(nobody / "theirs")
    (nobody / "theirs").chmod(0o755)


def test_a_runs_folder_without_permission_is_said(nobody: Path) -> None:
    (nobody / "runs").mkdir(0)
    assert Store(nobody / "runs").summaries() == []
    assert rundir.closed(nobody / "runs") == [nobody / "runs"]
    with pytest.raises(UserError, match="cannot be made"):
        rundir.create(nobody / "runs", "new", config.Settings())
