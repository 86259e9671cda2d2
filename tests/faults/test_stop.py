"""Asking an engine to stop that cannot: what it waits for is said, and nobody waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from engine.contract import config, liveness, rundir
from engine.contract.errors import UserError
from engine.contract.events import EventLog
from engine.contract.rundir import RunDir
from tests.conftest import ROOT
from tui.commands import rounds

DEAF = """
import signal, sys, time
from engine.contract import liveness, rundir
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with liveness.hold(rundir.RunDir(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    made = rundir.create(tmp_path / "runs", "deaf", config.Settings())
    with EventLog(made.events) as log:
        log.write("state", state="training")
    return made


@pytest.fixture
def engine(run: RunDir) -> subprocess.Popen[str]:
    """A process that holds the run and does not hear."""
    process = subprocess.Popen(
        [sys.executable, "-c", DEAF, str(run.path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def stop(run: RunDir) -> int:
    return rounds.stop(Namespace(run=str(run.path), runs=run.path.parent, config=None))


def test_a_suspended_engine_is_named_with_what_lets_it_go_on(run: RunDir, engine: subprocess.Popen[str]) -> None:
    engine.send_signal(signal.SIGSTOP)
    os.waitpid(engine.pid, os.WUNTRACED)
    with pytest.raises(UserError, match=rf"suspended while training.*kill -CONT {engine.pid}"):
        stop(run)
    assert liveness.is_held(run)


def test_a_silent_engine_is_not_waited_for_without_end(
    run: RunDir, engine: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "SILENCE", 0.5)
    with pytest.raises(UserError, match=rf"has said nothing since, while training.*kill -KILL {engine.pid}"):
        stop(run)
    assert liveness.is_held(run)


def test_a_lock_without_a_process_signals_nobody(run: RunDir, engine: subprocess.Popen[str]) -> None:
    for content in ('{"pid": -1}', '{"pid": 0}', '{"pid": "all"}', "", "\0" * 10, '{"pid": ' + "9" * 400 + "}"):
        run.lock.write_text(content)
        with pytest.raises(UserError, match="does not say which process"):
            stop(run)
    assert engine.poll() is None
