"""Ways in which files go wrong: cut, overwritten, edited by hand, written by another program."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import example
from hypothesis import strategies as st

BYTES = [
    b"", b"\0", b"\xff", b"\xe9", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"\r", b"\x1b]0;t\x07", b"\x7f",
    "\u2028".encode(), "\u202e".encode(), b"[" * 30_000, b'{"a":' * 30_000, b"9" * 400, b"1e999", b"NaN", b"-Infinity",
    b'"', b"}", b"]", b",", b"\\", b"\\ud83c", b"null", b"=", b"#", b"'''", b"\0" * 4096,
]  # fmt: skip
"""What is put somewhere into a file."""

VALUES: list[Any] = [
    None, True, "", " ", "x", ".", "..", "/", "~nobody/x", "a" * 5000, "a\0b", "\ud83c", "\u202e\x1b[2J", "[/x]", "nan",
    "0", "2026-01-01", -1, 0, 1, 1.5, 10**18, 10**400, -(10**30), 1e308, float("nan"), float("inf"), [], {}, [[]],
    [None], {"": None}, ["x", 1, None], {"x": {"y": []}},
]  # fmt: skip
"""What stands where another value belongs."""

FOUND = {
    "events.jsonl": [b'{"t": 1767690001.0, "event": "note", "text": "caf\xe9"}\n', b"[" * 100_000 + b"\n"],
    "queue.json": [b'["' + b"a" * 5000 + b'"]', b"[" * 100_000, b'["..", "", "/", "a\\u0000b"]'],
    "metadata.json": [b"[" * 100_000, rb'[{"audio": "\ud83c.wav", "text": "x"}, {"audio": "b.wav", "text": "\ud83c"}]'],
    "metadata.jsonl": [b'{"file_name": "a.wav", "text": "a\xe2\x80\xa8b"}\n{"file_name": "b.wav", "text": ""}'],
    "prompts.json": [b"[" * 100_000, rb'["half \ud83c"]', rb'["\u200b"]'],
    "prompts.txt": [b"caf\xe9\n", "\u2028".encode(), "one\u2028two\n".encode("utf-16")],
    "a.txt": [b"caf\xe9\n", "café".encode("utf-16")],
    "config.toml": [
        b"[data]\ndir = '~nobody/x'\n",
        b"x = " + b"[" * 5000,
        b"x = " + b"9" * 6000,
        b"\xef\xbb\xbf[data]\n",
    ],
    "notes.md": [b"Mine.\r\n", b"Mine.\r", b"caf\xe9"],
}
"""Contents that once ended a command or the panel, by the name of the file."""


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to every value inside a JSON value, the whole of it first."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*at, key))


def replaced(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """A JSON value with another one at a path."""
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = replaced(copy[at[0]], at[1:], new)
    return copy


def without(value: Any, at: tuple[Any, ...]) -> Any:
    """A JSON value without what stands at a path."""
    if not at:
        return None
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(at) == 1:
        del copy[at[0]]
    else:
        copy[at[0]] = without(copy[at[0]], at[1:])
    return copy


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Any file, after one accident."""
    begin = draw(st.integers(0, len(content)))
    end = draw(st.integers(begin, min(len(content), begin + 64)))
    how = draw(st.sampled_from(["cut", "insert", "overwrite", "flip", "twice", "latin"]))
    if how == "cut":
        return content[:begin]
    if how == "twice":
        return content[:end] + content[begin:]
    if how == "latin":
        return content.decode(errors="replace").replace("e", "é").encode("cp1252", "replace")
    if how == "flip":
        return content[:begin] + bytes(255 - byte for byte in content[begin:end]) + content[end:]
    return content[:begin] + draw(st.sampled_from(BYTES)) + content[end if how == "overwrite" else begin :]


@st.composite
def damaged_json(draw: st.DrawFn, content: bytes) -> bytes:
    """A JSON file in which a value is another one, or is missing."""
    value = json.loads(content)
    at = draw(st.sampled_from(list(places(value))))
    broken = without(value, at) if draw(st.integers(0, 3)) == 0 else replaced(value, at, draw(st.sampled_from(VALUES)))
    return json.dumps(broken, indent=draw(st.sampled_from([None, 1]))).encode()


@st.composite
def damaged_lines(draw: st.DrawFn, content: bytes) -> bytes:
    """A file of JSON lines in which one line is damaged as a JSON file can be."""
    lines = content.splitlines()
    at = draw(st.integers(0, len(lines) - 1))
    lines[at] = draw(damaged_json(lines[at])).replace(b"\n", b" ")
    return b"\n".join([*lines, b""])


@st.composite
def damaged_toml(draw: st.DrawFn, content: bytes) -> bytes:
    """A TOML file in which one line has another value, or is missing."""
    lines = content.splitlines()
    at = draw(st.integers(0, len(lines) - 1))
    name = lines[at].partition(b"=")[0]
    new = draw(st.sampled_from(VALUES))
    lines[at] = draw(st.sampled_from([b"", name + b"= " + json.dumps(new).encode(), b"[" + name + b"]"]))
    return b"\n".join([*lines, b""])


def also_found(name: str, test: Callable[..., Any]) -> Callable[..., Any]:
    """A test with what was found before as its first cases; its argument is ``content``."""
    for content in FOUND.get(name.rpartition("/")[2], []):
        test = example(content=content)(test)
    return test


def damaged(name: str, content: bytes) -> st.SearchStrategy[bytes]:
    """A file of this name and content, damaged as such files are."""
    by_kind = {".json": damaged_json, ".jsonl": damaged_lines, ".toml": damaged_toml}
    kind = next((strategy for suffix, strategy in by_kind.items() if name.endswith(suffix)), None)
    return st.one_of(kind(content), damaged_bytes(content)) if kind else damaged_bytes(content)
