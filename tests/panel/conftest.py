"""Run folders and a panel on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.contract import config, liveness
from engine.contract.rundir import ARCHIVE, RunDir
from tests.panel import recording
from tests.review.clips import make_run
from tui.app import PanelApp

Started = tuple[PanelApp, Pilot[None]]
Starter = Callable[..., AbstractAsyncContextManager[Started]]


@pytest.fixture(autouse=True)
def _a_terminal_of_full_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with one run, whose clips nobody has judged."""
    make_run(tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """Three runs: one in the middle of its training, one that failed, one that is done."""
    folder = tmp_path / "runs"
    day = 86400
    recording.recorded(folder / "full")
    failed = recording.Recorder(folder / "fix", t=recording.START + day, changes=["train.learning_rate=3e-4"])
    failed.begin()
    failed.baseline()
    failed.train(1, 99, nan=97)
    failed.state("failed", error="the loss was no number for 20 steps; lower train.learning_rate")
    live = recording.Recorder(
        folder / "epoch1", t=recording.START + 2 * day, changes=["lora.rank=16", "run.parent=fix"]
    )
    live.begin()
    live.baseline()
    live.train(1, 82)
    live.good_health()
    return folder


@pytest.fixture
def held(runs_dir: Path) -> Iterator[RunDir]:
    """The run in the middle of its training, with a living holder of its lock."""
    run = RunDir(runs_dir / "epoch1")
    with liveness.hold(run):
        yield run


@pytest.fixture
def panel(runs_dir: Path) -> Starter:
    """Starts a panel without a terminal: ``async with panel() as (app, pilot)``."""

    @asynccontextmanager
    async def start(
        *, size: tuple[int, int] = (120, 35), folder: Path | None = None, **options: object
    ) -> AsyncIterator[Started]:
        settings = config.override(config.Settings(), ["audio.output=none"])
        app = PanelApp(folder or runs_dir, settings=settings, **options)  # type: ignore[arg-type]
        async with app.run_test(size=size) as pilot:
            await settle(pilot)
            yield app, pilot

    return start


async def settle(pilot: Pilot[None]) -> None:
    """Let threads and messages come to an end."""
    for _ in range(3):
        await pilot.app.workers.wait_for_complete(
            [worker for worker in pilot.app.workers if worker.group == "store" or worker.group.startswith("load")]
        )
        await pilot.pause()


def archived(runs_dir: Path) -> Path:
    return runs_dir / ARCHIVE
