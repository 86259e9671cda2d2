"""Edits of what Data shows: each is done to what was read last, keeps itself, and says what it did. No screen.

All raise UserError, and then nothing was kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.contract.data.metadata import Clip
from engine.contract.errors import UserError
from tui.dataset import moves, words
from tui.dataset.dataset import Change, Dataset
from tui.dataset.prompt_list import PromptList
from tui.places.data.room import Key, Known, Reading
from tui.places.data.rows import track_name


def caption(reading: Reading, *, clip: Clip, text: str) -> str:
    """``clip`` is as it was shown when the typing began: what was written over it since is not lost."""
    return _dataset(reading).change([Change(clip, text=" ".join(text.split()))], f"Caption of {clip.audio.name} kept.")


def turn(reading: Reading, *, key: Key) -> str:
    """Take a clip out, or back in where it is out."""
    clip = _known(reading, key).clip
    if clip.is_out:
        return _dataset(reading).change(moves.bring_back([clip]), f"{clip.audio.name} is back in.")
    return _dataset(reading).change(moves.take_out([clip]), f"{clip.audio.name} is out; x brings it back.")


def move(reading: Reading, *, key: Key) -> str:
    """Move the whole track of a clip to the other side."""
    known = _known(reading, key)
    number = list(reading.room.known).index(key)
    changes = moves.move_track(reading.room.clips, _tracks(reading), number)
    side = (changes[0].split or "").split()[-1]
    count = f"{len(changes)} clip{'' if len(changes) == 1 else 's'}"
    return _dataset(reading).change(changes, f"Track {track_name(known)}: {count} moved to {side}.")


def split_anew(reading: Reading) -> str:
    """Split by track."""
    changes = moves.split_anew(reading.room.clips, _tracks(reading))
    count = f"{len(changes)} clip{' changes' if len(changes) == 1 else 's change'} sides"
    return _dataset(reading).change(changes, f"Split by track: {count}.")


def replace(reading: Reading, *, clips: Sequence[Clip], old: str, new: str) -> str:
    """Put one word in another's place in every caption of ``clips``, which are as they were shown."""
    changes = words.replaced(clips, old, new)
    count = f"{len(changes)} caption{'' if len(changes) == 1 else 's'}"
    return _dataset(reading).change(changes, f"{count}: “{old}” → “{new}”.")


def undo(reading: Reading) -> str:
    return _dataset(reading).undo()


def put_prompt(reading: Reading, *, number: int, text: str) -> str:
    return _prompts(reading).put(number, text)


def add_prompt(reading: Reading, *, text: str) -> str:
    return _prompts(reading).add(text)


def remove_prompt(reading: Reading, *, number: int) -> str:
    return _prompts(reading).remove(number)


def undo_prompt(reading: Reading) -> str:
    return _prompts(reading).undo()


def _known(reading: Reading, key: Key) -> Known:
    """The clip of a key as it is by now."""
    known = reading.room.known.get(key)
    if known is None:
        raise UserError(f"{key[0]} is not in the metadata any more; it was read again.")
    return known


def _tracks(reading: Reading) -> list[str]:
    return [known.track for known in reading.room.known.values()]


def _dataset(reading: Reading) -> Dataset:
    if reading.dataset is None:
        raise UserError("There is no data set to edit yet; b brings clips, d opens another folder.")
    return reading.dataset


def _prompts(reading: Reading) -> PromptList:
    if reading.prompts is None:
        raise UserError(reading.room.prompts_problem)
    return reading.prompts
