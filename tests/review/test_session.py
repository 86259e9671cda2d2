import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.contract.config import Review
from engine.contract.errors import UserError
from tests.review.clips import heard, make_evaluation
from tui.review.evaluation import Evaluation, open_evaluation
from tui.review.results import results_of
from tui.review.session import ChangedElsewhere, Session, default_listener, review_path
from tui.review.state import Read, read_state


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session(evaluation: Evaluation, clock: Clock) -> Session:
    return heard(Session.open(evaluation, "anna", Review(), seed=1, clock=clock))


def on_disk(session: Session) -> dict:
    return json.loads(session.path.read_text())


def judge_all(session: Session, score: int = 3) -> None:
    for index, trial in enumerate(session.trials):
        for letter in trial.letters:
            session.go(index, letter)
            session.rate(score)


def test_opening_a_session_writes_nothing(session: Session) -> None:
    assert not session.path.exists()
    assert session.trial.kind == "training"


def test_every_key_is_on_disk_when_it_returns(session: Session) -> None:
    session.go(1, "B")
    session.rate(4)
    session.toggle_tag("noise")
    session.write_note("hiss under the bass")
    stored = on_disk(session)["ratings"][session.trial.id]["B"]
    assert (stored["score"], stored["tags"], stored["note"]) == (4, ["noise"], "hiss under the bass")
    assert session.path == session.evaluation.home / "review" / "anna.json"


def test_a_session_goes_on_at_the_place_where_it_was_left(session: Session, evaluation: Evaluation) -> None:
    session.go(3, "C")
    session.rate(2)
    again = Session.open(evaluation, "anna", Review())
    assert (again.index, again.letter) == (3, "C")
    assert again.trials == session.trials
    assert again.value(again.trial, "C") == 2


def test_another_listener_gets_an_order_and_a_file_of_their_own(session: Session, evaluation: Evaluation) -> None:
    session.rate(3)
    other = Session.open(evaluation, "ben", Review(), seed=2)
    assert [t.order for t in other.trials] != [t.order for t in session.trials]
    assert other.done == 0
    assert other.path != session.path


def test_the_training_item_is_not_counted(session: Session) -> None:
    for letter in "ABC":
        session.go(0, letter)
        session.rate(5)
    assert (session.done, session.total) == (0, 24)


def test_undo_takes_back_one_judgement_after_another_and_goes_there(session: Session) -> None:
    session.go(1, "A")
    session.rate(4)
    session.rate(2)
    session.go(2, "B")
    session.toggle_tag("generic")
    assert session.undo() == "tag generic of B"
    assert session.undo() == "score of A"
    assert (session.index, session.letter, session.value(session.trial, "A")) == (1, "A", 4)
    assert session.undo() == "score of A"
    assert session.value(session.trial, "A") is None
    assert session.undo() is None


def test_undo_works_on_another_day(session: Session, evaluation: Evaluation) -> None:
    session.go(1, "A")
    session.rate(4)
    again = Session.open(evaluation, "anna", Review())
    again.undo()
    assert again.value(again.trial, "A") is None
    assert on_disk(again)["ratings"]["1"]["A"]["score"] is None


def test_names_show_only_after_the_reveal_and_an_early_one_is_recorded(session: Session) -> None:
    assert not session.names_visible
    session.reveal()
    assert session.names_visible
    assert on_disk(session)["revealed"]["early"] is True


def test_a_reveal_after_the_last_score_is_not_early(session: Session) -> None:
    judge_all(session)
    assert session.complete
    session.reveal()
    assert on_disk(session)["revealed"]["early"] is False


def test_ranking_has_ties_and_all_bad(evaluation: Evaluation) -> None:
    session = heard(Session.open(evaluation, "anna", Review(mode="ranking"), seed=1))
    session.go(1, "A")
    session.rate(1)
    session.go(1, "B")
    session.rate(1)
    with pytest.raises(UserError, match="1 to 3"):
        session.rate(4)
    session.go(2, "A")
    session.toggle_all_bad()
    assert session.is_judged(session.trial)
    assert session.done == 2 + 3
    session.rate(2)
    assert not session.is_judged(session.trial)
    session.undo()
    assert session.is_judged(session.trial)


