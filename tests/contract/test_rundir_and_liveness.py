import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.contract import liveness, rundir
from engine.contract.config import Settings
from engine.contract.errors import UserError
from engine.contract.events import EventLog

HOLD = "import sys, time; from engine.contract import liveness, rundir\n" \
       "with liveness.hold(rundir.RunDir(sys.argv[1])): print('held', flush=True); time.sleep(60)"  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> rundir.RunDir:
    return rundir.create(tmp_path, "first", Settings())


def test_a_run_is_never_overwritten_and_a_free_name_is_proposed(run: rundir.RunDir, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="first-2 is free"):
        rundir.create(tmp_path, "first", Settings())


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "x" * 101, "naïve", "end."])
def test_a_name_that_is_no_file_name_everywhere_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no name for a run"):
        rundir.create(tmp_path, name, Settings())
    assert list(tmp_path.iterdir()) == []


def test_a_run_can_be_repeated_from_its_config_alone(run: rundir.RunDir) -> None:
    settings = run.settings()
    assert Path(settings.data.dir).is_absolute()
    assert rundir.create(run.path.parent, "second", settings).settings() == settings


def test_opening_a_folder_that_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        rundir.open_run(tmp_path / "none")
    with pytest.raises(UserError, match="no run"):
        rundir.open_run(tmp_path)


def test_a_whole_file_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "scores.json"
    rundir.write_atomically(target, "old")

    def no_space(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        rundir.write_atomically(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_new_run_waits(run: rundir.RunDir) -> None:
    assert liveness.state_of(run).state == "waiting"


def test_a_held_run_is_running_and_a_killed_one_is_lost(run: rundir.RunDir) -> None:
    with EventLog(run.events) as log:
        log.write("state", state="training")
    engine = subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE)
    try:
        assert engine.stdout is not None
        engine.stdout.readline()
        assert liveness.state_of(run) == liveness.RunState("running", "training")
        assert liveness.holder(run).pid == engine.pid
        with pytest.raises(UserError, match=f"pid {engine.pid}"), liveness.hold(run):
            pass
    finally:
        engine.send_signal(signal.SIGKILL)
        engine.communicate()
    assert liveness.state_of(run).state == "lost"


def test_the_last_state_event_is_the_end_of_a_run_that_nobody_holds(run: rundir.RunDir) -> None:
    with EventLog(run.events) as log, liveness.hold(run):
        log.write("state", state="failed", error="out of luck")
    assert liveness.state_of(run) == liveness.RunState("failed", "failed", "out of luck")


def test_one_process_may_hold_a_run_twice(run: rundir.RunDir) -> None:
    with liveness.hold(run):
        with liveness.hold(run):
            pass
        assert liveness.is_held(run)
    assert not liveness.is_held(run)
