"""Text that a person or a file wrote, made safe to show: in the panel, on the command line, in notes, on the page.

Escape sequences set a terminal's title and wipe its screen, line breaks forge lines, and marks of writing direction
show a name as another one. Such characters are shown rather than dropped: who sees them can mend the file, and two
names that differ only in them stay different.
"""

from __future__ import annotations

import re
import unicodedata

HIDDEN = "\N{REPLACEMENT CHARACTER}"
"""Stands where a character is that would show nothing, or change how the others are shown."""

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
    return text if text.isprintable() else "\n".join(map(plain, _LINE_BREAK.split(text)))


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
