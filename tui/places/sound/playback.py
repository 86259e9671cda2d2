"""The clips of one trial in the player: loaded level-matched under blind names, and what of them was heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tui.audio.player import Player
from tui.review import loudness
from tui.review.blind import BlindNames
from tui.review.order import Trial
from tui.review.session import Session


@dataclass(frozen=True)
class Levels:
    """Level matching of one trial: dB by letter, and the level in LUFS that all its clips are brought to."""

    gains: dict[str, float]
    target: float | None


def levels(session: Session, trial: Trial) -> Levels:
    """Gains for the clips of a trial. Measures files that have no stored loudness, so it may take a second."""
    known = loudness.loudness_of(session.item_of(trial))
    heard = {model: known.get(model) for model in trial.order}
    gains = loudness.gains(heard)
    by_letter = {letter: gains.get(trial.model(letter), 0.0) for letter in trial.letters}
    return Levels(by_letter, loudness.target(heard))


class Playback:
    """What of a session is in the player. ``begin`` a trial, give its levels to ``load``, then play."""

    def __init__(self, player: Player, session: Session) -> None:
        self.player = player
        self.session = session
        self.trial: Trial | None = None
        self.levels: Levels | None = None
        """None until the clips are with the player."""
        self.started: set[tuple[str, str]] = set()
        """(trial id, letter) of clips that sounded in this sitting, or were asked for where they are played by hand."""
        self.longest = 0.0
        """Seconds of the longest clip of the trial: what is shown as the length of each, so that it names none."""
        self._names = BlindNames()
        self._wanted: tuple[str, float | None] | None = None
        self._asked: set[tuple[str, str]] = set()
        """Clips that are to be played, until it is known whether they can be."""
        self._confirmed = False
        self._logged: dict[str, float] = {}

    @property
    def letters(self) -> str:
        """Letters of the trial whose clip is on disk, in the order of the player's list."""
        trial = self.trial
        return "" if trial is None else "".join(x for x in trial.letters if self.path(x) is not None)

    def path(self, letter: str) -> Path | None:
        return None if self.trial is None else self.session.clip_path(self.trial, letter)

    def was_heard(self, letter: str) -> bool:
        """Whether this clip of the trial sounded in this sitting or in one before."""
        trial = self.trial
        return trial is not None and (
            (trial.id, letter) in self.started or self.session.rating(trial, letter).heard > 0
        )

    def begin(self, trial: Trial) -> None:
        """Another trial comes: write down what was heard of the last one."""
        self.log_heard()
        self.trial, self.levels, self._confirmed, self._logged = trial, None, False, {}

    def leave(self) -> None:
        """Another place takes the player: write down what was heard; the next ``begin`` hands the clips over again."""
        self.log_heard()
        self.trial, self.levels, self._confirmed, self._wanted = None, None, False, None

    def load(self, trial: Trial, found: Levels) -> None:
        """Hand the trial's clips to the player, and play what was asked for meanwhile."""
        if trial is not self.trial:
            return
        self.levels = found
        letters = self.letters
        paths = [self._names.link(trial.id, x, path) for x in letters if (path := self.path(x)) is not None]
        title = self.session.item_of(trial).text
        self.player.load(paths, [found.gains[x] for x in letters], title=title, names=letters)
        if self._wanted is not None:
            self.play(*self._wanted)

    def confirm(self, durations: Sequence[float]) -> None:
        """The player holds the clips: from now on its seconds are of this trial."""
        self._confirmed = self.levels is not None
        self.longest = max(durations, default=0.0)

    def notice(self) -> bool:
        """Remember which clip sounds now; whether it is the first time. A page that is silent yet plays nothing."""
        status, before = self.player.status, len(self.started)
        if status.output == "none":
            self.started |= self._asked
        if status.output:
            self._asked = set()
        silent = status.output == "browser" and status.hint
        if self.trial is not None and self._confirmed and status.playing and not silent:
            self.started |= {(self.trial.id, letter) for letter in self.letters[status.index : status.index + 1]}
        return len(self.started) > before

    def play(self, letter: str, position: float | None = None) -> None:
        """Play a clip of the trial, from where the playhead is or from ``position`` in seconds."""
        if self.levels is None:
            self._wanted = (letter, position)
            return
        self._wanted = None
        if self.trial is not None and letter in self.letters:
            self.player.play(self.letters.index(letter), position)
            self._asked.add((self.trial.id, letter))
            self.notice()

    def switch(self, letter: str) -> None:
        """Hear another clip at the same position; play it when nothing plays."""
        if not self.player.status.playing:
            self.play(letter)
        elif letter in self.letters:
            self.player.switch(self.letters.index(letter))

    def log_heard(self, at_least: float = 0.0) -> None:
        """Write into the session what was played since the last time, where it is more than ``at_least`` seconds."""
        trial, status = self.trial, self.player.status
        if trial is None or not self._confirmed or status.output in ("", "none"):
            return
        for letter, heard in zip(self.letters, status.heard, strict=False):
            seconds = heard - self._logged.get(letter, 0.0)
            if seconds < -0.001:
                self._logged[letter] = heard  # a new worker counts from nought
            elif seconds > at_least:
                self._logged[letter] = heard
                self.session.heard(trial.id, letter, seconds, status.output)

    def close(self) -> None:
        self._names.close()
