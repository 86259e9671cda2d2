"""Listen, driven from the keyboard: the session's file first, what is on the screen second."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from textual.widgets import Input

from engine.contract import liveness
from engine.contract.config import Review
from engine.contract.events import EventLog
from tests.audio.parts import Pulse
from tests.conftest import need
from tests.panel.listening import listening, panel, running, screen_of, stored, text, told, until
from tests.review.clips import heard, judge, make_evaluation, make_run
from tui.places.dialogs import Menu
from tui.places.listen.judgement import Tags
from tui.review.evaluation import open_evaluation
from tui.review.session import Session
from tui.widgets.clips import LEFT, Clips
from tui.widgets.lines import Lines


async def test_a_digit_scores_the_clip_and_is_on_disk_at_once(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("h", "4")
        assert stored(runs)["ratings"]["1"]["A"]["score"] == 4
        await pilot.press("2")
        assert stored(runs)["ratings"]["1"]["B"]["score"] == 2
        assert (stored(runs)["trial"], stored(runs)["letter"]) == ("1", "C")
        assert "2 of 24 judged" in text(app)


async def test_a_key_on_a_clip_that_nobody_heard_says_so_and_scores_nothing(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "Nobody has heard A yet, so nothing is noted: space plays it" in told(app))
        await pilot.press("t", "n", "i", "2")  # no note is begun, so 2 is a score, and refused as well
        assert screen_of(app).session.state.ratings == {}
        assert (screen_of(app).session.letter, screen_of(app).session.done) == ("A", 0)
        await pilot.press("h", "4")
        assert stored(runs)["ratings"]["1"]["A"]["score"] == 4
        assert stored(runs)["elsewhere"] == ["1"]


async def test_after_the_last_score_of_a_prompt_the_next_prompt_comes(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("h", "4", "2", "3")
        await until(pilot, lambda: screen_of(app).playback.trial.id == "2" and screen_of(app).playback.levels)
        assert "Prompt 2 of 8" in text(app)
        await pilot.press("h", "5")
        assert stored(runs)["ratings"]["2"]["A"]["score"] == 5


async def test_a_second_thought_on_a_score_stays_on_the_clip(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("h", "4", "a", "5")
        assert stored(runs)["ratings"]["1"]["A"]["score"] == 5
        assert stored(runs)["letter"] == "A"


async def test_letters_and_arrows_move_among_the_clips(runs: Path) -> None:
    app = panel(runs)
    async with listening(app) as pilot:
        for key, letter in (("b", "B"), ("c", "C"), ("left", "B"), ("a", "A"), ("left", "A"), ("right", "B")):
            await pilot.press(key)
            assert screen_of(app).session.letter == letter


async def test_t_and_a_letter_tags_the_clip_and_again_takes_it_off(runs: Path) -> None:
    app = panel(runs)
    async with listening(app) as pilot:
        await pilot.press("h", "t")
        await until(pilot, lambda: "press the tag's letter" in text(app))
        await pilot.press("n")
        await pilot.press("t", "g")
        assert stored(runs)["ratings"]["training"]["A"]["tags"] == ["noise", "generic"]
        assert "noise✔" in text(app)
        await pilot.press("t", "n")
        assert stored(runs)["ratings"]["training"]["A"]["tags"] == ["generic"]


async def test_a_letter_without_a_tag_and_escape_tag_nothing(runs: Path) -> None:
    app = panel(runs)
    async with listening(app) as pilot:
        await pilot.press("t", "z", "t", "escape")
        assert screen_of(app).session.state.ratings.get("training", {}) == {}
        assert app.current_mode == "listen"


async def test_a_note_is_kept_at_every_key_and_capitals_are_text_in_it(runs: Path) -> None:
    app = panel(runs)
    async with listening(app) as pilot:
        await pilot.press("h", "i", *"LoFi")
        assert stored(runs)["ratings"]["training"]["A"]["note"] == "LoFi"
        await pilot.press("1", "enter")
        assert stored(runs)["ratings"]["training"]["A"]["note"] == "LoFi1"
        assert stored(runs)["ratings"]["training"]["A"]["score"] is None
        await pilot.press("u")
        assert stored(runs)["ratings"]["training"]["A"]["note"] == ""


async def test_keys_that_come_all_at_once_do_what_they_would_one_by_one(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        for key in ("h", "4", "t", "n", "2", "t", "g", "i", *"so 3", "enter", "5"):
            app.simulate_key(key)
        await until(pilot, lambda: screen_of(app).session.done == 3)
        ratings = stored(runs)["ratings"]["1"]
        assert [ratings[letter]["score"] for letter in "ABC"] == [4, 2, 5]
        assert [ratings[letter]["tags"] for letter in "ABC"] == [[], ["noise"], ["generic"]]
        assert ratings["C"]["note"] == "so 3"


async def test_a_key_pressed_twice_closes_a_dialog_once(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", same_weights=("best", "final"))
    app = panel(tmp_path / "runs", "review.training_item=false")
    async with running(app) as pilot:
        await until(pilot, lambda: "have the same weights" in text(app))
        for key in ("3", "3", "enter"):
            app.simulate_key(key)
        await until(pilot, lambda: screen_of(app).session)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.focused, Input))
        for key in ("x", "enter", "enter"):
            app.simulate_key(key)
        await until(pilot, lambda: isinstance(app.screen, Menu))  # another listener is asked again
        assert app.screen_stack[0] is screen_of(app)
        assert stored(tmp_path / "runs")["equal"] == "three"


async def test_escape_takes_a_note_back_and_stays_in_listen(runs: Path) -> None:
    app = panel(runs)
    async with listening(app) as pilot:
        await pilot.press("h", "i", *"first", "enter")
        await pilot.press("i", *" thoughts", "escape")
        await pilot.pause()
        assert stored(runs)["ratings"]["training"]["A"]["note"] == "first"
        assert app.current_mode == "listen"


async def test_undo_goes_back_to_the_prompt_it_belongs_to(runs: Path) -> None:
    app = panel(runs)
    async with listening(app) as pilot:
        await pilot.press("h", "3", "down", "down", "u")
        assert stored(runs)["trial"] == "training"
        assert stored(runs)["ratings"]["training"]["A"]["score"] is None


async def test_in_a_small_terminal_the_result_of_all_pairs_is_seen(runs: Path) -> None:
    scores = [{"base": 2, "best": 4, "final": 3}] * 5 + [{"base": 5, "best": 4, "final": 5}]
    judge(open_evaluation(runs / "first"), "anna", scores).reveal()
    app = panel(runs)
    async with listening(app, (80, 24)) as pilot:
        await until(pilot, lambda: "5 of 8 for best over base, p = 1.00" in text(app))
        assert "Holm over 3 pairs" in text(app)
        assert "5 of 5 for final over base and 3 ties" in text(app)
        assert "W reads all" in text(app)
        assert all(f"\n│{'▸' if letter == 'C' else ' '} {letter} " in text(app).replace("│ ", "│") for letter in "ABC")
        await pilot.press("W")
        await until(pilot, lambda: "5 of 8 for best over final" in text(app))


async def test_what_is_said_so_far_is_of_the_run_that_is_shown(runs: Path) -> None:
    make_run(runs, "second")
    judge(open_evaluation(runs / "first"), "anna", [{"base": 2, "best": 4, "final": 3}]).reveal()
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await until(pilot, lambda: "8 of 8 for best over base" in text(app))
        app.show_run(runs / "second")
        await until(pilot, lambda: "0 of 24 judged" in text(app))
        assert "8 of 8 for best over base" not in text(app)


async def test_a_session_goes_on_where_it_was_left(runs: Path) -> None:
    first = panel(runs)
    async with listening(first) as pilot:
        await pilot.press("down", "down", "down", "c")
        order = [trial.order for trial in screen_of(first).session.trials]
    again = panel(runs)
    async with listening(again) as pilot:
        assert (screen_of(again).session.trial.id, screen_of(again).session.letter) == ("3", "C")
        assert [trial.order for trial in screen_of(again).session.trials] == order


async def test_a_session_that_was_begun_with_scores_says_that_it_goes_on_so(runs: Path) -> None:
    judge(open_evaluation(runs / "first"), "anna", [{"base": 2, "best": 4, "final": 3}])
    app = panel(runs, "review.mode=ranking")
    async with listening(app) as pilot:
        await until(pilot, lambda: "goes on as it was begun, with review.mode = scores" in told(app))


async def test_another_listener_begins_anew_and_a_bad_name_is_refused(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("h", "4", "w")
        await pilot.press(*["backspace"] * 4, *"../x", "enter")
        await pilot.pause()
        assert screen_of(app).session.state.listener == "anna"
        await pilot.press("w", *["backspace"] * 4, *"ben", "enter")
        await until(pilot, lambda: screen_of(app).session and screen_of(app).session.state.listener == "ben")
        assert screen_of(app).session.done == 0


async def test_ranking_takes_ranks_ties_and_all_bad(runs: Path) -> None:
    app = panel(runs, "review.mode=ranking", "review.training_item=false")
    async with listening(app) as pilot:
        assert "equal ranks are ties" in text(app)
        await pilot.press("h", "1", "1", "5", "2")
        ranks = stored(runs)["ratings"]["1"]
        assert [ranks[letter]["rank"] for letter in "ABC"] == [1, 1, 2]
        await until(pilot, lambda: screen_of(app).playback.trial.id == "2")
        await pilot.press("h", "x")
        assert stored(runs)["all_bad"] == ["2"]


async def test_after_listening_j_decides_as_it_does_in_next(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("j")
        await until(pilot, lambda: "Nobody has listened" in text(app))
        await pilot.press("escape", "h", "4", "j")
        await until(pilot, lambda: "What follows from first?" in text(app))
        assert "Nobody has listened" not in text(app)
        await pilot.press("s", *"it is there", "enter")
        gate = runs / "first" / "review" / "gate.json"
        await until(pilot, gate.is_file)
        assert json.loads(gate.read_text())["why"] == "it is there"
        await pilot.press("j")
        await until(pilot, lambda: "What follows from first?" in text(app))
        await pilot.press("e", *"it grows", "enter")
        await until(pilot, lambda: type(app.screen).__name__ == "NewRunScreen")
        assert app.screen.draft.value("train.epochs") == 2


async def test_a_run_without_clips_says_how_to_make_them(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", clips=False)
    app = panel(tmp_path / "runs")
    async with running(app) as pilot:
        await until(pilot, lambda: "mgl-tui evaluate" in text(app))
        await pilot.press("space", "3", "t", "i", "n", "u", "V")
        assert app.current_mode == "listen"


async def test_clips_that_come_while_it_is_shown_are_opened(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", clips=False)
    app = panel(tmp_path / "runs")
    async with running(app) as pilot:
        await until(pilot, lambda: "mgl-tui evaluate" in text(app))
        make_evaluation(run.evaluation())
        await until(pilot, lambda: screen_of(app).session)


async def test_no_order_is_drawn_while_the_engine_still_makes_clips(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", models=("base",))
    with EventLog(run.events) as log:
        log.write("state", state="evaluating")
    app = panel(tmp_path / "runs")
    with liveness.hold(run):
        async with running(app) as pilot:
            await until(pilot, lambda: "The clips are being made" in text(app))
            assert screen_of(app).session is None
            make_evaluation(run.evaluation())
            await until(pilot, lambda: screen_of(app).session)
            assert all(len(trial.order) == 3 for trial in screen_of(app).session.trials)


async def test_a_damaged_session_is_named_and_nothing_is_overwritten(runs: Path) -> None:
    (runs / "first" / "review").mkdir()
    (runs / "first" / "review" / "anna.json").write_text("{")
    app = panel(runs)
    async with running(app) as pilot:
        await until(pilot, lambda: "cannot be read as a listening session" in text(app))
        assert (runs / "first" / "review" / "anna.json").read_text() == "{"


async def test_what_another_panel_wrote_is_taken_up_and_not_overwritten(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("h", "4")
        other = Session.open(screen_of(app).session.evaluation, "anna", Review())
        other.go(0, "B")
        other.rate(1)
        await pilot.press("5")
        await until(pilot, lambda: "changed by another panel" in told(app))
        await until(pilot, lambda: screen_of(app).session.done == 2)
        assert [stored(runs)["ratings"]["1"][x]["score"] for x in "AB"] == [4, 1]
        await pilot.press("c", "3")
        assert stored(runs)["ratings"]["1"]["C"]["score"] == 3


async def test_a_note_stays_with_its_clip_when_another_panel_moves_the_cursor(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("h", "i", *"his")
        other = heard(Session.open(screen_of(app).session.evaluation, "anna", Review()))
        other.go(3, "B")
        other.rate(2)
        await pilot.press("s")
        await until(pilot, lambda: screen_of(app).session.trial.id == "4")
        await until(pilot, lambda: "this note is of A of prompt 1" in text(app))
        await pilot.press("!", "enter")
        ratings = stored(runs)["ratings"]
        assert ratings["1"]["A"]["note"] == "hiss!"
        assert (ratings["4"]["B"]["note"], ratings["4"]["B"]["score"]) == ("", 2)
        await pilot.press("up", "up", "up", "i", "x")
        assert stored(runs)["ratings"]["1"]["A"]["note"] == "hiss!x"
        await pilot.press("escape")
        assert stored(runs)["ratings"]["1"]["A"]["note"] == "hiss!"
        assert stored(runs)["ratings"]["4"]["B"]["score"] == 2


async def test_another_prompt_set_has_a_session_of_its_own(runs: Path) -> None:
    make_evaluation(runs / "first" / "evaluation_jazz", ["cool jazz", "free jazz"])
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("s")
        await until(pilot, lambda: "cool jazz" in text(app))
        await pilot.press("h", "4")
        assert (runs / "first" / "review_jazz" / "anna.json").is_file()
        await pilot.press("e")
        await until(pilot, lambda: "Export · first · jazz" in text(app))
        await pilot.press("enter")
        await until(pilot, (runs / "first" / "notes_jazz.md").is_file)


@pytest.mark.parametrize("size", [(120, 35), (80, 24), (200, 60)])
async def test_everything_has_its_place_at_every_size(runs: Path, size: tuple[int, int]) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app, size) as pilot:
        await pilot.press("h", "4")
        shown = text(app)
        for said in ("upbeat synthwave, driving bass", "on-style", "note", "judged", "heard", "4", "loop", "play"):
            assert said in shown, said
        assert all(len(line) <= size[0] for line in shown.splitlines())


async def test_fifty_prompts_scroll_with_the_cursor(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", prompts=[f"prompt number {n}" for n in range(1, 51)], seconds=0.2)
    app = panel(tmp_path / "runs", "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press(*["down"] * 40)
        assert "prompt number 41" in text(app)
        assert "Prompt 41 of 50" in text(app)


async def test_a_click_on_a_prompt_goes_there(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.click("#prompts", offset=(10, 4))
        await until(pilot, lambda: screen_of(app).session.trial.id == "4")


async def test_four_models_have_four_letters(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", models=("base", "best", "final", "step-200"))
    app = panel(tmp_path / "runs", "review.training_item=false")
    async with listening(app, (80, 24)) as pilot:
        await pilot.press("h", "d", "5")
        assert stored(tmp_path / "runs")["ratings"]["1"]["D"]["score"] == 5
        await until(pilot, lambda: "of 32 judged" in text(app))


async def test_a_long_prompt_is_folded_and_a_wide_script_is_cut_whole(tmp_path: Path) -> None:
    long = "a very long prompt that goes on and on " * 8
    make_run(tmp_path / "runs", prompts=[long.strip(), "快乐的钢琴曲,下雨的夜晚 🎹 " * 5])
    app = panel(tmp_path / "runs", "review.training_item=false")
    async with listening(app, (80, 24)) as pilot:
        assert "a very long prompt" in text(app)
        await pilot.press("down")
        await until(pilot, lambda: "快乐的钢琴曲" in text(app))
        assert "tags and note" in text(app)


async def test_after_twenty_minutes_a_rest_is_suggested(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("h", "3")
        screen_of(app).session.state.sittings[-1].start -= 25 * 60
        await pilot.press("3")
        assert "minutes without a rest" in text(app)


@pytest.mark.audio
async def test_what_is_heard_is_played_switched_and_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need(shutil.which("pulseaudio") and shutil.which("parec"), "PulseAudio and its tools")
    make_run(tmp_path / "runs", seconds=6.0, rate=32000)
    pulse = Pulse(tmp_path / "p")
    try:
        monkeypatch.setenv("PULSE_SERVER", pulse.address)
        monkeypatch.delenv("SSH_CONNECTION", raising=False)
        app = panel(tmp_path / "runs", "audio.output=pacat", "review.training_item=false")
        async with listening(app) as pilot:
            await until(pilot, lambda: app.player.status.output == "pacat")
            await pilot.press("4")
            assert "Nobody has heard A yet" in told(app)
            since = pulse.mark()
            await pilot.press("space")
            await until(pilot, lambda: app.player.status.playing and app.player.status.position > 1.0)
            assert "♪" in text(app)
            await pilot.press("b")
            await until(pilot, lambda: app.player.status.index == 1 and app.player.status.heard[1] > 0.5)
            assert app.player.status.position > 1.4
            await pilot.press("space")
            await until(pilot, lambda: not app.player.status.playing)
            await until(pilot, lambda: {e["letter"] for e in stored(tmp_path / "runs")["played"]} == {"A", "B"})
            assert abs(pulse.recording(since)).max() > 0.02
            await pilot.press("o")
            await until(pilot, lambda: app.player.status.loop == (0.0, None))
            await pilot.press("0")
            await until(pilot, lambda: app.player.status.playing and app.player.status.position < 1.0)
            await pilot.press("space")
            await until(pilot, lambda: not app.player.status.playing)
            before = app.player.status.position
            await pilot.press("left_square_bracket", "full_stop", "full_stop")
            await until(pilot, lambda: app.player.status.position == pytest.approx(before + 2.0, abs=0.1))
            await pilot.press("comma")
            await until(pilot, lambda: app.player.status.position == pytest.approx(before + 1.0, abs=0.1))
            await pilot.press("right_square_bracket")
            await until(pilot, lambda: app.player.status.loop == pytest.approx((before, before + 1.0), abs=0.2))
            await pilot.press("n")
            await until(pilot, lambda: app.player.status.index == 2 and app.player.status.playing)
            await pilot.press("a", "4")
            assert stored(tmp_path / "runs")["ratings"]["1"]["A"]["score"] == 4
            await pilot.press("R")
            await until(pilot, lambda: not app.player.status.playing)
        assert stored(tmp_path / "runs")["outputs"] == ["pacat"]
    finally:
        pulse.close()


async def test_when_enter_goes_on_score_tag_and_note_come_in_any_order_before_it(runs: Path) -> None:
    app = panel(runs, "review.training_item=false", "review.advance=enter")
    async with listening(app) as pilot:
        assert "score, tags and note in any order, then enter goes on" in text(app)
        await pilot.press("h", "4", "t", "n", "3", "t", "g")
        rating = stored(runs)["ratings"]["1"]["A"]
        assert (rating["score"], rating["tags"]) == (3, ["noise", "generic"])
        await pilot.press("enter", "2", "enter", "5", "enter")
        await until(pilot, lambda: screen_of(app).session.trial.id == "2")
        assert [stored(runs)["ratings"]["1"][letter]["score"] for letter in "ABC"] == [3, 2, 5]


async def test_when_enter_goes_on_the_names_are_shown_by_it_and_not_by_the_last_score(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", prompts=["one"])
    app = panel(tmp_path / "runs", "review.training_item=false", "review.advance=enter")
    async with listening(app) as pilot:
        await pilot.press("h", "4", "enter", "2", "enter", "5", "t", "n")
        assert screen_of(app).session.complete
        assert not screen_of(app).session.names_visible
        await pilot.press("enter")
        assert stored(tmp_path / "runs")["revealed"]["early"] is False
        await pilot.press("enter")
        await until(pilot, lambda: "j decides what follows" in told(app))


async def test_capitals_name_the_clips_that_a_tag_is_for(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app) as pilot:
        await pilot.press("h", "t", "B", "C")
        await until(pilot, lambda: "B C · tag" in text(app))
        await pilot.press("n")
        ratings = stored(runs)["ratings"]["1"]
        assert [ratings.get(letter, {}).get("tags") for letter in "ABC"] == [None, ["noise"], ["noise"]]
        await pilot.press("t", "A", "B", "n", "t", "A", "B", "A", "g")
        ratings = stored(runs)["ratings"]["1"]
        assert [ratings[letter]["tags"] for letter in "ABC"] == [["noise"], ["noise", "generic"], ["noise"]]
        await pilot.press("t", "C", "B", "A", "n")
        assert [stored(runs)["ratings"]["1"][letter]["tags"] for letter in "ABC"] == [[], ["generic"], []]
        assert app.current_mode == "listen"


@pytest.mark.parametrize(("size", "square"), [((120, 35), 3), ((80, 24), 12)])
async def test_a_square_and_a_tag_can_be_clicked(runs: Path, size: tuple[int, int], square: int) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app, size) as pilot:
        await pilot.press("h")
        clips = app.screen.query_one(Clips)
        right = LEFT + clips.wave_columns
        await pilot.click(Clips, offset=(right + square, 1 if clips.rows > 1 else 0))
        await until(pilot, lambda: stored(runs)["ratings"].get("1", {}).get("A", {}).get("score") == 2)
        await pilot.press("a")
        tags = app.screen.query_one(Tags)
        await pilot.click(Tags, offset=(tags.lines[0].plain.index("generic"), 0))
        await until(pilot, lambda: stored(runs)["ratings"]["1"]["A"]["tags"] == ["generic"])


async def test_prompts_are_read_in_the_width_there_is_and_a_long_one_in_full_beside_the_clips(tmp_path: Path) -> None:
    long = "an upbeat synthwave anthem with a driving bass line, gated drums and a soaring lead that never rests"
    middle = "slow piano ballad under falling rain"
    make_run(tmp_path / "runs", prompts=[long, middle])
    app = panel(tmp_path / "runs", "review.training_item=false")
    async with listening(app) as pilot:
        await until(pilot, lambda: middle in text(app))
        assert app.screen.query_one("#prompts-card").size.width <= 60
        card = " ".join(app.screen.query_one("#prompt-text", Lines).lines[row].plain for row in (0, 1))
        assert card == long


@pytest.mark.parametrize("size", [(120, 35), (80, 24)])
async def test_what_is_said_in_passing_leaves_the_result_to_be_read(runs: Path, size: tuple[int, int]) -> None:
    judge(open_evaluation(runs / "first"), "anna", [{"base": 2, "best": 4, "final": 3}]).reveal()
    app = panel(runs, "review.training_item=false")
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: "8 of 8 for best over base" in text(app))
        for number in range(3):
            app.notify(f"{number}: a word in passing that is long enough to be wrapped into more than one line")
        await until(pilot, lambda: "0: a word in passing" in text(app))
        assert text(app).count("8 of 8 for best over base") == 1
