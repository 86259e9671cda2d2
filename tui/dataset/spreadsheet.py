"""Captions as a table for a spreadsheet, and the table as it comes back from one."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.contract.data.metadata import Clip
from engine.contract.errors import UserError
from tui.dataset.dataset import Change

AUDIO = ("audio", "file_name", "path", "name")
TEXT = ("text", "caption", "description")
_DELIMITERS = ",;\t|"
_FORMULA = "=+-@"


class Table(NamedTuple):
    """What a spreadsheet says."""

    changes: list[Change]
    unknown: list[str]
    """Names that no clip has."""
    empty: list[str]
    """Clips that have a caption, and none there."""


def written(clips: Sequence[Clip]) -> str:
    """One row a clip, audio and text. A cell that a spreadsheet would compute has an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(("audio", "split", "text"))
    writer.writerows((_kept(clip.name), _kept(clip.split), _kept(clip.text)) for clip in clips)
    return out.getvalue()


def read(text: str, clips: Sequence[Clip], file: Path) -> Table:
    """The captions of a table whose columns are parted by a comma, semicolon, tab or bar, as spreadsheets save them.

    Clips that it does not name stay as they are. Raises UserError for a table without the columns, or with two captions
    for one clip.
    """
    said: dict[str, str] = {}
    for number, (name, caption) in enumerate(_rows(text, file), start=2):
        if said.setdefault(name, caption) != caption:
            raise UserError(
                f"Row {number} of {file} has another caption for {name} than a row above; leave one of them."
            )
    by_name = {clip.name: clip for clip in clips}
    known = {name: caption for name, caption in said.items() if name in by_name}
    changes = [Change(by_name[name], text=caption) for name, caption in known.items() if caption]
    return Table(
        [change for change in changes if change.text != change.clip.text],
        [name for name in said if name not in by_name],
        [name for name, caption in known.items() if not caption and by_name[name].text],
    )


def _rows(text: str, file: Path) -> list[tuple[str, str]]:
    found: list[list[str]] = []
    for delimiter in _DELIMITERS:
        try:
            found = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
        except csv.Error:
            continue
        head = [cell.strip().casefold() for cell in found[0]] if found else []
        audio = next((head.index(name) for name in AUDIO if name in head), None)
        caption = next((head.index(name) for name in TEXT if name in head), None)
        if audio is not None and caption is not None:
            rows = [row for row in found[1:] if any(row)]
            if short := next((n for n, row in enumerate(rows, 2) if len(row) <= max(audio, caption)), None):
                raise UserError(f"Row {short} of {file} has too few cells; mend it there.")
            return [(_meant(row[audio]), " ".join(_meant(row[caption]).split())) for row in rows]
    first = text.partition("\n")[0].strip()
    raise UserError(f"{file} has no columns audio and text in its first row ({first[:80]}); write them there.")


def _kept(cell: str) -> str:
    return f"'{cell}" if _is_formula(cell) else cell


def _meant(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def _is_formula(cell: str) -> bool:
    """Whether a spreadsheet would compute the cell, or would if it had fewer apostrophes in front."""
    return cell.lstrip("'")[:1] in tuple(_FORMULA)
