"""Clips that are taken out, brought back, or moved to the other side with all of their track: changes, not yet kept."""

from __future__ import annotations

from collections.abc import Sequence

from engine.contract.data.metadata import OUT, Clip
from engine.contract.data.split import split_by_track
from engine.contract.errors import UserError
from tui.dataset.dataset import Change

_OTHER = {"train": "valid", "valid": "train"}


def take_out(clips: Sequence[Clip]) -> list[Change]:
    """Take clips out of the data set; they stay in the file, and remember where they were."""
    return [Change(clip, split=OUT + clip.split) for clip in clips if not clip.is_out]


def bring_back(clips: Sequence[Clip]) -> list[Change]:
    """Put clips that were taken out back to where they were."""
    return [Change(clip, split=clip.split.removeprefix(OUT)) for clip in clips if clip.is_out]


def move_track(clips: Sequence[Clip], tracks: Sequence[str], number: int) -> list[Change]:
    """Move every clip of the track of clip ``number`` to the other side, those that were taken out as well.

    ``tracks`` names the track of each clip. Raises UserError for a clip that is on neither side.
    """
    other = _OTHER.get(clips[number].split.removeprefix(OUT))
    if other is None:
        raise UserError(
            f"{clips[number].name} is in {clips[number].split}, which training leaves alone; "
            "only clips in train or valid can change sides."
        )
    return [
        Change(clip, split=OUT + other if clip.is_out else other)
        for clip, track in zip(clips, tracks, strict=True)
        if track == tracks[number] and clip.split.removeprefix(OUT) in _OTHER
    ]


def split_anew(clips: Sequence[Clip], tracks: Sequence[str]) -> list[Change]:
    """The changes that give a split by track, the same as `mgl-tui check --fix-split` writes.

    Raises UserError when all clips are of one track.
    """
    first: dict[str, int] = {}
    pairs = [(first.setdefault(track, number), number) for number, track in enumerate(tracks)]
    splits = split_by_track(list(clips), pairs)
    return [Change(clip, split=split) for clip, split in zip(clips, splits, strict=True) if clip.split != split]
