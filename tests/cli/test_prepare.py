"""mgl-tui prepare, as it is typed, interrupted, killed and called again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.cli.conftest import Place, place_in
from tests.conftest import once
from tests.data.conftest import music, write
from tests.faults.test_full_disk import Disk

RATE = 16000


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen tracks of forty seconds. Tests only read them."""

    def make(folder: Path) -> None:
        for number in range(16):
            beat = music(number, 10, RATE)
            write(folder / f"song {chr(97 + number)}.wav", np.concatenate([beat, beat[::-1], -beat, beat * 0.7]), RATE)

    return once(tmp_path_factory, "raw-tracks", make)


@pytest.fixture(scope="session")
def whole(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The data set of the tracks in clips of five seconds, made without an interruption."""

    def make(folder: Path) -> None:
        folder.mkdir()
        done = place_in(folder).mgl("prepare", str(raw), "--out", "out", "--seconds", "5")
        assert done.returncode == 0, done.stderr

    return data_of(once(tmp_path_factory, "whole-data-set", make) / "out")


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return place_in(tmp_path)


def data_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def begun(here: Place, *words: str) -> subprocess.Popen[str]:
    """``mgl-tui prepare``, its group of processes held with SIGSTOP once it has finished a track."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tui.cli", "prepare", *words], cwd=here.folder, env=here.environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    stage = here.folder / "out" / ".prepare"
    while process.poll() is None and not list(stage.glob("*.json")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGSTOP)
    return process


def test_prepare_says_what_it_made_and_a_script_gets_a_document(here: Place, raw: Path) -> None:
    done = here.mgl("prepare", str(raw), "--out", "out", "--seconds", "10", "--add", "zzz")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("16 new tracks: 64 clips added")
    found = here.json("prepare", str(raw), "--out", "out", "--seconds", "10")
    assert isinstance(found, dict)
    assert (found["new_tracks"], found["known_tracks"], found["clips"]) == (0, 16, 64)
    assert json.loads((here.folder / "out" / "metadata.json").read_text())[0]["text"] == "zzz, song a"
    assert not (here.folder / "out" / ".prepare").exists()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_and_called_again_it_ends_with_the_same_data_set(
    kind: signal.Signals, here: Place, raw: Path, whole: dict[str, bytes]
) -> None:
    process = begun(here, str(raw), "--out", "out", "--seconds", "5")
    family = psutil.Process(process.pid).children(recursive=True)
    if kind is signal.SIGINT:
        os.killpg(process.pid, kind)
    else:
        process.send_signal(kind)
    os.killpg(process.pid, signal.SIGCONT)
    _, words = process.communicate(timeout=60)
    if kind is signal.SIGINT:
        assert process.returncode == 130
        assert "the same command goes on from there" in words
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert not (here.folder / "out" / "metadata.json").exists()
    again = here.mgl("prepare", str(raw), "--out", "out", "--seconds", "5")
    assert again.returncode == 0, again.stderr
    assert data_of(here.folder / "out") == whole


def test_a_full_disk_is_one_sentence_and_with_room_it_goes_on(here: Place, raw: Path, whole: dict[str, bytes]) -> None:
    disk = Disk(here.folder / "disk", 6000)
    try:
        done = here.mgl("prepare", str(raw), "--out", "disk/out", "--seconds", "5")
        assert done.returncode == 1
        assert "no space left" in done.stderr
        assert done.stderr.count("\n") == 1
        disk.resize(60000)
        done = here.mgl("prepare", str(raw), "--out", "disk/out", "--seconds", "5")
        assert done.returncode == 0, done.stderr
        assert data_of(here.folder / "disk" / "out") == whole
    finally:
        disk.end()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("gone", "--out", "out"), 1, "gone cannot be read (no such file or directory)"),
        ((".", "--out", "out"), 1, "There is no audio file in"),
        ((".", "--out", "config.toml/out"), 1, "choose another folder with --out"),
        ((".",), 2, "--out"),
        ((".", "--out", "out", "--seconds", "0"), 2, "is not a number from 1 to 30"),
        ((".", "--out", "out", "--valid", "nan"), 2, "is not a number from 0 to 0.9"),
        ((".", "--out", "out", "--captions", "name,mood"), 2, "--captions mood is not known"),
        ((".", "--out", "out", "--seconds", "5", "--overlap", "5"), 2, "is not shorter than --seconds 5"),
    ],
)
def test_wrong_use_is_one_sentence(words: tuple[str, ...], status: int, said: str, here: Place) -> None:
    (here.folder / "config.toml").touch()
    done = here.mgl("prepare", *words)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr
