"""Names and texts that a terminal would obey are shown by every command, and stay exact in --json."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from engine.contract import config
from engine.contract.events import EventLog
from engine.contract.rundir import RunDir
from tui.cli import main

HOSTILE = "run\x1b]0;owned\x07\x1b[2J\u202e[old]\n✔ forged\u2028line"
SHOWN = "run␛]0;owned␇␛[2J\ufffd[old] ✔ forged line"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = RunDir(tmp_path / "runs" / HOSTILE)
    run.path.mkdir(parents=True)
    run.config.write_text(config.dumps(config.Settings()))
    with EventLog(run.events) as log:
        log.write("start", total_steps=5)
        log.write("state", state="failed", error=f"the clip {HOSTILE} broke")
    (tmp_path / "runs" / "queue.json").write_text(json.dumps([HOSTILE]))
    return run


@pytest.mark.parametrize(
    "words",
    [
        ["runs"],
        ["status", HOSTILE],
        ["compare", HOSTILE],
        ["advise", HOSTILE],
        ["export", HOSTILE],
        ["stop", HOSTILE],
        ["queue"],
        ["status", f"no{HOSTILE}"],
        ["review", HOSTILE],
        ["settings", HOSTILE],
        ["train", "--name", HOSTILE],
        ["train", "--set", f"lora.rank={HOSTILE}"],
        ["train", "--set", HOSTILE],
        ["evaluate", HOSTILE, "--repeats", HOSTILE],
        [HOSTILE],
        ["runs", HOSTILE],
    ],
)
def test_nothing_that_is_said_is_obeyed(run: RunDir, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        main(words)
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert all(line.isprintable() for line in text.replace("\ufffd", "").split("\n"))
        assert not any(line.startswith("✔ forged") for line in text.split("\n"))


def test_a_script_gets_the_exact_name_and_a_person_sees_it(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    main(["runs", "--json"])
    assert json.loads(capsys.readouterr().out)[0]["name"] == HOSTILE
    main(["status", HOSTILE])
    assert f"the clip {SHOWN} broke" in capsys.readouterr().out


def test_an_error_is_one_line_whatever_it_quotes(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", f"no{HOSTILE}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"mgl-tui: There is no run no{SHOWN} in ")
    assert said.count("\n") == 1
