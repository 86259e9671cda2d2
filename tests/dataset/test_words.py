"""Words of captions with their counts, and one replaced by another everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.contract.data.metadata import Clip
from engine.contract.errors import UserError
from tui.dataset import words


def clips(*captions: str) -> list[Clip]:
    return [Clip(f"{n}.wav", Path(f"/{n}.wav"), caption, "train") for n, caption in enumerate(captions)]


def replaced(old: str, new: str, *captions: str) -> dict[str, str]:
    return {change.clip.text: change.text or "" for change in words.replaced(clips(*captions), old, new)}


def test_a_word_is_counted_once_a_caption_and_in_all() -> None:
    assert words.counts(["Lo-fi drums, drums", "drums at 90 bpm", "don't stop"])[:2] == [
        words.Word("drums", 2, 3),
        words.Word("90", 1, 1),
    ]
    assert {word.text for word in words.counts(["Lo-fi drums", "don't"])} == {"lo-fi", "drums", "don't"}


def test_a_word_is_replaced_whole_in_any_case_and_a_capital_stays() -> None:
    assert replaced("boomap", "boombap", "Boomap drums", "a BOOMAP", "boomaps stay", "none") == {
        "Boomap drums": "Boombap drums",
        "a BOOMAP": "a Boombap",
    }


def test_several_words_and_signs_are_taken_as_they_are() -> None:
    assert replaced("lo fi (old)", r"lofi \1", "a lo fi (old) beat") == {"a lo fi (old) beat": r"a lofi \1 beat"}


def test_a_word_that_is_taken_out_leaves_no_comma() -> None:
    found = replaced("loop", "", "loop, drums", "drums, loop, bass", "drums, loop", "75 loop, a loop of drums")
    assert list(found.values()) == ["drums", "drums, bass", "drums", "75, a of drums"]


def test_no_word_is_no_wish() -> None:
    with pytest.raises(UserError, match="no word to replace"):
        words.replaced(clips("x"), "  ", "y")
