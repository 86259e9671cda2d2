"""Processes that share the work of a check."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from tests.audio.parts import wait_for

ROOT = Path(__file__).resolve().parents[2]


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def test_what_a_check_that_was_killed_had_started_ends_with_it(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal(30 * 16000) * 0.1
    rows = [{"audio": f"{number}.wav", "text": f"noise {number}", "split": "train"} for number in range(60)]
    for number, row in enumerate(rows):
        soundfile.write(tmp_path / row["audio"], np.roll(noise, number * 4000), 16000)
    (tmp_path / "metadata.json").write_text(json.dumps(rows))
    (tmp_path / "config.toml").write_text('[data]\ndir = "."\n[model]\nbase = "demo"\n')
    check = subprocess.Popen(
        [sys.executable, "-m", "engine", "check", str(tmp_path / "config.toml"), "--json"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )  # fmt: skip
    try:
        started = wait_for(lambda: children(check.pid), what="the check's processes")
    finally:
        check.kill()
        check.wait()
    wait_for(lambda: not any(map(alive, started)), what="the end of the check's processes")
