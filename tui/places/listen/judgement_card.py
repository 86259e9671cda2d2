"""Tags and note of the clip under the cursor, and what was measured of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content

from tui.places.listen.judgement import NoteInput, tag_letters, tag_lines
from tui.places.listen.tag import TagScreen
from tui.review import measured
from tui.review.session import Session
from tui.widgets.lines import Lines, frame


class JudgementCard(Container):
    """Shows what was said of a clip, and asks for a tag or a note. ``attempt`` does something to the session."""

    def __init__(self, attempt: Callable[[Callable[[], object]], bool], *, id: str | None = None) -> None:
        super().__init__(id=id, classes="card")
        self._attempt = attempt
        self._session: Session | None = None
        self._tagging = False
        """The letter of a tag is waited for."""

    def compose(self) -> ComposeResult:
        yield Lines(id="tags")
        yield Lines(id="note")
        yield NoteInput(id="note-input", classes="-hidden")
        yield Lines(id="measured")

    def write(self, session: Session) -> None:
        self._session = session
        rating = session.rating(session.trial, session.letter)
        keys = "t tags · i writes a note · saved at every key"
        if self._tagging:
            keys = "press the tag's letter · esc leaves"
        frame(self, f"{session.letter} · tags and note", keys)
        self.set_class(self._tagging, "-tagging")
        width = self.screen.size.width - 4
        tags = self.query_one("#tags", Lines)
        tags.show(tag_lines(session.review.tags, rating.tags, width, choosing=self._tagging))
        note = (rating.note, "$foreground") if rating.note else ("–", "$quiet")
        self.query_one("#note", Lines).show([Content.assemble(("note  ", "$quiet"), note)])
        self.query_one("#measured", Lines).show(self._measured(session, width))

    def _measured(self, session: Session, width: int) -> list[Content]:
        """What the engine measured of the clip: once names are shown, for it would tell the models apart by eye."""
        clip = session.item.clips.get(session.trial.model(session.letter))
        parts = measured.of_clip(clip.measures) if clip and session.names_visible else []
        most = 2 if self.screen.size.height >= 30 else 1
        return Content.styled(" · ".join(parts), "$quiet").wrap(width)[:most] if parts else []

    def ask_tag(self, session: Session) -> None:
        """Take the next key as the letter of a tag."""

        def tagged(tag: str | None) -> None:
            self._tagging = False
            if tag is not None:
                self._attempt(partial(session.toggle_tag, tag))
            self.write(session)

        self._tagging = True
        self.write(session)
        self.app.push_screen(TagScreen(tag_letters(session.review.tags), tagged))

    def ask_note(self, session: Session) -> None:
        """Open the line for the note."""
        self.query_one(NoteInput).begin(session.rating(session.trial, session.letter).note)

    @on(NoteInput.Written)
    def _note_written(self, message: NoteInput.Written) -> None:
        if self._session is not None:
            self._attempt(partial(self._session.write_note, message.text, going_on=message.going_on))
            self.write(self._session)

    @on(NoteInput.Closed)
    def _note_closed(self, message: NoteInput.Closed) -> None:
        self.query_one(NoteInput).put_away()
        if self._session is not None:
            if message.undo:
                self._attempt(self._session.undo)
            self.write(self._session)

    @on(NoteInput.Passed)
    def _note_passed(self, message: NoteInput.Passed) -> None:
        self.app.simulate_key(message.key)
