"""What all places share: keys, mouse, palette, terminal, imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.command import CommandList
from textual.message import Message

from engine.contract import config, liveness
from engine.contract.rundir import RunDir, create
from tests.panel import recording
from tests.panel.conftest import Starter, settle
from tests.panel.listening import until
from tests.panel.seen import header, names, said, text
from tests.review.clips import make_evaluation, make_run
from tui.app import PanelApp
from tui.places.place import RunChanged, RunsChanged
from tui.terminal import theme_for
from tui.widgets.bars import HeaderBar, KeyBar
from tui.widgets.table import Table


async def test_a_terminal_that_is_too_small_says_what_is_missing(panel: Starter) -> None:
    async with panel(size=(70, 20)) as (app, pilot):
        assert text(app, "#too-small") == "10 columns and 4 rows missing: mgl-tui needs 80x24"
        assert not app.screen.query_one("#runs-card").display
        await pilot.resize_terminal(100, 30)
        await pilot.pause()
        assert app.screen.query_one("#runs-card").display


async def test_full_width_keys_do_what_their_twins_do(panel: Starter) -> None:
    async with panel() as (app, pilot):
        await pilot.press("Ｍ")
        assert app.current_mode == "monitor"
        # As a terminal sends it; the pilot knows no character for this key.
        app.post_message(events.Key("fullwidth_question_mark", "？"))
        await pilot.pause()
        assert len(app.screen_stack) == 2


async def test_keys_that_come_together_edit_in_the_order_they_were_typed(panel: Starter) -> None:
    async with panel() as (app, pilot):
        await pilot.press("slash", *"old")
        burst = ["ctrl+u", *"fx", "backspace", *"ul", "home", "end", "left", "right", "l", "x", "backspace", "enter"]
        for key in burst:
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: names(app) == ["full"])
        assert "filter: full" in str(app.screen.query_one("#runs-card").border_title)


async def test_wide_characters_are_cut_at_their_edge(panel: Starter, tmp_path: Path) -> None:
    from tui.text import cut, fit

    assert cut("日本語の曲", 6) == "日本…"
    assert fit("🎵 音楽", 5) == "🎵 … "
    folder = tmp_path / "runs"
    create(folder, "a" * 100, config.Settings())
    async with panel(folder=folder, size=(80, 24)) as (app, _):
        assert "…" in app.screen.query_one(Table).line(0).plain


async def test_two_panels_on_one_run_agree(panel: Starter, held: RunDir) -> None:
    async with panel() as (first, _), panel() as (second, _):
        assert [(s.name, s.state, s.step) for s in first.summaries] == [
            (s.name, s.state, s.step) for s in second.summaries
        ]
        assert header(first).split("│")[1] == header(second).split("│")[1]


async def test_a_change_of_the_run_is_told_before_the_screen_draws_it(panel: Starter, runs_dir: Path) -> None:
    messages: list[type[Message]] = []
    app = PanelApp(runs_dir, settings=config.Settings(), open_run=runs_dir / "full", mode="monitor")
    wanted = (RunChanged, RunsChanged)
    async with app.run_test(
        size=(120, 35), message_hook=lambda m: messages.append(type(m)) if isinstance(m, wanted) else None
    ) as pilot:
        await settle(pilot)
        assert messages[0] is RunChanged
        assert RunsChanged in messages
        assert "DONE" in text(app, "#progress")


def test_the_store_needs_neither_screen_nor_model_library() -> None:
    code = (
        "import sys, tui.runs.store, tui.runs.launch, tui.runs.queue, tui.runs.replay, tui.runs.checks\n"
        "bad = {'textual', 'torch', 'transformers', 'peft', 'torchaudio', 'sounddevice'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_panel_imports_no_heavy_library() -> None:
    code = (
        "import sys, tui.app, tui.places.monitor.screen, tui.places.new_run.screen, tui.places.listen.screen\n"
        "import tui.places.compare.screen, tui.places.next.screen, tui.places.export.screen, tui.places.runs.queue\n"
        "bad = {'torch', 'transformers', 'peft', 'torchaudio', 'sounddevice'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_the_palette_does_what_it_names(panel: Starter) -> None:
    async with panel() as (app, pilot):
        await pilot.press("colon")
        await pilot.press(*"theme mgl-light")
        commands = app.screen.query_one(CommandList)
        await until(pilot, lambda: commands.option_count and "mgl-light" in str(commands.get_option_at_index(0).prompt))
        await pilot.press("enter")
        await until(pilot, lambda: app.theme == "mgl-light")


async def test_the_mouse_goes_places_and_chooses_rows(panel: Starter) -> None:
    async with panel() as (app, pilot):
        await pilot.click("#runs", offset=(10, 2))
        assert Path(app.screen.query_one(Table).key).name == "fix"
        await pilot.click(HeaderBar, offset=(12, 0))
        assert app.current_mode == "monitor"


@pytest.mark.parametrize(
    ("wanted", "colors", "theme"),
    [
        ("mgl", "truecolor", "mgl"),
        ("mgl", "256", "mgl"),
        ("mgl", "standard", "mgl-contrast"),
        ("mgl-light", "standard", "mgl-light"),
        ("no-such-theme", "256", "mgl"),
    ],
)
def test_a_terminal_of_sixteen_colours_gets_the_theme_that_survives_there(wanted: str, colors: str, theme: str) -> None:
    assert theme_for(wanted, colors, {"mgl", "mgl-light", "mgl-contrast"}) == theme


async def test_a_click_on_the_footer_does_what_it_names(panel: Starter) -> None:
    async with panel() as (app, pilot):
        for name, done in (
            ("mark", lambda: len(app.marked) == 1),
            ("sort", lambda: "name" in str(app.screen.query_one("#runs-card").border_title)),
            ("help", lambda: app.screen.query("#help")),
        ):
            line = app.screen.query_one(KeyBar).lines[0].plain
            await pilot.click(KeyBar, offset=(line.index(f" {name} ") + 1, 0))
            await until(pilot, done)


async def test_a_click_on_the_run_in_the_header_shows_its_curves(panel: Starter, held: RunDir) -> None:
    async with panel(size=(80, 24)) as (app, pilot):
        await pilot.click(HeaderBar, offset=(header(app).index("epoch1"), 0))
        await until(pilot, lambda: app.current_mode == "monitor")


async def test_the_demo_goes_on_to_listen_when_its_clips_are_made(panel: Starter, runs_dir: Path) -> None:
    run = make_run(runs_dir, "demo", clips=False)
    async with panel(open_run=run.path, mode="monitor", listen_when_done=True) as (app, pilot):
        with liveness.hold(run):
            app.read_runs()
            await settle(pilot)
            make_evaluation(run.evaluation())
            app.read_runs()
            await settle(pilot)
            assert app.current_mode == "monitor"
        app.read_runs()
        await settle(pilot)
        assert app.current_mode == "listen"


async def test_a_folder_that_cannot_be_read_is_said_and_the_panel_stays(
    panel: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with panel() as (app, pilot):

        def broken() -> list[Any]:
            raise RuntimeError("the disk is on fire")

        monkeypatch.setattr(app.store, "summaries", broken)
        app.read_runs()
        await until(pilot, lambda: "the disk is on fire" in said(app))
        assert names(app) == ["epoch1", "fix", "full"]


async def test_of_several_runs_that_train_the_header_tells_of_the_one_on_screen_and_m_goes_on(
    panel: Starter, runs_dir: Path
) -> None:
    one = RunDir(runs_dir / "epoch1")
    two = RunDir(recording.training(runs_dir / "zwei"))
    with liveness.hold(one), liveness.hold(two):
        async with panel(open_run=two.path, mode="monitor") as (app, pilot):
            await until(pilot, lambda: " zwei " in header(app) and "+1" in header(app))
            await pilot.press("M")
            await until(pilot, lambda: " epoch1 " in header(app))
            await pilot.press("M")
            await until(pilot, lambda: " zwei " in header(app))
