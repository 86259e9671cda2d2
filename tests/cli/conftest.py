from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import once

ROOT = Path(__file__).parents[2]
PROMPTS = ["slow piano", "fast drums", "calm strings"]


def write_data(folder: Path, *, train: int = 6, valid: int = 2) -> Path:
    """Two seconds of a different chord a clip, at 16 kHz."""
    time = np.arange(2 * 16000) / 16000
    entries = []
    for split, count in (("train", train), ("valid", valid)):
        (folder / split).mkdir(parents=True)
        for n in range(count):
            pitch = 110 * 2 ** ((n + 7 * (split == "valid")) / 12)
            wave = sum(np.sin(2 * np.pi * pitch * ratio * time) for ratio in (1, 1.25, 1.5)) * 0.1
            soundfile.write(folder / split / f"{split}{n}.wav", wave, 16000)
            entries.append({"audio": f"{split}/{split}{n}.wav", "text": f"{split} chord {n}"})
    (folder / "metadata.json").write_text(json.dumps(entries))
    (folder / "prompts.json").write_text(json.dumps(PROMPTS))
    return folder


@dataclass
class Place:
    """A folder with data, settings and runs; ``mgl`` runs the command line in it as a user would."""

    folder: Path
    environment: dict[str, str]

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    def mgl(self, *words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tui.cli", *words], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False,
        )  # fmt: skip

    def json(self, *words: str) -> object:
        done = self.mgl(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def make_place(tiny_model: Path) -> Callable[[Path], Place]:
    def make(folder: Path) -> Place:
        write_data(folder / "data")
        (folder / "config.toml").write_text(
            f"""
            [model]
            base = "{tiny_model}"
            [data]
            dir = "data"
            duration = 2.0
            cache_dir = "cache"
            [lora]
            rank = 4
            alpha = 8
            [train]
            batch_size = 2
            gradient_accumulation_steps = 1
            epochs = 2
            learning_rate = 1e-3
            save_steps = 2
            start_gate = false
            [evaluate]
            prompts_file = "data/prompts.json"
            duration = 2.0
            [audio]
            output = "none"
            """
        )
        return place_in(folder)

    return make


def place_in(folder: Path) -> Place:
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        "XDG_CACHE_HOME": str(folder / "xdg"),
    }  # fmt: skip
    return Place(folder, environment)


@pytest.fixture
def place(make_place: Callable[[Path], Place], tmp_path: Path) -> Place:
    return make_place(tmp_path)


@pytest.fixture(scope="session")
def finished(make_place: Callable[[Path], Place], tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place in which ``mgl-tui train --name first`` has done a whole round. Tests only read it."""

    def make(folder: Path) -> None:
        done = make_place(folder).mgl("train", "--name", "first")
        assert done.returncode == 0, done.stderr

    return place_in(once(tmp_path_factory, "finished-round", make))