def test_the_log_says_how_long_each_clip_was_played(session: Session) -> None:
    session.heard("1", "A", 3.25, "browser")
    session.heard("1", "A", 1.0, "browser")
    session.heard("1", "B", 0.0)
    stored = on_disk(session)
    assert [(e["letter"], e["seconds"]) for e in stored["played"]] == [("A", 3.25), ("A", 1.0)]
    assert stored["ratings"]["1"]["A"]["heard"] == 4.25
    assert stored["outputs"] == ["browser"]


def test_the_next_unheard_clip_is_looked_for_from_the_cursor_on(session: Session) -> None:
    session.state.elsewhere = []
    session.go(1, "A")
    session.heard("1", "B", 2.0)
    assert session.next_unheard() == (1, "C")
    session.go(1, "B")
    session.hear_elsewhere()
    assert session.next_unheard() == (2, "A")
    session.go(8, "C")
    assert session.next_unheard() == (0, "A")


def test_a_session_says_which_settings_it_keeps_from_its_beginning(session: Session, evaluation: Evaluation) -> None:
    assert session.kept() == []
    session.rate(3)
    again = Session.open(evaluation, "anna", Review(mode="ranking", repeats=2))
    assert again.kept() == ["review.mode = scores", "review.repeats = 0"]


@pytest.fixture
def unheard(evaluation: Evaluation) -> Session:
    """A session at its first prompt, of which nothing has sounded."""
    return Session.open(evaluation, "anna", Review(training_item=False), seed=1)


def test_what_is_said_of_a_clip_that_nobody_heard_is_refused_and_leaves_nothing(unheard: Session) -> None:
    for say in (
        lambda: unheard.rate(4),
        lambda: unheard.toggle_tag("noise"),
        lambda: unheard.write_note("hiss"),
        unheard.toggle_all_bad,
    ):
        with pytest.raises(UserError, match="Nobody has heard A yet, so nothing is noted"):
            say()
    assert not unheard.path.exists()
    assert (unheard.done, unheard.state.history) == (0, [])


def test_a_clip_counts_as_heard_after_the_time_that_is_set_or_at_its_end(tmp_path: Path) -> None:
    folder = make_evaluation(tmp_path / "run" / "evaluation", ["one"], seconds=4.0)
    review = Review(training_item=False, min_listen=3.0)
    session = Session.open(open_evaluation(folder), "anna", review, seed=1)
    session.heard("1", "A", 2.0)
    with pytest.raises(UserError, match=r"Only 2.0 s of A were heard.*3 s at least"):
        session.rate(4)
    session.heard("1", "A", 1.0)
    session.rate(4)
    session.review = review.model_copy(update={"min_listen": 30.0})
    session.heard("1", "B", 3.7)
    session.go(0, "B")
    session.rate(2)
    assert session.done == 2


def test_all_bad_is_said_of_a_prompt_whose_clips_were_all_heard(evaluation: Evaluation) -> None:
    session = Session.open(evaluation, "anna", Review(mode="ranking", training_item=False), seed=1)
    for letter in "AB":
        session.heard("1", letter, 2.0)
    with pytest.raises(UserError, match="Nobody has heard C"):
        session.toggle_all_bad()
    session.heard("1", "C", 2.0)
    session.toggle_all_bad()
    session.toggle_all_bad()
    assert session.done == 0


