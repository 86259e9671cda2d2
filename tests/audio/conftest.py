"""Clips and real parts for the audio tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.audio.parts import Listener, Pulse, Sshd, sshd_program
from tests.conftest import need

CLIP_RATE = 32_000


@pytest.fixture(autouse=True)
def _nobody_came_by_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests say themselves how the listener came, and where sound goes."""
    for name in ("SSH_CONNECTION", "SSH_TTY", "TMUX", "PULSE_SERVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tui.audio.laptop.SSH_PARENTS", ())


def noise(seconds: float, seed: int, rate: int = CLIP_RATE) -> NDArray[np.float32]:
    """Noise below 4 kHz: two of them are told apart, and a place in one is found to the sample."""
    white = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    spectrum = np.fft.rfft(white)
    spectrum[np.fft.rfftfreq(len(white), 1 / rate) > 4000.0] = 0.0
    shaped = np.fft.irfft(spectrum, len(white))
    return np.asarray(0.2 * shaped / np.abs(shaped).max() * 3.0, np.float32).clip(-0.7, 0.7)


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Three different clips of 4 s."""
    paths = [tmp_path / f"clip-{seed}.wav" for seed in range(3)]
    for seed, path in enumerate(paths):
        soundfile.write(path, noise(4.0, seed), CLIP_RATE)
    return paths


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="mgl", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def pulse(short_folder: Path) -> Iterator[Pulse]:
    need(shutil.which("pulseaudio") and shutil.which("parec"), "PulseAudio and its tools")
    server = Pulse(short_folder / "pulse")
    yield server
    server.close()


@pytest.fixture
def sshd(short_folder: Path) -> Iterator[Sshd]:
    need(sshd_program() and shutil.which("ssh"), "an ssh server")
    server = Sshd(short_folder / "ssh")
    yield server
    server.close()


@pytest.fixture
def player() -> Iterator[Callable[..., Listener]]:
    """Makes players that remember their messages; all are closed in the end."""
    made: list[Listener] = []

    def make(**options: object) -> Listener:
        made.append(Listener(**options))
        return made[-1]

    yield make
    for each in made:
        each.close()
