"""What listeners said elsewhere becomes sessions of the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.contract.errors import UserError
from tests.review.clips import judge
from tui.review.collect import collect
from tui.review.evaluation import Evaluation
from tui.review.results import results_of


def picks(path: Path, evaluation: Evaluation, models: list[str], evaluator: str | None = "Anna B.") -> Path:
    rows = [{"text_prompt": i.text, "selected_model": m} for i, m in zip(evaluation.items, models, strict=False)]
    value: Any = {"evaluator": evaluator, "evaluations": rows} if evaluator else rows
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_the_chosen_model_wins_against_the_others_of_its_prompt(tmp_path: Path, evaluation: Evaluation) -> None:
    chosen = ["best_model"] * 6 + ["base", "Final Model"]
    found = collect(evaluation, picks(tmp_path / "anna.json", evaluation, chosen))
    assert (found.listener, found.judgements, found.left_out, found.new) == ("Anna-B", 8, (), 8)
    results = results_of(evaluation)
    assert [session.listener for session in results.sessions] == ["Anna-B"]
    pair = results.pair("best", "base")
    assert (pair.wins, pair.losses, pair.ties) == (6, 1, 1)
    assert not any(judgement.blind for judgement in results.judgements)


def test_a_plain_list_is_read_and_its_file_names_the_listener(tmp_path: Path, evaluation: Evaluation) -> None:
    found = collect(evaluation, picks(tmp_path / "rater one.json", evaluation, ["best"] * 3, evaluator=None))
    assert (found.listener, found.judgements) == ("rater-one", 3)


def test_a_file_brought_in_twice_counts_once(tmp_path: Path, evaluation: Evaluation) -> None:
    file = picks(tmp_path / "anna.json", evaluation, ["best"] * 8)
    collect(evaluation, file)
    assert collect(evaluation, file).new == 0
    assert len(results_of(evaluation).sessions) == 1


def test_a_longer_file_of_one_picker_adds_and_one_that_says_otherwise_is_refused(
    tmp_path: Path, evaluation: Evaluation
) -> None:
    collect(evaluation, picks(tmp_path / "anna.json", evaluation, ["best"] * 3))
    found = collect(evaluation, picks(tmp_path / "anna.json", evaluation, ["best"] * 3 + ["base"] * 5))
    assert (found.judgements, found.new) == (8, 5)
    assert results_of(evaluation).pair("best", "base").wins == 3
    path = evaluation.home / "review" / "Anna-B.json"
    before = path.read_bytes()
    with pytest.raises(
        UserError, match=r'contradicts what Anna-B said before \("slow piano .*best before and final now'
    ):
        collect(evaluation, picks(tmp_path / "anna.json", evaluation, ["best", "final"]))
    assert path.read_bytes() == before


def test_what_a_listener_said_before_is_kept(tmp_path: Path, evaluation: Evaluation) -> None:
    judge(evaluation, "anna", [{"base": 2, "best": 4, "final": 3}])
    path = evaluation.home / "review" / "anna.json"
    before = path.read_bytes()
    with pytest.raises(UserError, match="has a session on this run already"):
        collect(evaluation, picks(tmp_path / "x.json", evaluation, ["base"] * 8, evaluator="anna"))
    assert path.read_bytes() == before


def test_picks_that_fit_nothing_are_left_out_and_said(tmp_path: Path, evaluation: Evaluation) -> None:
    file = tmp_path / "anna.json"
    rows = [
        {"text_prompt": evaluation.items[0].text.upper() + " ", "selected_model": "best"},
        {"text_prompt": evaluation.items[1].text, "selected_model": "model C"},
        {"text_prompt": "something else", "selected_model": "best"},
        {"text_prompt": evaluation.items[0].text, "selected_model": "base"},
        {"text_prompt": 5},
    ]
    file.write_text(json.dumps({"evaluator": "anna", "evaluations": rows}), encoding="utf-8")
    found = collect(evaluation, file)
    assert found.judgements == 1
    assert len(found.left_out) == 4
    assert 'no model "model C", there are base, best, final' in found.left_out[0]
    assert 'no prompt "something else"' in found.left_out[1]
    assert "a second one" in found.left_out[2]


def test_a_file_of_another_run_says_which_prompts_this_one_knows(tmp_path: Path, evaluation: Evaluation) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps([{"text_prompt": "nothing of this", "selected_model": "best"}]), encoding="utf-8")
    with pytest.raises(UserError, match="fits no prompt") as caught:
        collect(evaluation, file)
    assert evaluation.items[0].text in str(caught.value)
    assert not (evaluation.home / "review").exists()


@pytest.mark.parametrize("text", ["", "[", "5", '"x"', "{}", '{"evaluations": 5}', "\ufffe", "[" * 10_000])
def test_a_file_that_is_none_of_it_is_one_sentence(tmp_path: Path, evaluation: Evaluation, text: str) -> None:
    file = tmp_path / "odd.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"odd\.json"):
        collect(evaluation, file)