def test_clips_heard_elsewhere_are_judged_and_the_notes_can_tell_and_undo_takes_it_back(unheard: Session) -> None:
    unheard.hear_elsewhere()
    unheard.hear_elsewhere()
    for letter, score in zip("ABC", (2, 3, 4), strict=True):
        unheard.go(0, letter)
        unheard.rate(score)
    assert on_disk(unheard)["elsewhere"] == ["1"]
    assert [j.elsewhere for j in results_of(unheard.evaluation).judgements][:4] == [True, True, True, False]
    unheard.go(1, "A")
    with pytest.raises(UserError, match="Nobody has heard A"):
        unheard.rate(4)
    for _ in range(4):
        said = unheard.undo()
    assert said == '"heard elsewhere"'
    assert on_disk(unheard)["elsewhere"] == []


def test_a_session_of_before_keeps_its_scores_and_they_can_be_changed_once_it_is_heard(unheard: Session) -> None:
    unheard.hear_elsewhere()
    unheard.rate(4)
    unheard.toggle_tag("noise")
    stored = on_disk(unheard)
    del stored["elsewhere"], stored["history"]
    unheard.path.write_text(json.dumps(stored))
    again = Session.open(unheard.evaluation, "anna", Review())
    assert (again.complaints, again.done, again.value(again.trial, "A")) == ((), 1, 4)
    with pytest.raises(UserError, match="Nobody has heard A"):
        again.rate(2)
    again.toggle_tag("noise")
    assert again.rating(again.trial, "A").tags == []


def test_going_on_waits_for_all_scores_when_set(evaluation: Evaluation) -> None:
    session = heard(Session.open(evaluation, "anna", Review(must_rate=True, training_item=False), seed=1))
    with pytest.raises(UserError, match="Rate every clip"):
        session.go(1)
    for letter in "ABC":
        session.go(0, letter)
        session.rate(3)
    session.go(1)
    assert session.index == 1


def test_a_pause_of_ten_minutes_begins_another_sitting(session: Session, clock: Clock) -> None:
    session.rate(3)
    clock.now += 21 * 60 / 3
    session.rate(3)
    assert session.sitting_seconds() == 7 * 60
    clock.now += 3600
    assert session.sitting_seconds() == 0.0
    session.rate(3)
    assert len(on_disk(session)["sittings"]) == 2


def test_equal_weights_wait_for_the_choice_of_two_clips_or_three(tmp_path: Path) -> None:
    evaluation = open_evaluation(make_evaluation(tmp_path / "evaluation", same_weights=("best", "final")))
    session = Session.open(evaluation, "anna", Review(), seed=1)
    assert session.needs_choice
    assert session.trials == []
    session.choose_equal("two")
    assert not session.needs_choice
    assert all(sorted(trial.order) == ["base", "best"] for trial in session.trials)
    other = Session.open(evaluation, "ben", Review(), seed=1)
    other.choose_equal("three")
    assert all(len(trial.order) == 3 for trial in other.trials)
    assert not Session.open(evaluation, "anna", Review()).needs_choice


def test_prompts_made_later_are_added_to_a_session_that_goes_on(tmp_path: Path) -> None:
    folder = make_evaluation(tmp_path / "evaluation", ["one", "two"])
    session = heard(Session.open(open_evaluation(folder), "anna", Review(repeats=1), seed=1))
    session.go(1, "A")
    session.rate(5)
    make_evaluation(folder, ["one", "two", "three"])
    again = Session.open(open_evaluation(folder), "anna", Review(repeats=1))
    assert again.trials[: len(session.trials)] == session.trials
    assert [again.item_of(t).text for t in again.trials[len(session.trials) :]] == ["three"]
    assert again.done == 1


def test_a_missing_clip_gets_no_letter_and_is_not_waited_for(tmp_path: Path) -> None:
    folder = make_evaluation(tmp_path / "evaluation", ["one", "two"])
    next((folder / "best_model").glob("01*")).unlink()
    session = heard(Session.open(open_evaluation(folder), "anna", Review(training_item=False), seed=1))
    assert sorted(session.trials[0].order) == ["base", "final"]
    judge_all(session)
    assert session.complete


