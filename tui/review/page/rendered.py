"""A document's blocks as HTML, and the clips that its page plays."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.contract.text import plain
from tui.review import blocks
from tui.review.blocks import Block, Inline, Line, inlines
from tui.review.page import sounds
from tui.review.page.document import document, escaped
from tui.review.page.sounds import COLUMNS, HEIGHT, Sound, Sounds

LETTERS = "ABCDEFGH"


def page(title: str, parts: Sequence[Block]) -> str:
    """The whole page in one file."""
    made = sounds.encode([(cell.path, cell.gain_db) for cell in _cells(parts) if cell.path is not None])
    clips, left_out = iter(made.clips), iter(range(len(made.clips)))
    told = {
        id(cell): (next(clips), made.left_out.get(next(left_out), ""))
        for cell in _cells(parts)
        if cell.path is not None
    }
    html = "\n".join(_block(part, told) for part in parts)
    data = [
        [_playable(told[id(cell)][0]) if id(cell) in told else None for cell in row.clips]
        for part in parts
        if isinstance(part, blocks.Prompts)
        for row in part.rows
    ]
    sound = f'<p class="soft">{escaped(_codec(made))}</p>' if made.clips else ""
    return document(
        title, f"<main>\n{html}\n{sound}\n</main>", scripts=["player.js", "notes.js"], styles=["page.css", "notes.css"],
        data=data,
    )  # fmt: skip


def _codec(made: Sounds) -> str:
    how = (
        "FLAC, without loss"
        if made.codec == "FLAC"
        else "Opus at about 130 kbit/s, which Safari plays from 18.4 on and all other browsers do"
    )
    return f"The clips in this page are {how}. The page holds all that it shows and asks no network."


def _cells(parts: Sequence[Block]) -> list[blocks.ClipCell]:
    return [cell for part in parts if isinstance(part, blocks.Prompts) for row in part.rows for cell in row.clips]


def _playable(clip: Sound | None) -> dict[str, Any] | None:
    return {"uri": clip.uri, "seconds": clip.seconds} if clip else None


Told = dict[int, tuple[Sound | None, str]]
"""By the cell's identity: what of its clip is in the page, or why it is not."""


def _block(part: Block, told: Told) -> str:
    match part:
        case blocks.Heading(level, text):
            return f"<h{level}>{escaped(text)}</h{level}>"
        case blocks.Paragraph(line):
            return f"<p>{_line(line)}</p>"
        case blocks.Points(lines):
            return f"<ul>{''.join(f'<li>{_line(line)}</li>' for line in lines)}</ul>"
        case blocks.Table(head, rows):
            return _table(head, rows)
        case blocks.Code(lines=lines):
            return f"<pre>{escaped_lines(lines)}</pre>"
        case blocks.Folded(summary, inner):
            within = "\n".join(_block(each, told) for each in inner)
            return f"<details><summary>{escaped(summary)}</summary>{within}</details>"
        case blocks.Picture(wide, narrow, alt):
            return (
                f'<picture><source media="(max-width: 36rem)" srcset="{_picture(narrow)}">'
                f'<img class="curve" src="{_picture(wide)}" alt="{escaped(alt)}"></picture>'
            )
        case blocks.WholeFile(text, path):
            return f"<details><summary>{escaped(text)}</summary><pre>{escaped_lines(_text_of(path))}</pre></details>"
        case blocks.Prompts():
            return _prompts(part, told)


def _prompts(part: blocks.Prompts, told: Told) -> str:
    letters = LETTERS[: max((len(row.clips) for row in part.rows), default=0)].lower()
    keys = " ".join(f"<kbd>{letter}</kbd>" for letter in letters)
    hint = (
        f'<p class="keys soft"><kbd>space</kbd> plays, {keys} switch at the same position, <kbd>↑</kbd> <kbd>↓</kbd> '
        "prompt, <kbd>,</kbd> <kbd>.</kbd> seek, <kbd>0</kbd> from the start.</p>\n"
        '<p class="touch soft">Tap a clip to hear it, another to switch at the same position, the one that plays to '
        "go to another place in it.</p>\n"
        '<noscript><p class="warn">The clips play in a browser with JavaScript.</p></noscript>\n'
        '<p id="problem" class="warn" role="status"></p>\n'
    )
    return hint + "\n".join(_card(row, told) for row in part.rows)


def _card(row: blocks.PromptRow, told: Told) -> str:
    aside = f' <span class="soft">{escaped(row.aside)}</span>' if row.aside else ""
    lanes = "\n".join(_lane(cell, LETTERS[at : at + 1], told) for at, cell in enumerate(row.clips))
    return f'<section class="card prompt"><h3>{row.number}. {escaped(row.text)}{aside}</h3>\n{lanes}\n</section>'


def _lane(cell: blocks.ClipCell, letter: str, told: Told) -> str:
    clip, why = told.get(id(cell), (None, cell.missing))
    picture = (
        f'<svg class="whole" viewBox="0 0 {COLUMNS} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{clip.wave}"/></svg>'
        if clip
        else escaped(why)
    )
    said = "".join(f'<span class="said">{escaped(line)}</span>' for line in cell.said)
    score = f'<span class="score">{escaped(cell.score)}</span>' if cell.score else ""
    key = f"<kbd>{letter.lower()}</kbd> " if letter else ""
    who = f'<span class="who">{key}<b>{escaped(cell.model)}</b>{score}</span>'
    shown = f'<span class="{"wave" if clip else "missing"}">{picture}</span>'
    return f'<button type="button" class="lane"{"" if clip else " disabled"}>{who}{shown}{said}</button>'


def _table(head: Sequence[str], rows: Sequence[Sequence[Line]]) -> str:
    top = "".join(f"<th>{escaped(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{_line(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="table"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _line(line: Line) -> str:
    return "".join(map(_inline, inlines(line)))


def _inline(part: Inline) -> str:
    match part:
        case blocks.Strong(text):
            return f"<strong>{escaped(text)}</strong>"
        case blocks.Break():
            return "<br>"
        case str():
            return escaped(part)


def escaped_lines(lines: Sequence[str]) -> str:
    """Lines of a text as they stand."""
    return "\n".join(escaped(line) for line in lines)


def _text_of(path: Path) -> list[str]:
    try:
        return [plain(line) for line in path.read_text(encoding="utf-8", errors="replace").split("\n")]
    except OSError as error:
        return [f"{path.name} cannot be read ({error.strerror})."]


def _picture(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
