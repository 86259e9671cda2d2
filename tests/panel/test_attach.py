"""The engine belongs to nobody: panels come and go, are killed and cut off, and the run goes on."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.contract import config, events, liveness
from engine.contract.rundir import RunDir, create
from tests.cli.conftest import write_data
from tests.conftest import ROOT, need
from tests.panel import recording
from tests.panel.terminal import TerminalPanel
from tui.runs import launch


@pytest.fixture
def waiting(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunDir]:
    """A run that has not begun, on a real model of small size, long enough to be looked at."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    data = write_data(tmp_path / "data", train=8, valid=2)
    values = {
        "model.base": str(tiny_model), "data.dir": str(data), "data.duration": 2.0,
        "data.cache_dir": str(tmp_path / "cache"), "evaluate.prompts_file": str(data / "prompts.json"),
        "evaluate.duration": 2.0, "train.epochs": 400, "train.batch_size": 2, "train.gradient_accumulation_steps": 2,
        "train.start_gate": False, "train.save_steps": 20, "train.validate_steps": 50, "lora.rank": 2,
    }  # fmt: skip
    settings = config.override(config.Settings(), [f"{name}={json.dumps(value)}" for name, value in values.items()])
    run = create(tmp_path / "runs", "real", settings)
    yield run
    launch.kill(run)


@pytest.fixture
def open_panel() -> Iterator[Callable[..., TerminalPanel]]:
    panels = []

    def start(*arguments: object, **options: int) -> TerminalPanel:
        panels.append(TerminalPanel(*arguments, **options))  # type: ignore[arg-type]
        return panels[-1]

    yield start
    for panel in panels:
        panel.close()


def steps(run: RunDir) -> int:
    return sum(event["event"] == "train" for event in events.read(run.events))


def until(true: Callable[[], object], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_a_real_engine_outlives_its_panel_and_the_next_panel_finds_it(
    waiting: RunDir, open_panel: Callable[..., TerminalPanel]
) -> None:
    first = open_panel(waiting.path.parent)
    assert first.saw("WAIT")
    first.press("r")
    assert first.saw("real starts")
    assert until(lambda: steps(waiting) > 3), waiting.engine_log.read_text()
    assert first.saw("● RUN")
    first.kill(signal.SIGKILL)
    done = steps(waiting)
    assert liveness.is_held(waiting)
    assert until(lambda: steps(waiting) > done + 3)

    second, third = open_panel(waiting.path.parent), open_panel(waiting.path.parent, columns=80, rows=24)
    assert second.saw("● RUN real")
    assert third.saw("● RUN real")
    second.press("M")
    assert second.saw("◆ valid")
    assert third.hang_up() is not None
    assert liveness.is_held(waiting)

    assert until(lambda: list(waiting.checkpoints.glob("step-*")))
    launch.kill(waiting)
    assert second.saw("LOST")
    second.press("r")
    assert second.saw("goes on from step")
    assert until(lambda: any(e.get("resumed_from") for e in events.read(waiting.events) if e["event"] == "start"))
    second.press("s")
    assert second.saw("stop after validation")
    second.press("s")
    assert until(lambda: liveness.state_of(waiting).state == "stopped"), waiting.engine_log.read_text()[-2000:]
    second.press("q")
    assert second.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_panel_that_is_told_to_go_goes_quietly(
    runs_dir: Path, number: signal.Signals, open_panel: Callable[..., TerminalPanel]
) -> None:
    panel = open_panel(runs_dir)
    assert panel.saw("full")
    assert panel.kill(number) == 0
    assert "Traceback" not in panel.text


def test_a_terminal_that_is_gone_ends_the_panel(runs_dir: Path, open_panel: Callable[..., TerminalPanel]) -> None:
    panel = open_panel(runs_dir)
    assert panel.saw("full")
    panel.hang_up()
    assert panel.process.returncode is not None


def test_the_panel_loads_no_heavy_library(runs_dir: Path, open_panel: Callable[..., TerminalPanel]) -> None:
    panel = open_panel(runs_dir)
    assert panel.saw("full")
    panel.press("M")
    assert panel.saw("Loss")
    mapped = Path(f"/proc/{panel.process.pid}/maps").read_text()
    for library in ("torch", "torchaudio", "portaudio", "transformers"):
        assert f"/{library}/" not in mapped
        assert f"lib{library}" not in mapped


def test_stop_after_validation_stops_after_a_validation(waiting: RunDir) -> None:
    launch.start(waiting, evaluate=False)
    assert until(lambda: steps(waiting) > 2), waiting.engine_log.read_text()
    before = sum(e["event"] == "valid" for e in events.read(waiting.events))
    assert launch.stop_after_validation(waiting)
    assert until(lambda: liveness.state_of(waiting).state == "stopped"), waiting.engine_log.read_text()[-2000:]
    assert sum(e["event"] == "valid" for e in events.read(waiting.events)) > before


def test_asking_a_run_that_is_not_running_changes_nothing(runs_dir: Path) -> None:
    run = RunDir(runs_dir / "full")
    for ask in (launch.stop, launch.stop_after_validation, launch.kill, launch.checkpoint_now, launch.validate_now):
        assert not ask(run)


def test_the_end_of_a_run_rings_and_the_title_tells_it(
    runs_dir: Path, tmp_path: Path, open_panel: Callable[..., TerminalPanel], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text('[panel]\nnotify = "osc9"\n')
    monkeypatch.chdir(tmp_path)
    with liveness.hold(RunDir(runs_dir / "epoch1")):
        panel = open_panel(runs_dir)
        assert panel.saw("● RUN")
        assert until(lambda: panel.read(0.1) and "\x1b]2;epoch1 running 33% – mgl-tui" in panel.written, 10)
    assert until(lambda: panel.read(0.1) and "\x1b]9;epoch1: lost" in panel.written, 10)
    panel.press("q")
    assert panel.ended() == 0
    assert "\x1b[23;2t" in panel.written


def test_a_panel_in_a_detached_tmux_goes_on_and_the_engine_outlives_tmux(runs_dir: Path, tmp_path: Path) -> None:
    need(shutil.which("tmux"), "tmux")
    tmux = ["tmux", "-L", f"mgl-{tmp_path.name[-20:]}", "-f", "/dev/null"]
    panel = f"{sys.executable} -m tui.cli --runs {runs_dir}"

    def screen() -> str:
        return subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=False).stdout

    with liveness.hold(RunDir(runs_dir / "epoch1")):
        # Nobody is attached to it: this is what a connection that broke leaves behind.
        subprocess.run([*tmux, "new-session", "-d", "-x", "120", "-y", "35", panel], check=True, cwd=ROOT)
        try:
            assert until(lambda: "82/248" in screen(), 30)
            recording.Recorder(runs_dir / "epoch1", t=recording.START + 3 * 86400).train(83, 84)
            assert until(lambda: "84/248" in screen(), 30)
        finally:
            subprocess.run([*tmux, "kill-server"], check=False)
        assert liveness.is_held(RunDir(runs_dir / "epoch1"))
