"""Runs: the list, what is said of a run, and what can be done to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.widgets import Input

from engine.contract import config
from engine.contract.rundir import RunDir, create
from tests.panel.conftest import Starter, settle
from tests.panel.listening import until
from tests.panel.seen import header, names, said, text
from tui import keys
from tui.app import PanelApp
from tui.places.dialogs import Menu
from tui.runs import queue
from tui.widgets.lines import Lines
from tui.widgets.table import Table


async def test_the_list_shows_state_step_and_loss_of_every_run(panel: Starter, held: RunDir) -> None:
    async with panel() as (app, _):
        assert names(app) == ["epoch1", "fix", "full"]
        table = app.screen.query_one(Table)
        rows = [table.line(at).plain for at in range(len(table.rows))]
        assert "● RUN" in rows[0]
        assert "NaN @97" in rows[1]
        assert "2.321" in rows[2]
        assert "● RUN epoch1 82/248 33% ETA" in header(app)


async def test_the_facts_say_what_changed_since_the_parent(panel: Starter) -> None:
    async with panel() as (app, _):
        facts = text(app, "#run-facts")
        assert "rank" in facts
        assert "12 → 16" in facts
        assert "r resumes from step 50" in facts
        assert "step 82" in text(app, "#run-log")


async def test_the_filter_takes_names_states_and_settings(panel: Starter) -> None:
    async with panel() as (app, pilot):
        for typed, left in (("full", ["full"]), ("fail", ["fix"]), ("rank=16", ["epoch1"]), ("zzz", [])):
            await pilot.press("slash")
            app.screen.query_one("#filter", Input).value = typed
            await pilot.press("enter")
            assert names(app) == left
        assert "No run fits" in text(app, "#run-facts")
        await pilot.press("slash", "escape")
        assert len(names(app)) == 3


async def test_sorting_goes_through_the_columns_and_can_be_turned_round(panel: Starter) -> None:
    async with panel() as (app, pilot):
        await pilot.press("o")
        assert names(app) == ["epoch1", "fix", "full"]
        await pilot.press("i")
        assert names(app) == ["full", "fix", "epoch1"]
        await pilot.press("o", "o", "i")
        assert names(app)[0] == "full"


async def test_marks_are_kept_in_their_order_for_compare(panel: Starter) -> None:
    async with panel() as (app, pilot):
        await pilot.press("down", "space")
        await pilot.press("home", "space")
        assert [path.name for path in app.marked] == ["fix", "epoch1"]
        await pilot.press("home", "space")
        assert [path.name for path in app.marked] == ["fix"]


async def test_stopping_asks_how_and_sends_the_signal(
    panel: Starter, held: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr("tui.places.run_actions._STOP", {"v": (lambda run: sent.append(run.name) or True, "goes")})
    async with panel() as (app, pilot):
        await pilot.press("s")
        assert app.screen.query_one("#menu", Table)
        await pilot.press("v")
        await pilot.pause()
        assert sent == ["epoch1"]
        assert "epoch1 goes" in said(app)


async def test_what_cannot_be_done_is_said_and_nothing_happens(panel: Starter) -> None:
    async with panel() as (app, pilot):
        await pilot.press("s")
        assert "not running" in said(app)
        await pilot.press("end", "r")
        assert "is done" in said(app)


async def test_archiving_takes_a_run_out_of_the_list_and_back(panel: Starter, runs_dir: Path) -> None:
    async with panel() as (app, pilot):
        await pilot.press("end", "x")
        await settle(pilot)
        assert names(app) == ["epoch1", "fix"]
        assert (runs_dir / "archive" / "full").is_dir()
        await pilot.press("z")
        await settle(pilot)
        assert names(app) == ["full"]
        await pilot.press("x")
        await settle(pilot)
        await pilot.press("z")
        await settle(pilot)
        assert len(names(app)) == 3


async def test_an_empty_folder_says_what_to_do(panel: Starter, tmp_path: Path) -> None:
    async with panel(folder=tmp_path / "none") as (app, pilot):
        assert "mgl-tui demo" in text(app, "#runs-first-steps")
        await pilot.press("r", "s", "space", "enter", "x", "e")
        assert app.is_running


async def test_a_folder_of_another_script_is_opened_for_listening(panel: Starter, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "comparison_results.jsonl").write_text(json.dumps({"text_prompt": "x"}) + "\n")
    async with panel() as (app, pilot):
        await pilot.press("p")
        app.screen.query_one(Input).value = str(tmp_path)
        await pilot.press("enter")
        assert "holds no comparison_results.jsonl" in said(app)
        await pilot.press("p")
        app.screen.query_one(Input).value = str(folder)
        await pilot.press("enter")
        await settle(pilot)
        assert app.shown_path == folder
        assert app.current_mode == "listen"


async def test_a_queue_that_stands_still_is_said_on_runs(
    panel: Starter, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "start", lambda folder: False)
    queue.add(create(runs_dir, "later", config.Settings()))
    async with panel() as (app, _):
        assert "1 in the queue, which stands still" in str(app.screen.query_one("#runs-card").border_subtitle)


def footer(app: PanelApp) -> str:
    return text(app, "#keys")


async def test_the_footer_names_what_does_something_now(panel: Starter, held: RunDir) -> None:
    async with panel(size=(200, 50)) as (app, pilot):
        table = app.screen.query_one(Table)
        table.go_to(held.path)
        await until(pilot, lambda: "stop…" in footer(app))
        assert "resume" not in footer(app)
        table.go_to(held.path.parent / "fix")
        await until(pilot, lambda: "resume" in footer(app))
        assert "stop…" not in footer(app)
        await pilot.press("s")
        assert "fix is not running; there is nothing to stop." in said(app)
        table.go_to(held.path.parent / "full")
        await until(pilot, lambda: "resume" not in footer(app))
        assert "stop…" not in footer(app)


async def test_the_reason_of_a_failure_is_read_in_full(panel: Starter, runs_dir: Path) -> None:
    reason = "the disk " + "of many names " * 12 + "is full to the very last byte"
    log = runs_dir / "fix" / "events.jsonl"
    log.write_text(log.read_text().replace("the loss was no number for 20 steps", reason))
    async with panel(size=(80, 24)) as (app, pilot):
        app.screen.query_one(Table).go_to(runs_dir / "fix")
        await pilot.pause()
        facts = app.screen.query_one("#run-facts", Lines)
        assert reason in " ".join(line.plain.strip() for line in facts.lines)
        await until(pilot, lambda: "whole text" in footer(app))
        await pilot.press("W")
        await until(pilot, lambda: "very last byte" in text(app, "#whole-text"))
        assert all(line.cell_length <= 76 for line in app.screen.query_one("#whole-text", Lines).lines)
        await pilot.press("W")
        await pilot.pause()
        assert app.screen.query_one("#run-facts")


async def test_lines_without_room_say_how_many_more_there_are(panel: Starter) -> None:
    async with panel() as (app, pilot):
        facts = app.screen.query_one("#run-facts", Lines)
        facts.show([f"fact {number}" for number in range(100)])
        room = facts.size.height
        assert f"… {101 - room} more lines · W reads all" in facts.render_line(room - 1).text
        await pilot.press("W")
        await until(pilot, lambda: "fact 99" in text(app, "#whole-text"))


async def test_the_queue_is_emptied_only_when_that_is_meant(
    panel: Starter, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "start", lambda folder: False)
    for name in ("one", "two", "three"):
        queue.add(create(runs_dir, name, config.Settings()))
    async with panel() as (app, pilot):
        await pilot.press("Q")
        await pilot.pause()
        await pilot.press("x")
        assert isinstance(app.screen, Menu)
        await pilot.press("escape")
        assert len(queue.entries(runs_dir)) == 3
        await pilot.press("x", "x")
        await until(pilot, lambda: [run.name for run in queue.entries(runs_dir)] == ["two", "three"])
        await pilot.press("x", "a")
        await until(pilot, lambda: not queue.entries(runs_dir))


async def test_a_wide_terminal_shows_the_curve_what_changed_and_the_data(panel: Starter) -> None:
    async with panel(size=(200, 50)) as (app, _):
        titles, rows = app.screen.query_one(Table)._columns, [row.cells for row in app.screen.query_one(Table).rows]
        said = {row[2]: dict(zip([column.title for column in titles], row, strict=True)) for row in rows}
        assert "rank 12→16" in said["epoch1"]["Changed from parent"]
        assert "█" in said["full"]["Valid"][0]
        assert said["full"]["Data"] == "data"
    async with panel(size=(120, 35)) as (app, _):
        assert "Changed from parent" not in [column.title for column in app.screen.query_one(Table)._columns]


async def test_of_steps_and_progress_in_a_row_only_the_latest_stands_beside_a_run(
    panel: Starter, runs_dir: Path
) -> None:
    (runs_dir / "epoch1" / "engine.log").write_text(
        "base model valid 2.5\n"
        + "".join(f"step {step} loss 2.4 gn 0.1 lr 1e-4\n" for step in range(1, 50))
        + "step 49 valid 2.3 ★ best\nbest: 8 clips\n"
        + "".join(f"evaluating {done} of 24 clips\n" for done in range(25))
    )
    async with panel() as (app, _):
        assert text(app, "#run-log").splitlines() == [
            "base model valid 2.5", "step 49 loss 2.4 gn 0.1 lr 1e-4", "step 49 valid 2.3 ★ best", "best: 8 clips",
            "evaluating 24 of 24 clips",
        ]  # fmt: skip


async def test_a_first_start_teaches_three_steps_and_offers_no_dead_key(panel: Starter, tmp_path: Path) -> None:
    async with panel(folder=tmp_path / "none", size=(80, 24)) as (app, pilot):
        await until(pilot, lambda: "1  Bring clips" in text(app, "#runs-first-steps"))
        assert "2  Check" in text(app, "#runs-first-steps")
        assert "3  Start" in text(app, "#runs-first-steps")
        offered = [keys.shown(action.keys) for action in keys.of("runs") if app.screen.offers(action)]
        assert offered == ["n", "p"]
        await pilot.press("space", "s", "slash", "escape")
        create(tmp_path / "none", "first", config.Settings())
        app.read_runs()
        await until(pilot, lambda: names(app) == ["first"] and app.screen.query_one(Table).has_focus)
