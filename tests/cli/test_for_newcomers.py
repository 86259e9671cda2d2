"""What somebody needs who has just cloned it: the version, the shell's completion, every setting in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from engine.contract import config, rundir
from tests.conftest import ROOT
from tui import cli


def completed(line: str, cwd: Path) -> list[str]:
    """What the program offers a shell that asks it to complete ``line``, by argcomplete's protocol."""
    answer = cwd / "answer"
    environment = {
        **os.environ, "_ARGCOMPLETE": "1", "_ARGCOMPLETE_SUPPRESS_SPACE": "1", "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "COMP_LINE": line, "COMP_POINT": str(len(line)),
        "PYTHONPATH": str(ROOT), "COMP_WORDBREAKS": " ",
    }  # fmt: skip
    subprocess.run([sys.executable, "-m", "tui.cli"], cwd=cwd, env=environment, check=True, timeout=60)
    return answer.read_text(encoding="utf-8").split()


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"mgl-tui {version('mgl-tui')}\n"


def test_a_shell_completes_commands_runs_settings_and_their_choices(tmp_path: Path) -> None:
    rundir.create(tmp_path / "runs", "first-try", config.Settings())
    assert completed("mgl-tui exp", tmp_path) == ["export"]
    assert completed("mgl-tui export fir", tmp_path) == ["first-try"]
    assert completed("mgl-tui train --set lora.r", tmp_path) == ["lora.rank=", "lora.rslora="]
    assert completed("mgl-tui train --set train.precision=b", tmp_path) == ["train.precision=bf16"]


def test_a_shell_is_offered_no_run_when_the_settings_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[train\n", encoding="utf-8")
    assert completed("mgl-tui export f", tmp_path) == []


def test_every_setting_is_printed_with_its_meaning_range_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["settings", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(config.fields())
    assert rows["lora.rank"]["default"] == 12
    assert rows["lora.rank"]["allowed"] == "a whole number >= 1 and <= 512"
    assert rows["audio.latency"]["unit"] == "s"

    assert cli.main(["settings", "precision"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith('train.precision = "fp16"  (one of fp16, bf16, fp32)\n    Arithmetic on the GPU')


def test_a_name_that_no_setting_has_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["settings", "learn_rate"]) == 1
    assert '"learn_rate"' in capsys.readouterr().err
