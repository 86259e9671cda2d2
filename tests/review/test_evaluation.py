import json
from pathlib import Path

import pytest

from engine.contract.errors import UserError
from tests.review.clips import PROMPTS, make_evaluation, make_foreign_evaluation
from tui.review.evaluation import open_evaluation


def test_a_run_folder_and_its_evaluation_folder_open_the_same_items(clips_of_a_run: Path) -> None:
    by_run, by_folder = open_evaluation(clips_of_a_run), open_evaluation(clips_of_a_run / "evaluation")
    assert by_run == by_folder
    assert [item.text for item in by_run.items] == list(PROMPTS)
    assert by_run.models == ("base", "best", "final")
    assert by_run.home == clips_of_a_run
    assert by_run.same_seed


def test_a_folder_of_another_script_opens_with_five_fields_and_time_stamped_names(tmp_path: Path) -> None:
    opened = open_evaluation(make_foreign_evaluation(tmp_path / "evaluation"))
    assert len(opened.items) == 3
    assert all(clip.path and clip.path.is_file() for item in opened.items for clip in item.clips.values())
    assert not opened.same_seed
    assert opened.problems == ()


def test_a_missing_file_is_shown_as_missing_and_the_others_stay(tmp_path: Path) -> None:
    folder = make_foreign_evaluation(tmp_path / "evaluation")
    gone = next((folder / "best_model").glob("*_1_*.wav"))
    gone.unlink()
    opened = open_evaluation(folder)
    missing = opened.items[1].clips["best"].missing
    assert missing
    assert gone.name in missing
    assert opened.models == ("base", "best", "final")
    assert any("prompt 2, best" in problem for problem in opened.problems)


def test_a_model_without_any_clip_is_a_missing_model(tmp_path: Path) -> None:
    opened = open_evaluation(make_evaluation(tmp_path / "evaluation", models=("base", "final")))
    assert opened.models == ("base", "final")
    assert opened.missing_models == ("best",)
    assert opened.problems == ()


def test_more_models_than_three_are_taken_from_the_models_field(tmp_path: Path) -> None:
    opened = open_evaluation(make_evaluation(tmp_path / "evaluation", models=("base", "best", "final", "step-200")))
    assert opened.models == ("base", "best", "final", "step-200")


def test_lines_that_are_no_prompts_are_left_out_and_said(tmp_path: Path) -> None:
    folder = make_evaluation(tmp_path / "evaluation", PROMPTS[:2])
    with open(folder / "comparison_results.jsonl", "a") as file:
        file.write('{"torn\n[]\n')
    opened = open_evaluation(folder)
    assert len(opened.items) == 2
    assert len(opened.problems) == 2


def test_a_file_without_any_prompt_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "comparison_results.jsonl").write_text("")
    with pytest.raises(UserError, match=r"holds no prompt.*mgl-tui evaluate"):
        open_evaluation(tmp_path)


def test_a_folder_without_clips_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no comparison_results.jsonl"):
        open_evaluation(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        open_evaluation(tmp_path / "nowhere")


def test_equal_weights_come_from_the_record_of_the_engine(tmp_path: Path) -> None:
    opened = open_evaluation(make_evaluation(tmp_path / "evaluation", same_weights=("best", "final")))
    assert opened.same_weights == (("best", "final"),)


def test_equal_weights_of_another_script_are_found_by_equal_clips(tmp_path: Path) -> None:
    folder = make_foreign_evaluation(tmp_path / "evaluation")
    for entry in map(json.loads, (folder / "comparison_results.jsonl").read_text().splitlines()):
        best, final = (
            folder / Path(entry[f"{m}_model_file"]).relative_to("output/evaluation") for m in ("best", "final")
        )
        final.write_bytes(best.read_bytes())
    assert open_evaluation(folder).same_weights == (("best", "final"),)


def test_seeds_of_a_prompt_are_items_of_their_own(tmp_path: Path) -> None:
    opened = open_evaluation(make_evaluation(tmp_path / "evaluation", PROMPTS[:2], repeats=3))
    assert len(opened.items) == 6
    assert len({item.key for item in opened.items}) == 6
    assert opened.prompts == 2


def test_another_prompt_set_is_reviewed_in_a_folder_of_its_own(tmp_path: Path) -> None:
    make_evaluation(tmp_path / "run" / "evaluation_jazz", PROMPTS[:1])
    opened = open_evaluation(tmp_path / "run", "jazz")
    assert opened.name == "jazz"
    assert opened.home == tmp_path / "run"


@pytest.mark.parametrize(
    "fields",
    [
        {"base_model_file": "."},
        {"base_model_file": ""},
        {"base_model_file": "x" * 5000 + ".wav"},
        {"base_model_file": "a\0b.wav"},
        {"models": ["base.wav"]},
        {"models": {"base": 7}},
        {"duration": 10**400},
        {"seed": "three", "repeat": -1, "same_weights": "all"},
        {"measures": {"base": {"lufs": "loud"}, "best": 3}},
        {"prompt_id": 10**400},
    ],
)
def test_a_field_that_cannot_be_used_takes_nothing_else_with_it(tmp_path: Path, fields: dict) -> None:
    folder = make_evaluation(tmp_path / "evaluation", PROMPTS[:3])
    rows = [json.loads(row) for row in (folder / "comparison_results.jsonl").read_text().splitlines()]
    rows[1] |= fields
    (folder / "comparison_results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    opened = open_evaluation(folder)
    assert [item.text for item in opened.items] == list(PROMPTS[:3])
    assert opened.items[2].clips["base"].path
    asked = open_evaluation(folder).items[1].clips
    if "base_model_file" in fields:
        assert asked["base"].path is None or fields["base_model_file"] == ""
    else:
        assert any("line 2" in problem for problem in opened.left_out)


def test_bytes_that_are_no_text_and_a_separator_inside_a_prompt_lose_no_line(tmp_path: Path) -> None:
    folder = make_evaluation(tmp_path / "evaluation", PROMPTS[:2])
    with open(folder / "comparison_results.jsonl", "ab") as file:
        file.write('{"text_prompt": "one\u2028two"}\n'.encode() + b'{"text_prompt": "caf\xe9"}\n')
    opened = open_evaluation(folder)
    assert [item.text for item in opened.items[2:]] == ["one\u2028two", "caf\ufffd"]
    assert any("line 4" in problem for problem in opened.left_out)
