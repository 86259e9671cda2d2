"""Sound to test with: short pieces of music-like noise that no two seeds share."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.contract import config
from engine.data.check import check
from engine.data.findings import Finding

RATE = 22050


def music(seed: int, seconds: float = 8.0, rate: int = RATE) -> np.ndarray:
    """A melody with overtones and a beat (n,), float32."""
    rng = np.random.default_rng(seed)
    count = int(seconds * rate)
    sound = np.zeros(count + rate)
    for start in range(0, count, rate // 4):
        time = np.arange(rate // 2) / rate
        pitch = 110 * 2 ** (rng.choice([0, 2, 3, 5, 7, 8, 10]) / 12 + rng.integers(0, 3))
        for overtone in range(1, 6):
            sound[start : start + len(time)] += (
                0.1 / overtone * np.sin(2 * np.pi * pitch * overtone * time) * np.exp(-4 * time)
            )
        sound[start : start + 400] += rng.normal(0, 0.05, 400)
    return sound[:count].astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype)
    return path


class Data:
    """A data folder that is all right, to be spoiled by a test."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        self.entries: list[dict[str, Any]] = []
        for number in range(6):
            self.add(f"{'valid' if number == 0 else 'train'}/song{chr(97 + number)}.wav", music(number))
        self.prompts = ["a prompt of its own"]
        self.assignments: list[str] = []

    def add(
        self, name: str, samples: np.ndarray, text: str | None = None, rate: int = RATE, subtype: str | None = None
    ) -> None:
        write(self.folder / name, samples, rate, subtype)
        self.entries.append({"audio": name, "text": f"warm drums {len(self.entries)}" if text is None else text})

    def settings(self) -> config.Settings:
        (self.folder / "metadata.json").write_text(json.dumps(self.entries))
        (self.folder / "prompts.json").write_text(json.dumps(self.prompts))
        values = {
            "model.base": str(self.model),
            "data.dir": str(self.folder),
            "data.duration": 8.0,
            "evaluate.prompts_file": str(self.folder / "prompts.json"),
            "runs.dir": str(self.folder / "runs"),
        }
        assignments = [f"{name}={json.dumps(value)}" for name, value in values.items()]
        return config.override(config.Settings(), assignments + self.assignments)

    def findings(self) -> dict[str, Finding]:
        return {finding.id: finding for finding in check(self.settings()).findings}


@pytest.fixture
def data(tmp_path: Path, tiny_model: Path) -> Data:
    return Data(tmp_path / "data", tiny_model)


def tool(name: str, *arguments: str | Path) -> None:
    """Run ffmpeg or sox, whose files are what people have; a machine without it skips the test."""
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    quiet = ["-v", "error", "-y"] if name == "ffmpeg" else ["-V1"]
    subprocess.run([name, *quiet, *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)
