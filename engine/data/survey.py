"""What metadata and the headers of audio files tell, before a model is loaded or a clip encoded. Imports no torch."""

from __future__ import annotations

import math
from pathlib import Path

from engine.contract import config
from engine.contract.data import metadata
from engine.contract.data.metadata import Clip
from engine.contract.errors import UserError
from engine.data import resources
from engine.data.audio import seconds_of


def used_clips(data: config.Data) -> tuple[list[Clip], list[Clip]]:
    """Train and valid clips. Raises UserError when there are none of either."""
    clips = metadata.read(data)
    train, valid = metadata.of_split(clips, "train"), metadata.of_split(clips, "valid")
    for split, found in (("train", train), ("valid", valid)):
        if not found:
            remedy = f"put clips into a {split}/ folder, or let `mgl-tui check --fix-split` write a split by track"
            misplaced = metadata.misplaced(Path(data.dir))
            raise UserError(f"No clip of {data.dir} is in the {split} split; {misplaced or remedy}.")
    return train, valid


def train_windows(settings: config.Settings) -> int:
    """Windows that the train clips will give. Raises UserError for data that cannot be trained on."""
    train, valid = used_clips(settings.data)
    seconds = [seconds_of(clip.audio) for clip in [*train, *valid]]
    rate = resources.frame_rate(settings.model.base)
    return sum(window_count(length, settings.data.duration, rate) for length in seconds[: len(train)])


def window_count(seconds: float, duration: float, frame_rate: float) -> int:
    """Windows of ``duration`` seconds that a clip gives, counted in frames as they are cut: at least one."""
    # Rounded: 0.3 s at 50 frames a second are 15 frames and not 15.000000000000002.
    return max(1, math.ceil(round(seconds * frame_rate, 6)) // round(duration * frame_rate))
