"""Listen: hear the clips of a prompt blind, judge them, and see what can be concluded."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual import events, on
from textual.binding import BindingType

from engine.contract.errors import UserError
from engine.contract.rundir import checked_name
from tui import keys
from tui.places.dialogs import Ask, Choice, Menu
from tui.places.listen.judgement import NoteInput, tag_letters
from tui.places.listen.playing import ListenPlaying
from tui.places.listen.tag import TagScreen
from tui.places.place import RunChanged, RunsChanged
from tui.places.sound.playback import Playback
from tui.review.evaluation import open_evaluation
from tui.review.session import Session, default_listener
from tui.runs.store import evaluation_folders
from tui.widgets.table import Table


class ListenScreen(ListenPlaying):
    """A blind listening session on one run's clips."""

    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("listen"))

    def __init__(self) -> None:
        super().__init__()
        self._set = 0
        self._listener = ""
        self._asking = False
        """The question about equal weights is open."""

    def on_mount(self) -> None:
        self.query_one(Table).can_focus = False
        self._open_shown()

    def on_unmount(self) -> None:
        if self.playback is not None:
            self.attempt(self.playback.log_heard)
            self.playback.close()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        self._open_shown()
        self.show_trial()
        self.write_page()

    def on_screen_suspend(self, event: events.ScreenSuspend) -> None:
        """Another place is shown: the clip stops. A window over this place leaves it playing."""
        if self.app.current_mode != "listen" and self.playback is not None:
            self.playback.player.pause()
            self.attempt(self.playback.leave)

    # -- which session

    @on(RunChanged)
    @on(RunsChanged)
    def _open_shown(self) -> None:
        """Open the session of the run that is shown; without one, of the newest run that has clips."""
        path = self.panel.shown_path or next((s.path for s in self.panel.summaries if s.clips), None)
        # Clips may come while the place is shown; what was refused once is not asked again every two seconds.
        fresh = self.session is None and not self.problem and path is not None and bool(evaluation_folders(path))
        if self._asking:
            return
        if path is not None and (path != self.shown or fresh):
            self._set = 0 if path != self.shown else self._set
            self.shown = path
            self._open(self._listener or self.panel.listener or default_listener())
        elif self.session is None:
            self.write_page()

    def _open(self, listener: str) -> None:
        assert self.shown is not None
        if self.playback is not None:
            self.playback.player.stop()
            self.attempt(self.playback.log_heard)
            self.playback.close()
        self._listener, self.problem, self.session, self.playback = listener, "", None, None
        folders = evaluation_folders(self.shown)
        if not folders:
            self.write_page()
            return
        try:
            evaluation = open_evaluation(folders[self._set % len(folders)])
            if not evaluation.whole and self.being_made():
                self.write_page()
                return
            session = Session.open(evaluation, listener, self.panel.settings.review)
        except UserError as error:
            self.problem = str(error)
            self.write_page()
            return
        if session.needs_choice:
            self._ask_about_equal_weights(session)
        else:
            self._begin(session)

    def _begin(self, session: Session) -> None:
        if not session.trials:
            self.problem = f"{session.evaluation.folder}: none of its clips can be found; make them again."
            self.write_page()
            return
        self.session, self.playback = session, Playback(self.panel.player, session)
        if kept := session.kept():
            self.notify(f"This session goes on as it was begun, with {' and '.join(kept)}; w begins another.")
        problems = [*session.complaints, *session.evaluation.left_out]
        for problem in problems[:3]:
            self.notify(problem, severity="warning")
        if len(problems) > 3:
            self.notify(f"and {len(problems) - 3} more like these; the notes name them all.", severity="warning")
        if session.complaints:
            self.notify(f"The file as it was stays beside it, as {session.path.name}.kept-1 or the next free number.")
        if missing := len(session.evaluation.missing_files):
            # Which models they are of would tell who is behind the letters that are left.
            files = "1 clip file is" if missing == 1 else f"{missing} clip files are"
            self.notify(f"{files} missing; the rest can be judged, and the notes name what lacks.", severity="warning")
        self.show_trial()

    def reopen(self) -> None:
        if self.session is not None:
            self._open(self._listener)

    def _ask_about_equal_weights(self, session: Session) -> None:
        """Said before the session: some clips are the same, and the listener chooses what to do about it."""
        models = session.evaluation.models
        groups = session.evaluation.same_weights
        distinct = len(models) - sum(len(group) - 1 for group in groups)
        choices = [
            Choice("2", f"{distinct} clips a prompt", "each once: less to listen to"),
            Choice("3", f"{len(models)} clips a prompt", "one comes twice, hidden: that measures your own noise"),
        ]
        said = f"{', and '.join(' and '.join(group) for group in groups)} have the same weights"

        def chosen(key: str | None) -> None:
            self._asking = False
            if key is None:
                self.problem = f"{said}: nothing is judged before it is chosen how to hear them; w asks again."
                self.write_page()
            elif self.attempt(lambda: session.choose_equal("two" if key == "2" else "three")):
                self._begin(session)

        self._asking = True
        self.app.push_screen(Menu(said, choices), chosen)

    # -- judging

    def action_score(self, value: int) -> None:
        session, playback = self.session, self.playback
        if session is None or playback is None:
            return
        self.attempt(playback.log_heard)
        again = session.value(session.trial, session.letter) is not None
        by_hand = playback.player.status.output == "none"
        if self.attempt(partial(session.rate, value, by_hand=by_hand)) and not again:
            self._after_judgement(session)
        self.write_page()

    def action_all_bad(self) -> None:
        session = self.session
        if session is None:
            return
        if session.state.mode != "ranking":
            self.notify('"All bad" belongs to ranking (review.mode = "ranking"); score each clip here.')
        elif self.attempt(session.toggle_all_bad) and session.is_judged(session.trial):
            self._after_judgement(session)
        self.write_page()

    def _after_judgement(self, session: Session) -> None:
        """Go on to the next unheard clip of this prompt, then to one without a score, then to the next prompt."""
        playback = self.playback
        assert playback is not None
        if session.complete and not session.names_visible:
            self.attempt(session.reveal)
            playback.player.pause()
            self.notify("All is judged: the names are shown.", timeout=8)
            return
        here = [x for x in playback.letters if session.value(session.trial, x) is None]
        if session.is_judged(session.trial):
            found = session.next_unjudged()
            if found is not None:
                self.go_and_play(*found)
            return
        unheard = [x for x in here if (session.trial.id, x) not in playback.started]
        if unheard:
            self.go_and_play(session.index, unheard[0])
        elif here:
            self.select(here[0])
            if playback.player.status.playing:
                playback.switch(here[0])

    def action_prompt(self, direction: int) -> None:
        session, playback = self.session, self.playback
        if session is None or playback is None:
            return
        playing = playback.player.status.playing
        index = session.index + direction
        if 0 <= index < len(session.trials) and self.attempt(partial(session.go, index)):
            playback.player.stop()
            self.show_trial()
            if playing:
                self.play(session.letter, 0.0)

    @on(Table.Moved, "#prompts")
    def _prompt_clicked(self, message: Table.Moved) -> None:
        session = self.session
        if session is None or message.key != message.table.key:
            return  # the table has been moved on meanwhile, by the page itself
        if message.key is not None and message.key != session.trial.id:
            at = next(i for i, trial in enumerate(session.trials) if trial.id == message.key)
            self.action_prompt(at - session.index)

    def action_tag(self) -> None:
        session = self.session
        if session is None:
            return

        def tagged(tag: str | None) -> None:
            self.tagging = False
            if tag is not None:
                self.attempt(partial(session.toggle_tag, tag))
            self.write_page()

        self.tagging = True
        self.write_page()
        self.app.push_screen(TagScreen(tag_letters(self.panel.settings.review.tags), tagged))

    def action_note(self) -> None:
        session = self.session
        if session is not None:
            self.query_one(NoteInput).begin(session.rating(session.trial, session.letter).note)
            self.write_page()

    @on(NoteInput.Written)
    def _note_written(self, message: NoteInput.Written) -> None:
        if self.session is not None:
            self.attempt(partial(self.session.write_note, message.text, going_on=message.going_on))

    @on(NoteInput.Closed)
    def _note_closed(self, message: NoteInput.Closed) -> None:
        if self.session is not None and message.undo:
            self.attempt(self.session.undo)
        self.query_one(NoteInput).put_away()
        self.write_page()

    @on(NoteInput.Passed)
    def _note_passed(self, message: NoteInput.Passed) -> None:
        self.app.simulate_key(message.key)

    def action_undo(self) -> None:
        session = self.session
        if session is None:
            return
        taken: list[str | None] = []
        if self.attempt(lambda: taken.append(session.undo())):
            self.notify(f"Taken back: {taken[0]}" if taken[0] else "There is nothing to take back.")
        self.show_trial()

    def action_reveal(self) -> None:
        session = self.session
        if session is None or session.names_visible:
            return
        if self.attempt(session.reveal) and not session.complete:
            self.notify("The names are shown before all was judged; the notes say so.", severity="warning")
        self.write_page()

    # -- beside it

    def action_export(self) -> None:
        from tui.places.export.screen import ExportScreen

        if self.shown is not None:
            shown = self.session.evaluation.name if self.session else None
            self.app.push_screen(ExportScreen(self.shown, shown or None))

    def action_prompt_set(self) -> None:
        if self.shown is None:
            return
        folders = evaluation_folders(self.shown)
        if len(folders) < 2:
            self.notify("This run has one prompt set; `mgl-tui evaluate RUN --prompts F --set-name S` makes another.")
            return
        self._set = (self._set + 1) % len(folders)
        self._open(self._listener)

    def action_listener(self) -> None:
        def named(name: str | None) -> None:
            if name and self.shown is not None and self.attempt(lambda: checked_name(name, "listener")):
                self._open(name)

        self.app.push_screen(Ask("Who listens?", value=self._listener, hint="a name"), named)
