"""What a shared page gives to send back becomes a listener's session, and nothing that was said before is lost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.contract.config import Review
from engine.contract.errors import UserError
from tests.review.clips import judge, make_evaluation, make_run, write_clip
from tui.review import shared
from tui.review.collect import collect
from tui.review.evaluation import Evaluation, open_evaluation
from tui.review.notes import export
from tui.review.results import results_of
from tui.review.shared import Key

POINTS = {"base": 2, "best": 4, "final": 3}


@pytest.fixture
def key(evaluation: Evaluation) -> Key:
    return made(evaluation)


def made(evaluation: Evaluation, listener: str = "", **review: Any) -> Key:
    key = shared.key_for(evaluation, Review(**review), listener)
    shared.write(evaluation, key)
    return key


def answered(key: Key, prompts: int = 99, **other: Any) -> dict[str, Any]:
    """What the page gives after so many prompts."""
    name = "score" if key.mode == "scores" else "rank"
    points = POINTS if key.mode == "scores" else {"base": 3, "best": 1, "final": 2}
    trials = {
        number: {letter: {name: points[trial.model(letter)], "heard": 3.5} for letter in trial.letters}
        for number, trial in list(key.numbered().items())[: prompts + 1]
    }
    return {
        "format": "mgl-tui answers", "version": 1, "page": key.page, "listener": "anna", "began": 1000.0,
        "sent": 2000.0, "trials": trials, **other,
    }  # fmt: skip


def sent(folder: Path, value: Any, name: str = "anna.json") -> Path:
    file = folder / name
    file.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return file


def test_letters_become_models_and_every_prompt_counts(tmp_path: Path, evaluation: Evaluation, key: Key) -> None:
    found = collect(evaluation, sent(tmp_path, answered(key)))
    # Eight prompts and the one that comes again; the training item is not counted.
    assert (found.listener, found.judgements, found.new, found.unit, found.left_out) == ("anna", 27, 27, "clip", ())
    results = results_of(evaluation)
    assert results.means() == {"base": 2.0, "best": 4.0, "final": 3.0}
    assert results.consistency("anna") is not None
    assert all(judgement.blind and judgement.heard == 3.5 for judgement in results.judgements)


def test_the_key_tells_what_the_page_does_not(evaluation: Evaluation, key: Key) -> None:
    path = evaluation.home / "review" / "shared" / f"{key.page}.json"
    stored = json.loads(path.read_text())
    assert stored["trials"][1]["order"] == list(key.trials[1].order)
    assert sum(trial.kind == "repeat" for trial in key.trials) == 1
    assert results_of(evaluation).sessions == ()


def test_each_listener_has_an_order_of_their_own_and_gets_the_same_page_again(evaluation: Evaluation) -> None:
    anna, ben = made(evaluation, "anna"), made(evaluation, "ben")
    assert [trial.order for trial in anna.trials] != [trial.order for trial in ben.trials]
    assert shared.key_for(evaluation, Review(), "anna") == anna
    assert shared.key_for(evaluation, Review(mode="ranking"), "anna").page != anna.page
    assert shared.key_for(evaluation, Review()).page not in (anna.page, ben.page)


def test_whoever_has_a_session_of_the_panel_gets_no_page(evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [POINTS])
    with pytest.raises(UserError, match="anna has a session on these clips already"):
        shared.key_for(evaluation, Review(), "anna")


def test_one_page_sent_to_two_people_makes_two_listeners(tmp_path: Path, evaluation: Evaluation, key: Key) -> None:
    collect(evaluation, sent(tmp_path, answered(key)))
    collect(evaluation, sent(tmp_path, answered(key, listener="ben"), "ben.json"))
    assert [session.listener for session in results_of(evaluation).sessions] == ["anna", "ben"]


def test_a_session_that_was_not_finished_counts_as_far_as_it_goes(
    tmp_path: Path, evaluation: Evaluation, key: Key
) -> None:
    assert collect(evaluation, sent(tmp_path, answered(key, 3))).judgements == 9
    results = results_of(evaluation).finished()
    assert results.pair("best", "base").wins == 3


def test_ranking_and_all_bad_come_back(tmp_path: Path, evaluation: Evaluation) -> None:
    key = made(evaluation, mode="ranking")
    collect(evaluation, sent(tmp_path, answered(key, all_bad=["1"])))
    pair = results_of(evaluation).pair("best", "base")
    assert pair.losses == 0
    assert pair.ties <= 1  # its prompt may be the one that comes again


def test_the_same_file_again_changes_nothing(tmp_path: Path, evaluation: Evaluation, key: Key) -> None:
    file = sent(tmp_path, answered(key, 4))
    collect(evaluation, file)
    before = (evaluation.home / "review" / "anna.json").stat().st_mtime_ns
    assert collect(evaluation, file).new == 0
    assert (evaluation.home / "review" / "anna.json").stat().st_mtime_ns == before


def test_a_longer_file_adds_to_the_shorter_whichever_comes_first(
    tmp_path: Path, evaluation: Evaluation, key: Key
) -> None:
    short, long = answered(key, 2), answered(key, 6)
    short["trials"]["1"]["A"] |= {"note": "hum at 3 s", "tags": ["noise"]}
    long["trials"]["1"]["A"] |= {"note": "hum at 3 s, then dull", "tags": ["generic"]}
    collect(evaluation, sent(tmp_path, short))
    found = collect(evaluation, sent(tmp_path, long))
    assert (found.judgements, found.new) == (18, 12)
    assert collect(evaluation, sent(tmp_path, short)).new == 0
    (first,) = [j for j in results_of(evaluation).judgements if (j.note, j.letter, j.kind) > ("", "", "")][:1]
    assert (first.note, first.tags) == ("hum at 3 s, then dull", ("noise", "generic"))


def test_a_file_that_contradicts_the_earlier_one_is_refused_with_where(
    tmp_path: Path, evaluation: Evaluation, key: Key
) -> None:
    collect(evaluation, sent(tmp_path, answered(key)))
    path = evaluation.home / "review" / "anna.json"
    before = path.read_bytes()
    other = answered(key)
    other["trials"]["3"]["B"]["score"] = 1
    was = POINTS[key.numbered()["3"].model("B")]
    with pytest.raises(UserError, match=f"contradicts what anna said before .prompt 3, B: {was} before and 1 now"):
        collect(evaluation, sent(tmp_path, other))
    assert path.read_bytes() == before


def test_a_listener_of_the_panel_is_not_written_over(tmp_path: Path, evaluation: Evaluation, key: Key) -> None:
    judge(evaluation, "anna", [POINTS])
    with pytest.raises(UserError, match=r'has a session on this run already .* "listener" of'):
        collect(evaluation, sent(tmp_path, answered(key)))


def test_clips_that_were_made_again_are_not_those_that_were_heard(
    tmp_path: Path, evaluation: Evaluation, key: Key
) -> None:
    clip = evaluation.items[2].clips["best"].path
    assert clip is not None
    write_clip(clip, tone=999)
    with pytest.raises(UserError, match=r"1 of 8 prompts of .* have other clips than when the page was made"):
        collect(evaluation, sent(tmp_path, answered(key)))
    assert not (evaluation.home / "review" / "anna.json").exists()


def test_clips_that_are_gone_lose_no_word(tmp_path: Path, evaluation: Evaluation, key: Key) -> None:
    clip = evaluation.items[2].clips["best"].path
    assert clip is not None
    clip.unlink()
    assert collect(open_evaluation(evaluation.home), sent(tmp_path, answered(key))).new == 27


def test_a_page_of_another_run_is_said_with_the_run_it_was_made_from(tmp_path: Path, evaluation: Evaluation) -> None:
    other = open_evaluation(make_evaluation(tmp_path / "second" / "evaluation"))
    key = made(other)
    with pytest.raises(UserError, match=r"no page .* was made from run; it was made from second: collect it there"):
        collect(evaluation, sent(tmp_path, answered(key)))
    assert collect(other, sent(tmp_path, answered(key))).new == 27


def test_a_page_of_another_prompt_set_finds_its_clips(tmp_path: Path, evaluation: Evaluation) -> None:
    more = open_evaluation(make_evaluation(evaluation.home / "evaluation_more", ("one more", "and another")))
    key = made(more)
    assert collect(evaluation, sent(tmp_path, answered(key))).new == 6
    assert results_of(more).means()["best"] == 4.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: it["trials"]["2"]["A"].update(score=9), "trials.2.A.score"),
        (lambda it: it["trials"]["2"]["A"].update(score="4"), "trials.2.A.score"),
        (lambda it: it["trials"]["2"].update(E={"score": 3, "heard": 1.0}), "prompt 2 has no clip E, only A, B, C"),
        (lambda it: it["trials"].update({"77": {"A": {"score": 3}}}), "there is no prompt 77"),
        (lambda it: it["trials"]["2"]["A"].update(heard=0), "prompt 2, A: it was judged and never played"),
        (lambda it: it["trials"]["2"]["A"].pop("heard"), "prompt 2, A: it was judged and never played"),
        (lambda it: it.update(all_bad=["88"]), "there is no prompt 88"),
        (lambda it: it["trials"].update({"2": 5}), "trials.2"),
        (lambda it: it.update(sittings=[{"start": -1, "end": 2}]), "sittings"),
    ],
)
def test_what_a_hand_wrote_wrongly_is_left_out_and_said_and_the_rest_counts(
    tmp_path: Path, evaluation: Evaluation, key: Key, change: Any, said: str
) -> None:
    value = answered(key)
    change(value)
    found = collect(evaluation, sent(tmp_path, value))
    assert len(found.left_out) == 1
    assert said in found.left_out[0]
    assert found.judgements >= 24


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: it.pop("page"), "has no page"),
        (lambda it: it.pop("trials"), "has no trials"),
        (lambda it: it.update(trials={}), "judges no clip"),
        (lambda it: it.update(trials=[]), "trials is a list"),
        (lambda it: it.update(format="something"), "format"),
        (lambda it: it.update(version=2), "later version"),
        (lambda it: it.update(page="../../../etc/passwd"), "no page"),
        (lambda it: it.update(page="*"), "no page"),
        (lambda it: it.update(page=""), "no page"),
    ],
)
def test_a_file_that_lacks_a_part_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, evaluation: Evaluation, key: Key, change: Any, said: str
) -> None:
    value = answered(key)
    change(value)
    with pytest.raises(UserError, match=said) as caught:
        collect(evaluation, sent(tmp_path, value))
    assert "anna.json" in str(caught.value)
    assert list((evaluation.home / "review").glob("*.json")) == []


def test_what_is_no_file_is_not_waited_for(tmp_path: Path, evaluation: Evaluation) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path / "pipe.json", tmp_path):
        with pytest.raises(UserError, match="is no file"):
            collect(evaluation, path)
    with pytest.raises(UserError, match=r"gone\.json: cannot be read"):
        collect(evaluation, tmp_path / "gone.json")


def test_a_damaged_key_is_said_and_not_guessed_from(tmp_path: Path, evaluation: Evaluation, key: Key) -> None:
    path = evaluation.home / "review" / "shared" / f"{key.page}.json"
    path.write_text(path.read_text().replace('"main"', '"mein"', 1))
    with pytest.raises(UserError, match="nobody knows which clip was which"):
        collect(evaluation, sent(tmp_path, answered(key)))


def test_a_name_that_no_file_can_have_is_still_a_listener(tmp_path: Path, evaluation: Evaluation, key: Key) -> None:
    assert collect(evaluation, sent(tmp_path, answered(key, listener="../Jörg <b>"))).listener == "J-rg-b"
    assert collect(evaluation, sent(tmp_path, answered(key, listener="Анна"))).listener == f"listener-{key.page[:4]}"
    assert collect(evaluation, sent(tmp_path, answered(key, listener="gate"))).listener == "gate-listener"


def test_the_notes_say_how_each_listened(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    evaluation = open_evaluation(run.path)
    key = made(evaluation)
    collect(evaluation, sent(tmp_path, answered(key, 3)))
    rows = [{"text_prompt": item.text, "selected_model": "best"} for item in evaluation.items]
    collect(evaluation, sent(tmp_path, rows, "rater.json"))
    (notes,) = export(run)
    said = notes.read_text()
    assert "9 of 27 clips scored blind, on a shared page, which shows no names" in said
    assert "min of sound through shared page" in said
    assert "picked best 8 times elsewhere; whether blind, and in what order, is not known" in said
    assert "never played in the panel" not in said
