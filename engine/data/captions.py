"""What is wrong with captions and prompts, as text."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from engine.contract.text import HIDDEN, is_empty, plain

_WORD = re.compile(r"[^\W\d_]{2,}")
T5_WINDOW = 512
FOREIGN_SHARE = 0.2
SHORTEST_WORD = 5
MANY = 3
"""A word that stands so often, and so many times more often than its neighbour, is the one that was meant."""
_ENDINGS = {"s", "es", "d", "ed", "r", "er", "y", "ly", "ing", "n", "al", "e"}


class Misspelling(NamedTuple):
    word: str
    times: int
    meant: str
    meant_times: int


def tokenizer_of(base: Path | None) -> Any:
    """The tokenizer of a model folder without importing transformers; None when it has none that can be read."""
    if base is None or not (base / "tokenizer.json").is_file():
        return None
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    except Exception:  # it raises no kind of its own
        return None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def too_long(caption: str, tokenizer: Any) -> bool:
    """Whether T5 would cut the caption. Without a tokenizer a word counts as one and a half tokens."""
    tokens = len(tokenizer.encode(caption).ids) if tokenizer else len(caption.split()) * 1.5
    return tokens > T5_WINDOW


def says_nothing(text: str, tokenizer: Any) -> bool:
    """Whether nothing is left of the text for the text encoder to read."""
    if is_empty(text) or not tokenizer:
        return is_empty(text)
    return not any(token.strip("▁Ġ ") for token in tokenizer.encode(text, add_special_tokens=False).tokens)


def is_damaged(text: str) -> bool:
    """Whether characters stand in the text that nobody writes: controls, marks of direction, what was lost before."""
    return plain(text) != text or HIDDEN in text


def is_foreign(caption: str, tokenizer: Any) -> bool:
    """Whether T5's English text encoder cannot read the caption: unknown tokens, or letters that are not Latin."""
    letters = [letter for letter in caption if letter.isalpha()]
    if letters and sum(ord(letter) > 0x24F for letter in letters) / len(letters) > FOREIGN_SHARE:
        return True
    if not tokenizer or not caption:
        return False
    tokens = [token for token in tokenizer.encode(caption, add_special_tokens=False).tokens if token != "▁"]
    return bool(tokens) and sum(token in ("<unk>", "[UNK]") for token in tokens) / len(tokens) > FOREIGN_SHARE


def words(caption: str) -> set[str]:
    return set(_WORD.findall(caption.lower()))


def misspellings(captions: list[str], texts: list[str] | None = None) -> list[Misspelling]:
    """Rare words one slip away from a word that many captions have, the most frequent first.

    The rare words are those of ``texts``, by default of the captions themselves.
    """
    counts: Counter[str] = Counter()
    for caption in captions:
        counts.update(words(caption))
    asked = counts if texts is None else Counter(word for text in texts for word in words(text))
    common = {word: n for word, n in counts.items() if n >= MANY and len(word) >= SHORTEST_WORD}
    near: dict[str, set[str]] = defaultdict(set)
    for word in common:
        for shorter in _one_less(word):
            near[shorter].add(word)
    found = []
    for word, times in asked.items():
        if len(word) < SHORTEST_WORD:
            continue
        meant = [
            other
            for other in {other for shorter in _one_less(word) for other in near[shorter]} - {word}
            if common[other] >= MANY * max(counts[word], 1) and _one_slip(word, other)
        ]
        if meant:
            best = max(meant, key=lambda other: (common[other], other))
            found.append(Misspelling(word, times, best, common[best]))
    return sorted(found, key=lambda case: (-case.meant_times, case.word))


def _one_less(word: str) -> set[str]:
    """The word, and the word without each of its letters: of two that differ by one slip one such is the same."""
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def _one_slip(a: str, b: str) -> bool:
    """Whether one letter added, lost, changed or swapped with its neighbour makes ``b`` of ``a``; not for endings."""
    if abs(len(a) - len(b)) > 1 or _is_inflection(a, b):
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    x, y = a[start:], b[start:]
    return x[1:] == y[1:] or x[1:] == y or x == y[1:] or (len(x) > 1 and x[:2] == y[1::-1] and x[2:] == y[2:])


def _is_inflection(a: str, b: str) -> bool:
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest = {a[start:], b[start:]} - {""}
    # "drum" and "drums", "synth" and "synthy"; but not "boombap" and "boombop".
    return rest <= _ENDINGS and start >= 3


def normal(text: str) -> str:
    """Text as captions are compared: case and spaces do not matter, nor a final stop."""
    return " ".join(text.lower().split()).rstrip(" .")
