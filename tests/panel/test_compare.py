"""Compare: what differs between runs, and the same prompt by ear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.contract.config import Settings, override
from engine.contract.events import EventLog
from engine.contract.rundir import create
from tests.panel.listening import panel, running, text, until
from tests.review.clips import judge, make_run, write_events
from tests.review.many import a_run
from tui.app import PanelApp
from tui.places.compare import words
from tui.places.compare.overlay_chart import OverlayChart
from tui.places.compare.screen import CompareScreen
from tui.review.across import open_across
from tui.review.evaluation import open_evaluation
from tui.runs import gate


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    first = make_run(folder, "first")
    second = make_run(folder, "second", settings=override(Settings(), ["lora.rank=16", "train.epochs=3"]), clips=False)
    write_events(second, [(0, 4.5), (30, 4.0), (60, 3.7)])
    make_run(folder, "third", prompts=["upbeat synthwave, driving bass"])
    judge(open_evaluation(first.path), "anna", [{"base": 2, "best": 4, "final": 3}])
    return folder


def compare(runs: Path, *marked: str) -> PanelApp:
    app = panel(runs, run="first", mode="compare")
    app.marked = [runs / name for name in marked]
    return app


def screen(app: PanelApp) -> Any:
    assert isinstance(app.screen_stack[0], CompareScreen)
    return app.screen_stack[0]


async def test_only_the_settings_that_differ_are_shown_and_equals_shows_all(runs: Path) -> None:
    app = compare(runs, "first", "second")
    async with running(app) as pilot:
        await until(pilot, lambda: "lora.rank" in text(app))
        shown = text(app)
        assert "train.epochs" in shown
        assert "lora.dropout" not in shown
        await pilot.press("equals_sign")
        await until(pilot, lambda: "lora.dropout" in text(app))
        before = text(app)
        await pilot.press("pagedown")
        await until(pilot, lambda: text(app) != before)


async def test_listening_results_stand_side_by_side(runs: Path) -> None:
    app = compare(runs, "first", "third")
    async with running(app) as pilot:
        await until(pilot, lambda: "2.0 / 4.0 / 3.0" in text(app))
        assert "8-0-0 p = 0.008" in text(app)


async def test_a_session_that_is_not_over_does_not_show_through(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    judge(open_evaluation(run.path), "anna", [{"base": 2, "best": 4, "final": 3}]).undo()
    app = compare(tmp_path / "runs")
    async with running(app) as pilot:
        await until(pilot, lambda: "Nothing has been judged to the end" in text(app))


async def test_curves_lie_over_steps_clips_or_time(runs: Path) -> None:
    app = compare(runs, "first", "second")
    async with running(app) as pilot:
        await until(pilot, lambda: "3.700" in text(app))
        chart = app.screen.query_one(OverlayChart)
        seen = []
        for _ in range(3):
            await pilot.press("x")
            seen.append(chart.axis)
        assert sorted(seen) == ["clips", "step", "time"]


async def test_the_same_prompt_is_played_from_run_to_run(runs: Path) -> None:
    app = compare(runs, "first", "third")
    async with running(app) as pilot:
        await until(pilot, lambda: "prompt 1 of 8" in text(app))
        await pilot.press("space")
        clips = (await until(pilot, lambda: screen(app)._clips)).clips
        assert [clip.path.parents[2].name for clip in clips] == ["first", "third"]
        await pilot.press("a")
        await until(pilot, lambda: app.player.status.index == 0)
        await pilot.press("b")
        await until(pilot, lambda: app.player.status.index == 1)
        await pilot.press("down")
        await until(pilot, lambda: "prompt 2 of 8" in text(app))
        assert "third (no clip)" in text(app)
        await pilot.press("up", "m")
        assert "final" in text(app)


async def test_one_run_alone_says_how_to_mark_others(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", clips=False)
    app = compare(tmp_path / "runs")
    async with running(app) as pilot:
        await until(pilot, lambda: "space in Runs marks others" in text(app))
        await pilot.press("space", "a", "b", "m", "down")
        assert "Nothing has been judged to the end" in text(app)


async def test_without_marks_the_shown_run_and_the_one_before_are_compared(runs: Path) -> None:
    app = panel(runs, run="second", mode="compare")
    async with running(app) as pilot:
        await until(pilot, lambda: len(screen(app)._sides) == 2)
        assert [side.name for side in screen(app)._sides] == ["first", "second"]


async def test_the_comparison_is_exported_as_markdown(runs: Path) -> None:
    app = compare(runs, "first", "second")
    async with running(app) as pilot:
        await until(pilot, lambda: len(screen(app)._sides) == 2)
        await pilot.press("e")
        written = runs / "compare-first-second.md"
        await until(pilot, written.is_file)
        assert "| lora.rank | 12 | 16 |" in written.read_text()


@pytest.mark.parametrize("size", [(120, 35), (80, 24)])
async def test_all_three_cards_have_room_at_every_size(runs: Path, size: tuple[int, int]) -> None:
    app = compare(runs, "first", "second")
    async with running(app, size) as pilot:
        await until(pilot, lambda: "lora.rank" in text(app))
        for said in ("Valid loss", "Settings that differ", "Listening", "listened by", "prompt 1 of 8"):
            assert said in text(app), said


async def test_measures_of_the_model_stand_below_the_settings_and_in_the_markdown(runs: Path) -> None:
    measured = runs / "first" / "evaluation" / "set_measures.json"
    measured.write_text('{"models": {"best": {"frechet_distance": 9.52, "clips": 8}}}')
    app = compare(runs, "first", "second", "third")
    async with running(app, size=(120, 50)) as pilot:
        await pilot.press("equals_sign")
        await until(pilot, lambda: "lora.dropout" in text(app))
        await pilot.press(*["pagedown"] * 5)
        await until(pilot, lambda: "Measured of best" in text(app))
        assert "-27.0 LUFS" in text(app)
        assert "9.5" in text(app)
        await pilot.press("m")
        await until(pilot, lambda: "-24.0 LUFS" in text(app))
        await pilot.press("e")
        (file,) = list(runs.glob("compare-*.md"))
    assert "## Measures of best, means over the prompts" in file.read_text()
    assert "| loudness | -27.0 LUFS | – | -27.0 LUFS |" in file.read_text()
    assert "| Fréchet, whole set | 9.5 | – | – |" in file.read_text()


def with_clip_losses(folder: Path, name: str, more: float, parent: str = "") -> Path:
    """A run whose best valid losses on eight clips lie so much higher than those of another."""
    run = make_run(folder, name, settings=override(Settings(), [f"run.parent={parent}"]), clips=False)
    base = [4.0 + 0.1 * clip for clip in range(8)]
    with EventLog(run.events) as log:
        log.write("start", total_steps=10, train_clips=8, valid_clip_ids=[f"c{clip}" for clip in range(8)])
        log.write("valid", step=0, loss=sum(base) / 8, per_clip=base)
        better = [loss - 1 + more for loss in base]
        log.write("valid", step=10, loss=sum(better) / 8, per_clip=better)
        log.write("best", step=10, loss=sum(better) / 8)
        log.write("state", state="done")
    return run.path


async def test_the_ranking_stands_on_top_with_losses_listening_and_the_gate(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    worse = with_clip_losses(folder, "worse", 0.25)
    better = with_clip_losses(folder, "better", 0.0)
    gate.decide(better, "extend", "the groove is there", "anna")
    app = panel(folder, mode="compare")
    app.marked = [worse, better]
    async with running(app, size=(200, 50)) as pilot:
        await until(pilot, lambda: "Ranking" in text(app))
        lines = [line for line in text(app).splitlines() if line.startswith(("│ 1 ", "│ 2 "))]
        assert "better" in lines[0]
        assert "extend" in lines[0]
        assert "+0.250 · 8/8 · p = 0.008" in lines[1]
        assert "better is better than worse on 8 of 8 valid clips, p = 0.008." in text(app)


async def test_what_the_ranking_has_no_room_for_is_read_in_full(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    long = "a-run-whose-name-is-longer-than-any-column-of-a-small-terminal"
    paths = [with_clip_losses(folder, name, more) for name, more in ((long, 0.1), ("other", 0.0), ("third", 0.2))]
    app = panel(folder, mode="compare")
    app.marked = paths
    async with running(app, size=(80, 24)) as pilot:
        await until(pilot, lambda: "Ranking" in text(app))
        assert long not in text(app)
        await pilot.press("W")
        await until(pilot, lambda: long in text(app).replace("\n", ""))


async def test_a_run_that_waits_is_never_compared_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    with_clip_losses(folder, "parent", 0.0)
    with_clip_losses(folder, "child", 0.1, parent="parent")
    waiting = create(folder, "waiting", override(Settings(), ["run.parent=child"]))
    app = panel(folder, run="waiting", mode="compare")
    async with running(app) as pilot:
        await until(pilot, lambda: screen(app)._sides)
        assert waiting.name not in [side.name for side in screen(app)._sides]
        app.show_run(folder / "child")
        await pilot.press("R", "C")
        await until(pilot, lambda: [side.name for side in screen(app)._sides] == ["parent", "child"])


async def test_what_a_blind_session_across_the_runs_gave_stands_in_the_ranking(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    paths = [a_run(folder, name, tone) for name, tone in (("rank12", 300), ("rank16", 400))]
    session = open_evaluation(open_across(folder, paths))
    judge(session, "anna", [{"base": 2, "rank12": 3, "rank16": 5}])
    app = panel(folder, mode="compare")
    app.marked = paths
    async with running(app, size=(200, 50)) as pilot:
        await until(pilot, lambda: "Heard blind (rank12+rank16): rank16 over rank12 3-0-0" in text(app))


def test_long_names_leave_out_what_they_share_and_keep_what_tells_them_apart() -> None:
    members = ["sweep-ranks-rank4-s0", "sweep-ranks-rank16-s1"]
    assert words.names(members, 30) == members
    assert words.names(members, 12) == ["…rank4-s0", "…rank16-s1"]
    assert words.names(["a-very-long-name", "another"], 8) == ["a-very-…", "another"]
