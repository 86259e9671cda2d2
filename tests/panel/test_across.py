"""Marked runs and L: one blind session across them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.panel.listening import panel, running, screen_of, text, until
from tests.panel.seen import said
from tests.review.clips import make_run
from tests.review.many import a_run
from tui.places.dialogs import Menu


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
        assert "rank12+rank16" in shown  # the session's name, which tells no letter
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
