"""What a day in the panel asks of it: a terminal that changes its size, a card that is taken, the next start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.widgets import Input

from engine.contract import config, paths
from engine.contract.rundir import RunDir, create
from tests.panel.conftest import Starter, settle
from tests.panel.listening import panel as listening_panel
from tests.panel.listening import running, until
from tests.panel.seen import names, said
from tests.review.clips import make_run
from tui.places.dialogs import Menu
from tui.places.palette import Actions
from tui.runs import launch, queue
from tui.widgets.table import Table


async def test_a_terminal_that_shrinks_and_grows_again_gives_the_keys_back(panel: Starter) -> None:
    async with panel() as (app, pilot):
        before = app.screen.query_one(Table).key
        await pilot.resize_terminal(70, 20)
        await pilot.press("down", "n")
        assert not app.screen.is_modal
        await pilot.resize_terminal(120, 35)
        await pilot.pause()
        assert app.screen.query_one(Table).key == before
        await pilot.press("down")
        assert app.screen.query_one(Table).key != before


async def test_what_is_typed_while_the_terminal_is_too_small_is_no_command_and_the_note_goes_on(tmp_path: Path) -> None:
    make_run(tmp_path / "runs")
    app = listening_panel(tmp_path / "runs", run="first", mode="listen")
    async with running(app) as pilot:
        await until(pilot, lambda: getattr(app.screen, "session", None) is not None)
        await pilot.press("h", "i", *"warm")
        field = app.focused
        assert isinstance(field, Input)
        await pilot.resize_terminal(60, 20)
        await pilot.press("space", *"mor", "3", "q")
        await pilot.resize_terminal(120, 35)
        await pilot.pause()
        assert app.focused is field
        await pilot.press("x")
        assert field.value == "warmx"
        await pilot.press("enter")
        session = app.screen.session  # type: ignore[attr-defined]
        assert session.done == 0
        assert session.rating(session.trial, "A").note == "warmx"
        await pilot.press("i", *" hum", "enter")
        assert session.rating(session.trial, "A").note == "warmx hum"


async def test_a_second_engine_on_one_card_is_asked_about(
    panel: Starter, held: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(launch, "start", lambda run, **_: started.append(run.name))
    async with panel() as (app, pilot):
        app.screen.query_one(Table).go_to(held.path.parent / "fix")
        await pilot.press("r")
        assert isinstance(app.screen, Menu)
        await pilot.press("escape")
        assert started == []
        await pilot.press("r", "q")
        assert [run.name for run in queue.entries(held.path.parent)] == ["fix"]
        await pilot.press("r", "s")
        assert started == ["fix"]
        assert queue.entries(held.path.parent) == []


async def test_a_run_that_stands_in_no_queue_does_not_say_that_it_waits(panel: Starter, runs_dir: Path) -> None:
    run = create(runs_dir, "later", config.Settings())
    async with panel() as (app, pilot):

        def row() -> str:
            table = app.screen.query_one(Table)
            return next(table.line(at).plain for at, r in enumerate(table.rows) if r.key == run.path)

        assert "NEW" in row()
        (runs_dir / "queue.json").write_text(json.dumps(["later"]))
        app.read_runs()
        await settle(pilot)
        assert "WAIT" in row()


async def test_a_filter_by_a_setting_means_that_value_and_esc_takes_a_kept_filter_back(
    panel: Starter, runs_dir: Path
) -> None:
    create(runs_dir, "wide", config.override(config.Settings(), ["lora.rank=160"]))
    async with panel() as (app, pilot):
        await pilot.press("slash")
        app.screen.query_one("#filter", Input).value = "rank=16"
        await pilot.press("enter")
        assert names(app) == ["epoch1"]
        await pilot.press("escape")
        assert len(names(app)) == 4


async def test_theme_and_marks_are_there_at_the_next_start(panel: Starter) -> None:
    async with panel() as (app, pilot):
        app.choose_theme("mgl-light")
        await pilot.press("space")
        marked = list(app.marked)
    assert (paths.cache_dir() / "panel.json").stat().st_mode & 0o777 == 0o600
    async with panel() as (app, _):
        assert app.theme == "mgl-light"
        assert app.marked == marked


async def test_a_damaged_memory_of_the_panel_costs_nothing(panel: Starter) -> None:
    paths.cache_dir().mkdir(parents=True, exist_ok=True)
    (paths.cache_dir() / "panel.json").write_text('{"theme": 5, "marked": [], "opened": "x"')
    async with panel() as (app, _):
        assert len(names(app)) == 3
    (paths.cache_dir() / "panel.json").write_text(json.dumps({"opened": ["/" + "x" * 5000, "a\0b"]}))
    async with panel() as (app, _):
        assert len(names(app)) == 3


async def test_the_palette_knows_every_action_and_every_run_by_name(panel: Starter) -> None:
    async with panel() as (app, pilot):
        known = "\n".join(name for name, _ in Actions(app.screen)._all()).lower()
        for wanted in ("resume", "spectrogram", "another listener", "open a folder", "go to the run epoch1"):
            assert wanted in known, wanted
        run = next(run for name, run in Actions(app.screen)._all() if name == "Go to the run full")
        run()
        await pilot.pause()
        assert app.current_mode == "monitor"
        assert app.shown_path is not None
        assert app.shown_path.name == "full"


async def test_monitor_once_more_is_the_way_to_the_run_that_trains(panel: Starter, held: RunDir) -> None:
    async with panel() as (app, pilot):
        app.show_run(held.path.parent / "full")
        await pilot.press("M")
        assert app.shown_path == held.path.parent / "full"
        await pilot.press("M")
        assert app.shown_path == held.path


async def test_showing_the_names_is_asked_about_once(tmp_path: Path) -> None:
    make_run(tmp_path / "runs")
    app = listening_panel(tmp_path / "runs", run="first", mode="listen")
    async with running(app) as pilot:
        await until(pilot, lambda: getattr(app.screen, "session", None) is not None)
        session = app.screen.session  # type: ignore[attr-defined]
        await pilot.press("V", "n")
        assert not session.names_visible
        await pilot.press("V", "V")
        assert session.names_visible
        assert "the notes say so" in said(app)
