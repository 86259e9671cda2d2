"""Text that a person or a file wrote: read from bytes, and made safe to show in the panel, a terminal, notes, the page.

Escape sequences set a terminal's title and wipe its screen, line breaks forge lines, and marks of writing direction
show a name as another one. Such characters are shown rather than dropped: who sees them can mend the file, and two
names that differ only in them stay different.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

HIDDEN = "\N{REPLACEMENT CHARACTER}"
"""Stands where a character is that would show nothing, or change how the others are shown."""

TO_UTF_8 = "iconv -f WINDOWS-1252 -t UTF-8"
"""The command that mends the commonest case; no encoding but UTF-8 can be told from the bytes for sure."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_BLANK = frozenset("\t\n\v\f\r\x85\u2028\u2029")
# Persian and Indic scripts and emoji are written with the joiners. The others are signs of Arabic, Syriac and Kaithi
# numbers that Unicode counts as controls and that are seen.
_WRITTEN = frozenset(
    "\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)


def plain(text: str) -> str:
    """``text`` on one line, obeyed by nothing and encodable as UTF-8; as long as it was, so that places in it hold.

    Line breaks and tabs become spaces, as a tokenizer reads them; control characters their pictures (``␛``); what
    turns the direction of writing, has no width, or is half a character (a lone surrogate) becomes ``HIDDEN``.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def plain_lines(text: str) -> str:
    """``text`` with its line breaks as ``\\n``, and each of its lines as ``plain`` makes it."""
    return text if text.isprintable() else "\n".join(map(plain, lines(text)))


def lines(text: str) -> list[str]:
    """The lines of ``text``. Unlike str.splitlines it does not cut at U+2028 and the like, which stand inside lines."""
    return _LINE_BREAK.split(text)


def decoded(content: bytes) -> str:
    """What a text file holds: UTF-8, or what its byte order mark says. Raises ValueError, "is not UTF-8 from ..."."""
    encoding, name = _encoding(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"is not {name} from line {line}, byte {error.start + 1} of the file on") from None


def encoding_of(content: bytes) -> str:
    """How ``decoded`` reads a file; text that is written in it begins with the same mark."""
    return _encoding(content)[0]


def _encoding(content: bytes) -> tuple[str, str]:
    """Python's name and people's."""
    return next(((each, name) for mark, each, name in _MARKS if content.startswith(mark)), ("utf-8", "UTF-8"))


def is_whole(text: str) -> bool:
    """Whether ``text`` can be written and tokenized: no character of it is half (a lone surrogate)."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def is_empty(text: str) -> bool:
    """Whether ``text`` holds no character that is seen."""
    return all(character.isspace() or unicodedata.category(character)[0] == "C" for character in text)


def _shown(character: str) -> str:
    if character.isprintable() or character in _WRITTEN:
        return character
    if character in _BLANK:
        return " "
    if character < " ":
        return chr(0x2400 + ord(character))
    if character == "\x7f":
        return "\N{SYMBOL FOR DELETE}"
    # Other spaces, a font's own signs and letters newer than this Python's tables are somebody's text.
    return HIDDEN if unicodedata.category(character) in ("Cc", "Cf", "Cs") else character
