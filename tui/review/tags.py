"""The letters by which tags are given."""

from __future__ import annotations

from collections.abc import Sequence


def tag_letters(tags: Sequence[str]) -> dict[str, str]:
    """A letter of its own for every tag: one of the tag's letters if it is free, else the first free one."""
    letters: dict[str, str] = {}
    for tag in tags:
        own = [c for c in tag.lower() if c.isascii() and c.isalpha()]
        free = (c for c in [*own, *"abcdefghijklmnopqrstuvwxyz"] if c not in letters)
        letters[next(free)] = tag
    return letters
