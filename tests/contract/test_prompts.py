"""Prompts files in the forms that people have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.contract import prompts
from engine.contract.errors import UserError


def put(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


def test_a_list_of_strings_gets_numbers(tmp_path: Path) -> None:
    file = put(tmp_path, "p.json", '["soft  drums", "a bass"]')
    assert prompts.read(file) == [("1", "soft drums"), ("2", "a bass")]


@pytest.mark.parametrize("key", ["prompt", "text", "caption"])
def test_objects_keep_their_ids(tmp_path: Path, key: str) -> None:
    file = put(tmp_path, "p.json", json.dumps([{key: "soft drums", "id": "a7"}, {key: "a bass"}]))
    assert prompts.read(file) == [("a7", "soft drums"), ("2", "a bass")]


def test_a_text_file_has_one_a_line(tmp_path: Path) -> None:
    file = put(tmp_path, "p.txt", "\ufeffsoft drums\n\n  a bass  \n")
    assert prompts.read(file) == [("1", "soft drums"), ("2", "a bass")]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("p.json", "[]", "holds no prompt"),
        ("p.json", "", "holds no prompt"),
        ("p.txt", "\n \n", "holds no prompt"),
        ("p.json", "[", "is no valid JSON"),
        ("p.json", '{"prompt": "x"}', "must hold a JSON list"),
        ("p.json", '["x", 3]', "Prompt 2 of"),
        ("p.json", '[{"words": "x"}]', "no column with prompts, but words; call it"),
        ("p.json", '[""]', "Prompt 1 of"),
        ("p.json", '["\\u200b\\u0007"]', "Prompt 1 of .* is no text"),
        ("p.json", '["x", "half \\ud83c"]', "Prompt 2 of .* middle of a character"),
        pytest.param("p.json", "[" * 100_000, "is no valid JSON", id="nested"),
    ],
)
def test_a_file_without_usable_prompts_is_one_sentence(tmp_path: Path, name: str, content: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        prompts.read(put(tmp_path, name, content))


def test_a_file_that_is_not_there_is_named_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.json cannot be read .*evaluate\.prompts_file"):
        prompts.read(tmp_path / "nowhere.json")


def test_only_an_end_of_line_ends_a_prompt(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes("soft\u2028drums\x85\r\na\x0cbass\rpads\n".encode())
    assert [prompt.text for prompt in prompts.read(tmp_path / "p.txt")] == ["soft drums", "a bass", "pads"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "p.txt").write_bytes("鋼琴\ncafé".encode(encoding))
    assert [prompt.text for prompt in prompts.read(tmp_path / "p.txt")] == ["鋼琴", "café"]


def test_another_encoding_is_refused_with_place_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes("drums\ncafé".encode("cp1252"))
    with pytest.raises(UserError, match=r"p\.txt is not UTF-8 from line 2, byte 10 of the file on; save it .*iconv"):
        prompts.read(tmp_path / "p.txt")


@pytest.mark.parametrize("name", ["p.json", "p.jsonl", "p.csv", "p.txt"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_prompts_in_json_are_read_whatever_the_file_is_called(tmp_path: Path, name: str, mark: str) -> None:
    lines = '{"prompt": "soft, slow drums", "id": 7}\n{"prompt": "a bass"}\n'
    assert prompts.read(put(tmp_path, name, mark + lines)) == [("7", "soft, slow drums"), ("2", "a bass")]
    assert prompts.read(put(tmp_path, name, mark + '["soft, slow drums", "a bass"]'))[0].text == "soft, slow drums"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_of_prompts_is_read_by_its_header(tmp_path: Path, delimiter: str) -> None:
    rows = [["ID", "Prompt"], ["a7", '"soft, slow drums"'], ["", "a bass"]]
    file = put(tmp_path, "p.csv", "\n".join(delimiter.join(row) for row in rows) + "\n")
    assert [prompt.text for prompt in prompts.read(file)] == ["soft, slow drums", "a bass"]
    assert prompts.read(file)[0].id == "a7"


def test_lines_with_commas_are_no_table(tmp_path: Path) -> None:
    file = put(tmp_path, "p.csv", "soft, slow drums\na bass\n")
    assert [prompt.text for prompt in prompts.read(file)] == ["soft, slow drums", "a bass"]


def test_a_table_without_prompts_names_its_columns(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no column with prompts, but name, words; call it"):
        prompts.read(put(tmp_path, "p.csv", "name,words\na,soft\nb,loud\n"))


def test_prompts_under_a_word_are_read(tmp_path: Path) -> None:
    file = put(tmp_path, "p.json", json.dumps({"version": 2, "prompts": ["soft drums", "a bass"]}))
    assert [prompt.text for prompt in prompts.read(file)] == ["soft drums", "a bass"]


def test_a_prompt_may_begin_with_a_bracket(tmp_path: Path) -> None:
    file = put(tmp_path, "p.txt", "[Verse] soft drums\n{mood} bass\n")
    assert [prompt.text for prompt in prompts.read(file)] == ["[Verse] soft drums", "{mood} bass"]


def test_a_prompt_that_is_null_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Prompt 2 of .* is no text \(line 3\)"):
        prompts.read(put(tmp_path, "p.jsonl", '{"prompt": "x"}\n\n{"prompt": null}\n'))
