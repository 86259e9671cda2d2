"""The clips of one prompt at several steps in the player, level-matched, and what of them was heard. No screen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tui.audio.player import Player
from tui.review import loudness, samples
from tui.review.evaluation import Clip, Item

LEAST = 0.3
"""Seconds of a clip that are worth a line of the log."""


class Levels(NamedTuple):
    clips: dict[int, Clip]
    gains: dict[int, float]
    """dB by step."""
    target: float | None
    """The level in LUFS that all are brought to."""


class Deck:
    """What is in the player. ``load`` the clips of a prompt, then ``play`` a step."""

    def __init__(self, player: Player, run: Path, listener: str) -> None:
        self._player = player
        self._run = run
        self._listener = listener
        self._item: Item | None = None
        self._levels: Levels | None = None
        self._logged: list[float] = []
        self._asked: set[int] = set()
        """Clips that are to be played, until it is known whether there is any sound."""
        self._confirmed = False
        """The player holds these clips: its seconds are of them."""
        self._heard = set(samples.heard(run, listener))

    @property
    def playing(self) -> bool:
        return self._item is not None and self._player.status.playing

    @property
    def level(self) -> float | None:
        return None if self._levels is None else self._levels.target

    def holds(self, item: Item, clips: Mapping[int, Clip] | None = None) -> bool:
        """Whether the clips of this prompt are in the player, all of ``clips`` among them."""
        there = self._levels is not None and self._item is not None and self._item.key == item.key
        return there and (clips is None or (self._levels is not None and clips.keys() <= self._levels.clips.keys()))

    def was_heard(self, clip: Clip) -> bool:
        return clip.path in self._heard

    def levels(self, clips: Mapping[int, Clip]) -> Levels:
        """In a thread: gains that bring these clips down to the quietest of them."""
        known = {str(step): loudness.clip_loudness(clip) for step, clip in clips.items()}
        gains = loudness.gains(known)
        return Levels(dict(clips), {step: gains.get(str(step), 0.0) for step in clips}, loudness.target(known))

    def load(self, item: Item, levels: Levels) -> None:
        """Hand the clips to the player. UserError when what was heard of others cannot be written."""
        try:
            self.log()
        finally:
            self._item, self._levels, self._logged, self._confirmed = item, levels, [], False
            self._asked = set()
            paths = [clip.path for clip in levels.clips.values() if clip.path is not None]
            names = [str(step) for step in levels.clips]
            self._player.load(paths, [levels.gains[step] for step in levels.clips], title=item.text, names=names)

    def confirm(self) -> None:
        self._confirmed = self._levels is not None

    def play(self, step: int, position: float | None) -> None:
        """Play a step, from where the playhead is or from ``position`` in seconds."""
        if self._levels is None:
            return
        index = list(self._levels.clips).index(step)
        if self._player.status.playing and position is None:
            self._player.switch(index)
        else:
            self._player.play(index, position)
        self._asked.add(index)

    def log(self, at_least: float = 0.0) -> None:
        """Keep what was heard since the last time, where it is more than ``at_least`` seconds.

        UserError when it cannot be written.
        """
        status = self._player.status
        if self._levels is not None and status.output == "none":
            for index in sorted(self._asked):
                self._note(index, 0.0)  # it is fetched, and heard elsewhere
            self._asked = set()
        if self._levels is None or not self._confirmed or status.output in ("", "none"):
            return
        for index in range(min(len(self._levels.clips), len(status.heard))):
            self._logged += [0.0] * (index + 1 - len(self._logged))
            seconds = status.heard[index] - self._logged[index]
            if seconds < 0:
                self._logged[index] = status.heard[index]  # a new worker counts from nought
            elif seconds > max(LEAST, at_least):
                self._logged[index] = status.heard[index]
                self._note(index, seconds)

    def _note(self, index: int, seconds: float) -> None:
        assert self._levels is not None
        path = list(self._levels.clips.values())[index].path
        if path is not None and (seconds or path not in self._heard):
            self._heard.add(path)
            samples.note_heard(self._run, self._listener, path, seconds)

    def close(self) -> None:
        """Another place takes the player. UserError when what was heard cannot be written."""
        if self._item is not None:
            self._player.pause()
            try:
                self.log()
            finally:
                self._item = self._levels = None
