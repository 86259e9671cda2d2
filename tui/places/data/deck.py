"""The clip of Data that sounds: one at a time, as it lies on the disk, at its own level."""

from __future__ import annotations

from collections.abc import Callable

from engine.contract.data.metadata import Clip
from engine.contract.text import plain
from tui.audio.player import Player


class Deck:
    """``player`` is asked for when the first clip is played, so that looking at data opens no sound card."""

    def __init__(self, player: Callable[[], Player]) -> None:
        self._player = player
        self.holds: Clip | None = None
        """What the player has been given last from here; None when another place may have taken it."""

    @property
    def playing(self) -> bool:
        return self.holds is not None and self._player().status.playing

    def position(self, clip: Clip) -> tuple[float, float]:
        """Seconds from the start of a clip, and its length; zeros for one that the player does not hold."""
        if self.holds is None or self.holds.audio != clip.audio:
            return 0.0, 0.0
        status = self._player().status
        return status.position, status.duration

    def play(self, clip: Clip, position: float | None = None) -> None:
        """Play from ``position`` in seconds, or from where the playhead is; another clip from its start."""
        player = self._player()
        if self.holds is None or self.holds.audio != clip.audio:
            player.load([clip.audio], [0.0], title=plain(clip.text), names=[plain(clip.audio.stem)])
            position = position or 0.0
        self.holds = clip
        player.play(0, position)

    def toggle(self, clip: Clip) -> None:
        """Play the clip, or stop it when it is the one that plays."""
        if self.playing and self.holds is not None and self.holds.audio == clip.audio:
            self._player().pause()
        else:
            self.play(clip)

    def seek(self, seconds: float) -> None:
        if self.holds is not None:
            self._player().seek(seconds, relative=True)

    def pause(self) -> None:
        if self.holds is not None:
            self._player().pause()

    def forget(self) -> None:
        """Another place may have taken the player."""
        self.holds = None
