"""Whatever a person or a file wrote is shown by markdown, read with a real parser of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from engine.contract.text import plain

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib
from tui.review import blocks
from tui.review.markdown import code, heading, points, rendered, table

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


def test_no_line_ends_a_block_of_code() -> None:
    (block,) = PARSER.parse("\n".join(code("text", ["a < b", "```", "  ````x", "# no heading"])))
    assert block.content.split() == ["a", "<", "b", "```", "````x", "#", "no", "heading"]


@settings(max_examples=60)
@given(st.lists(st.one_of(st.sampled_from(HOSTILE), MARKS), min_size=5, max_size=5))
def test_a_document_shows_every_text_as_it_stands_and_links_only_its_clips(texts: list[str]) -> None:
    prompt, note, model, score, who = texts
    clip = Path("/runs/a (1)/evaluation/[x] <b>|.wav")
    document = [
        blocks.Paragraph(["said by ", blocks.Strong(f"x{who}x"), f": {note}"]),
        blocks.Prompts(
            [model], [blocks.PromptRow(1, prompt, "", [blocks.ClipCell(model, clip, "", 0.0, score, [note])])]
        ),
        blocks.Folded(note, [blocks.Points([note])]),
    ]
    told = rendered(document, Path("/runs"), "notes.svg")
    inline = [token for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(told)]
    html = "".join(token.content for token in inline if token.type == "html_block")
    children = [child for token in inline for child in token.children or ()]
    assert {child.content for child in children if child.type == "html_inline"} <= {"<br>"}
    assert {child.type for child in children} <= {
        "text", "text_special", "html_inline", "strong_open", "strong_close", "link_open", "link_close", "softbreak",
    }  # fmt: skip
    assert [unquote(str(child.attrGet("href"))) for child in children if child.type == "link_open"] == [
        "a (1)/evaluation/[x] <b>|.wav"
    ]
    assert set(re.findall(r"<[^>]*>", html)) == {"<details>", "<summary>", "</summary>", "</details>"}
    shown = " ".join(" ".join(child.content for child in children).split())
    for text in (prompt, note, score):
        assert " ".join(plain(text).split()).strip() in shown
