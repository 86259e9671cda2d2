"""Single values in the text of a file; every other byte stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.dataset.documents import ABSENT, WHOLE, CannotHold, CsvDocument, JsonDocument, LinesDocument

PLAIN = st.text(st.characters(exclude_categories=("Cs",)))
OBJECT = st.dictionaries(
    PLAIN, st.none() | st.booleans() | st.integers() | PLAIN | st.lists(PLAIN, max_size=2), max_size=4
)
LIST = st.lists(OBJECT, min_size=1, max_size=4)


@given(LIST, st.data(), st.sampled_from([None, 2]), st.booleans())
def test_a_field_is_put_or_taken_away_whatever_the_entries_hold(
    rows: list[dict[str, Any]], data: st.DataObject, indent: int | None, ascii: bool
) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii)
    at = data.draw(st.integers(0, len(rows) - 1))
    key = data.draw(st.sampled_from([*rows[at], "split"]))
    value = data.draw(PLAIN | st.just(ABSENT))
    document = JsonDocument(text)
    document.put(at, key, value)
    if value is ABSENT:
        rows[at].pop(key, None)
    else:
        rows[at][key] = value
    assert json.loads(document.rendered()) == rows


@given(LIST, st.data(), st.sampled_from([None, 2]))
def test_entries_come_and_go(rows: list[dict[str, Any]], data: st.DataObject, indent: int | None) -> None:
    text = json.dumps(rows, indent=indent)
    at = data.draw(st.integers(0, len(rows) - 1))
    document = JsonDocument(text)
    document.remove(at)
    assert json.loads(document.rendered()) == rows[:at] + rows[at + 1 :]
    document = JsonDocument(text)
    document.append("a prompt")
    assert json.loads(document.rendered()) == [*rows, "a prompt"]


def test_a_new_field_is_set_off_as_the_others_are() -> None:
    document = JsonDocument('[\n  {\n    "audio": "a",\n    "text": "b"\n  }\n]\n')
    document.put(0, "split", "valid")
    assert document.rendered() == '[\n  {\n    "audio": "a",\n    "text": "b",\n    "split": "valid"\n  }\n]\n'


def test_lines_of_json_keep_their_line() -> None:
    document = JsonDocument('{"a":1}\n\n{"a":2}\r\n{"a":3}')
    document.put(1, "b", "ö")
    assert document.rendered() == '{"a":1}\n\n{"a":2, "b": "ö"}\r\n{"a":3}'
    document = JsonDocument('{"a":1}\n{"a":2}\n')
    document.remove(0)
    document.append({"a": 3})
    assert document.rendered() == '{"a":2}\n{"a": 3}\n'


@given(st.lists(st.lists(PLAIN, min_size=2, max_size=2), min_size=1, max_size=4), st.data())
def test_a_cell_of_a_table_is_put_and_read_back(rows: list[list[str]], data: st.DataObject) -> None:
    import csv
    import io

    held = io.StringIO(newline="")
    csv.writer(held).writerows([["file_name", "text"], *rows])
    at = data.draw(st.integers(0, len(rows) - 1))
    value = data.draw(PLAIN)
    for key in ("text", "split"):
        document = CsvDocument(held.getvalue(), ",")
        document.put(at, key, value)
        read = list(csv.DictReader(io.StringIO(document.rendered(), newline="")))
        expected = [{"file_name": a, "text": t, **({"split": ""} if key == "split" else {})} for a, t in rows]
        expected[at][key] = value
        assert read == expected


def test_a_table_with_a_column_too_many_takes_no_new_one() -> None:
    document = CsvDocument("a,b\n1,2,3\n", ",")
    with pytest.raises(CannotHold):
        document.put(0, "split", "valid")


def test_a_caption_over_several_lines_is_one_record_and_empty_lines_are_none() -> None:
    text = 'a;b\n\n1;"two\nlines"\n2;x\n'
    document = CsvDocument(text, ";")
    assert [document.get(n) for n in range(len(document))] == [{"a": "1", "b": "two\nlines"}, {"a": "2", "b": "x"}]
    document.put(1, "b", "y;z")
    assert document.rendered() == 'a;b\n\n1;"two\nlines"\n2;"y;z"\n'


def test_lines_of_text() -> None:
    document = LinesDocument("one\r\n\r\ntwo\nthree")
    document.put(1, WHOLE, "zwei")
    document.append("four")
    assert document.rendered() == "one\r\n\r\nzwei\nthree\nfour\n"
    document = LinesDocument("one\ntwo\n")
    document.remove(1)
    assert document.rendered() == "one\n"
