"""What was typed becomes settings."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from engine.contract import config, rundir
from tui.commands import find
from tui.runs import launch


def settings_of(file: Path, *changes: str) -> config.Settings:
    return find.settings(argparse.Namespace(config=file, set=list(changes)))


def test_a_run_made_from_another_ones_file_has_that_run_as_its_parent(tmp_path: Path) -> None:
    first = rundir.create(tmp_path, "first", config.override(config.Settings(), ["run.why=a try"]))
    first.events.touch()
    found = settings_of(first.config, "lora.rank=16")
    assert (found.run.parent, found.run.why, found.lora.rank) == ("first", "", 16)
    assert settings_of(first.config, "run.why=more room").run == config.Run(parent="first", why="more room")


def test_a_run_made_from_a_persons_own_file_has_no_parent(tmp_path: Path) -> None:
    own = tmp_path / "config.toml"
    own.write_text(config.dumps(config.Settings()), encoding="utf-8")
    assert "[run]" not in own.read_text(encoding="utf-8")
    assert settings_of(own).run == config.Run()


def test_a_model_named_by_a_relative_path_is_looked_for_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(launch, "detached", lambda command, log, **_: asked.append(list(command)) or 1)
    monkeypatch.chdir(tmp_path)
    run = rundir.create(tmp_path / "runs", "first", config.Settings())
    launch.evaluate(run, models=["base", "./old/adapter", "other:best"])
    (command,) = asked
    assert command[command.index("--models") + 1] == f"base,{tmp_path / 'old' / 'adapter'},other:best"
