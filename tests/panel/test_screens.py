"""What a person sees and is told in Runs, Monitor and New run; nothing in a run folder takes the panel down."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.message import Message
from textual.widgets import Input

from engine.contract import config, liveness
from engine.contract.rundir import RunDir, create
from tests.panel import recording
from tests.panel.conftest import Starter, settle
from tests.panel.listening import until
from tests.review.clips import make_evaluation, make_run
from tui.app import PanelApp
from tui.places.monitor.log_view import LogView
from tui.places.monitor.loss_chart import LossChart, SecondChart
from tui.places.monitor.screen import MonitorScreen
from tui.places.new_run.screen import NewRunScreen
from tui.places.place import RunChanged, RunsChanged
from tui.places.runs.screen import RunsScreen
from tui.runs import launch, queue
from tui.terminal import theme_for
from tui.widgets.bars import HeaderBar
from tui.widgets.lines import Lines
from tui.widgets.table import Table


def text(app: PanelApp, name: str) -> str:
    """The text of a widget of the screen that is open."""
    return "\n".join(line.plain for line in app.screen.query_one(name, Lines).lines)


def header(app: PanelApp) -> str:
    return app.screen.query_one(HeaderBar).lines[0].plain


def said(app: PanelApp) -> str:
    """All that was said in toasts."""
    return "\n".join(notification.message for notification in app._notifications)


def names(app: PanelApp) -> list[str]:
    return [Path(row.key).name for row in app.screen.query_one(Table).rows]


# Runs


async def test_the_list_shows_state_step_and_loss_of_every_run(panel: Starter, held: RunDir) -> None:
    async with panel() as (app, _):
        assert names(app) == ["epoch1", "fix", "full"]
        rows = [line.plain for line in app.screen.query_one(Table)._contents]
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
        assert "mgl-tui demo" in text(app, "#run-facts")
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


# Monitor


async def test_the_monitor_follows_a_run_as_it_is_written(panel: Starter, runs_dir: Path, held: RunDir) -> None:
    async with panel(open_run=runs_dir / "epoch1", mode="monitor") as (app, pilot):
        live = recording.Recorder(runs_dir / "epoch1", t=recording.START + 3 * 86400)
        live.train(83, 85)
        await pilot.pause(1.2)
        assert app.shown is not None
        assert app.shown.history.step == 85
        assert "85 of 248" in text(app, "#progress")
        assert "85/248" in header(app)
        assert app.screen.query_one(LogView)._text[-1].startswith("step 85")


async def test_phases_before_the_first_step_are_told(panel: Starter, tmp_path: Path) -> None:
    recorder = recording.Recorder(tmp_path / "runs" / "new")
    recorder.begin()
    recorder.state("encoding")
    for done in (0, 400, 800):
        recorder.event("progress", phase="encoding", done=done, total=2204, unit="clips")
        recorder.t += 4
    with liveness.hold(RunDir(tmp_path / "runs" / "new")):
        async with panel(folder=tmp_path / "runs", mode="monitor") as (app, pilot):
            await until(pilot, lambda: "no step yet" in text(app, "#chart"))
            assert "800 of 2204 clips" in text(app, "#progress")
            assert "ETA 14s" in text(app, "#progress")


async def test_a_killed_engine_shows_as_lost_with_the_way_on(panel: Starter, runs_dir: Path) -> None:
    async with panel(open_run=runs_dir / "epoch1", mode="monitor") as (app, _):
        assert "? LOST" in text(app, "#progress")
        assert "r resumes from step 50" in text(app, "#progress")


async def test_a_failed_run_says_why(panel: Starter, runs_dir: Path) -> None:
    async with panel(open_run=runs_dir / "fix", mode="monitor") as (app, _):
        assert "lower train.learning_rate" in text(app, "#progress")
        assert "✕ 1 not finite" in text(app, "#chart")


async def test_the_end_of_a_run_is_said_wherever_one_is(panel: Starter, runs_dir: Path) -> None:
    async with panel() as (app, pilot):
        with liveness.hold(RunDir(runs_dir / "epoch1")):
            app.read_runs()
            await settle(pilot)
            assert "● RUN" in header(app)
            await pilot.press("C")
        app.read_runs()
        await settle(pilot)
        assert "epoch1: lost" in said(app)


async def test_the_chart_answers_its_keys(panel: Starter, runs_dir: Path) -> None:
    async with panel(open_run=runs_dir / "full", mode="monitor") as (app, pilot):
        chart, second = app.screen.query_one(LossChart), app.screen.query_one(SecondChart)
        assert "smooth 0.9 " in str(chart.border_title)
        await pilot.press("plus")
        assert "smooth 0.95" in str(chart.border_title)
        await pilot.press("left", "left")
        assert "step 24" in text(app, "#chart").splitlines()[0]
        await pilot.press("i", "i")
        assert chart.zoom is not None
        assert chart.zoom[1] - chart.zoom[0] == pytest.approx(62)
        await pilot.press("a", "y")
        assert chart.zoom is None
        assert chart.border_subtitle == "log y"
        await pilot.press("x")
        assert "x: clips" in str(chart.border_title)
        await pilot.press("x")
        assert "x: time" in str(chart.border_title)
        kinds = {second.kind}
        for _ in range(3):
            await pilot.press("g")
            kinds.add(second.kind)
        assert kinds == set(SecondChart.KINDS)


async def test_the_log_is_held_wrapped_searched_and_opened(panel: Starter, runs_dir: Path) -> None:
    async with panel(open_run=runs_dir / "full", mode="monitor") as (app, pilot):
        log = app.screen.query_one(LogView)
        assert log.follow
        await pilot.press("up")
        assert not log.follow
        await pilot.press("f", "w")
        assert log.follow
        assert log.wrap
        await pilot.press("slash", *"nan", "enter")
        assert len(log.found) == 1
        assert "1 of 1" in str(log.border_subtitle)
        await pilot.press("l")
        assert log.size.height > 25
        await pilot.press("l")
        assert log.size.height < 20


# New run


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
        await pilot.press("s")
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


# Whatever happens in the folder


async def test_the_panel_stays_up_when_the_run_that_is_shown_vanishes(panel: Starter, runs_dir: Path) -> None:
    async with panel(open_run=runs_dir / "epoch1", mode="monitor") as (app, pilot):
        shutil.rmtree(runs_dir / "epoch1")
        await pilot.pause(1.2)
        app.read_runs()
        await settle(pilot)
        assert "the run folder is gone" in text(app, "#health").replace("\n  ", " ")
        assert "82 of 248" in text(app, "#progress")


async def test_what_is_wrong_with_a_log_is_said(panel: Starter, runs_dir: Path) -> None:
    with (runs_dir / "epoch1" / "events.jsonl").open("a") as log:
        log.write(
            'half a li\n{"t": 5, "event": "train", "step": 83, "loss": 2.4}\n{"t": 1, "event": "omen"}\n{"t": 9, "ev'
        )
    async with panel(open_run=runs_dir / "epoch1", mode="monitor") as (app, _):
        health = text(app, "#health").replace("\n  ", " ")
        assert "1 lines of events.jsonl could not be read" in health
        assert "the clock went back" in health
        assert "omen" in health


async def test_odd_events_in_every_field_do_not_take_the_panel_down(panel: Starter, runs_dir: Path) -> None:
    import random

    rng = random.Random(3)
    odd = [None, "x", -1, 1e300, [], {}, True, 0, ["y"], {"a": None}, "日本語" * 30]
    fields = {
        "start": "total_steps effective_batch codebook_size device train_clips",
        "gpu": "index name util mem_used mem_total temperature power power_limit clock_sm fan throttle cpu ram_used "
        "ram_total engine_rss",
        "health": "name verdict evidence", "progress": "phase done total unit", "valid": "step loss per_codebook",
        "best": "step loss", "state": "state error",
        "train": "step epoch loss lr grad_norm scale skipped clips_per_second data_wait clips_seen",
    }  # fmt: skip
    with (runs_dir / "epoch1" / "events.jsonl").open("a") as log:
        for step in range(600):
            name = rng.choice(list(fields))
            event = {field: rng.choice(odd) for field in fields[name].split() if rng.random() < 0.7}
            log.write(json.dumps({**event, "t": 1e9 + step, "event": name}) + "\n")
    for size in ((120, 35), (80, 24)):
        async with panel(open_run=runs_dir / "epoch1", mode="monitor", size=size) as (app, pilot):
            await pilot.press("left", "i", "y", "g", "x", "x", "g", "g", "plus")
            await pilot.press("R")
            assert app.is_running


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


async def test_wide_characters_are_cut_at_their_edge(panel: Starter, tmp_path: Path) -> None:
    from tui.text import cut, fit

    assert cut("日本語の曲", 6) == "日本…"
    assert fit("🎵 音楽", 5) == "🎵 … "
    folder = tmp_path / "runs"
    create(folder, "a" * 100, config.Settings())
    async with panel(folder=folder, size=(80, 24)) as (app, _):
        assert "…" in app.screen.query_one(Table)._contents[0].plain


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


async def test_several_gpus_are_all_shown(panel: Starter, runs_dir: Path) -> None:
    recorder = recording.Recorder(runs_dir / "epoch1", t=recording.START + 3 * 86400)
    for index in range(2):
        recorder.event(
            "gpu", index=index, name="A100", util=90 + index, mem_used=2**33, mem_total=2**35, temperature=50,
            power=200, power_limit=400, clock_sm=1400, throttle=["thermal"] if index else [],
        )  # fmt: skip
    async with panel(open_run=runs_dir / "epoch1", mode="monitor") as (app, _):
        card = text(app, "#machine")
        assert "0 90%" in card
        assert "1 91%" in card
        assert "throttled: thermal" in card


async def test_a_processor_is_shown_where_there_is_no_gpu(panel: Starter, tmp_path: Path) -> None:
    recorder = recording.Recorder(tmp_path / "runs" / "cpu")
    recorder.begin()
    recorder.event("gpu", index=None, util=None, mem_total=None, cpu=93.0, ram_used=2**32, ram_total=2**34)
    async with panel(folder=tmp_path / "runs", open_run=tmp_path / "runs" / "cpu", mode="monitor") as (app, _):
        assert "CPU  93%" in text(app, "#machine")
        assert app.screen.query_one("#machine").border_title == "Processor"


async def test_a_queue_that_stands_still_is_said_on_runs(
    panel: Starter, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "start", lambda folder: False)
    queue.add(create(runs_dir, "later", config.Settings()))
    async with panel() as (app, _):
        assert "1 in the queue, which stands still" in str(app.screen.query_one("#runs-card").border_subtitle)


async def test_the_palette_does_what_it_names(panel: Starter) -> None:
    async with panel() as (app, pilot):
        await pilot.press("colon")
        await pilot.press(*"theme mgl-light")
        await pilot.pause(0.5)
        await pilot.press("enter")
        await pilot.pause()
        assert app.theme == "mgl-light"


async def test_the_mouse_goes_places_and_chooses_rows(panel: Starter) -> None:
    async with panel() as (app, pilot):
        await pilot.click("#runs", offset=(10, 2))
        assert Path(app.screen.query_one(Table).key).name == "fix"
        await pilot.click(HeaderBar, offset=(12, 0))
        assert app.current_mode == "monitor"


async def test_the_monitor_fits_itself_to_a_terminal_that_changes(panel: Starter, runs_dir: Path) -> None:
    async with panel(open_run=runs_dir / "full", mode="monitor") as (app, pilot):
        assert app.screen.query_one(SecondChart).display
        await pilot.resize_terminal(80, 24)
        await pilot.pause(0.3)
        assert not app.screen.query_one(SecondChart).display
        assert app.screen.query_one(LogView).size.width > 70
        await pilot.press("g")
        assert app.screen.query_one(SecondChart).display


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
        await pilot.pause(0.5)
        assert "the disk is on fire" in said(app)
        assert names(app) == ["epoch1", "fix", "full"]
