"""Reads a prompts file: one prompt a line, or JSON or a table with a prompt in each entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

from engine.contract import tables
from engine.contract.errors import UserError
from engine.contract.tables import Entry, NotEntries
from engine.contract.text import is_empty, is_whole, lines

KEYS = ("prompt", "text", "caption", "description")


class Prompt(NamedTuple):
    """``id`` is the file's own, or the prompt's number from 1 as text."""

    id: str
    text: str


def read(path: Path | str) -> list[Prompt]:
    """The prompts of a file in its order. Raises UserError when it is missing, broken or empty."""
    path = Path(path)
    try:
        content = tables.read_text(path, "The prompts file ")
    except FileNotFoundError as error:
        raise UserError(
            f"The prompts file {path} cannot be read ({(error.strerror or str(error)).lower()}); set "
            "evaluate.prompts_file to a JSON list or a text file with one prompt a line."
        ) from None
    prompts = [_prompt(entry, number, path) for number, entry in enumerate(_entries(content, path), start=1)]
    if not prompts:
        raise UserError(f"The prompts file {path} holds no prompt; write one a line, or a JSON list of strings.")
    return prompts


def form_of(path: Path, content: str) -> Literal["lines", "json", "table"]:
    """How a prompts file is written: a prompt a line, JSON, or a delimited table with a header."""
    suffix = tables.suffix_of(path)
    if suffix in tables.JSON or tables.looks_like_json(content):
        return "json"
    if suffix in (".csv", ".tsv"):
        header = lines(content.strip())[0]
        cells = [tables.plain_name(cell) for cell in header.split(tables.delimiter_of(content, (KEYS,)))]
        rows = [line.count(",") for line in lines(content) if line.strip()]
        if set(KEYS) & {cell.strip('"') for cell in cells} or (
            len(rows) > 1 and set(rows) != {0} and len(set(rows)) == 1
        ):
            return "table"
    return "lines"


def _entries(content: str, path: Path) -> list[Entry]:
    if form_of(path, content) == "lines":
        return [Entry(f"line {n}", line) for n, line in enumerate(lines(content), start=1) if line.strip()]
    try:
        entries = tables.parse(content, path, "The prompts file ", (KEYS,))
    except NotEntries as error:
        raise UserError(f"The prompts file {path} must hold a JSON list of prompts, not {error}.") from None
    columns = list(dict.fromkeys(str(key) for entry in entries if isinstance(entry.value, dict) for key in entry.value))
    if columns and not {tables.plain_name(column) for column in columns} & set(KEYS):
        raise UserError(
            f"The prompts file {path} has no column with prompts, but {tables.listed(columns)}; "
            'call it "prompt", or write one prompt a line.'
        )
    return entries


def _prompt(entry: Entry, number: int, path: Path) -> Prompt:
    fields: dict[str, Any] = entry.value if isinstance(entry.value, dict) else {KEYS[0]: entry.value}
    key = tables.key_of(fields, KEYS)
    text = fields[key] if key else None
    if not isinstance(text, str) or is_empty(text):
        raise UserError(
            f'Prompt {number} of {path} is no text ({entry.place}); write a string, or an object with "prompt".'
        )
    named = tables.key_of(fields, ("id",))
    name = str(number) if named is None or tables.is_nothing(fields[named]) else str(fields[named])
    if not is_whole(text + name):
        raise UserError(f"Prompt {number} of {path} was cut in the middle of a character; write it anew: {text}")
    return Prompt(name, " ".join(text.split()))