def test_a_listener_name_that_is_no_file_name_is_refused(evaluation: Evaluation) -> None:
    for name in ("../evil", "a/b", "", ".hidden", "a b"):
        with pytest.raises(UserError, match="no name for a listener"):
            review_path(evaluation, name)
    assert review_path(evaluation, default_listener()).name == f"{default_listener()}.json"


def test_a_damaged_file_is_refused_in_one_sentence_and_kept(session: Session, evaluation: Evaluation) -> None:
    session.rate(3)
    session.path.write_text('{"listener": "anna", "tr')
    with pytest.raises(UserError, match="cannot be read as a listening session"):
        Session.open(evaluation, "anna", Review())
    assert session.path.read_text().endswith('"tr')


def test_a_second_panel_on_the_same_session_overwrites_nothing(session: Session, evaluation: Evaluation) -> None:
    session.rate(3)
    other = Session.open(evaluation, "anna", Review())
    other.go(2, "B")
    with pytest.raises(UserError, match="changed by another panel"):
        session.rate(1)
    assert read_state(session.path).state.trial == other.trial.id


def test_a_note_is_written_to_the_clip_it_was_begun_at_and_taken_back_there(session: Session) -> None:
    session.go(1, "A")
    at = (session.trial.id, "A")
    session.write_note("hiss")
    session.go(4, "C")
    session.write_note("hiss and", going_on=True, at=at)
    assert session.rating(session.trials[1], "A").note == "hiss and"
    assert session.rating(session.trial, "C").note == ""
    session.rate(3)
    session.take_back_note("", at)
    assert session.rating(session.trials[1], "A").note == ""
    assert session.value(session.trials[4], "C") == 3


