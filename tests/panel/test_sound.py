"""The sound screen and what the player says to the panel."""

from __future__ import annotations

from pathlib import Path

from engine.contract.config import Settings
from tests.panel.listening import listening, panel, screen_of, stored, text, until
from tests.review.clips import make_run
from tui.app import PanelApp
from tui.audio.player import PlayerMessage, PlayerStatus
from tui.places.sound.screen import SoundScreen, route


async def test_a_key_in_the_browsers_page_counts_like_one_here(tmp_path: Path) -> None:
    make_run(tmp_path / "runs")
    app = panel(tmp_path / "runs", "review.training_item=false")
    async with listening(app) as pilot:
        for key in ("h", "4"):
            app._heard_from_player(PlayerMessage("key", data={"key": key}))
        await until(pilot, lambda: screen_of(app).session.done == 1)
        assert stored(tmp_path / "runs")["ratings"]["1"]["A"]["score"] == 4
        for key in ("a", "t"):
            app._heard_from_player(PlayerMessage("key", data={"key": key}))
        await until(pilot, lambda: len(app.screen_stack) == 2)
        app._heard_from_player(PlayerMessage("key", data={"key": "g"}))
        await until(pilot, lambda: stored(tmp_path / "runs")["ratings"]["1"]["A"]["tags"] == ["generic"])
        app._heard_from_player(PlayerMessage("key", data={"key": "q"}))
        app._heard_from_player(PlayerMessage("key", data={"key": "R"}))
        app._heard_from_player(PlayerMessage("key", data={"key": "5"}))  # comes after them
        await until(pilot, lambda: stored(tmp_path / "runs")["ratings"]["1"]["A"]["score"] == 5)
        assert app.is_running
        assert app.current_mode == "listen"


async def test_the_sound_screen_asks_and_hands_the_answer_on(tmp_path: Path) -> None:
    make_run(tmp_path / "runs")
    app = panel(tmp_path / "runs")
    async with listening(app) as pilot:
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, SoundScreen))
        await pilot.press("p")
        await until(pilot, lambda: "no sound output to prove" in text(app))
        app._heard_from_player(PlayerMessage("proof", "A chirp was played.", {"proven": None}))
        await until(pilot, lambda: "Did you hear the chirp?" in text(app))
        await pilot.press("n")
        await until(pilot, lambda: "Did you hear the chirp?" not in text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen_of(app))


async def test_the_route_stands_in_the_header_with_a_mark_when_it_was_proven(tmp_path: Path) -> None:
    make_run(tmp_path / "runs")
    app = panel(tmp_path / "runs")
    async with listening(app) as pilot:
        await until(pilot, lambda: "♪ no sound" in text(app))
    assert route(PlayerStatus(output="browser", label="laptop (browser)", proven=True)) == "browser ✔"


async def test_leaving_the_panel_ends_the_audio_worker(tmp_path: Path) -> None:
    make_run(tmp_path / "runs")
    app = panel(tmp_path / "runs")
    async with listening(app):
        worker = app.player._worker
        assert worker is not None
    assert worker._process.poll() is not None


async def test_a_sentence_that_still_stands_is_not_said_again(tmp_path: Path) -> None:
    app = PanelApp(tmp_path, settings=Settings())
    async with app.run_test() as pilot:
        for _ in range(3):
            app.notify("No page is open to play in.", severity="warning")
        app.notify("Something else.")
        await pilot.pause()
        assert [said.message for said in app._notifications] == ["No page is open to play in.", "Something else."]
