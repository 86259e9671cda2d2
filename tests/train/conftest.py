"""Runs that train for real: the real classes at a small size, on short clips of noise."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.contract import config, rundir
from engine.contract.rundir import RunDir

MakeRun = Callable[..., RunDir]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: 10 train and 3 valid clips of 2 s at 16 kHz."""
    return write_clips(tmp_path_factory.mktemp("data") / "clips", train=10, valid=3)


def write_clips(folder: Path, train: int, valid: int, seconds: float = 2.0) -> Path:
    noise = np.random.default_rng(0)
    entries = []
    for split, count in (("train", train), ("valid", valid)):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            name = f"{split}/clip{number}.wav"
            tone = np.sin(np.arange(int(seconds * 16000)) * (0.02 + 0.01 * number)) * 0.3
            soundfile.write(folder / name, tone + noise.normal(0, 0.05, len(tone)), 16000)
            entries.append({"audio": name, "text": f"a tone, number {number % 4}"})
    (folder / "metadata.json").write_text(json.dumps(entries))
    return folder


def new_run(folder: Path, name: str, clips: Path, model: Path, **assignments: object) -> RunDir:
    """A run on the small clips and model; keyword arguments are assignments with __ for the dot."""
    values = {
        "model.base": str(model),
        "data.dir": str(clips),
        "data.duration": 2.0,
        "data.cache_dir": str(clips.parent / "cache"),
        "lora.rank": 4,
        "train.batch_size": 2,
        "train.gradient_accumulation_steps": 2,
        "train.start_gate": False,
        "train.learning_rate": 1e-3,
        **{key.replace("__", "."): value for key, value in assignments.items()},
    }
    settings = config.override(config.Settings(), [f"{key}={json.dumps(value)}" for key, value in values.items()])
    return rundir.create(folder, name, settings)


@pytest.fixture
def make_run(tmp_path: Path, clips: Path, tiny_model: Path) -> MakeRun:
    def make(name: str = "run", **assignments: object) -> RunDir:
        return new_run(tmp_path / "runs", name, **{"clips": clips, "model": tiny_model, **assignments})

    return make


@pytest.fixture
def train_command() -> list[str]:
    return [sys.executable, "-m", "engine", "train"]
