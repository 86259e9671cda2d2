"""Markdown whose every text stands as it is: nothing that a person or a file wrote is a tag, a link, a table or a mark.

Escaped as CommonMark and GitHub's tables read it. ``<`` and ``&`` are written as entities, so that no text can begin
or end a comment such as the marks around the generated part of the notes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from engine.contract.text import plain
from tui.review import blocks
from tui.review.blocks import Block, Inline, Line, inlines

# An underscore inside a word is no emphasis: names of models and settings stay readable.
_MARKS = re.compile(r"[\\`*\[\]>|~$#]|(?<![^\W_])_|_(?![^\W_])")
_START = re.compile(r"[-+=]|\d+(?=[.)])")
_FENCE = re.compile(r"^ {0,3}(?=`{3})")
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
    return _table(map(escaped, head), ([escaped(cell) for cell in row] for row in rows))


def code(language: str, lines: Iterable[str]) -> list[str]:
    """A block of code, which no line of it ends, and in which no comment begins: it might be one of our marks.

    What begins one is written as strings of JSON and TOML can write it.
    """
    told = (_FENCE.sub("    ", plain(line).replace("<!--", "\\u003c!--")) for line in lines)
    return [f"```{language}", *told, "```"]


def rendered(parts: Iterable[Block], folder: Path, picture: str) -> str:
    """A document's markdown; files are linked relative to ``folder``, where it lies. ``picture`` is the SVG's name."""
    return "\n".join(line for part in parts for line in [*_block(part, folder, picture), ""])


def _block(part: Block, folder: Path, picture: str) -> list[str]:
    match part:
        case blocks.Heading(level, text):
            return [heading(level, text)]
        case blocks.Paragraph(line):
            return [_begun(_line(line))]
        case blocks.Points(lines):
            return [f"- {_begun(_line(line))}" for line in lines]
        case blocks.Table(head, rows):
            return _table(map(escaped, head), ([_line(cell) for cell in row] for row in rows))
        case blocks.Code(language, lines):
            return code(language, lines)
        case blocks.Folded(summary, inner):
            told = [line for each in inner for line in [*_block(each, folder, picture), ""]]
            return [f"<details><summary>{escaped(summary)}</summary>", "", *told, "</details>"]
        case blocks.Picture(alt=alt):
            return [f"![{escaped(alt)}]({_address(folder / picture, folder)})"]
        case blocks.WholeFile(text, path):
            return [f"[{escaped(text)}]({_address(path, folder)})"]
        case blocks.Prompts(models, rows):
            head = ["prompt", *models]
            return _table(map(escaped, head), ([_prompt(row), *(_clip(c, folder) for c in row.clips)] for row in rows))


def _prompt(row: blocks.PromptRow) -> str:
    aside = f" ({row.aside})" if row.aside else ""
    return f"{row.number}. {escaped(row.text + aside)}"


def _clip(cell: blocks.ClipCell, folder: Path) -> str:
    """The score, which plays the clip, and below it what was said."""
    if cell.path is None:
        first = " ".join(escaped(part) for part in (cell.score, f"({cell.missing})" if cell.missing else "") if part)
    else:
        first = f"[{escaped(f'▶ {cell.score}'.strip())}]({_address(cell.path, folder)})"
    return "<br>".join([first, *map(escaped, cell.said)])


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> list[str]:
    names = list(head)
    return [f"| {' | '.join(names)} |", "|" + "---|" * len(names), *(f"| {' | '.join(row)} |" for row in rows)]


def _line(line: Line) -> str:
    return "".join(map(_inline, inlines(line))).strip()


def _inline(part: Inline) -> str:
    match part:
        case blocks.Strong(text):
            return f"**{escaped(text)}**" if text.strip() else ""
        case blocks.Break():
            return "<br>"
        case str():
            # Spaces beside a part of another kind are kept.
            before, after = part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :]
            return f"{before and ' '}{escaped(part)}{after and ' '}" if part.strip() else " "


def _address(target: Path, folder: Path) -> str:
    """A relative link, with all that means something in markdown or an address percent-encoded."""
    return quote(os.fsencode(os.path.relpath(target, folder)))


def _begun(line: str) -> str:
    """A line that begins no list and no rule."""
    begins = _START.match(line)
    at = begins.end() if begins and begins[0].isdigit() else 0
    return f"{line[:at]}\\{line[at:]}" if begins else line
