"""Whatever a person or a file wrote is shown by markdown, read with a real parser of it."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from engine.contract.text import plain

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib
from tui.review.markdown import code, heading, points, table

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKS = st.text(st.sampled_from("ab 1\\`*_{}[]()<>#+-=.!|~&$:@/\n\r\t\x1b\u202e\u2028é鋼"), max_size=30)
HOSTILE = [
    "<script>alert(1)</script>", "<!-- mgl-tui end -->", "a|b", "\\|", "[x](javascript:alert(1))", "![x](http://h/x.png)",
    "# one", "one #", "- two", "1. three", "---", "===", "> four", "    five", "`six", "**seven**", "_a_ b_c", "&lt;",
    "two\r\n\r\nthree", "~~x~~", "| a | b |\n|---|---|", "http://h.example <http://h.example>", "\x1b]0;t\x07", "\\",
]  # fmt: skip


def shown(markdown: str) -> list[str]:
    """The text of each block; fails where anything but text stands in one."""
    blocks = []
    for token in PARSER.parse(markdown):
        assert token.type != "html_block"
        assert token.type not in ("hr", "code_block", "fence", "blockquote_open")
        if token.type == "inline":
            assert {child.type for child in token.children or ()} <= {"text", "text_special"}
            text = "".join(child.content for child in token.children or ())
            blocks.append(" ".join(text.split()))
    return blocks


def assert_shown(text: str) -> None:
    seen = " ".join(plain(text).split())
    assert shown(heading(2, f"1. {text}")) == [f"1. {seen}".strip()]
    assert shown("\n".join(points([text, "next"]))) == [*([seen] if seen else []), "next"]
    assert shown("\n".join(table(["a", text], [[text, "b"], ["c", text]]))) == ["a", seen, seen, "b", "c", seen]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_shown_as_it_is_in_a_heading_a_point_and_a_cell(text: str) -> None:
    assert_shown(text)


@settings(max_examples=500, derandomize=True, deadline=None)
@given(text=MARKS)
def test_any_marks_are_shown(text: str) -> None:
    assert_shown(text)


def test_names_of_models_and_settings_stay_readable() -> None:
    assert points(["base_model: p = 0.008, -3.0 dB (8 of 8)"]) == ["- base_model: p = 0.008, -3.0 dB (8 of 8)"]


def test_no_comment_begins_in_a_block_of_code() -> None:
    values = ['a = "<!-- mgl-tui end -->"']
    (block,) = PARSER.parse("\n".join(code("toml", values)))
    assert tomllib.loads(block.content) == {"a": "<!-- mgl-tui end -->"}
    assert "<" not in block.content
