"""The prompts file: edited in its own format, and held against the captions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.contract import prompts
from engine.contract.errors import UserError
from tui.dataset.prompt_list import PromptList, repeats

FILES = {
    "list.json": '["one", "two"]\n',
    "objects.json": '[\n {"id": "a", "prompt": "one", "mood": 1.50},\n {"id": "b", "prompt": "two", "mood": 2}\n]',
    "lines.txt": "one\n\ntwo\n",
}


@pytest.fixture(params=FILES)
def file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / request.param
    path.write_text(FILES[request.param])
    return path


def texts(file: Path) -> list[str]:
    return [prompt.text for prompt in prompts.read(file)]


def test_prompts_are_edited_added_and_taken_out_and_all_of_it_taken_back(file: Path) -> None:
    before = file.read_text()
    held = PromptList(file)
    assert held.put(1, "zwei  drei") == f"Prompt 2 kept in {file.name}"
    held.add("four")
    held.remove(0)
    assert texts(file) == ["zwei drei", "four"]
    assert file.with_name(file.name + ".orig").read_text() == before
    for _ in range(3):
        held.undo()
    assert file.read_text() == before
    assert [prompt.text for prompt in held.prompts] == ["one", "two"]


def test_the_first_prompt_makes_the_file(tmp_path: Path) -> None:
    for name in ("new.json", "new.txt"):
        held = PromptList(tmp_path / "folder" / name)
        held.add("one")
        held.add("two")
        assert texts(tmp_path / "folder" / name) == ["one", "two"]


def test_what_another_program_wrote_meanwhile_stays(file: Path) -> None:
    held = PromptList(file)
    PromptList(file).put(0, "elsewhere")
    with pytest.raises(UserError, match="another program"):
        held.put(0, "here")
    assert texts(file)[0] == "elsewhere"
    held.put(0, "here")
    PromptList(file).add("three")
    with pytest.raises(UserError, match="another program"):
        held.undo()
    assert texts(file) == ["here", "two", "three"]


def test_what_is_no_prompt_is_refused(file: Path) -> None:
    held = PromptList(file)
    with pytest.raises(UserError, match="words"):
        held.put(0, "  ")
    with pytest.raises(UserError, match="already"):
        held.add("two")
    held.remove(0)
    with pytest.raises(UserError, match="only prompt"):
        held.remove(0)


def test_a_prompt_that_repeats_or_nearly_repeats_a_caption_is_told() -> None:
    captions = ["Boombap drums, soft bass, vinyl noise.", "a choir"]
    asked = [
        "boombap drums, soft bass, vinyl noise",
        "boombap drums, soft bass, vinyl noise, slow",
        "a boombap choir sings",
    ]
    assert repeats(asked, captions) == {0: (True, captions[0]), 1: (False, captions[0])}


def test_prompts_without_captions_repeat_nothing(tmp_path: Path) -> None:
    assert repeats(["a"], []) == {}
    assert json.loads("[]") == PromptList(tmp_path / "none.json").prompts
