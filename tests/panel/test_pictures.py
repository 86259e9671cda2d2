"""How the screens look, at both sizes and without colour. The words are tested elsewhere; here the arrangement is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from textual.pilot import Pilot

from engine.contract import config, liveness
from engine.contract.events import Gpu
from engine.contract.rundir import RunDir
from tests.panel import recording
from tests.panel.conftest import settle
from tests.panel.listening import until
from tui.app import PanelApp
from tui.runs.disk import Holds

NOW = recording.START + 30 * 86400
Compare = Callable[..., bool]
SIZES = {"wide": (120, 35), "narrow": (80, 24)}


@pytest.fixture(autouse=True)
def _a_machine_and_a_time_that_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    still = SimpleNamespace(time=lambda: NOW, strftime=time.strftime, localtime=time.localtime)
    for module in ("tui.text", "tui.places.monitor.progress_card", "tui.runs.follow"):
        monkeypatch.setattr(f"{module}.time", still)
    monkeypatch.setattr("tui.runs.machine.sample", lambda: Gpu(t=0.0))
    monkeypatch.setattr("tui.runs.disk.holds", lambda path: Holds(checkpoints=400_000_000))


def picture(
    compare: Compare, runs_dir: Path, size: str, *keys: str, run: str | None = None, mode: str = "runs"
) -> bool:
    async def before(pilot: Pilot[None]) -> None:
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
        await pilot.app.workers.wait_for_complete()
        # Monitor draws the curves of a run that trains twice a second.
        await until(pilot, lambda: not getattr(pilot.app.screen, "_stale", False))
        await pilot.pause()

    app = PanelApp(
        runs_dir, settings=config.Settings(), open_run=runs_dir / run if run else None, mode=mode
    )  # fmt: skip
    return compare(app, terminal_size=SIZES[size], run_before=before)


@pytest.mark.parametrize("size", SIZES)
def test_runs(snap_compare: Compare, runs_dir: Path, size: str) -> None:
    assert picture(snap_compare, runs_dir, size)


@pytest.mark.parametrize("size", SIZES)
def test_monitor_while_it_trains(snap_compare: Compare, runs_dir: Path, held: RunDir, size: str) -> None:
    assert picture(snap_compare, runs_dir, size, run="epoch1", mode="monitor")


def test_monitor_without_colour(
    snap_compare: Compare, runs_dir: Path, held: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert picture(snap_compare, runs_dir, "wide", run="epoch1", mode="monitor")


def test_monitor_of_a_run_with_a_spike_a_nan_and_a_resume(snap_compare: Compare, runs_dir: Path) -> None:
    assert picture(snap_compare, runs_dir, "wide", "left", run="full", mode="monitor")


def test_monitor_of_a_lost_run(snap_compare: Compare, runs_dir: Path) -> None:
    assert picture(snap_compare, runs_dir, "narrow", run="epoch1", mode="monitor")


def test_monitor_while_it_encodes(snap_compare: Compare, tmp_path: Path) -> None:
    recorder = recording.Recorder(tmp_path / "runs" / "new")
    recorder.begin()
    recorder.encode(1200)
    with liveness.hold(RunDir(tmp_path / "runs" / "new")):
        assert picture(snap_compare, tmp_path / "runs", "narrow", run="new", mode="monitor")


def test_help(snap_compare: Compare, runs_dir: Path) -> None:
    assert picture(snap_compare, runs_dir, "wide", "question_mark")
