"""Files of entries as people have them: JSON lists and lines, JSON objects around them, delimited tables.

What is unambiguous is read, whatever the file is called: JSON lines in a .json, semicolons in a .csv, UTF-16 with its
mark, a .gz. All else is a UserError that says where, what is there, and what to write instead.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine.contract.errors import UserError
from engine.contract.sound import FOREIGN, FORMATS
from engine.contract.text import TO_UTF_8, decoded

JSON = (".json", ".jsonl", ".ndjson")
DELIMITERS = (",", ";", "\t", "|")
AUDIO, TEXT, SPLIT = "file_name", "text", "split"
"""Columns that are given to a table without a header, to an object of names, and to lists of entries by split."""
SHOWN = 12
"""Columns that an error names."""

Known = Sequence[Sequence[str]]
"""Groups of columns; a table has one of each group, under one of the group's names."""


class Entry(NamedTuple):
    place: str
    """Where it stands: "entry 3", or "line 7"."""
    value: Any
    """An object's fields by name, or what else the list holds."""
    audio: Path | None = None
    """Where the sound was put that the entry itself holds."""


class NotEntries(ValueError):
    """JSON that holds no entries; the text says what it is instead."""


def read(path: Path, what: str, known: Known) -> list[Entry]:
    """The entries of a file. ``what`` it is begins every sentence, such as "The prompts file ".

    Raises UserError for what cannot be read, NotEntries for JSON that holds none.
    """
    return parse(read_text(path, what), path, what, known)


def read_text(path: Path, what: str) -> str:
    """The text of a file, unpacked and decoded. Raises UserError, and FileNotFoundError."""
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".gz":
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UserError(f"{what}{path} is no whole gzip archive; fetch it again, or unpack it.") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"{what}{path} cannot be read ({reason}); make it readable.") from None
    if content.startswith(b"PK\3\4"):
        raise UserError(f"{what}{path} is a spreadsheet or an archive; save it as CSV in UTF-8.")
    try:
        return decoded(content)
    except ValueError as error:
        raise UserError(f"{what}{path} {error}; save it as UTF-8, such as with `{TO_UTF_8}`.") from None


def parse(text: str, path: Path, what: str, known: Known) -> list[Entry]:
    """The entries of a file's text, as ``read`` gives them."""
    suffix = suffix_of(path)
    if not text.strip():
        return []
    if suffix in JSON or looks_like_json(text):
        return _json(text, path, what)
    return list(_delimited(text, f"{what}{path}", known))


def looks_like_json(text: str) -> bool:
    """Whether a text begins as a list or an object of JSON does, and a line such as "[Verse] drums" does not."""
    return bool(re.match(r'\s*(\[\s*["{\[\]]|\{\s*")', text))


def suffix_of(path: Path) -> str:
    """How a file's name ends, in small letters and without .gz."""
    return path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def key_of(fields: dict[str, Any], names: Sequence[str]) -> str | None:
    """The key among ``fields`` that one of ``names`` stands for: the first that holds something, else the first."""
    held = {plain_name(key): key for key in reversed(fields) if isinstance(key, str)}
    found = [held[name] for name in names if name in held]
    return next((key for key in found if not is_nothing(fields[key])), found[0] if found else None)


def plain_name(column: str) -> str:
    """A column as it is compared: "File Name " is "file_name"."""
    return column.strip().lower().replace(" ", "_").replace("-", "_")


def is_nothing(value: Any) -> bool:
    """Whether a field holds no value: null, or the NaN that pandas writes for it."""
    return value is None or value != value


def listed(columns: Sequence[str]) -> str:
    """Columns as an error names them."""
    more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    return ", ".join(columns[:SHOWN]) + more


# -- JSON


def _json(text: str, path: Path, what: str) -> list[Entry]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return _json_lines(text, path, what, error)
    if isinstance(value, list):
        return [Entry(f"entry {number}", item) for number, item in enumerate(value, start=1)]
    if not isinstance(value, dict):
        raise NotEntries(f"a {type(value).__name__}")
    found = list(_in_object(value))
    if not found and suffix_of(path) != ".json":
        return [Entry("line 1", value)]
    if not found:
        raise NotEntries(f"an object with {listed(list(value))}" if value else "an empty object")
    return found


