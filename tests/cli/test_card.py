"""mgl-tui doctor --gpu, where there is no card."""

from __future__ import annotations

import json
import subprocess

import pytest
import torch

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


def run(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "tui.cli", "doctor", "--gpu", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_a_card_it_says_so_and_is_no_failure(python):
    done = run(python)
    assert (done.returncode, done.stderr) == (0, "")
    assert "there is no NVIDIA GPU on this machine" in done.stdout
    shown = run(python, "--json", "--again")
    assert shown.returncode == 0
    assert json.loads(shown.stdout) == {"checks": [], "no_card": "there is no NVIDIA GPU on this machine"}
