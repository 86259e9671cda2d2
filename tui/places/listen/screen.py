"""Listen: hear the clips of a prompt blind, judge them, and see what can be concluded.

The screen hears keys and news and hands them on: the presenter knows the session, the transport plays, the page draws.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.timer import Timer

from engine.contract.errors import UserError
from engine.contract.rundir import checked_name
from tui import keys
from tui.places.background import Background
from tui.places.deciding import decide
from tui.places.listen import asking
from tui.places.listen.judgement_card import JudgementCard
from tui.places.listen.offers import does_something
from tui.places.listen.page import ListenPage
from tui.places.listen.presenter import Presenter, after_judgement
from tui.places.listen.tag import TagScreen
from tui.places.listen.transport import Transport
from tui.places.place import Place, RunChanged, RunsChanged
from tui.places.samples.screen import hear_samples
from tui.places.sound.playback import Levels, Playback, levels
from tui.places.sound.screen import PlayerNews, SoundScreen
from tui.review.order import Trial
from tui.review.session import ChangedElsewhere, Session, default_listener
from tui.widgets.clips import Clips
from tui.widgets.table import Table

TICK = 0.2
LOG_EVERY = 5.0
"""Seconds of playing after which the log of what was heard is written at the latest."""


class ListenScreen(Place, Background):
    """A blind listening session on one run's clips."""

    place = "listen"
    CSS_PATH = "listen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("listen"))

    _timer: Timer

    def __init__(self) -> None:
        super().__init__()
        self.presenter = Presenter(self.panel.settings.review)
        self.page = ListenPage(self.attempt, self.look_up, id="listen")
        self.transport: Transport | None = None
        """There is one as long as a session is open."""

    @property
    def session(self) -> Session | None:
        return self.presenter.session

    @property
    def _listener(self) -> str:
        """Who listens until another one is named."""
        return self.panel.listener or default_listener()

    @property
    def playback(self) -> Playback | None:
        return None if self.transport is None else self.transport.playback

    def _there(self) -> Transport | None:
        """The open session with its clips; says why there is none."""
        if self.transport is None:
            self.notify(self.presenter.lines()[0])
        return self.transport

    def offers(self, action: keys.Action) -> bool:
        return does_something(self.presenter, self.transport, action.action) and super().offers(action)

    def body(self) -> ComposeResult:
        yield self.page

    def on_mount(self) -> None:
        self._timer = self.set_interval(TICK, self._tick, pause=True)
        self.query_one(Table).can_focus = False
        self._open_shown()

    def on_unmount(self) -> None:
        if self.transport is not None:
            self.attempt(self.transport.close)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        self._open_shown()
        self._show_trial()

    def on_screen_suspend(self, event: events.ScreenSuspend) -> None:
        """Another place is shown: the clip stops. A window over this place leaves it playing."""
        covered = isinstance(self.app.screen, Place) and self.app.screen is not self
        if (covered or self.app.current_mode != "listen") and self.transport is not None:
            self.transport.player.pause()
            self.attempt(self.transport.playback.leave)

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._resized)

    @on(Clips.Resized)
    def _resized(self) -> None:
        self._draw_pictures()
        self._write()

    def _write(self) -> None:
        if self.transport is not None:
            self.page.write(self.transport)
        else:
            self.page.write_nothing(self.presenter.lines())
        if self.is_mounted:
            self.write_keys()

    def attempt(self, transition: Callable[[], object]) -> bool:
        """Do something to the session; what it refuses is said, and nothing is lost."""
        try:
            transition()
        except UserError as error:
            self.notify(str(error), severity="warning")
            if isinstance(error, ChangedElsewhere):
                self.call_later(self._reopen)
            return False
        return True

    # -- which session

    @on(RunChanged)
    @on(RunsChanged)
    def _open_shown(self) -> None:
        """Open the session of the run that is shown; without one, of the newest run that has clips."""
        path = self.panel.shown_path or next((s.path for s in self.panel.summaries if s.clips), None)
        if self.presenter.take(path):
            self._open(self.presenter.listener or self._listener)
        elif self.presenter.asks is None and self.session is None:
            self._write()

    def _open(self, listener: str) -> None:
        if self.transport is not None:
            self.transport.player.stop()
            self.attempt(self.transport.close)
            self.transport = None
        self.presenter.open(listener)
        if self.presenter.asks is not None:
            self.app.push_screen(asking.equal_weights(self.presenter), self._answered)
        else:
            self._begin()

    def _answered(self, key: str | None) -> None:
        if self.attempt(partial(self.presenter.answer, key)):
            self._begin()

    def _reopen(self) -> None:
        if self.session is not None:
            self._open(self.presenter.listener)

    def _begin(self) -> None:
        if self.session is None:
            self._write()
            return
        self.transport = Transport(self.panel.player, self.session)
        for text, warning in self.presenter.opening_remarks():
            self.notify(text, severity="warning" if warning else "information")
        self._show_trial()

    def action_listener(self) -> None:
        def named(name: str | None) -> None:
            if name and self.presenter.shown and self.attempt(lambda: checked_name(name, "listener")):
                self._open(name)

        self.app.push_screen(asking.who_listens(self.presenter.listener), named)

    def action_prompt_set(self) -> None:
        if self.presenter.next_set():
            self._open(self.presenter.listener)
        elif self.presenter.shown is not None:
            self.notify("This run has one prompt set; `mgl-tui evaluate RUN --prompts F --set-name S` makes another.")

    # -- the trial under the cursor

    def _show_trial(self) -> None:
        """Put the trial under the cursor on the page and, when it is another one, into the player."""
        transport = self.transport
        if transport is not None and transport.playback.trial is not transport.session.trial:
            trial = transport.session.trial
            self.attempt(partial(transport.begin, trial))
            self.page.no_pictures()
            self.look_up(partial(levels, transport.session, trial), partial(self._have_levels, trial), group="levels")
        self._write()

    def _have_levels(self, trial: Trial, found: Levels) -> None:
        if self.transport is not None:
            self.transport.playback.load(trial, found)
            self._draw_pictures()
            self._write()

    def _draw_pictures(self) -> None:
        if self.transport is not None:
            self.page.draw_pictures(self.transport)

    # -- news from the player

    def on_player_news(self, message: PlayerNews) -> None:
        news, transport = message.news, self.transport
        if transport is None:
            return
        if news.kind == "loaded":
            transport.playback.confirm(news.data["durations"])
        elif news.kind == "key":
            self._key_from_the_page(str(news.data.get("key", "")))
        elif news.kind == "error" and self.is_current and not transport.silent:
            self.notify(news.text, severity="warning", timeout=8)
        if transport.playback.notice():
            self._draw_pictures()
        if transport.playing:
            self._timer.resume()
        else:
            self._timer.pause()
            self.attempt(transport.playback.log_heard)
        self._write()

    def _key_from_the_page(self, key: str) -> None:
        """A key pressed in the browser counts like one pressed here, also while a tag's letter is waited for."""
        known = {name for action in keys.of("listen") for name in action.keys.split(",")}
        if (self.is_current and key in known) or isinstance(self.app.screen, TagScreen):
            self.app.simulate_key(key)

    def _tick(self) -> None:
        if self.transport is not None:
            self.attempt(partial(self.transport.playback.log_heard, LOG_EVERY))
            self.page.write_clips(self.transport)

    # -- playing

    def action_play(self) -> None:
        if (transport := self._there()) is not None:
            transport.play_or_pause()
            self._draw_pictures()
            self._write()

    def _play(self, letter: str, position: float | None = None) -> None:
        assert self.transport is not None
        self.transport.playback.play(letter, position)
        self._draw_pictures()
        self._write()

    def _select(self, letter: str) -> bool:
        session = self.session
        if session is None or letter not in session.trial.letters:
            return False
        return self.attempt(partial(session.go, session.index, letter))

    def action_switch(self, letter: str) -> None:
        transport = self._there()
        if transport is not None and letter not in transport.session.trial.letters:
            self.notify(f"This prompt has no clip {letter}.")
        elif transport is not None and self._select(letter):
            transport.playback.switch(letter)
            self._draw_pictures()
            self._write()

    def action_clip(self, direction: int) -> None:
        transport = self._there()
        if transport is None:
            return
        session = transport.session
        letters = session.trial.letters
        letter = letters[max(0, min(len(letters) - 1, letters.index(session.letter) + direction))]
        if transport.playing:
            self.action_switch(letter)
        elif self._select(letter):
            self._write()

    def action_restart(self) -> None:
        if (transport := self._there()) is not None:
            self._play(transport.session.letter, 0.0)

    def action_next_unheard(self) -> None:
        transport = self._there()
        if transport is None:
            return
        found = transport.session.next_unheard()
        if found is None:
            self.notify("Every clip was heard.")
        else:
            self._go_and_play(*found)

    def _go_and_play(self, index: int, letter: str) -> None:
        assert self.session is not None
        if self.attempt(partial(self.session.go, index, letter)):
            self._show_trial()
            self._play(letter, 0.0)

    def action_seek(self, seconds: int) -> None:
        if (transport := self._there()) is not None:
            transport.seek(float(seconds))
            self.set_timer(TICK, self._write)

    def action_loop(self) -> None:
        if (transport := self._there()) is not None:
            transport.loop()

    def action_loop_from(self) -> None:
        if (transport := self._there()) is not None:
            self.notify(f"The loop begins at {transport.loop_from():.1f} s; ] ends it.")

    def action_loop_to(self) -> None:
        if (transport := self._there()) is not None:
            transport.loop_to()

    def action_spectrogram(self) -> None:
        if self._there() is None:
            return
        self.page.spectrogram = not self.page.spectrogram
        self._draw_pictures()

    def action_sound(self) -> None:
        self.app.push_screen(SoundScreen())

    @on(Clips.Clicked)
    def _clicked(self, message: Clips.Clicked) -> None:
        if self.transport is not None and self._select(message.letter):
            if message.share is not None:
                self._play(message.letter, message.share * self.transport.player.status.duration)
            self._write()

    @on(Clips.Scored)
    def _square_clicked(self, message: Clips.Scored) -> None:
        if self._select(message.letter):
            self.action_score(message.value)

    # -- judging

    def action_score(self, value: int) -> None:
        transport = self._there()
        if transport is None:
            return
        session = transport.session
        self._log_heard()
        again = session.value(session.trial, session.letter) is not None
        if self.attempt(partial(session.rate, value)) and not again:
            self._judged(transport)
        self._write()

    def action_all_bad(self) -> None:
        transport = self._there()
        if transport is None:
            return
        session = transport.session
        self._log_heard()
        if session.state.mode != "ranking":
            self.notify('"All bad" belongs to ranking (review.mode = "ranking"); score each clip here.')
        elif self.attempt(session.toggle_all_bad) and session.is_judged(session.trial):
            self._judged(transport)
        self._write()

    def _judged(self, transport: Transport) -> None:
        if transport.session.review.advance == "score":
            self._go_on(transport)

    def action_go_on(self) -> None:
        transport = self._there()
        if transport is None:
            return
        session = transport.session
        if session.complete and session.names_visible:
            self.notify("All is judged and the names are shown; j decides what follows.")
        else:
            self._go_on(transport)
            self._write()

    def _go_on(self, transport: Transport) -> None:
        """Show the names when all is judged, else go on to the clip that comes next."""
        session, playback = transport.session, transport.playback
        if session.complete and not session.names_visible:
            self.attempt(session.reveal)
            transport.player.pause()
            self.notify("All is judged: the names are shown.", timeout=8)
            return
        step = after_judgement(session, playback.letters, playback.started)
        if step is not None and step.fresh:
            self._go_and_play(step.at, step.letter)
        elif step is not None:
            self._select(step.letter)
            if transport.playing:
                playback.switch(step.letter)

    def action_prompt(self, direction: int) -> None:
        transport = self._there()
        if transport is None:
            return
        session, playing = transport.session, transport.playing
        index = session.index + direction
        if not 0 <= index < len(session.trials):
            self.notify("This is the last prompt." if direction > 0 else "This is the first prompt.")
        elif self.attempt(partial(session.go, index)):
            transport.player.stop()
            self._show_trial()
            if playing:
                self._play(session.letter, 0.0)

    @on(Table.Moved, "#prompts")
    def _prompt_clicked(self, message: Table.Moved) -> None:
        session = self.session
        if session is None or message.key != message.table.key:
            return  # the table has been moved on meanwhile, by the page itself
        if message.key is not None and message.key != session.trial.id:
            at = next(i for i, trial in enumerate(session.trials) if trial.id == message.key)
            self.action_prompt(at - session.index)

    def action_tag(self) -> None:
        if (transport := self._there()) is not None:
            self._log_heard()
            self.query_one(JudgementCard).ask_tag(transport.session)

    def action_note(self) -> None:
        if (transport := self._there()) is not None:
            self._log_heard()
            self.query_one(JudgementCard).ask_note(transport.session)

    def action_heard_elsewhere(self) -> None:
        transport = self._there()
        if transport is not None and self.attempt(transport.session.hear_elsewhere):
            self.notify("The clips of this prompt count as heard elsewhere, and the notes say so; u takes it back.")
            self._write()

    def _log_heard(self) -> None:
        """Write down what was heard until now: a judgement goes by it."""
        if self.transport is not None:
            self.attempt(self.transport.playback.log_heard)

    def action_undo(self) -> None:
        transport = self._there()
        if transport is None:
            return
        session = transport.session
        taken: list[str | None] = []
        if self.attempt(lambda: taken.append(session.undo())):
            self.notify(f"Taken back: {taken[0]}" if taken[0] else "There is nothing to take back.")
        self._show_trial()

    def action_reveal(self) -> None:
        transport = self._there()
        if transport is None:
            return
        session = transport.session
        if session.names_visible:
            self.notify("The names are shown already.")
            return

        def take(key: str | None) -> None:
            if key == "V" and self.session is session and self.attempt(session.reveal):
                self.notify("The names are shown before all was judged; the notes say so.", severity="warning")
                self._write()

        self.app.push_screen(asking.names_early(session), take)

    # -- beside it

    def action_samples(self) -> None:
        hear_samples(self.panel, self.presenter.shown, self.presenter.listener or self._listener)

    def action_decide(self) -> None:
        if self.presenter.shown is None:
            self._there()
        else:
            decide(self.panel, self.look_up, self.presenter.shown)

    def action_export(self) -> None:
        from tui.places.export.screen import ExportScreen

        if self.presenter.shown is None:
            self._there()
        else:
            shown = self.session.evaluation.name if self.session else None
            self.app.push_screen(ExportScreen(self.presenter.shown, shown or None))
