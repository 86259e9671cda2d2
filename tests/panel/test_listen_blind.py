"""Listen gives nothing away: names, pictures, lengths, files that are missing, and clips that are one."""

from __future__ import annotations

from pathlib import Path

from tests.panel.listening import listening, panel, running, screen_of, stored, text, told, until
from tests.review.clips import heard, make_foreign_evaluation, make_run, write_clip
from tui.places.dialogs import Menu
from tui.places.listen.screen import ListenScreen
from tui.places.place import RunsChanged
from tui.widgets.clips import Clips


async def test_names_and_results_stay_hidden_until_all_is_judged(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        heard(screen_of(app).session)
        for _ in range(23):
            await pilot.press("3")
        shown = text(app)
        for name in ("base", "best", "final", "LUFS   base"):
            assert name not in shown
        await pilot.press("4")
        assert stored(runs)["revealed"]["early"] is False
        await until(pilot, lambda: "final" in text(app))
        assert "nothing can be concluded" in text(app) or "no difference heard" in text(app)


async def test_names_shown_early_are_recorded(runs: Path) -> None:
    app = panel(runs)
    async with listening(app) as pilot:
        await pilot.press("V", "V")
        assert stored(runs)["revealed"]["early"] is True
        assert "base" in text(app)


async def test_nothing_is_drawn_of_a_clip_before_it_was_played(runs: Path) -> None:
    app = panel(runs)
    async with listening(app) as pilot:
        assert screen_of(app).page.pictures.peaks == {}
        await pilot.press("b")
        await until(pilot, lambda: set(screen_of(app).page.pictures.peaks) == {"B"})
        await pilot.press("g")
        await until(pilot, lambda: set(screen_of(app).page.pictures.mels) == {"B"})
        await pilot.press("down")
        assert screen_of(app).page.pictures == ({}, {})


async def test_a_clip_that_no_open_page_could_play_is_neither_drawn_nor_called_heard(runs: Path) -> None:
    app = panel(runs, "review.training_item=false", "audio.output=browser", "audio.browser_port=0")
    async with listening(app) as pilot:
        await until(pilot, lambda: app.player.status.output == "browser")
        await pilot.press("space")
        await until(pilot, lambda: "No page is open" in told(app))
        await until(pilot, lambda: all(worker.is_finished for worker in app.workers if worker.group == "pictures"))
        await pilot.pause()
        assert screen_of(app).page.pictures.peaks == {}
        assert not any(look.heard for look in app.screen.query_one(Clips).looks)


async def test_the_length_shown_of_a_clip_is_that_of_the_longest(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("b", "a")  # keeps the order that was drawn
        order = screen_of(app).session.trial.order
    short = next((runs / "first" / "evaluation" / f"{order[0]}_model").glob("01*"))
    write_clip(short, tone=220, seconds=0.5)
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await until(pilot, lambda: app.player.status.duration == 0.5)
        await pilot.press("full_stop")
        await until(pilot, lambda: "00.5/01.0" in text(app))


async def test_equal_weights_are_said_before_the_session_and_chosen(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", same_weights=("best", "final"))
    app = panel(tmp_path / "runs", "review.training_item=false")
    async with running(app) as pilot:
        await until(pilot, lambda: "best and final have the same weights" in text(app))
        await pilot.press("2")
        await until(pilot, lambda: screen_of(app).session)
        assert stored(tmp_path / "runs")["equal"] == "two"
        assert [len(trial.order) for trial in screen_of(app).session.trials] == [2] * 8


async def test_the_question_about_equal_weights_is_asked_once_however_often_the_runs_are_read(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", same_weights=("best", "final"))
    app = panel(tmp_path / "runs")
    async with running(app) as pilot:
        await until(pilot, lambda: "have the same weights" in text(app))
        for _ in range(3):
            app.tell(RunsChanged())
            await pilot.pause()
        assert [type(screen) for screen in app.screen_stack] == [ListenScreen, Menu]


async def test_clips_that_are_one_are_not_drawn_before_they_are_judged(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", same_weights=("best", "final"))
    app = panel(tmp_path / "runs", "review.training_item=false")
    async with running(app) as pilot:
        await until(pilot, lambda: "have the same weights" in text(app))
        await pilot.press("3")
        await until(pilot, lambda: screen_of(app).playback and screen_of(app).playback.levels)
        await pilot.press("a", "b", "c")
        await until(pilot, lambda: len(screen_of(app).playback.started) == 3)
        await until(pilot, lambda: all(worker.is_finished for worker in app.workers if worker.group == "pictures"))
        await pilot.pause()
        assert screen_of(app).page.pictures.peaks == {}


async def test_without_sound_the_line_that_fetches_a_clip_stays_blind(runs: Path) -> None:
    app = panel(runs)
    async with listening(app) as pilot:
        await pilot.press("space")
        await until(pilot, lambda: "scp" in text(app))
        assert "h marks clips as heard elsewhere" in text(app)
        seen = [app.player.status.hint]
        await pilot.press("r")
        await until(pilot, lambda: "How to hear it" in text(app))
        seen.append(text(app))
        assert not [model for model in ("base", "best", "final") for said in seen if f"{model}_model" in said]


async def test_a_folder_of_another_script_opens_with_its_gaps(tmp_path: Path) -> None:
    folder = make_foreign_evaluation(tmp_path / "runs" / "old" / "evaluation")
    next((folder / "best_model").glob("*_0_*.wav")).unlink()
    app = panel(tmp_path / "runs", "review.training_item=false", run="old")
    async with listening(app) as pilot:
        assert screen_of(app).session.total == 8
        assert "missing: 1 clip file of this prompt" in text(app)
        assert "1 clip file is missing" in told(app)
        assert not [model for model in ("base", "best", "final") if model in told(app)]
        await pilot.press("h", "4", "3")
        assert stored(tmp_path / "runs", "old")["ratings"]["1"]["B"]["score"] == 3


async def test_a_model_without_clips_is_named_as_missing(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", models=("base", "final"))
    app = panel(tmp_path / "runs")
    async with listening(app, (80, 24)) as pilot:
        await until(pilot, lambda: "missing: no clips of best" in text(app))


async def test_a_file_that_vanishes_is_shown_as_missing(runs: Path) -> None:
    first = panel(runs, "review.training_item=false")
    async with listening(first) as pilot:
        await pilot.press("h", "3")
        order = screen_of(first).session.trials[1].order
    next((runs / "first" / "evaluation" / f"{order[1]}_model").glob("02*")).unlink()
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("down")
        await until(pilot, lambda: "the file is missing" in text(app))
        await pilot.press("b", "3")
        assert "B" not in stored(runs)["ratings"].get("2", {})


async def test_clips_of_another_place_are_never_taken_for_those_of_the_prompt(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("C")
        await until(pilot, lambda: "prompt 1 of 8" in text(app))
        await pilot.press("space")
        await until(pilot, lambda: app.player._clips["title"] and "-A." not in app.player._clips["clips"][0])
        await pilot.press("L")
        await until(pilot, lambda: app.player._clips["clips"][0].endswith("1-A.wav"))
        await pilot.press("c")
        assert screen_of(app).session.letter == "C"
