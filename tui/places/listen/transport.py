"""The transport of Listen: what its keys do to the clips that are in the player. No screen is needed."""

from __future__ import annotations

from pathlib import Path

from tui.audio.player import Player
from tui.places.sound.playback import Playback
from tui.review.order import Trial
from tui.review.session import Session


class Transport:
    """Play, switch, seek and loop the clips of a session."""

    def __init__(self, player: Player, session: Session) -> None:
        self.session = session
        self.player = player
        self.playback = Playback(player, session)
        self._loop_from: float | None = None

    @property
    def playing(self) -> bool:
        return self.player.status.playing

    @property
    def silent(self) -> bool:
        """There is no sound here: clips are fetched and heard elsewhere."""
        return self.player.status.output == "none"

    def begin(self, trial: Trial) -> None:
        """Another trial comes; its clips are in the player once its levels are given to ``playback.load``."""
        self._loop_from = None
        self.playback.begin(trial)

    def play_or_pause(self) -> None:
        if self.playing:
            self.player.pause()
        else:
            self.playback.play(self.session.letter)

    def seek(self, seconds: float) -> None:
        """Go on or back by so many seconds."""
        self.player.seek(seconds, relative=True)

    def loop(self) -> None:
        """Loop the whole clip, or no longer loop."""
        self.player.loop(None if self.player.status.loop else (0.0, None))

    def loop_from(self) -> float:
        """A loop is to begin where the playhead is; returns the seconds."""
        self._loop_from = self.player.status.position
        return self._loop_from

    def loop_to(self) -> None:
        """Loop from the last ``loop_from``, or the beginning of the clip, to where the playhead is."""
        end = self.player.status.position
        start = self._loop_from if self._loop_from is not None and self._loop_from < end else 0.0
        self.player.loop((start, end))

    def visible(self) -> dict[str, Path]:
        """By letter, the clips of the trial that a picture may be drawn of: those that were heard."""
        session, playback = self.session, self.playback
        if not session.may_be_seen(session.trial):
            return {}
        paths = {letter: path for letter in playback.letters if (path := playback.path(letter)) is not None}
        return {letter: path for letter, path in paths.items() if playback.was_heard(letter)}

    def close(self) -> None:
        """Write down what was heard and take back the clips' blind names. UserError when it cannot be written."""
        try:
            self.playback.log_heard()
        finally:
            self.playback.close()
