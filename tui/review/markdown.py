"""Markdown whose every text stands as it is: nothing that a person or a file wrote is a tag, a link, a table or a mark.

Escaped as CommonMark and GitHub's tables read it. ``<`` and ``&`` are written as entities, so that no text can begin
or end a comment such as the marks around the generated part of the notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from engine.contract.text import plain

# An underscore inside a word is no emphasis: names of models and settings stay readable.
_MARKS = re.compile(r"[\\`*\[\]>|~$#]|(?<![^\W_])_|_(?![^\W_])")
_START = re.compile(r"[-+=]|\d+(?=[.)])")
_LINK = re.compile(r"(?i)(:)(?=//)|(?<=www)(\.)|(@)")


def escaped(text: str) -> str:
    """``text`` as one line of markdown that shows it literally, after other words of a line."""
    text = plain(text).strip().replace("&", "&amp;").replace("<", "&lt;")
    return _LINK.sub(r"\\\g<0>", _MARKS.sub(r"\\\g<0>", text))


def heading(level: int, text: str) -> str:
    return f"{'#' * level} {escaped(text)}"


def points(lines: Iterable[str]) -> list[str]:
    """A list, one point a line."""
    return [f"- {_begun(escaped(line))}" for line in lines]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = [f"| {' | '.join(map(escaped, row))} |" for row in rows]
    return [f"| {' | '.join(map(escaped, head))} |", "|" + "---|" * len(head), *body]


def code(language: str, lines: Iterable[str]) -> list[str]:
    """A block of code, in which ``<`` is written as strings of JSON and TOML can write it."""
    return [f"```{language}", *(plain(line).replace("<", "\\u003c") for line in lines), "```"]


def _begun(line: str) -> str:
    """A line that begins no list and no rule."""
    begins = _START.match(line)
    at = begins.end() if begins and begins[0].isdigit() else 0
    return f"{line[:at]}\\{line[at:]}" if begins else line
