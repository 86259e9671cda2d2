"""Sound to test with: short pieces of music-like noise that no two seeds share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

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


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
    return path
