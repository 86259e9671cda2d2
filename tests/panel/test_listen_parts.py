"""The parts of Listen that need no screen: which session is open, where a judgement leads, what the keys do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.contract import liveness
from engine.contract.config import Review
from engine.contract.errors import UserError
from tests.review.clips import heard, judge, make_evaluation, make_run
from tui.audio.player import Player, PlayerStatus
from tui.places.listen.presenter import Presenter, Step, after_judgement
from tui.places.listen.transport import Transport
from tui.review.evaluation import open_evaluation
from tui.review.session import Session

REVIEW = Review(training_item=False)


def opened(path: Path, review: Review = REVIEW) -> Presenter:
    presenter = Presenter(review)
    assert presenter.take(path)
    presenter.open("anna")
    return presenter


def session_on(path: Path, review: Review = REVIEW) -> Session:
    session = opened(path, review).session
    assert session is not None
    return session


def test_no_part_but_screen_and_page_needs_textual() -> None:
    code = (
        "import sys, tui.places.listen.presenter, tui.places.listen.transport, tui.places.listen.pictures\n"
        "sys.exit('textual' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_run_without_clips_is_opened_once_it_has_some(tmp_path: Path) -> None:
    run = make_run(tmp_path, clips=False)
    presenter = opened(run.path)
    assert presenter.session is None
    assert "mgl-tui evaluate" in " ".join(presenter.lines())
    assert not presenter.take(run.path)
    make_evaluation(run.evaluation())
    assert presenter.take(run.path)
    presenter.open("anna")
    assert presenter.session is not None


def test_while_an_engine_makes_clips_no_order_is_drawn(tmp_path: Path) -> None:
    run = make_run(tmp_path, models=("base",))
    with liveness.hold(run):
        presenter = opened(run.path)
        assert presenter.session is None
        assert presenter.lines() == ["The clips are being made. Listen opens by itself when all of them are there."]


def test_what_was_refused_is_not_asked_for_again_but_another_run_is(tmp_path: Path) -> None:
    run, other = make_run(tmp_path), make_run(tmp_path, "second")
    (run.path / "review").mkdir()
    (run.path / "review" / "anna.json").write_text("{")
    presenter = opened(run.path)
    assert "cannot be read as a listening session" in presenter.lines()[0]
    assert not presenter.take(run.path)
    assert presenter.take(other.path)


def test_another_run_begins_with_its_first_prompt_set(tmp_path: Path) -> None:
    run, other = make_run(tmp_path), make_run(tmp_path, "second")
    for folder in (run, other):
        make_evaluation(folder.path / "evaluation_jazz", ["cool jazz"])
    presenter = opened(run.path)
    assert presenter.next_set()
    presenter.open("anna")
    assert presenter.session is not None
    assert presenter.session.evaluation.name == "jazz"
    assert presenter.take(other.path)
    presenter.open("anna")
    assert presenter.session is not None
    assert presenter.session.evaluation.name == ""


def test_a_run_with_one_prompt_set_has_no_next(tmp_path: Path) -> None:
    assert not opened(make_run(tmp_path).path).next_set()


@pytest.mark.parametrize(("key", "clips"), [("2", 2), ("3", 3)])
def test_equal_weights_are_asked_about_before_the_session_begins(tmp_path: Path, key: str, clips: int) -> None:
    presenter = opened(make_run(tmp_path, same_weights=("best", "final")).path)
    assert presenter.session is None
    assert presenter.equal_weights() == "best and final have the same weights"
    assert presenter.clips_a_prompt() == (2, 3)
    assert not presenter.take(tmp_path / "first")
    presenter.answer(key)
    assert presenter.session is not None
    assert {len(trial.order) for trial in presenter.session.trials} == {clips}


def test_a_question_left_open_judges_nothing_and_says_how_it_is_asked_again(tmp_path: Path) -> None:
    presenter = opened(make_run(tmp_path, same_weights=("best", "final")).path)
    presenter.answer(None)
    assert presenter.session is None
    assert "w asks again" in presenter.lines()[0]


def test_a_session_that_goes_on_otherwise_than_the_settings_say_remarks_it(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    judge(open_evaluation(run.path), "anna", [{"base": 2, "best": 4, "final": 3}])
    said = opened(run.path, Review(training_item=False, mode="ranking")).opening_remarks()
    assert [remark.warning for remark in said] == [False]
    assert "goes on as it was begun, with review.mode = scores" in said[0].text


def test_missing_files_are_counted_and_not_named(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    next((run.evaluation() / "best_model").glob("01*")).unlink()
    said = opened(run.path).opening_remarks()
    assert [remark.text.split(";")[0] for remark in said] == ["1 clip file is missing"]


def test_a_judgement_leads_to_an_unheard_clip_then_to_one_without_a_score_then_to_the_next_prompt(
    tmp_path: Path,
) -> None:
    session = session_on(make_run(tmp_path).path)
    trial = session.trial.id
    heard(session).rate(3)
    assert after_judgement(session, "ABC", {(trial, "A")}) == Step(0, "B", fresh=True)
    assert after_judgement(session, "ABC", {(trial, "A"), (trial, "B")}) == Step(0, "C", fresh=True)
    assert after_judgement(session, "ABC", {(trial, letter) for letter in "ABC"}) == Step(0, "B", fresh=False)
    for letter in "BC":
        session.go(0, letter)
        session.rate(3)
    assert after_judgement(session, "ABC", set()) == Step(1, "A", fresh=True)


def test_after_the_last_judgement_nothing_comes(tmp_path: Path) -> None:
    session = judge(open_evaluation(make_run(tmp_path).path), "anna", [{"base": 2, "best": 4, "final": 3}])
    assert session.complete
    assert after_judgement(session, "ABC", set()) is None


class Deck(Player):
    """A player without a worker, whose playhead is where the test puts it."""

    def __init__(self) -> None:
        super().__init__()
        self.position = 0.0
        self.looped: list[tuple[float, float | None] | None] = []

    @property
    def status(self) -> PlayerStatus:
        return PlayerStatus(position=self.position)

    def loop(self, span: tuple[float, float | None] | None) -> None:
        self.looped.append(span)


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[Transport]:
    transport = Transport(Deck(), session_on(make_run(tmp_path).path))
    yield transport
    transport.close()


def test_a_loop_goes_from_its_mark_to_the_playhead_and_from_the_beginning_without_one(transport: Transport) -> None:
    deck = transport.player
    assert isinstance(deck, Deck)
    deck.position = 4.0
    transport.loop_to()
    assert transport.loop_from() == 4.0
    for deck.position in (6.0, 2.0):
        transport.loop_to()
    transport.begin(transport.session.trials[1])
    deck.position = 6.0
    transport.loop_to()
    assert deck.looped == [(0.0, 4.0), (4.0, 6.0), (0.0, 2.0), (0.0, 6.0)]


def test_only_clips_that_were_heard_may_be_drawn(transport: Transport) -> None:
    transport.begin(transport.session.trial)
    assert transport.visible() == {}
    transport.session.heard(transport.session.trial.id, "B", 2.0)
    assert list(transport.visible()) == ["B"]


def test_blind_names_are_taken_back_also_when_what_was_heard_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise UserError("the disk is full")

    transport = Transport(Deck(), session_on(make_run(tmp_path).path))
    link = transport.playback._names.link("1", "A", next(tmp_path.glob("first/evaluation/*/*.wav")))
    assert link.exists()
    monkeypatch.setattr(transport.playback, "log_heard", refuse)
    with pytest.raises(UserError, match="disk is full"):
        transport.close()
    assert not link.exists()
