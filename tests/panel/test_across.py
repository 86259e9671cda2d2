"""Marked runs and L: one blind session across them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.panel.listening import listening, panel, running, screen_of, text, told, until
from tests.panel.seen import said
from tests.review.clips import PROMPTS, judge, make_run
from tests.review.many import a_run
from tui.places.dialogs import Menu
from tui.review.across import open_across
from tui.review.evaluation import open_evaluation
from tui.text import apart


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for number, name in enumerate(("rank12", "rank16")):
        a_run(tmp_path / "runs", name, 300 + 100 * number)
    return tmp_path / "runs"


async def test_marked_runs_are_heard_blind_at_once_and_the_session_stands_in_the_list(runs: Path) -> None:
    app = panel(runs, run=None, mode="runs")
    async with running(app) as pilot:
        app.marked += [runs / "rank12", runs / "rank16"]
        await pilot.press("L")
        await until(pilot, lambda: app.current_mode == "listen" and screen_of(app).session)
        session = screen_of(app).session
        assert session.evaluation.home == runs / "sessions" / "rank12+rank16"
        assert session.trial.letters == "ABC"
        shown = text(app)
        assert "2 runs · Training prompt" in shown
        await pilot.press("R")
        await until(pilot, lambda: any(s.across for s in app.summaries))
        assert "BLIND" in text(app)


async def test_with_one_mark_or_none_it_is_the_run_that_is_shown(runs: Path) -> None:
    app = panel(runs, run="rank12", mode="runs")
    async with running(app) as pilot:
        app.marked.append(runs / "rank16")
        await pilot.press("L")
        await until(pilot, lambda: app.current_mode == "listen" and screen_of(app).session)
        assert screen_of(app).session.evaluation.home == runs / "rank12"


async def test_where_clips_are_missing_it_asks_whether_to_make_them(runs: Path) -> None:
    bare = make_run(runs, "bare", clips=False)
    bare.best_model.mkdir()
    app = panel(runs, run=None, mode="runs")
    async with running(app) as pilot:
        app.marked += [bare.path, make_run(runs, "other", clips=False).path]
        await pilot.press("L")
        await until(pilot, lambda: "other has no clips and no best_model" in said(app))
        (runs / "other" / "best_model").mkdir()
        await pilot.press("L")
        await until(pilot, lambda: isinstance(app.screen, Menu))
        assert "bare has no clips yet" in text(app)
        assert "then those of other" in text(app)


def test_names_are_cut_to_what_differs() -> None:
    names = ["base", "sweep-rank4-lr0.001", "sweep-rank8-lr0.003"]
    assert [*apart(names, 20).values()] == ["base", "rank4-lr0.001", "rank8-lr0.003"]
    assert [*apart(names, 5).values()] == ["base", "4-lr0.001", "8-lr0.003"]
    assert [*apart(["base", "first"], 5).values()] == ["base", "first"]
    assert [*apart(["a", "a-b"], 5).values()] == ["a", "a-b"]


@pytest.mark.parametrize("size", [(80, 24), (120, 35)])
async def test_names_that_are_alike_are_told_apart_where_there_is_little_room(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    names = ("sweep-rank4-lr0.001", "sweep-rank8-lr0.001")
    paths = [a_run(tmp_path / "runs", name, 300 + 100 * n) for n, name in enumerate(names)]
    session = open_across(tmp_path / "runs", paths)
    assert session.name == "sweep-rank4-lr0.001+rank8"
    judge(open_evaluation(session), "anna", [{"base": 2, names[0]: 3, names[1]: 5}]).reveal()
    app = panel(tmp_path / "runs", run="sessions/sweep-rank4-lr0.001+rank8")
    async with listening(app, size) as pilot:
        await until(pilot, lambda: "rank4 " in text(app) and "rank8 " in text(app))
        assert "sweep-rank8-lr0.001 5.0" in text(app)


async def test_six_runs_are_heard_two_by_two_and_their_scores_are_told_at_the_end(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    paths = [a_run(runs, f"r{n}", 300 + 50 * n, prompts=PROMPTS[:2]) for n in range(6)]
    home = open_across(runs, paths)
    app = panel(runs, run=f"sessions/{home.name}", mode="listen")
    async with listening(app) as pilot:
        await pilot.press("down")
        await until(pilot, lambda: "Pair 1 of 7" in text(app))
        while not screen_of(app).session.complete:
            await pilot.press("h", "3", "4")
            await pilot.pause()
        await until(pilot, lambda: "Nothing can be concluded between" in text(app))
        assert "Holm over 21 pairs" in text(app)


async def test_a_session_across_runs_is_not_decided_on(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    home = open_across(runs, [a_run(runs, f"r{n}", 300 + 50 * n, prompts=PROMPTS[:2]) for n in range(2)])
    app = panel(runs, run=f"sessions/{home.name}", mode="listen")
    async with listening(app, (200, 50)) as pilot:
        assert "decide" not in text(app).splitlines()[-1]
        await pilot.press("j")
        await until(pilot, lambda: "a decision is made on one of them" in told(app))
