"""What was wrong with the data of a round that other scripts made, as far as the names in its metadata tell.

The audio itself is rarely there any more: tracks are told by the names of their pieces.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engine.contract import config
from engine.contract.data import metadata, split
from engine.contract.data.metadata import Clip
from engine.contract.errors import UserError

NAMES = ("metadata.json", "metadata.jsonl", "metadata.csv")
_SPLITS = ("train", "valid", "validation", "val", "dev", "test")


def read(files: Iterable[Path]) -> tuple[list[Clip], list[str]]:
    """The clips that metadata files name, and what cannot be read of them."""
    clips, problems = [], []
    for file in files:
        # A file for each side lies in its side's folder; the splits are the folders of the one above.
        folder = file.parent.parent if file.parent.name.lower() in _SPLITS else file.parent
        try:
            clips += metadata.read(config.Data(dir=str(folder), metadata=str(file.relative_to(folder))))
        except UserError as error:
            problems.append(str(error))
    return clips, problems


def verdicts(clips: list[Clip], prompts: Iterable[str]) -> list[tuple[str, str, str]]:
    """(name, verdict, evidence): tracks on both sides of the split, and prompts that are captions word for word."""
    return [*_leaks(clips), *_copied(clips, prompts)]


def _leaks(clips: list[Clip]) -> list[tuple[str, str, str]]:
    sides: dict[str, set[str]] = {}
    for clip, track in zip(clips, split.tracks(clips), strict=True):
        # A file of one name on both sides is one track as well.
        name = Path(track).stem if track == clip.name else track
        sides.setdefault(name, set()).add(clip.split)
    both = sorted(track for track, of in sides.items() if {"train", "valid"} <= of)
    if not both:
        return []
    valid = sum("valid" in of for of in sides.values())
    shown = ", ".join(both[:3]) + (f" and {len(both) - 3} more" if len(both) > 3 else "")
    return [(
        "track-leak", "bad",
        f"{len(both)} of {valid} tracks of the valid set are in the train set too ({shown}): its valid loss says "
        "little of new music",
    )]  # fmt: skip


def _copied(clips: list[Clip], prompts: Iterable[str]) -> list[tuple[str, str, str]]:
    captions = {_words(clip.text) for clip in clips}
    asked = list(dict.fromkeys(prompts))
    copied = [prompt for prompt in asked if _words(prompt) in captions]
    if not copied:
        return []
    return [(
        "prompt-in-captions", "warn",
        f'{len(copied)} of {len(asked)} prompts are captions word for word, such as "{copied[0]}": they ask what was '
        "learned by heart",
    )]  # fmt: skip


def _words(text: str) -> str:
    return " ".join(text.split()).casefold()
