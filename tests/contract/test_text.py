"""Foreign text made safe to show."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from engine.contract.text import plain, plain_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("calm piano, 90 bpm [lr=1e-4]", "calm piano, 90 bpm [lr=1e-4]"),
        ("\x1b]0;owned\x07\x1b[2J", "␛]0;owned␇␛[2J"),
        ("a\x00b\x7f\x9b31m", "a␀b␡\ufffd31m"),
        ("abc\u202ecba\u2066\u061c\u200f", "abc\ufffdcba\ufffd\ufffd\ufffd"),
        ("one\r\ntwo\tthree\u2028four\x85", "one  two three four "),
        ("half \ud83c a note", "half \ufffd a note"),
        ("an\u200bna\ufeff\U000e0041", "an\ufffdna\ufffd\ufffd"),
        ("نمی\u200cخواهم 🧑\u200d🎤 \u0605١", "نمی\u200cخواهم 🧑\u200d🎤 \u0605١"),
        ("鋼琴、60 拍\u3000\xa0", "鋼琴、60 拍\u3000\xa0"),
    ],
)
def test_what_would_be_obeyed_is_shown_and_what_is_writing_stays(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_no_character_is_obeyed_hidden_or_refused_by_utf_8() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    shown = plain(every)
    assert len(shown) == len(every)
    shown.encode("utf-8")
    left = {character for character in shown if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert left - set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd") == {
        "\u200c",
        "\u200d",
    }


def test_what_was_made_plain_once_stays_as_it_is() -> None:
    text = "\x1b[2J\u202e\r\n\ud800"
    assert plain(plain(text)) == plain(text)
    assert plain_lines(plain_lines(text)) == plain_lines(text)


def test_lines_stay_lines_however_they_end() -> None:
    assert plain_lines("# one\r\ntwo\rthree\n\n\x1b[1m\u2028\n") == "# one\ntwo\nthree\n\n␛[1m \n"
