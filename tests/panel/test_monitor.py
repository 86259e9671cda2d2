"""Monitor: one run as it is written, whatever happens in its folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engine.contract import liveness
from engine.contract.rundir import RunDir
from tests.panel import recording
from tests.panel.conftest import Starter, settle
from tests.panel.listening import until
from tests.panel.seen import header, said, text
from tui.places.monitor.log_view import LogView
from tui.places.monitor.loss_chart import LossChart, SecondChart


async def test_the_monitor_follows_a_run_as_it_is_written(panel: Starter, runs_dir: Path, held: RunDir) -> None:
    async with panel(open_run=runs_dir / "epoch1", mode="monitor") as (app, pilot):
        live = recording.Recorder(runs_dir / "epoch1", t=recording.START + 3 * 86400)
        live.train(83, 85)
        await until(pilot, lambda: "85 of 248" in text(app, "#progress"))
        assert app.shown is not None
        assert app.shown.history.step == 85
        assert "85/248" in header(app)
        await until(pilot, lambda: app.screen.query_one(LogView)._text[-1].startswith("step 85"))


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


async def test_the_panel_stays_up_when_the_run_that_is_shown_vanishes(panel: Starter, runs_dir: Path) -> None:
    async with panel(open_run=runs_dir / "epoch1", mode="monitor") as (app, pilot):
        shutil.rmtree(runs_dir / "epoch1")
        await until(pilot, lambda: "the run folder is gone" in text(app, "#health").replace("\n  ", " "))
        app.read_runs()
        await settle(pilot)
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


async def test_the_monitor_fits_itself_to_a_terminal_that_changes(panel: Starter, runs_dir: Path) -> None:
    async with panel(open_run=runs_dir / "full", mode="monitor") as (app, pilot):
        assert app.screen.query_one(SecondChart).display
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: not app.screen.query_one(SecondChart).display)
        await until(pilot, lambda: app.screen.query_one(LogView).size.width > 70)
        await pilot.press("g")
        assert app.screen.query_one(SecondChart).display


async def test_progress_takes_the_place_of_the_progress_before_it(panel: Starter, runs_dir: Path) -> None:
    async with panel(open_run=runs_dir / "full", mode="monitor") as (app, _):
        log = app.screen.query_one(LogView)
        log.clear()
        log.add(["best: 8 clips", "evaluating 0 of 24 clips", "evaluating 5 of 24 clips"])
        log.add(["evaluating 9 of 24 clips"])
        assert [text for _, text in log._rows] == ["best: 8 clips", "evaluating 9 of 24 clips"]
        log.toggle_wrap()
        log.add(["evaluating 24 of 24 clips", "encoding 1 of 24 clips"])
        assert [text for _, text in log._rows][1:] == ["evaluating 24 of 24 clips", "encoding 1 of 24 clips"]


async def test_a_large_terminal_shows_all_charts_at_once(panel: Starter, runs_dir: Path) -> None:
    async with panel(open_run=runs_dir / "full", mode="monitor", size=(200, 50)) as (app, pilot):
        charts = [chart for chart in app.screen.query(SecondChart).results(SecondChart) if chart.display]
        assert [str(chart.border_title) for chart in charts] == [
            "Learning rate", "Gradient norm", "Clips a second", "Memory, GiB",
        ]  # fmt: skip
        assert all(any("⠉" <= sign <= "⣿" for line in chart.lines for sign in line.plain) for chart in charts)
        await pilot.resize_terminal(120, 35)
        await pilot.pause()
        assert [chart.id for chart in charts if chart.display] == ["second"]


async def test_a_run_that_is_done_says_where_to_go(panel: Starter, runs_dir: Path) -> None:
    async with panel(open_run=runs_dir / "full", mode="monitor") as (app, _):
        assert "e makes its clips" in text(app, "#progress")
