"""A recorded run driven again shows what the Monitor would have shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.contract.events import of
from engine.contract.rundir import RunDir
from tests.panel import recording
from tests.panel.conftest import Starter
from tests.panel.listening import until
from tests.panel.seen import text
from tui.runs.replay import LOST_FOR, Replayed, schedule

RECORDED = Path(__file__).parent / "recorded"


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def states(run: Path, *, speed: float, step: float = 0.5) -> list[str]:
    """The states that a replay goes through."""
    clock = Clock()
    replay = Replayed(RunDir(run), speed=speed, clock=clock)
    seen = [replay.state.state]
    while not replay.over:
        clock.now += step
        replay.poll()
        if replay.state.state != seen[-1]:
            seen.append(replay.state.state)
    return seen


def test_the_recorded_run_is_lost_for_a_moment_and_comes_back() -> None:
    assert states(RECORDED, speed=20) == ["waiting", "running", "lost", "running", "done"]


def test_a_recording_without_an_end_is_lost_at_the_end(tmp_path: Path) -> None:
    assert states(recording.training(tmp_path / "run"), speed=50)[-1] == "lost"


def test_the_recorded_run_holds_a_spike_a_nan_and_a_resume() -> None:
    replay = Replayed(RunDir(RECORDED), speed=1, clock=(clock := Clock()))
    clock.now = 1e9
    replay.poll()
    losses = replay.history.columns["loss"]
    assert max(v for v in losses.values if v == v) > 3.5
    assert [mark.step for mark in replay.history.marks] == [97]
    assert replay.history.resumed == [100]


def test_events_come_at_their_own_pace_divided_by_the_speed() -> None:
    events = [of("note", t=float(t)) for t in (100, 101, 103, 1003)]
    assert [due for due, _ in schedule(events, 1.0)] == [0, 1, 3, 13]
    assert [due for due, _ in schedule(events, 10.0)] == pytest.approx([0, 0.1, 0.3, 1.3])


def test_a_lost_engine_is_shown_for_a_while_at_any_speed() -> None:
    events = [of("start", t=1.0), of("start", t=2.0, resumed_from=1)]
    assert schedule(events, 1000.0)[1][0] == LOST_FOR


async def test_the_monitor_replays_a_run(panel: Starter) -> None:
    async with panel(open_run=RECORDED, mode="monitor", replay=1e9) as (app, pilot):
        await until(pilot, lambda: "DONE" in text(app, "#progress"))
        assert app.shown is not None
        assert app.shown.history.step == 248
