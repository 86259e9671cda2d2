"""Next: advice with its reasons, opened as a new run; and the export dialog."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.contract.rundir import RunDir
from tests.panel.listening import panel, running, text, told, until
from tests.review.clips import judge, make_foreign_evaluation, make_run
from tui.app import PanelApp
from tui.places.new_run.screen import NewRunScreen
from tui.places.next.screen import NextScreen
from tui.review.evaluation import open_evaluation
from tui.runs.history import History


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A run whose best clips are preferred and often called generic."""
    run = make_run(tmp_path / "runs")
    session = judge(open_evaluation(run.path), "anna", [{"base": 2, "best": 4, "final": 3}])
    for index, trial in enumerate(session.trials[:5]):
        session.go(index, next(letter for letter in trial.letters if trial.model(letter) == "best"))
        session.toggle_tag("generic")
    session.reveal()
    return tmp_path / "runs"


def screen(app: PanelApp) -> Any:
    assert isinstance(app.screen_stack[0], NextScreen)
    return app.screen_stack[0]


async def test_the_advice_that_fires_comes_first_with_what_speaks_for_and_against(runs: Path) -> None:
    app = panel(runs, mode="next")
    async with running(app) as pilot:
        await until(pilot, lambda: "rule: generic" in text(app))
        shown = text(app)
        assert "from first (24 of 24 judged, blind)" in shown
        assert "rank 12 → 16, alpha 24 → 32" in shown
        assert "'generic' on 5 of 8 for best (0 for base)" in shown
        assert "more epochs may do it" in shown


async def test_what_several_listeners_say_together_stands_below_the_advice(runs: Path) -> None:
    judge(open_evaluation(runs / "first"), "ben", [{"base": 1, "best": 5, "final": 3}]).reveal()
    app = panel(runs, mode="next")
    async with running(app) as pilot:
        await until(pilot, lambda: "anna and ben together" in text(app))
        assert "Krippendorff's alpha 1.00" in text(app)


async def test_enter_opens_the_chosen_advice_as_a_new_run(runs: Path) -> None:
    app = panel(runs, mode="next")
    async with running(app) as pilot:
        await until(pilot, lambda: "rule: underfit" in text(app))
        await pilot.press("down")
        assert "If you take 2" in text(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen))
        made = app.screen.draft.settings.run  # type: ignore[attr-defined]
        assert made.parent == "first"
        assert made.why.startswith("underfit: ")


async def test_why_shows_the_evidence_of_rules_that_did_not_fire(runs: Path) -> None:
    app = panel(runs, mode="next")
    async with running(app) as pilot:
        await until(pilot, lambda: "rule: generic" in text(app))
        silent = [advice["rule"] for advice in screen(app)._advice if not advice["fires"]]
        assert f"{len(silent)} rules are silent: {silent[0]}" in text(app)
        assert "needs" not in text(app)
        await pilot.press("w")
        rules = [advice["rule"] for advice in screen(app)._advice]
        await pilot.press(*["down"] * rules.index("listen-first"))
        assert "rules are silent" not in text(app)
        assert "clips that nobody has judged to the end" in text(app)
        await pilot.press("w")
        assert "If you take" in text(app)


async def test_advice_without_a_setting_says_so_and_opens_nothing(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", clips=False)
    app = panel(tmp_path / "runs", mode="next")
    async with running(app) as pilot:
        await until(pilot, lambda: "listen-first" in text(app))
        chosen = next(i for i, advice in enumerate(screen(app)._advice) if advice["rule"] == "listen-first")
        await pilot.press(*["down"] * chosen)
        assert "No setting is the remedy here" in text(app)
        await pilot.press("enter")
        assert app.screen is screen(app)


async def test_a_folder_of_clips_has_no_advice_and_says_why(tmp_path: Path) -> None:
    make_foreign_evaluation(tmp_path / "runs" / "old" / "evaluation")
    app = panel(tmp_path / "runs", run="old", mode="next")
    async with running(app) as pilot:
        await until(pilot, lambda: "advice needs a run" in text(app))
        await pilot.press("enter", "down", "w")


async def test_the_decision_is_kept_with_its_reason_and_opens_what_follows(runs: Path) -> None:
    app = panel(runs, mode="next")
    async with running(app) as pilot:
        await until(pilot, lambda: "rule: " in text(app))
        await pilot.press("j")
        await until(pilot, lambda: "What follows from first?" in text(app))
        assert "Nobody has listened" not in text(app)
        await pilot.press("e", *"it grows", "enter")
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen))
        draft = app.screen.draft  # type: ignore[attr-defined]
        assert draft.value("train.epochs") == 2
        assert (draft.settings.run.parent, draft.settings.run.why) == ("first", "gate, extend: it grows")
    kept = json.loads((runs / "first" / "review" / "gate.json").read_text())
    assert (kept["decision"], kept["why"]) == ("extend", "it grows")


