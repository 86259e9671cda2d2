"""The text of a file of captions or prompts, in which single values are put; every other byte stays as it is."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

ABSENT: Final = object()
"""The value of a key that an entry does not have."""
WHOLE: Final = None
"""The key of an entry that is one text and no object: a prompt, a caption's own file."""
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class CannotHold(Exception):
    """The file has no place for such a value."""


class Span(NamedTuple):
    start: int
    end: int


class Document:
    """Entries in the order of the file. Values that are put show in ``rendered`` only; one for an entry at a time."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._pieces: dict[Span, str] = {}

    def __len__(self) -> int:
        raise NotImplementedError

    def get(self, entry: int) -> Any:
        """What an entry holds: an object's fields, or the text itself."""
        raise NotImplementedError

    def put(self, entry: int, key: str | None, value: Any) -> None:
        """Set a field; ABSENT takes it away. Raises CannotHold."""
        raise NotImplementedError

    def append(self, value: Any) -> None:
        """Put a new entry at the end."""
        raise NotImplementedError

    def remove(self, entry: int) -> None:
        """Take an entry away."""
        raise NotImplementedError

    def rendered(self) -> str:
        text = self.text
        for span, piece in sorted(self._pieces.items(), reverse=True):
            text = text[: span.start] + piece + text[span.end :]
        return text


class JsonDocument(Document):
    """A JSON list, JSON lines, or one JSON object. Raises ValueError for any other text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        start = _after_space(text, 0)
        self._is_list = text.startswith("[", start)
        if self._is_list:
            self._entries = list(_items(text, start))
        else:
            self._entries = list(_values(text, start))
        self._start = start
        self._ascii = text.isascii() and "\\u" in text

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, entry: int) -> Any:
        return self._entries[entry][1]

    def put(self, entry: int, key: str | None, value: Any) -> None:
        span, held = self._entries[entry]
        if key is WHOLE:
            self._pieces[span] = self._dump(value)
            return
        if not isinstance(held, dict):
            raise CannotHold
        members = list(_members(self.text, span.start))
        at = next((n for n in reversed(range(len(members))) if members[n].key == key), None)
        if at is None:
            if value is not ABSENT:
                self._insert(span, [m.whole for m in members], f"{self._dump(key)}: {self._dump(value)}")
        elif value is ABSENT:
            self._pieces[_cut([member.whole for member in members], at)] = ""
        else:
            self._pieces[members[at].value] = self._dump(value)

    def append(self, value: Any) -> None:
        piece = self._dump(value)
        if self._is_list:
            end = self.text.rindex("]") + 1
            self._insert(Span(self._start, end), [span for span, _ in self._entries], piece)
        else:
            gap = "" if not self.text or self.text.endswith("\n") else "\n"
            self._pieces[Span(len(self.text), len(self.text))] = f"{gap}{piece}\n"

    def remove(self, entry: int) -> None:
        spans = [span for span, _ in self._entries]
        if self._is_list:
            self._pieces[_cut(spans, entry)] = ""
        else:
            after = self.text.find("\n", spans[entry].end)
            self._pieces[Span(spans[entry].start, after + 1 or len(self.text))] = ""

    def _insert(self, around: Span, parts: list[Span], piece: str) -> None:
        """Put one more part behind the last, set off as the others are."""
        if not parts:
            self._pieces[Span(around.start + 1, around.end - 1)] = piece
            return
        if len(parts) > 1:
            gap = self.text[parts[-2].end : parts[-1].start]
        else:
            gap = "," + (self.text[around.start + 1 : parts[0].start] or " ")
        self._pieces[Span(parts[-1].end, parts[-1].end)] = gap + piece

    def _dump(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=self._ascii)


class CsvDocument(Document):
    """A table with a header. Records that are put are written anew, the others stay byte for byte."""

    def __init__(self, text: str, delimiter: str) -> None:
        super().__init__(text)
        self._delimiter = delimiter
        records = list(_records(text, delimiter))
        self._header = records[0][1] if records else []
        self._head = records[0][0] if records else Span(0, 0)
        # As csv.DictReader counts them: empty lines are none.
        self._records = [(span, cells) for span, cells in records[1:] if cells]
        self._changed: dict[int, list[str]] = {}
        self._added = ""

    def __len__(self) -> int:
        return len(self._records)

    def get(self, entry: int) -> Any:
        return dict(zip(self._header, self._records[entry][1], strict=False))

    def put(self, entry: int, key: str | None, value: Any) -> None:
        text = "" if value is ABSENT else str(value)
        cells = self._changed.get(entry) or self._raw_cells(entry)
        if key in self._header:
            at = len(self._header) - 1 - self._header[::-1].index(key)
        elif value is ABSENT or key is None:
            return
        else:
            self._add_column(key)
            at = len(self._header)
        cells += [""] * (at + 1 - len(cells))
        cells[at] = self._quoted(text, always=cells[at].startswith('"'))
        self._changed[entry] = cells

    def _raw_cells(self, entry: int) -> list[str]:
        """The cells of a record with their quotes."""
        span, cells = self._records[entry]
        body = self.text[span.start : span.end].rstrip("\r\n")
        raw = re.findall(rf'(?:^|{re.escape(self._delimiter)})("(?:[^"]|"")*"|[^{re.escape(self._delimiter)}]*)', body)
        return raw if len(raw) == len(cells) else [self._quoted(cell, always=False) for cell in cells]

    def _quoted(self, cell: str, *, always: bool) -> str:
        if always or cell != cell.strip() or any(sign in cell for sign in (self._delimiter, '"', "\n", "\r")):
            return '"' + cell.replace('"', '""') + '"'
        return cell

    def _add_column(self, key: str) -> None:
        if any(len(cells) != len(self._header) for _, cells in self._records) or self._added not in ("", key):
            raise CannotHold
        self._added = key

    def rendered(self) -> str:
        pieces, at = [], 0
        for number, (span, cells) in enumerate([(self._head, self._header), *self._records], start=-1):
            raw = self.text[span.start : span.end]
            body = raw.rstrip("\r\n")
            ending = raw[len(body) :]
            if number in self._changed:
                cells = self._changed[number]
                cells = cells + [""] * (bool(self._added) and len(cells) == len(self._header))
                body = self._delimiter.join(cells)
            elif self._added:
                body += self._delimiter + (self._added if number < 0 else "")
            pieces += [self.text[at : span.start], body, ending]
            at = span.end
        return "".join([*pieces, self.text[at:]])


class LinesDocument(Document):
    """One text a line; empty lines are none."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._spans = [Span(*found.span()) for found in re.finditer(r"[^\r\n]+", text) if found[0].strip()]

    def __len__(self) -> int:
        return len(self._spans)

    def get(self, entry: int) -> Any:
        return self.text[slice(*self._spans[entry])]

    def put(self, entry: int, key: str | None, value: Any) -> None:
        self._pieces[self._spans[entry]] = str(value)

    def append(self, value: Any) -> None:
        gap = "" if not self.text or self.text.endswith("\n") else "\n"
        self._pieces[Span(len(self.text), len(self.text))] = f"{gap}{value}\n"

    def remove(self, entry: int) -> None:
        span = self._spans[entry]
        ending = re.compile(r"\r\n|\r|\n|").match(self.text, span.end)
        self._pieces[Span(span.start, ending.end() if ending else span.end)] = ""


