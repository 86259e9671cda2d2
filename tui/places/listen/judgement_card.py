"""Tags and note of the clip under the cursor, and what was measured of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content

from tui.places.listen.judgement import NoteInput, Tags, tag_cells
from tui.places.listen.tag import TagScreen
from tui.review import measured
from tui.review.session import Place, Session
from tui.review.tags import tag_letters
from tui.widgets.lines import Lines, frame


class JudgementCard(Container):
    """Shows what was said of a clip, and asks for a tag or a note. ``attempt`` does something to the session."""

    def __init__(self, attempt: Callable[[Callable[[], object]], bool], *, id: str | None = None) -> None:
        super().__init__(id=id, classes="card")
        self._attempt = attempt
        self._session: Session | None = None
        self._tagging: str | None = None
        """The letter of a tag is waited for, for the clips of these letters, or for the one under the cursor."""
        self._note_at: Place | None = None
        """The clip that the note being written belongs to, wherever another panel has moved the cursor meanwhile."""
        self._note_first = self._note_last = ""

    def compose(self) -> ComposeResult:
        yield Tags(id="tags")
        yield Lines(id="note")
        yield NoteInput(id="note-input", classes="-hidden")
        yield Lines(id="measured")

    def write(self, session: Session) -> None:
        self._session = session
        rating = session.rating(session.trial, session.letter)
        keys = "t tags · i writes a note · saved at every key"
        if self._tagging is not None:
            keys = "press the tag's letter · capitals name clips · esc leaves"
        elif self._note_at not in (None, (session.trial.id, session.letter)):
            keys = f"this note is of {self._note_name(session)}, where it was begun"
        which = " ".join(self._tagging or session.letter)
        if session.names_visible and self._tagging is None and session.evaluation.across is not None:
            which = f"{which} {session.trial.model(session.letter)}"  # beside the clip there is no room for all of it
        frame(self, f"{which} · {'tag' if self._tagging else 'tags and note'}", keys)
        self.set_class(self._tagging is not None, "-tagging")
        width = self.screen.size.width - 4
        given = [session.rating(session.trial, letter).tags for letter in self._tagging or session.letter]
        common = [tag for tag in given[0] if all(tag in tags for tags in given)]
        choosing = self._tagging is not None
        self.query_one(Tags).show_tags(tag_cells(session.review.tags, common, width, choosing=choosing))
        note = (rating.note, "$foreground") if rating.note else ("–", "$quiet")
        self.query_one("#note", Lines).show([Content.assemble(("note  ", "$quiet"), note)])
        shown, whole = self._measured(session, width)
        self.query_one("#measured", Lines).show(shown, whole=whole)

    def _measured(self, session: Session, width: int) -> tuple[list[Content], list[Content]]:
        """What there is room for, and all of it: what the engine measured of the clip.

        Once names are shown, for it would tell the models apart by eye.
        """
        clip = session.item.clips.get(session.trial.model(session.letter))
        parts = measured.of_clip(clip.measures) if clip and session.names_visible else []
        if not parts:
            return [], []
        most = 2 if self.screen.size.height >= 30 else 1
        said = Content.styled(" · ".join(parts), "$quiet")
        lines = said.wrap(width)
        shown = lines[:most]
        if len(lines) > most:
            # The mark of what was cut, which the key that reads it goes by.
            shown[-1] = Content.assemble(shown[-1].truncate(width - 1), ("…", "$quiet"))
        return shown, [said]

    def ask_tag(self, session: Session) -> None:
        """Take the next key as the letter of a tag."""

        def tagged(tag: str | None, clips: str) -> None:
            self._tagging = None
            if tag is not None:
                self._attempt(partial(session.toggle_tag, tag, clips))
            self.write(session)

        def named(clips: str) -> None:
            self._tagging = clips
            self.write(session)

        named("")
        self.app.push_screen(TagScreen(tag_letters(session.review.tags), session.trial.letters, tagged, named))

    @on(Tags.Clicked)
    def _tag_clicked(self, message: Tags.Clicked) -> None:
        if self._session is not None and self._tagging is None:
            self._attempt(partial(self._session.toggle_tag, message.tag))
            self.write(self._session)

    def ask_note(self, session: Session) -> None:
        """Open the line for the note of the clip under the cursor; not for the first word on one that nobody heard."""
        known = session.rating(session.trial, session.letter).note
        if not known and not self._attempt(session.must_be_heard):
            return
        self._note_at = session.trial.id, session.letter
        self._note_first = self._note_last = known
        self.query_one(NoteInput).begin(self._note_first)

    def _note_name(self, session: Session) -> str:
        assert self._note_at is not None
        trial, letter = self._note_at
        number = next((session.number(each) for each in session.trials if each.id == trial), 0)
        return f"{letter} of {f'prompt {number}' if number else 'the training prompt'}"

    @on(NoteInput.Written)
    def _note_written(self, message: NoteInput.Written) -> None:
        # What another panel wrote makes the first try fail: the session is opened again, and the key is not lost.
        at = self._note_at
        if at is not None and not self._write_note(message, at):
            self.screen.call_later(self._write_note, message, at)

    def _write_note(self, message: NoteInput.Written, at: Place) -> bool:
        session = self._session
        if session is None:
            return True
        known = session.state.ratings.get(at[0], {}).get(at[1])
        going_on = message.going_on and (known.note if known else "") == self._note_last
        done = self._attempt(partial(session.write_note, message.text, going_on=going_on, at=at))
        if done:
            self._note_last = session.state.ratings[at[0]][at[1]].note
        self.write(session)
        return done

    @on(NoteInput.Closed)
    def _note_closed(self, message: NoteInput.Closed) -> None:
        self.query_one(NoteInput).put_away()
        at, self._note_at = self._note_at, None
        if self._session is not None and at is not None:
            if message.undo:
                self._attempt(partial(self._session.take_back_note, self._note_first, at))
            self.write(self._session)

    @on(NoteInput.Passed)
    def _note_passed(self, message: NoteInput.Passed) -> None:
        self.app.simulate_key(message.key)