async def test_a_decision_before_anybody_has_listened_says_so(tmp_path: Path) -> None:
    make_run(tmp_path / "runs")
    app = panel(tmp_path / "runs", mode="next")
    async with running(app) as pilot:
        await until(pilot, lambda: "rule: " in text(app))
        await pilot.press("j")
        await until(pilot, lambda: "Nobody has listened" in text(app))
        await pilot.press("escape")
    assert not (tmp_path / "runs" / "first" / "review" / "gate.json").exists()


async def test_export_writes_the_notes_and_on_request_csv_and_json(runs: Path) -> None:
    app = panel(runs, mode="next")
    async with running(app) as pilot:
        await pilot.press("e")
        await until(pilot, lambda: "Export · first" in text(app))
        assert "a new file" in text(app)
        await pilot.press("j", "c", "c")
        await pilot.press("enter")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert "8 of 8 for best over base" in (runs / "first" / "notes.md").read_text()
        assert json.loads((runs / "first" / "notes.json").read_text())["means"]["best"] == 4.0
        assert not (runs / "first" / "notes.csv").exists()
        assert not (runs / "first" / "notes.html").exists()


async def test_export_offers_a_page_to_send(runs: Path) -> None:
    app = panel(runs, mode="next")
    async with running(app) as pilot:
        await pilot.press("e")
        await until(pilot, lambda: "a page to send" in text(app))
        await pilot.press("h", "enter")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        page = (runs / "first" / "notes.html").read_text()
        assert "data:audio/flac;base64," in page
        assert (runs / "first" / "notes.md").exists()


async def test_export_says_that_what_was_written_by_hand_stays_and_copies_the_path(runs: Path) -> None:
    (runs / "first" / "notes.md").write_text("Mine.\n")
    app = panel(runs, mode="listen")
    async with running(app) as pilot:
        await pilot.press("e")
        await until(pilot, lambda: "what you wrote in it stays" in text(app))
        await pilot.press("y")
        assert app.clipboard == str(runs / "first" / "notes.md")
        await pilot.press("enter")
        await until(pilot, lambda: "## Result" in (runs / "first" / "notes.md").read_text())
        assert (runs / "first" / "notes.md").read_text().startswith("Mine.\n")


async def test_a_place_that_cannot_be_written_is_said_and_the_dialog_stays(runs: Path) -> None:
    (runs / "first" / "notes.md").mkdir()
    app = panel(runs, mode="next")
    async with running(app) as pilot:
        await pilot.press("e", "enter")
        await until(pilot, lambda: "notes.md is a folder" in told(app))
        assert len(app.screen_stack) == 2


@pytest.mark.parametrize("size", [(120, 35), (80, 24)])
async def test_the_chosen_advice_is_in_sight_at_every_size(runs: Path, size: tuple[int, int]) -> None:
    app = panel(runs, mode="next")
    async with running(app, size) as pilot:
        await until(pilot, lambda: "rule: generic" in text(app))
        for _ in range(12):
            await pilot.press("down")
            await pilot.pause()
            assert "▸ " in text(app)


async def test_the_log_that_the_panel_follows_is_not_read_again_for_advice(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_again(path: Path) -> History:
        raise AssertionError(f"{path} is read a second time")

    monkeypatch.setattr(History, "of", read_again)
    app = panel(runs, mode="next")
    async with running(app) as pilot:
        await until(pilot, lambda: "rule: generic" in text(app))


async def test_a_log_that_nobody_follows_is_read_once_for_advice(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, of = [], History.of
    monkeypatch.setattr(History, "of", lambda path: read.append(path) or of(path))
    app = panel(runs, run=None, mode="runs")
    async with running(app) as pilot:
        await until(pilot, lambda: bool(app.summaries))
        await pilot.press("N")
        await until(pilot, lambda: "rule: generic" in text(app))
    assert read == [RunDir(runs / "first").events]
