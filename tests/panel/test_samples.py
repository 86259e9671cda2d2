"""Samples: what was made while a run trains is heard by step, from Monitor and from Listen."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.contract import liveness
from engine.contract.events import EventLog
from engine.contract.rundir import RunDir
from tests.audio.parts import Pulse
from tests.conftest import need
from tests.panel.listening import listening, panel, running, screen_of, text, told, until
from tests.review.clips import make_evaluation, make_run
from tui.places.samples.screen import SamplesScreen
from tui.review import samples

PROMPTS = ["upbeat synthwave, driving bass", "slow piano ballad, rain"]


def sampled(run: RunDir, *steps: int, seconds: float = 1.0, rate: int = 16000) -> None:
    """What the engine leaves after these steps."""
    names = [samples.model_of(step) for step in steps]
    make_evaluation(run.evaluation("samples"), PROMPTS, names, seconds=seconds, rate=rate)


@pytest.fixture
def training(tmp_path: Path) -> RunDir:
    """A run that has sampled at two steps and has no other clips yet."""
    run = make_run(tmp_path / "runs", clips=False)
    with EventLog(run.events) as log:
        log.write("state", state="training")
    sampled(run, 10, 20)
    return run


async def test_while_it_trains_samples_are_heard_from_monitor_and_new_ones_come(training: RunDir) -> None:
    app = panel(training.path.parent, mode="monitor")
    with liveness.hold(training):
        async with running(app) as pilot:
            await until(pilot, lambda: "m samples" in text(app))
            await pilot.press("m")
            await until(pilot, lambda: "Samples · first · 2 steps" in text(app))
            assert "this is not blind" in text(app)
            assert "Step 20" in text(app)
            await pilot.press("space")
            await until(pilot, lambda: samples.heard(training.path, "anna"))
            await pilot.press("left")
            assert "Step 10" in text(app)
            await pilot.press("x")
            assert "Step 20" in text(app)
            await pilot.press("down")
            assert "slow piano ballad, rain" in text(app)
            sampled(training, 10, 20, 30)
            with EventLog(training.events) as log:
                log.write("clip", model="step-000030", prompt=PROMPTS[0], file="x", prompt_set="samples")
            await until(pilot, lambda: "3 steps" in text(app))
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1)


async def test_listen_says_that_samples_can_be_heard_while_clips_are_being_made(training: RunDir) -> None:
    app = panel(training.path.parent)
    with liveness.hold(training):
        async with running(app) as pilot:
            await until(pilot, lambda: "m plays the samples" in text(app))
            await pilot.press("m")
            await until(pilot, lambda: isinstance(app.screen, SamplesScreen))


async def test_before_a_blind_session_is_over_it_asks_and_listen_gets_its_clips_back(runs: Path) -> None:
    sampled(RunDir(runs / "first"), 10, 20)
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("m")
        await until(pilot, lambda: "first is not judged to its end" in text(app))
        await pilot.press("n")
        assert app.screen is screen_of(app)
        await pilot.press("m", "h")
        await until(pilot, lambda: isinstance(app.screen, SamplesScreen))
        await until(pilot, lambda: "Step 20" in text(app))
        await pilot.press("space")
        await until(pilot, lambda: "step-000020" in app.player._clips["clips"][-1])
        await pilot.press("escape")
        await until(pilot, lambda: app.player._clips["clips"][0].endswith("1-A.wav"))


async def test_without_samples_it_says_how_they_are_made(runs: Path) -> None:
    app = panel(runs)
    async with listening(app) as pilot:
        await pilot.press("m")
        await until(pilot, lambda: "evaluate.every = 50 makes them" in told(app))


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_many_steps_scroll_with_the_one_that_is_chosen(training: RunDir, size: tuple[int, int]) -> None:
    sampled(training, *range(10, 410, 10))
    app = panel(training.path.parent, mode="monitor")
    async with running(app, size) as pilot:
        await pilot.press("m")
        await until(pilot, lambda: "Step 400" in text(app))
        await pilot.press(*["left"] * 20)
        assert "Step 200" in text(app)
        line = next(line for line in text(app).splitlines() if "Prompt" in line)
        assert " 200 " in line
        assert "in sight" in text(app)


@pytest.mark.audio
async def test_another_step_goes_on_at_the_same_position_and_what_is_heard_is_kept(
    training: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(shutil.which("pulseaudio") and shutil.which("parec"), "PulseAudio and its tools")
    sampled(training, 10, 20, seconds=6.0, rate=32000)
    pulse = Pulse(tmp_path / "p")
    try:
        monkeypatch.setenv("PULSE_SERVER", pulse.address)
        monkeypatch.delenv("SSH_CONNECTION", raising=False)
        app = panel(training.path.parent, "audio.output=pacat", mode="monitor")
        async with running(app) as pilot:
            await pilot.press("m")
            await until(pilot, lambda: "Step 20" in text(app))
            since = pulse.mark()
            await pilot.press("space")
            await until(pilot, lambda: app.player.status.playing and app.player.status.position > 1.0)
            await pilot.press("left")
            await until(pilot, lambda: app.player.status.index == 0 and app.player.status.heard[0] > 0.5)
            assert app.player.status.position > 1.4
            await pilot.press("space")
            await until(pilot, lambda: not app.player.status.playing)
            await until(pilot, lambda: len(samples.heard(training.path, "anna")) == 2)
            assert abs(pulse.recording(since)).max() > 0.02
    finally:
        pulse.close()
