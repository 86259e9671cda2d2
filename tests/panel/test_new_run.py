"""New run: the form, its checks, and the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from engine.contract import config
from tests.panel.conftest import Starter, settle
from tests.panel.listening import until
from tests.panel.seen import said, text
from tui.places.dialogs import Menu
from tui.places.monitor.screen import MonitorScreen
from tui.places.new_run.screen import NewRunScreen
from tui.places.runs.screen import RunsScreen
from tui.runs import launch, queue
from tui.widgets.table import Table


@pytest.fixture
def new_run_panel(panel: Starter, monkeypatch: pytest.MonkeyPatch) -> Starter:
    """A panel whose engines are only noted, and whose checks come at once."""
    monkeypatch.setattr("tui.places.new_run.screen.DEBOUNCE", 0.0)
    return panel


async def checked(pilot: Any) -> NewRunScreen:
    screen = pilot.app.screen
    assert isinstance(screen, NewRunScreen)
    await pilot.app.workers.wait_for_complete([w for w in pilot.app.workers if w.group in ("check", "history")])
    await pilot.pause()
    return screen


async def test_a_new_run_starts_from_the_one_under_the_cursor(panel: Starter) -> None:
    async with panel() as (app, pilot):
        await pilot.press("n")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, NewRunScreen)
        assert screen.draft.base_name == "epoch1"
        assert screen.draft.name == "epoch1-2"
        await pilot.press("right")
        assert screen.draft.value("lora.rank") == 24
        assert "rank 16 → 24" in text(app, "#means")
        assert "--set lora.rank=24" in text(app, "#same").replace("\n", " ")
        await pilot.press("d")
        assert screen.draft.value("lora.rank") == 16


async def test_a_value_that_is_not_allowed_is_refused_in_words(panel: Starter) -> None:
    async with panel() as (app, pilot):
        await pilot.press("n")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, NewRunScreen)
        await pilot.press("enter")
        screen.query_one("#edit", Input).value = "９９９９"
        await pilot.press("enter")
        assert "lora.rank = 9999" in said(app)
        screen.query_one("#edit", Input).value = "１８"
        await pilot.press("enter")
        assert screen.draft.value("lora.rank") == 18


async def test_blocks_of_the_checks_keep_a_run_from_starting(new_run_panel: Starter, runs_dir: Path) -> None:
    async with new_run_panel() as (app, pilot):
        await pilot.press("n")
        screen = await checked(pilot)
        assert "✘" in text(app, "#checks")
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert app.screen is screen
        assert "does not exist" in said(app)
        assert not (runs_dir / "epoch1-2").exists()


async def test_a_run_that_passes_is_made_and_started_or_queued(
    new_run_panel: Starter, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tui.runs.checks import Checked
    from tui.runs.draft import Finding

    async def fine(settings: config.Settings) -> Checked:
        return Checked([Finding("ok", "all files exist")], {}, 1984)

    started: list[str] = []
    monkeypatch.setattr("tui.places.new_run.screen.run_checks", fine)
    monkeypatch.setattr(launch, "start", lambda run: started.append(run.name) or 1)
    monkeypatch.setattr(queue, "start", lambda folder: False)
    async with new_run_panel() as (app, pilot):
        await pilot.press("n")
        await checked(pilot)
        await pilot.press("s")
        assert not started, "s stops runs in other places, and does not start one here"
        await pilot.press("home", "enter")
        await settle(pilot)
        assert started == ["epoch1-2"]
        assert isinstance(app.screen, MonitorScreen)
        await pilot.press("R", "n")
        await checked(pilot)
        await pilot.press("Q")
        await settle(pilot)
        assert isinstance(app.screen, RunsScreen)
        assert len(queue.entries(runs_dir)) == 1
        assert config.load(runs_dir / "epoch1-2" / "config.toml").lora.rank == 16


async def opened(app: Any, pilot: Any) -> NewRunScreen:
    await pilot.press("n")
    await pilot.pause()
    assert isinstance(app.screen, NewRunScreen)
    return app.screen


async def test_what_is_being_typed_outlives_tab_resizing_and_another_place(panel: Starter) -> None:
    async with panel() as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("enter", "3", "3", "tab", "shift+tab")
        assert app.focused is screen.query_one("#edit")
        await pilot.resize_terminal(70, 20)
        await pilot.pause()
        await pilot.resize_terminal(120, 35)
        await until(pilot, lambda: app.focused is screen.query_one("#edit"))
        app.action_go("monitor")
        await pilot.pause()
        app.action_go("runs")
        await pilot.pause()
        assert app.screen is screen
        await pilot.press("enter")
        assert screen.draft.value("lora.rank") == 33


async def test_a_row_that_is_clicked_takes_what_was_typed_for_the_row_before(panel: Starter) -> None:
    async with panel() as (app, pilot):
        screen = await opened(app, pilot)
        table, field = screen.query_one(Table), screen.query_one("#edit", Input)
        await pilot.press("enter", "9", "9", "9", "9")
        table.go_to("lora.dropout")
        await until(pilot, lambda: table.key == "lora.rank")
        assert app.focused is field
        assert field.value == "9999"
        field.value = "18"
        table.go_to("lora.dropout")
        await until(pilot, lambda: app.focused is table)
        assert screen.draft.value("lora.rank") == 18
        assert screen.draft.value("lora.dropout") == screen.draft.base_value("lora.dropout")


async def test_a_path_is_completed_with_tab(panel: Starter, tmp_path: Path) -> None:
    (tmp_path / "music-of-mine" / "later").mkdir(parents=True)
    (tmp_path / "music-of-mine" / "late").mkdir()
    async with panel() as (app, pilot):
        screen = await opened(app, pilot)
        screen.query_one(Table).go_to("data.dir")
        await pilot.pause()
        await pilot.press("enter")
        field = screen.query_one("#edit", Input)
        field.value = f"{tmp_path}/mus"
        await pilot.press("tab")
        assert field.value == f"{tmp_path}/music-of-mine/"
        await pilot.press("tab")
        assert field.value == f"{tmp_path}/music-of-mine/late"
        await pilot.press("tab")
        assert "late/  later/" in said(app)
        await pilot.press("enter")
        assert screen.draft.value("data.dir") == f"{tmp_path}/music-of-mine/late"


async def test_a_draft_with_changes_is_asked_about_and_kept(panel: Starter) -> None:
    async with panel() as (app, pilot):
        await opened(app, pilot)
        await pilot.press("escape")
        assert isinstance(app.screen, RunsScreen), "nothing was changed, nothing is asked"
        await opened(app, pilot)
        await pilot.press("right", "escape")
        assert isinstance(app.screen, Menu)
        await pilot.press("escape")
        assert isinstance(app.screen, NewRunScreen)
        await pilot.press("escape", "k")
        await pilot.pause()
        assert isinstance(app.screen, RunsScreen)
        await pilot.press("n", "g")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, NewRunScreen)
        assert screen.draft.value("lora.rank") == 24
        await pilot.press("escape", "d")
        await pilot.pause()
        assert (await opened(app, pilot)).draft.value("lora.rank") == 16


async def test_going_to_runs_or_quitting_does_not_lose_a_draft(panel: Starter) -> None:
    async with panel() as (app, pilot):
        await opened(app, pilot)
        await pilot.press("right", "R")
        await pilot.pause()
        assert isinstance(app.screen, RunsScreen)
        await pilot.press("q")
        assert isinstance(app.screen, Menu)
        await pilot.press("escape", "n", "g")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, NewRunScreen)
        assert screen.draft.value("lora.rank") == 24


async def test_an_advice_opens_on_the_row_that_it_changed(panel: Starter, runs_dir: Path) -> None:
    async with panel() as (app, pilot):
        app.open_new_run(runs_dir / "full", {"train.epochs": 20})
        screen = await opened(app, pilot)
        assert screen.query_one(Table).key == "train.epochs"
        assert "How often every clip is heard." in text(app, "#about")
        await pilot.press("down")
        assert "The first steps are small" in text(app, "#about")


async def test_a_form_of_no_run_begins_with_the_data(panel: Starter) -> None:
    async with panel() as (app, pilot):
        app.open_new_run(None)
        screen = await opened(app, pilot)
        assert screen.query_one(Table).key == "data.dir"


async def vary(pilot: Any, screen: NewRunScreen, name: str, values: str) -> None:
    screen.query_one(Table).go_to(name)
    await pilot.pause()
    await pilot.press("v")
    screen.query_one("#edit", Input).value = values
    await pilot.press("enter")
    await pilot.pause()


async def test_several_values_make_a_grid_whose_cost_is_shown_before_it_is_queued(
    new_run_panel: Starter, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tui.runs.checks import Checked
    from tui.runs.draft import Finding

    async def fine(settings: config.Settings) -> Checked:
        return Checked([Finding("ok", "all files exist")], {}, 1984)

    monkeypatch.setattr("tui.places.new_run.screen.run_checks", fine)
    monkeypatch.setattr(queue, "start", lambda folder: False)
    async with new_run_panel() as (app, pilot):
        await pilot.press("n")
        screen = await checked(pilot)
        await vary(pilot, screen, "lora.rank", "8, 16，32")
        await vary(pilot, screen, "train.seed", "0,1")
        means = text(app, "#means")
        assert "rank 8, 16, 32 × seed 0, 1 = 6 runs" in means.replace("\n", " ").replace("       ", "")
        assert "min and" in means
        assert "sweep --config" in text(app, "#same").replace("\n", " ")
        assert screen.query_one(Table).rows[0].cells[0] == ("▶ queue 6 runs", "$accent bold")
        await checked(pilot)
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert isinstance(app.screen, Menu)
        assert not queue.entries(runs_dir)
        await pilot.press("1")
        await settle(pilot)
        assert isinstance(app.screen, RunsScreen)
        members = queue.entries(runs_dir)
        assert [run.name for run in members][:2] == ["epoch1-2-rank8-seed0", "epoch1-2-rank8-seed1"]
        assert len(members) == 6
        made = members[-1].settings()
        assert (made.lora.rank, made.train.seed, made.run) == (
            32, 1, config.Run(parent="epoch1", sweep="epoch1-2", finalists=1),
        )  # fmt: skip


async def test_values_that_cannot_be_swept_are_refused_and_can_be_taken_off(panel: Starter) -> None:
    async with panel() as (app, pilot):
        screen = await opened(app, pilot)
        await vary(pilot, screen, "lora.rank", "8, 0")
        assert "lora.rank = 0" in said(app)
        await pilot.press("escape")
        assert not screen.draft.axes
        await vary(pilot, screen, "lora.rank", "8, 8")
        assert (screen.draft.axes, screen.draft.value("lora.rank")) == ({}, 8), "one value is no sweep"
        await vary(pilot, screen, "lora.rank", "8, 16")
        await vary(pilot, screen, "lora.rslora", "yes, no")
        await vary(pilot, screen, "lora.dropout", "0, 0.1")
        assert "over two settings and the seed" in said(app)
        await pilot.press("escape")
        assert screen.draft.axes == {"lora.rank": [8, 16], "lora.rslora": [True, False]}
        screen.query_one(Table).go_to("lora.rank")
        await pilot.pause()
        await pilot.press("right")
        assert "v changes them" in said(app)
        await pilot.press("d")
        assert list(screen.draft.axes) == ["lora.rslora"]
        screen.query_one(Table).go_to("lora.target_modules")
        await pilot.pause()
        await pilot.press("v")
        assert "one value can take several" in said(app)


async def test_a_grid_that_is_too_large_for_the_panel_is_the_commands(
    new_run_panel: Starter, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tui.runs.checks import Checked
    from tui.runs.draft import Finding

    async def fine(settings: config.Settings) -> Checked:
        return Checked([Finding("ok", "all files exist")], {}, 1984)

    monkeypatch.setattr("tui.places.new_run.screen.run_checks", fine)
    async with new_run_panel() as (app, pilot):
        await pilot.press("n")
        screen = await checked(pilot)
        await vary(pilot, screen, "train.seed", ",".join(map(str, range(101))))
        await checked(pilot)
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert "The grid has 101 runs, 100 at most are made here" in said(app)
        assert app.screen is screen


async def test_a_draft_with_several_values_is_kept_as_one(panel: Starter) -> None:
    async with panel() as (app, pilot):
        screen = await opened(app, pilot)
        await vary(pilot, screen, "lora.rank", "16, 8")
        await pilot.press("escape", "k")
        await pilot.pause()
        await pilot.press("n", "g")
        await pilot.pause()
        assert isinstance(app.screen, NewRunScreen)
        assert app.screen.draft.axes == {"lora.rank": [16, 8]}
