"""The place Try: a prompt that is typed is heard by base and best, on a real warm process at small size."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import soundfile
from textual.pilot import Pilot

from engine.contract import config, liveness, prompts, rundir, tries
from engine.contract.rundir import RunDir
from tests.generate.conftest import save_adapter
from tests.panel.listening import panel, running, text, told, until
from tui.app import PanelApp
from tui.places.try_.page import PromptField
from tui.places.try_.screen import TryScreen
from tui.runs import machine
from tui.widgets.table import Table

PATIENCE = 90.0


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path) -> RunDir:
    """A run with a best model, prompts and training captions, whose tries are a second long."""
    data = tmp_path / "data"
    data.mkdir()
    captions = [{"audio": f"train/{n}.wav", "text": f"caption {n}"} for n in range(3)]
    (data / "metadata.json").write_text(json.dumps(captions))
    (tmp_path / "prompts.json").write_text('["a choir"]')
    changes = [
        f'model.base="{tiny_model}"', "lora.rank=2", "evaluate.duration=1.0", f'data.dir="{data}"',
        f'evaluate.prompts_file="{tmp_path / "prompts.json"}"',
    ]  # fmt: skip
    settings = config.override(config.Settings(), changes)
    run = rundir.create(tmp_path / "runs", "one", settings)
    save_adapter(run.best_model, tiny_model, settings, 1)
    return run


@asynccontextmanager
async def trying(run: RunDir) -> AsyncIterator[tuple[PanelApp, Pilot[None]]]:
    app = panel(run.path.parent, run="one", mode="try")
    async with running(app) as pilot:
        await until(pilot, lambda: page(app).run_name)
        yield app, pilot


def page(app: PanelApp) -> Any:
    return next(screen for screen in app.screen_stack if isinstance(screen, TryScreen))


async def type_prompt(pilot: Pilot[None], prompt: str) -> None:
    await pilot.press("enter")
    pilot.app.screen.query_one(PromptField).value = prompt
    await pilot.press("enter")


async def make(pilot: Pilot[None], prompt: str, count: int) -> None:
    """Type a prompt and wait until so many clips are listed and nothing is being made."""
    await type_prompt(pilot, prompt)
    await made(pilot, count)


async def made(pilot: Pilot[None], count: int) -> None:
    here = page(pilot.app)  # type: ignore[arg-type]
    await until(pilot, lambda: len(here.clips) == count and here.progress is None, PATIENCE)


async def test_a_prompt_is_typed_and_both_models_can_be_heard(run: RunDir) -> None:
    async with trying(run) as (app, pilot):
        await make(pilot, "slow  piano", 2)
        clips = tries.read(run.tries).value
        assert [(clip.model, clip.prompt) for clip in clips] == [("best", "slow piano"), ("base", "slow piano")]
        shown = text(app)
        assert "slow piano  seed 0" in shown
        assert shown.index("base   ") < shown.index("best   ")
        here = page(app)
        assert here.current().model == "base"
        await pilot.press("b")
        assert here.current().model == "best"
        await pilot.press("space")
        await until(pilot, lambda: here.sounding == here.current().file)
        assert set(here.loaded) == {clip.file for clip in clips}


async def test_another_strength_joins_the_prompts_clips_and_base_is_not_made_again(run: RunDir) -> None:
    async with trying(run) as (app, pilot):
        await make(pilot, "slow piano", 2)
        await pilot.press("left", "left")
        await make(pilot, "slow piano", 3)
        (group,) = page(app).groups
        assert [(clip.model, clip.strength) for clip in group.clips] == [("base", 1.0), ("best", 0.5), ("best", 1.0)]
        await pilot.press("left", "left", "left")
        assert page(app).options.strength == 0.0
        await type_prompt(pilot, "slow piano")
        await until(pilot, lambda: page(app).progress is None, PATIENCE)
        assert len(tries.read(run.tries).value) == 3  # at strength 0 it is the base model


async def test_names_hide_in_the_list_and_on_the_page_of_the_loudspeaker(run: RunDir) -> None:
    async with trying(run) as (app, pilot):
        await make(pilot, "slow piano", 2)
        await pilot.press("v")
        shown = text(app).partition("Made ·")[2]
        assert "best" not in shown
        assert "base" not in shown
        assert "names are hidden" in shown
        await pilot.press("k")
        assert "best" not in app.screen.query_one("#answer").value
        assert "base" not in app.screen.query_one("#answer").value


async def test_four_variations_are_made_at_once_each_with_the_next_seed(run: RunDir) -> None:
    async with trying(run) as (app, pilot):
        await make(pilot, "slow piano", 2)
        await pilot.press("f")
        await made(pilot, 8)
        assert sorted(group.seed for group in page(app).groups) == [0, 1, 2, 3]


async def test_settings_are_typed_in_one_line_and_a_wrong_one_is_said_and_stays(run: RunDir) -> None:
    async with trying(run) as (app, pilot):
        await pilot.press("o")
        field = app.screen.query_one("#options")
        assert field.value.startswith("models=base,best seconds=1 ")
        for wrong, words in (("seconds=99", "trained on 30 s"), ("tempo=3", "is no setting"), ("seed=x", "no number")):
            field.value = wrong
            await pilot.press("enter")
            assert words in told(app)
            assert field.value == wrong
        field.value = "models=base seconds=2 seed=4"
        await pilot.press("enter")
        await make(pilot, "a flute", 1)
        assert (page(app).clips[0].seconds, page(app).clips[0].seed) == (2.0, 4)


async def test_escape_stops_what_is_made_before_it_goes_back(run: RunDir) -> None:
    async with trying(run) as (app, pilot):
        page(app).options = page(app).options.changed("seconds=30 models=base,best")
        await type_prompt(pilot, "slow piano")
        await until(pilot, lambda: page(app).progress and page(app).progress.done, PATIENCE)
        await pilot.press("escape")
        await until(pilot, lambda: "Stopped" in page(app).said, PATIENCE)
        assert app.current_mode == "try"
        await pilot.press("escape")
        assert app.current_mode == "runs"
        # On a fast machine the first clip may have been done by then.
        assert "best" not in [clip.model for clip in tries.read(run.tries).value]


async def test_a_process_that_is_killed_is_said_and_the_next_prompt_starts_it_again(run: RunDir) -> None:
    async with trying(run) as (app, pilot):
        page(app).options = page(app).options.changed("seconds=30 models=best")
        await type_prompt(pilot, "slow piano")
        await until(pilot, lambda: page(app).progress and page(app).progress.done, PATIENCE)
        os.kill(page(app)._studio.pid, signal.SIGKILL)
        await until(pilot, lambda: "was killed" in told(app), PATIENCE)
        page(app).options = page(app).options.changed("seconds=1")
        await make(pilot, "slow piano", 1)


async def test_captions_of_the_training_set_begin_a_prompt(run: RunDir) -> None:
    async with trying(run) as (app, pilot):
        field = app.screen.query_one(PromptField)
        await pilot.press("c")
        await until(pilot, lambda: field.value == "caption 0", PATIENCE)
        await pilot.press("tab")
        assert field.value == "caption 1"


async def test_the_last_prompts_come_back_with_the_arrows(run: RunDir) -> None:
    async with trying(run) as (app, pilot):
        await make(pilot, "first", 2)
        await make(pilot, "second", 4)
        await pilot.press("enter")
        field = app.screen.query_one(PromptField)
        assert field.value == "second"
        await pilot.press("up")
        assert field.value == "first"
        await pilot.press("down", "down")
        assert field.value == ""


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
async def test_a_clip_is_kept_with_its_settings_in_its_tags_and_its_prompt_is_taken_up(
    run: RunDir, tmp_path: Path, suffix: str
) -> None:
    async with trying(run) as (app, pilot):
        await make(pilot, "slow piano", 2)
        target = tmp_path / "elsewhere" / f"mine{suffix}"
        for expected in ("Kept:", "exists and is not overwritten"):
            await pilot.press("k")
            app.screen.query_one("#answer").value = str(target)
            await pilot.press("enter")
            await until(pilot, lambda expected=expected: expected in told(app))
        with soundfile.SoundFile(target) as file:
            assert (file.format, file.title) == (suffix[1:].upper(), "slow piano")
            assert json.loads(file.comment)["model"] == "base"
            assert file.frames == 16000
        await pilot.press("p", "p")
        file = Path(run.settings().evaluate.prompts_file)
        assert [prompt.text for prompt in prompts.read(file)] == ["a choir", "slow piano"]
        assert "stands already" in told(app)


async def test_while_a_run_has_the_gpu_nothing_is_started_and_the_cpu_is_offered(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "has_gpu", lambda: True)
    async with trying(run) as (app, pilot):
        with liveness.hold(run):
            await type_prompt(pilot, "slow piano")
            await until(pilot, lambda: "one has the GPU and is not disturbed" in told(app))
            assert "u takes the CPU" in told(app)
            await pilot.press("u")
            await make(pilot, "slow piano", 2)


async def test_the_process_ends_with_the_panel(run: RunDir) -> None:
    async with trying(run) as (app, pilot):
        await make(pilot, "slow piano", 2)
        pid = page(app)._studio.pid
        assert pid
    gone: Callable[[int], None] = lambda pid: os.kill(pid, 0)  # noqa: E731
    with pytest.raises(ProcessLookupError):
        gone(pid)


async def test_a_run_without_a_best_model_and_an_empty_prompt_are_said(run: RunDir) -> None:
    (run.path / "best_model").rename(run.path / "away")
    async with trying(run) as (app, pilot):
        await type_prompt(pilot, "")
        assert "The prompt is empty" in told(app)
        await type_prompt(pilot, "slow piano")
        await until(pilot, lambda: "no best model yet" in told(app), PATIENCE)
        assert page(app).query_one("#made", Table).key is None