class TextDocument(Document):
    """A file that is one text; the space around it stays."""

    def __len__(self) -> int:
        return 1

    def get(self, entry: int) -> Any:
        return self.text

    def put(self, entry: int, key: str | None, value: Any) -> None:
        if key is not WHOLE:
            raise CannotHold
        end = len(self.text.rstrip())
        self._pieces[Span(min(len(self.text) - len(self.text.lstrip()), end), end)] = str(value).strip()


class _Member(NamedTuple):
    key: str
    whole: Span
    value: Span


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _items(text: str, start: int) -> Iterator[tuple[Span, Any]]:
    """The items of the list that begins at ``start``."""
    at = _after_space(text, start + 1)
    while not text.startswith("]", at):
        value, end = _DECODER.raw_decode(text, at)
        yield Span(at, end), value
        at = _after_space(text, end)
        at = _after_space(text, at + 1) if text.startswith(",", at) else at


def _values(text: str, at: int) -> Iterator[tuple[Span, Any]]:
    """JSON values one after another."""
    while at < len(text):
        value, end = _DECODER.raw_decode(text, at)
        yield Span(at, end), value
        at = _after_space(text, end)


def _members(text: str, start: int) -> Iterator[_Member]:
    """The members of the object that begins at ``start``."""
    at = _after_space(text, start + 1)
    while not text.startswith("}", at):
        key, end = _DECODER.raw_decode(text, at)
        begin = _after_space(text, _after_space(text, end) + 1)
        _, stop = _DECODER.raw_decode(text, begin)
        yield _Member(key, Span(at, stop), Span(begin, stop))
        at = _after_space(text, stop)
        at = _after_space(text, at + 1) if text.startswith(",", at) else at


def _cut(parts: list[Span], at: int) -> Span:
    """What has to go for a part to go, with the comma on one side of it."""
    if at > 0:
        return Span(parts[at - 1].end, parts[at].end)
    return Span(parts[0].start, parts[1].start if len(parts) > 1 else parts[0].end)


def _records(text: str, delimiter: str) -> Iterator[tuple[Span, list[str]]]:
    """Each record of a CSV with its place; a quoted cell may go over several lines."""
    read = 0

    def lines() -> Iterator[str]:
        nonlocal read
        for line in io.StringIO(text, newline=""):
            read += len(line)
            yield line

    start = 0
    for cells in csv.reader(lines(), delimiter=delimiter):
        yield Span(start, read), cells
        start = read
