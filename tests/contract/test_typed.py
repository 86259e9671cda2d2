"""The border: a file's JSON becomes a model, without what is wrong in it, and says what that was."""

import json
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.contract import typed
from engine.contract.errors import UserError


class Answer(msgspec.Struct, kw_only=True):
    prompt: str
    score: Annotated[int, msgspec.Meta(ge=1, le=5)] | None = None
    tags: list[str] = []
    seconds: float = 0.0
    extra: dict[str, Any] = {}


class Sheet(msgspec.Struct, kw_only=True):
    answers: list[Answer] = []
    mode: Literal["blind", "open"] = "blind"
    heard: dict[str, float] = {}
    count: typed.Count = 0
    plays: int = 0


class Cat(msgspec.Struct, tag="cat", tag_field="kind"):
    lives: typed.Count = 9


class Dog(msgspec.Struct, tag="dog", tag_field="kind"):
    name: str


def read(text):
    sheet, complaints = typed.parse(text, Sheet, "sheet.json")
    return sheet, [str(complaint) for complaint in complaints]


def test_sound_data_are_read_without_a_complaint():
    sheet, complaints = read('{"answers": [{"prompt": "rain", "score": 4, "seconds": 3}], "mode": "open"}')
    assert sheet == Sheet(answers=[Answer(prompt="rain", score=4, seconds=3.0)], mode="open")
    assert complaints == []


def test_a_wrong_field_costs_itself_and_is_named():
    sheet, complaints = read('{"answers": [{"prompt": "rain", "score": " ", "tags": ["calm", 5]}], "mode": "loud"}')
    assert sheet == Sheet(answers=[Answer(prompt="rain", tags=["calm"])])
    assert complaints == [
        "sheet.json: answers[0].score is text, not a whole number from 1 to 5; it is left out",
        "sheet.json: answers[0].tags[1] is a number, not text; it is left out",
        "sheet.json: mode is not one of blind, open; it is left out",
    ]


def test_an_item_that_lacks_what_it_needs_costs_itself():
    sheet, complaints = read('{"answers": [{"score": 1}, 7, {"prompt": "sea"}], "heard": {"a": 1, "b": "long"}}')
    assert [answer.prompt for answer in sheet.answers] == ["sea"]
    assert sheet.heard == {"a": 1.0}
    assert complaints == [
        "sheet.json: answers[0] has no prompt; it is left out",
        "sheet.json: answers[1] is a number, not an object; it is left out",
        "sheet.json: heard.b is text, not a number; it is left out",
    ]


@pytest.mark.parametrize("number", ["9" * 400, "9" * 5000, "-" + "9" * 400, "NaN", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["count", "plays"])
def test_a_number_that_no_field_can_hold_is_left_out(number, field):
    sheet, complaints = read(f'{{"{field}": {number}, "mode": "open"}}')
    assert sheet == Sheet(mode="open")
    assert complaints == [f"sheet.json: {field} is a number that is not finite or too large; it is left out"]


def test_bytes_that_are_no_utf8_and_half_characters_become_the_replacement_character():
    sheet, complaints = read(b'{"answers": [{"prompt": "caf\xe9"}]}')
    assert sheet.answers[0].prompt == "caf\ufffd"
    assert complaints == ["sheet.json: is no UTF-8 from byte 28 on; what cannot be read is shown as \ufffd"]
    sheet, complaints = read(r'{"answers": [{"prompt": "\ud83d cut", "seen": "\ude00"}]}')
    assert sheet.answers[0] == Answer(prompt="\ufffd cut", extra={"seen": "\ufffd"})
    json.dumps(typed.data(sheet), ensure_ascii=False).encode()
    assert len(complaints) == 2


def test_a_byte_order_mark_is_no_mistake():
    assert read(b'\xef\xbb\xbf{"count": 1}') == (Sheet(count=1), [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "sheet.json: is empty"),
        (b"[]", "sheet.json: is a list, not an object"),
        (b'{"count": 1,', "sheet.json: is no JSON from column 13 on"),
        (b'{\n"count": 1\nx}\n', "sheet.json: is no JSON from line 3, column 1 on"),
        (b"[" * 200_000, "sheet.json: is no JSON that can be read: it is nested too deep"),
        (b"\xff\xfe{\x00}\x00", "sheet.json: is no JSON from column 1 on"),
    ],
)
def test_what_is_no_model_at_all_is_one_sentence(text, said):
    with pytest.raises(typed.Unreadable) as caught:
        read(text)
    assert str(caught.value) == said
    assert isinstance(caught.value, UserError)


def test_data_nested_beyond_use_are_left_out():
    deep = "[" * 100 + "]" * 100
    sheet, complaints = read(f'{{"answers": [{{"prompt": "a", "note": {deep}}}, {{"prompt": "b"}}]}}')
    assert [answer.prompt for answer in sheet.answers] == ["b"]
    assert complaints == ["sheet.json: answers[0] is nested too deep; it is left out"]


def test_what_a_model_has_no_field_for_is_written_back():
    before = {"prompt": "sea", "colour": {"r": [1, 2]}, "extra": 3, "score": 2}
    answer = typed.parse(json.dumps(before), Answer).value
    assert before.items() <= typed.data(answer).items()


def test_tagged_kinds_are_told_apart_also_when_a_field_is_wrong():
    pets, complaints = typed.parse(
        '[{"kind": "cat", "lives": "many"}, {"kind": "dog"}, {"kind": "cow"}, {"kind": "dog", "name": "Rex"}]',
        list[Cat | Dog],
    )
    assert pets == [Cat(), Dog("Rex")]
    assert [str(complaint) for complaint in complaints] == [
        "[0].lives is text, not a whole number of 0 or more; it is left out",
        "[1] has no name; it is left out",
        "[2] has no kind that is known; it is left out",
    ]
    assert typed.data(pets) == [{"kind": "cat", "lives": 9}, {"kind": "dog", "name": "Rex"}]


def test_lines_end_at_line_feeds_only_and_a_bad_one_costs_itself():
    content = '{"prompt": "a\u2028b"}\n\n{"prompt": 5}\n{x\n{"prompt": "c", "score": "z"}'.encode()
    answers, complaints = typed.parse_lines(content, Answer, "sheet.jsonl")
    assert [(number, answer.prompt) for number, answer in answers] == [(1, "a\u2028b"), (5, "c")]
    assert [str(complaint) for complaint in complaints] == [
        "sheet.jsonl: line 3 cannot be used: prompt is a number, not text; it is left out",
        "sheet.jsonl: line 4 is no JSON from column 2 on; it is left out",
        "sheet.jsonl: line 5: score is text, not a whole number from 1 to 5; it is left out",
    ]


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    for path, reason in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(typed.Unreadable, match=reason):
            typed.load(path, Sheet)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
_fields = ["answers", "mode", "heard", "count", "plays", "prompt", "score", "tags", "seconds", "extra"]
_near = st.recursive(
    _json,
    lambda inner: st.dictionaries(st.sampled_from(_fields), inner, max_size=6) | st.lists(inner, max_size=3),
    max_leaves=30,
)


@given(_near.map(json.dumps) | st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_whatever_is_read_is_a_model_that_can_be_written_and_read_again_or_one_error(text):
    try:
        sheet, _ = typed.parse(text, Sheet)
    except typed.Unreadable:
        return
    again, complaints = typed.parse(json.dumps(typed.data(sheet), ensure_ascii=False).encode(), Sheet)
    assert again == sheet
    assert complaints == []