def test_what_another_panel_writes_while_a_session_is_opened_is_noticed(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.rate(3)

    def read_and_then_it_changes(path: Path) -> Read:
        found = read_state(path)
        session.rate(5)
        return found

    monkeypatch.setattr("tui.review.session.read_state", read_and_then_it_changes)
    late = Session.open(session.evaluation, "anna", Review())
    with pytest.raises(ChangedElsewhere):
        late.rate(1)
    assert read_state(session.path).state.ratings[session.trial.id][session.letter].score == 5


def test_two_processes_that_judge_at_once_lose_no_score(session: Session) -> None:
    session.rate(3)
    code = (
        "import sys\n"
        "from engine.contract.config import Review\n"
        "from tui.review.evaluation import open_evaluation\n"
        "from tui.review.session import ChangedElsewhere, Session\n"
        f"evaluation = open_evaluation({str(session.evaluation.folder)!r})\n"
        "for index in range(int(sys.argv[1]), 9, 2):\n"
        "    for letter in 'ABC':\n"
        "        while True:\n"
        "            try:\n"
        "                session = Session.open(evaluation, 'anna', Review())\n"
        "                session.go(index, letter)\n"
        "                session.rate(1 + index % 5)\n"
        "                break\n"
        "            except ChangedElsewhere:\n"
        "                pass\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(first)]) for first in (1, 2)]
    assert [child.wait() for child in both] == [0, 0]
    state = read_state(session.path).state
    assert all(rating.score for trial in state.trials[1:] for rating in state.ratings[trial.id].values())
    assert sum(len(letters) for letters in state.ratings.values()) == 1 + 24


def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(session: Session) -> None:
    session.evaluation.home.joinpath("review").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot be written"):
        session.rate(3)


def test_a_run_that_was_moved_away_does_not_come_back(session: Session, tmp_path: Path) -> None:
    session.rate(3)
    session.evaluation.home.rename(tmp_path / "archived")
    with pytest.raises(UserError, match="the run was moved or removed"):
        session.rate(4)
    assert not session.evaluation.home.exists()


def test_a_session_survives_kill_9_with_its_last_key(tmp_path: Path) -> None:
    folder = make_evaluation(tmp_path / "evaluation", ["one", "two", "three"])
    code = (
        "import sys\n"
        "from engine.contract.config import Review\n"
        "from tui.review.evaluation import open_evaluation\n"
        "from tui.review.session import Session\n"
        f"session = Session.open(open_evaluation({str(folder)!r}), 'anna', Review(), seed=1)\n"
        "n = 0\n"
        "while True:\n"
        "    session.go(1 + n % 3, 'ABC'[n % 2])\n"
        "    session.hear_elsewhere()\n"
        "    session.rate(1 + n % 5)\n"
        "    n += 1\n"
        "    print(n, n % 5 or 5, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    for _ in range(20):
        child.stdout.readline()
    time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    said = [line.split() for line in child.stdout.read().splitlines() if len(line.split()) == 2]
    keys = int(said[-1][0]) if said else 20
    state = read_state(tmp_path / "review" / "anna.json").state
    # The last key that was acknowledged is on disk; one more may be.
    scores = sum(step.what.startswith("score") for step in state.history)
    assert scores in (keys, keys + 1)


def edited(session: Session, **changes: object) -> bytes:
    """The stored session with fields as a hand might leave them; what its file holds then."""
    content = json.dumps({**on_disk(session), **changes}).encode()
    session.path.write_bytes(content)
    return content


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ratings": {"1": {"A": {"score": " ", "note": "hiss"}}}}, "ratings.1.A.score"),
        ({"ratings": {"1": {"A": {"tags": 5, "note": "hiss"}}}}, "ratings.1.A.tags"),
        ({"ratings": {"1": {"A": {"score": 10**400, "note": "hiss"}}}}, "ratings.1.A.score"),
        ({"ratings": {"1": {"A": {"scores": 4, "note": "hiss"}}}}, "ratings.1.A.scores"),
        ({"ratings": {"1": {"A": {"heard": -1, "note": "hiss"}, "B": 7}}}, "ratings.1.A.heard"),
        ({"sittings": [{"start": 1e300, "end": 5}]}, "sittings"),
        ({"revealed": "yes"}, "revealed"),
        ({"history": [{"trial": "1", "letter": "A", "before": {"score": "x"}, "what": "?"}]}, "steps of undo"),
        ({"history": [{"trial": "77", "letter": "A", "before": {"score": 1}, "what": "?"}]}, "steps of undo"),
        ({"played": [5]}, "played"),
        ({"mode": "loudness"}, "mode"),
        ({"letter": "Z", "trial": "none", "seed": "x"}, "seed"),
    ],
)
def test_what_a_hand_left_in_the_file_that_cannot_be_read_is_said_and_the_file_kept(
    session: Session, evaluation: Evaluation, changes: dict, named: str
) -> None:
    session.go(1, "A")
    session.write_note("hiss")
    content = edited(session, **changes)
    again = Session.open(evaluation, "anna", Review())
    assert any(named in complaint for complaint in again.complaints)
    assert again.rating(next(t for t in again.trials if t.id == "1"), "A").note == "hiss"
    again.go(2)
    again.rate(4)
    again.undo()
    again.reveal()
    assert session.path.with_name("anna.json.kept-1").read_bytes() == content
    assert Session.open(evaluation, "anna", Review()).complaints == ()
    assert results_of(evaluation).unreadable == ()


def test_a_trial_that_cannot_be_read_is_drawn_anew_under_a_name_of_its_own(
    session: Session, evaluation: Evaluation
) -> None:
    session.go(3)
    session.rate(5)
    trials = on_disk(session)["trials"]
    trials[1]["order"] = 5
    trials[2]["order"] = []
    edited(session, trials=trials)
    again = Session.open(evaluation, "anna", Review())
    assert len(again.complaints) == 2
    assert len({trial.id for trial in again.trials}) == len(session.trials)
    assert {trial.item for trial in again.counted} == {item.key for item in evaluation.items}
    assert again.value(session.trial, "A") == 5
