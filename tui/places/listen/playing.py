"""What Listen plays: the clips of a prompt, switched in place, looped, and logged as they are heard."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from textual import on
from textual.timer import Timer

from engine.contract.errors import UserError
from tui import keys
from tui.places.listen.clips import Clips
from tui.places.listen.page import ListenPage
from tui.places.listen.tag import TagScreen
from tui.places.sound.playback import Levels, levels
from tui.places.sound.screen import PlayerNews, SoundScreen
from tui.review.order import Trial
from tui.review.session import ChangedElsewhere

TICK = 0.2
LOG_EVERY = 5.0
"""Seconds of playing after which the log of what was heard is written at the latest."""


class ListenPlaying(ListenPage):
    """The keys that play."""

    _timer: Timer

    def __init__(self) -> None:
        super().__init__()
        self._loop_from: float | None = None

    def on_mount(self) -> None:
        self._timer = self.set_interval(TICK, self._tick, pause=True)

    def reopen(self) -> None:
        """Take the session up from what is on disk."""
        raise NotImplementedError

    # -- the trial under the cursor

    def attempt(self, transition: Callable[[], object]) -> bool:
        """Do something to the session; what it refuses is said, and nothing is lost."""
        try:
            transition()
        except UserError as error:
            self.notify(str(error), severity="warning")
            if isinstance(error, ChangedElsewhere):
                self.call_later(self.reopen)
            return False
        return True

    def show_trial(self) -> None:
        """Put the trial under the cursor on the page and, when it is another one, into the player."""
        session, playback = self.session, self.playback
        if session is None or playback is None:
            return
        if playback.trial is not session.trial:
            self.attempt(partial(playback.begin, session.trial))
            self._loop_from = None
            self.peaks = {}
            trial = session.trial
            self.look_up(partial(levels, session, trial), partial(self._have_levels, trial), group="levels")
        self.write_page()

    def _have_levels(self, trial: Trial, found: Levels) -> None:
        if self.playback is not None:
            self.playback.load(trial, found)
            self.draw_pictures()
            self.write_page()

    # -- news from the player

    def on_player_news(self, message: PlayerNews) -> None:
        news, playback = message.news, self.playback
        if playback is None:
            return
        if news.kind == "loaded":
            playback.confirm(news.data["durations"])
        elif news.kind == "key":
            self._key_from_the_page(str(news.data.get("key", "")))
        elif news.kind == "error" and self.is_current and playback.player.status.output != "none":
            self.notify(news.text, severity="warning", timeout=8)
        if playback.notice():
            self.draw_pictures()
        if playback.player.status.playing:
            self._timer.resume()
        else:
            self._timer.pause()
            self.attempt(playback.log_heard)
        self.write_page()

    def _key_from_the_page(self, key: str) -> None:
        """A key pressed in the browser counts like one pressed here, also while a tag's letter is waited for."""
        known = {name for action in keys.of("listen") for name in action.keys.split(",")}
        if (self.is_current and key in known) or isinstance(self.app.screen, TagScreen):
            self.app.simulate_key(key)

    def _tick(self) -> None:
        if self.playback is not None:
            self.attempt(partial(self.playback.log_heard, LOG_EVERY))
            self.write_clips()

    # -- playing

    def action_play(self) -> None:
        if self.session is None or self.playback is None:
            return
        if self.playback.player.status.playing:
            self.playback.player.pause()
        else:
            self.play(self.session.letter)

    def play(self, letter: str, position: float | None = None) -> None:
        assert self.playback is not None
        self.playback.play(letter, position)
        self.draw_pictures()
        self.write_page()

    def select(self, letter: str) -> bool:
        session = self.session
        if session is None or letter not in session.trial.letters:
            return False
        return self.attempt(partial(session.go, session.index, letter))

    def action_switch(self, letter: str) -> None:
        if self.select(letter) and self.playback is not None:
            self.playback.switch(letter)
            self.draw_pictures()
            self.write_page()

    def action_clip(self, direction: int) -> None:
        session, playback = self.session, self.playback
        if session is None or playback is None:
            return
        letters = session.trial.letters
        letter = letters[max(0, min(len(letters) - 1, letters.index(session.letter) + direction))]
        if playback.player.status.playing:
            self.action_switch(letter)
        elif self.select(letter):
            self.write_page()

    def action_seek(self, seconds: int) -> None:
        if self.playback is not None:
            self.playback.player.seek(float(seconds), relative=True)
            self.set_timer(TICK, self.write_clips)

    def action_restart(self) -> None:
        if self.session is not None:
            self.play(self.session.letter, 0.0)

    def action_next_unheard(self) -> None:
        if self.session is None:
            return
        found = self.session.next_unheard()
        if found is None:
            self.notify("Every clip was heard.")
        else:
            self.go_and_play(*found)

    def go_and_play(self, index: int, letter: str) -> None:
        session = self.session
        assert session is not None
        if self.attempt(partial(session.go, index, letter)):
            self.show_trial()
            self.play(letter, 0.0)

    def action_loop(self) -> None:
        if self.playback is not None:
            player = self.playback.player
            player.loop(None if player.status.loop else (0.0, None))

    def action_loop_from(self) -> None:
        if self.playback is not None:
            self._loop_from = self.playback.player.status.position
            self.notify(f"The loop begins at {self._loop_from:.1f} s; ] ends it.")

    def action_loop_to(self) -> None:
        if self.playback is not None:
            end = self.playback.player.status.position
            start = self._loop_from if self._loop_from is not None and self._loop_from < end else 0.0
            self.playback.player.loop((start, end))

    def action_spectrogram(self) -> None:
        self.spectrogram = not self.spectrogram
        self.draw_pictures()

    def action_sound(self) -> None:
        self.app.push_screen(SoundScreen())

    @on(Clips.Clicked)
    def _clicked(self, message: Clips.Clicked) -> None:
        if self.select(message.letter) and self.playback is not None:
            if message.share is not None:
                self.play(message.letter, message.share * self.playback.player.status.duration)
            self.write_page()
