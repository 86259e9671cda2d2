"""The words of captions: how often each stands there, and one replaced by another everywhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from engine.contract.data.metadata import Clip
from engine.contract.errors import UserError
from tui.dataset.dataset import Change

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_COMMAS = re.compile(r"\s+,(?:\s*,)*|,(?:\s*,)+")


class Word(NamedTuple):
    text: str
    """In small letters."""
    captions: int
    """How many captions it stands in."""
    times: int


def counts(captions: Sequence[str]) -> list[Word]:
    """Every word of the captions, the one in most of them first."""
    times: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for caption in captions:
        words = _WORD.findall(caption.lower())
        times.update(words)
        held.update(set(words))
    return [
        Word(word, count, times[word]) for word, count in sorted(held.items(), key=lambda item: (-item[1], item[0]))
    ]


def has_word(caption: str, word: str) -> bool:
    """Whether the word, or words, stand in the caption as such and not as a part of others."""
    return _pattern(word).search(caption) is not None


def replaced(clips: Sequence[Clip], old: str, new: str) -> list[Change]:
    """The changes that put ``new`` where the word (or words) ``old`` stands, whatever its case; nothing is kept yet.

    A first letter that was capital stays so. An empty ``new`` takes the word out, with a comma that would be left
    over. Raises UserError when there is no word to look for.
    """
    old, new = " ".join(old.split()), " ".join(new.split())
    if not old:
        raise UserError("There is no word to replace; type the one that stands in the captions.")
    pattern = _pattern(old)

    def put(found: re.Match[str]) -> str:
        return new[:1].upper() + new[1:] if found[0][:1].isupper() and new[:1].islower() else new

    changes = []
    for clip in clips:
        text = pattern.sub(put, clip.text)
        if not new:
            text = _COMMAS.sub(",", text).strip(" ,")
        text = " ".join(text.split())
        if text != clip.text:
            changes.append(Change(clip, text=text))
    return changes


def _pattern(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(' '.join(word.split()))}(?!\w)", re.IGNORECASE)
