"""What Try does without a screen: groups of clips that compare, and prompts that are taken up into a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.contract import prompts
from engine.contract.errors import UserError
from engine.contract.tries import TryClip
from tui.runs.tries import Options, groups, take_up


def clip(file: str, prompt: str = "p", model: str = "best", **fields: object) -> TryClip:
    return TryClip(file=file, prompt=prompt, model=model, **fields)  # type: ignore[arg-type]


def test_clips_compare_that_differ_in_nothing_but_model_and_strength() -> None:
    made = [
        clip("6", "q"), clip("5", strength=0.5), clip("4", seed=1), clip("3", seconds=2.0), clip("2"),
        clip("1", model="base"),
    ]  # fmt: skip
    found = [[one.file for one in group.clips] for group in groups(made)]
    assert found == [["6"], ["1", "5", "2"], ["4"], ["3"]]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("p.json", '["a choir"]', ["a choir", "slow piano"]),
        ("p.json", '[{"text": "a choir", "id": "x"}]', ["a choir", "slow piano"]),
        ("p.txt", "a choir", ["a choir", "slow piano"]),
        ("p.txt", "a choir\n", ["a choir", "slow piano"]),
        ("p.json", None, ["slow piano"]),
        ("p.txt", None, ["slow piano"]),
    ],
)
def test_a_prompt_goes_to_the_end_of_a_prompts_file_once(
    tmp_path: Path, name: str, before: str | None, after: list[str]
) -> None:
    file = tmp_path / name
    if before is not None:
        file.write_text(before)
    assert take_up("slow piano", file)
    assert not take_up("slow piano", file)
    assert [prompt.text for prompt in prompts.read(file)] == after


def test_what_else_stands_in_a_prompts_file_stays_and_a_broken_one_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text('[{"text": "ein Chor", "id": "x", "mood": "ruhig"}]')
    take_up("slow piano", file)
    assert json.loads(file.read_text())[0] == {"text": "ein Chor", "id": "x", "mood": "ruhig"}
    file.write_text("[")
    with pytest.raises(UserError, match="no valid JSON"):
        take_up("slow piano", file)
    assert file.read_text() == "["


def test_the_strength_goes_in_quarters_from_nought_to_one_and_a_half() -> None:
    options, seen = Options(strength=0.3), []
    for _ in range(7):
        options = options.stepped(1)
        seen.append(options.strength)
    assert seen == [0.5, 0.75, 1.0, 1.25, 1.5, 1.5, 1.5]
    assert Options(strength=0.3).stepped(-1).strength == 0.25
    assert Options(strength=0.0).stepped(-1).strength == 0.0


def test_settings_read_as_they_are_written() -> None:
    options = Options(models=("base", "other:best"), strength=0.5, seconds=7.5, seed=3, top_k=9)
    assert Options().changed(options.text()) == options


def test_a_prompt_is_taken_up_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("fast drums\n")
    (tmp_path / "prompts.txt").symlink_to("mine.txt")
    assert take_up("slow piano", tmp_path / "prompts.txt")
    assert (tmp_path / "prompts.txt").is_symlink()
    assert (tmp_path / "mine.txt").read_text() == "fast drums\nslow piano\n"
