"""What processes say to one another and to a terminal."""

from __future__ import annotations

import pytest

from engine.contract.output import told


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"done": 1, "total": 3}\n', {"done": 1, "total": 3}),
        (b'{"summary": {}}', {"summary": {}}),
        ("a library's own words\n", {}),
        ("[1, 2]", {}),
        ("7", {}),
        (b"\xff\xfe", {}),
        ("", {}),
    ],
)
def test_an_engines_lines_are_told_from_a_librarys_own_words(line: str | bytes, said: dict[str, object]) -> None:
    assert told(line) == said