def _json_lines(text: str, path: Path, what: str, whole: Exception) -> list[Entry]:
    entries: list[Entry] = []
    # Not splitlines: a caption may hold U+2028 and the like, which JSON leaves as they are.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entries.append(Entry(f"line {number}", json.loads(line)))
        except (ValueError, RecursionError) as error:
            if entries or suffix_of(path) != ".json":
                raise UserError(f"{what}{path} line {number} is no valid JSON ({error}); mend that line.") from None
            raise UserError(f"{what}{path} is no valid JSON ({whole}); mend it there.") from None
    return entries


def _in_object(value: dict[str, Any]) -> Iterator[Entry]:
    """The entries of an object: columns, lists by split or under some word, or captions by the names of files."""
    lists = {key: item for key, item in value.items() if isinstance(item, list)}
    if len(lists) == len(value) and _are_columns(lists):
        for number, row in enumerate(zip(*lists.values(), strict=True), start=1):
            yield Entry(f"entry {number}", dict(zip(lists, row, strict=True)))
    elif lists:
        for key, items in lists.items():
            for number, item in enumerate(items, start=1):
                by_split = isinstance(item, dict) and len(lists) > 1 and SPLIT not in item
                yield Entry(f'entry {number} of "{key}"', {**item, SPLIT: key} if by_split else item)
    elif all(_is_sound(key) for key in value):
        for number, (key, item) in enumerate(value.items(), start=1):
            yield Entry(f"entry {number}", {AUDIO: key, **(item if isinstance(item, dict) else {TEXT: item})})


def _are_columns(lists: dict[str, list[Any]]) -> bool:
    """Whether lists by name are the columns of a table: several of one length, of plain values."""
    plain = all(not isinstance(item, (dict, list)) for items in lists.values() for item in items)
    return len(lists) > 1 and len({len(items) for items in lists.values()}) == 1 and plain


def _is_sound(name: str) -> bool:
    return Path(name).suffix.lower() in (*FORMATS, *FOREIGN)


# -- delimited


def delimiter_of(text: str, known: Known) -> str:
    """What stands between the cells of a table, by its header."""
    header = next((line for line in text.split("\n") if line.strip()), "")

    def likely(delimiter: str) -> tuple[int, int]:
        cells = [plain_name(cell) for cell in next(csv.reader([header], delimiter=delimiter), [])]
        return sum(bool(set(cells) & set(group)) for group in known), len(cells)

    return max(DELIMITERS, key=likely)


def _delimited(text: str, path: str, known: Known) -> Iterator[Entry]:
    skipped = 0
    if text[:4].lower() == "sep=":  # Excel's own line
        text, skipped = text.partition("\n")[2], 1
    delimiter = delimiter_of(text, known)
    rows = list(_rows(text, path, delimiter, skipped))
    if not rows:
        return
    header = rows[0][1]
    names = {plain_name(cell) for cell in header}
    if any(names & set(group) for group in known):
        rows = rows[1:]
    elif len(header) == 2 and _is_sound(header[0]):
        header = [AUDIO, TEXT]
    for line, cells in rows:
        if len(cells) > len(header):
            cells = _unquoted(cells, header, known, delimiter, f"{path} line {line}")
        yield Entry(f"line {line}", dict(zip(header, [*cells, *[None] * (len(header) - len(cells))], strict=True)))


def _rows(text: str, path: str, delimiter: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line that it begins in; a quoted cell may go over several lines."""
    for strict in (True, False):
        # Strict to know a quotation mark that is never closed; whatever else is odd is read as well as it goes.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
        rows, line = [], 1
        try:
            for cells in reader:
                if cells:
                    rows.append((line + skipped, cells))
                line = reader.line_num + 1
        except csv.Error as error:
            if strict and "unexpected end" not in str(error):
                continue
            what = "has a quotation mark that is never closed" if strict else f"is no valid CSV ({error})"
            raise UserError(f"{path} line {line + skipped} {what}; mend that line.") from None
        yield from rows
        return


def _unquoted(cells: list[str], header: list[str], known: Known, delimiter: str, place: str) -> list[str]:
    """A record with more cells than the header, because its last one, a text, holds the delimiter unquoted."""
    texts = known[-1]
    if not any(cells[len(header) :]):
        return cells[: len(header)]
    if plain_name(header[-1]) not in texts:
        raise UserError(
            f"{place} has {len(cells)} cells and the header {len(header)}; put captions that hold a "
            f'"{delimiter}" into quotation marks.'
        )
    return [*cells[: len(header) - 1], delimiter.join(cells[len(header) - 1 :])]
