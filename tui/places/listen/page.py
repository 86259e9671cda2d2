"""What Listen looks like: its widgets, and what stands in them for a session at this moment."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content

from engine.contract import liveness
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui.places.background import Background
from tui.places.listen.clips import ClipLook, Clips, pips
from tui.places.listen.judgement import NoteInput, grid_lines, number_of, rows_of, so_far_lines, tag_lines, value_of
from tui.places.place import Place
from tui.places.sound.screen import route
from tui.review import envelope, measured
from tui.review.order import Trial
from tui.review.session import FATIGUE, Session
from tui.runs.store import evaluation_folders
from tui.widgets.lines import Lines, frame
from tui.widgets.table import Column, Row, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tui.places.sound.playback import Playback

NOTHING = (
    "No clips to listen to yet.",
    "A run makes them when it has trained; `mgl-tui evaluate RUN` makes them for one that has none.",
    "R goes to the runs; p there opens a folder of clips that another script made.",
)


class Pictures(NamedTuple):
    """By letter: peaks from 0 to 1, two a cell; spectrograms as (bands, columns)."""

    peaks: dict[str, tuple[float, ...]]
    mels: dict[str, NDArray[np.float32]]


class ListenPage(Place, Background):
    """The widgets of Listen. Subclasses set the session and call ``write_page`` when something changed."""

    place = "listen"
    AUTO_FOCUS = ""
    CSS_PATH = "listen.tcss"

    def __init__(self) -> None:
        super().__init__()
        self.session: Session | None = None
        self.playback: Playback | None = None
        self.shown: Path | None = None
        """The run or folder whose clips are listened to."""
        self.problem = ""
        """Why there is no session."""
        self.peaks: dict[str, tuple[float, ...]] = {}
        self.mels: dict[str, NDArray[np.float32]] = {}
        self.spectrogram = False
        self.tagging = False
        self._said_mark: tuple[object, ...] = ()
        self._said_lines: list[Content] = []

    def body(self) -> ComposeResult:
        with Container(id="listen-top"):
            with Container(id="prompts-card", classes="card"):
                yield Table([], id="prompts")
            with Container(id="clips-card", classes="card"):
                yield Lines(id="prompt-text")
                yield Clips(id="clips")
                yield Lines(id="transport")
        with Container(id="judgement-card", classes="card"):
            yield Lines(id="tags")
            yield Lines(id="note")
            yield NoteInput(id="note-input", classes="-hidden")
            yield Lines(id="measured")
        with Container(id="so-far-card", classes="card"):
            yield Lines(id="so-far")
        with Container(id="no-session", classes="card"):
            yield Lines(id="no-session-text")

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        self.draw_pictures()
        self.write_page()

    def being_made(self) -> bool:
        """An engine holds the run: an order drawn now would lack the clips that are still to come."""
        return self.shown is not None and liveness.is_held(RunDir(self.shown))

    # -- writing

    def write_page(self) -> None:
        """Write everything; only lines that changed are sent to the terminal."""
        if not self.is_mounted:
            return
        self.set_class(self.session is None, "-no-session")
        if self.session is None or self.playback is None:
            lines = [self.problem] if self.problem else list(NOTHING)
            folders = evaluation_folders(self.shown) if self.shown else []
            if not self.problem and folders and self.being_made():
                lines = ["The clips are being made. Listen opens by itself when all of them are there."]
            folded = [part for line in lines for part in Content(line).wrap(min(76, self.size.width - 6))]
            self.query_one("#no-session-text", Lines).show(folded)
            return
        self._write_prompts(self.session)
        self._write_prompt(self.session)
        self.write_clips()
        self._write_judgement(self.session)
        self._write_so_far(self.session)

    def _write_prompts(self, session: Session) -> None:
        rows = rows_of(session)
        width = 5 if session.names_visible else 3
        columns = [Column("#", 3, True), Column("Prompt", 0), *(Column(row, width, True) for row in rows)]
        table = self.query_one("#prompts", Table)
        table.show(
            [Row(trial.id, _cells(session, trial, rows)) for trial in session.trials],
            columns,
        )
        table.go_to(session.trial.id)
        card = self.query_one("#prompts-card")
        names = "names shown" if session.names_visible else "names hidden"
        frame(card, f"Prompts · {session.state.listener}", f"{session.done} of {session.total} judged · {names}")

    def _write_prompt(self, session: Session) -> None:
        trial, item = session.trial, session.item
        card = self.query_one("#clips-card")
        counted = len(session.counted)
        title = "Training prompt, not counted" if trial.kind == "training" else (
            f"Prompt {number_of(session, trial)} of {counted}"
        )  # fmt: skip
        seeds = [other for other in session.evaluation.items if other.prompt_id == item.prompt_id]
        same = "same noise for every clip" if session.evaluation.same_seed else "seeds not recorded"
        subtitle = f"seed {item.repeat + 1} of {len(seeds)} · {same}" if len(seeds) > 1 else same
        frame(card, f"{self._run_name(session)} · {title}", subtitle)
        text = self.query_one("#prompt-text", Lines)
        folded = Content.styled(item.text, "bold").wrap(self._clips_width)
        most = 2 if self.size.height >= 30 else 1
        if len(folded) > most:
            folded = [*folded[: most - 1], folded[most - 1] + Content.styled(" …", "bold")]
        text.show(folded)

    @property
    def _clips_width(self) -> int:
        """Cells of a line in the card of the clips. Not asked of the widget, which does not know before the layout."""
        width = self.size.width
        return (width if width < 100 else width * 3 // 5) - 4

    def _run_name(self, session: Session) -> str:
        name = session.evaluation.home.name
        return f"{name} · {session.evaluation.name}" if session.evaluation.name else name

    def write_clips(self) -> None:
        session, playback = self.session, self.playback
        if session is None or playback is None or not self.is_mounted:
            return
        self.query_one(Clips).show([self._look(session, playback, letter) for letter in session.trial.letters])
        self.query_one("#transport", Lines).show(self._transport(session, playback))

    def _look(self, session: Session, playback: Playback, letter: str) -> ClipLook:
        trial, status = session.trial, playback.player.status
        clip = session.item.clips.get(trial.model(letter))
        missing = "" if session.clip_path(trial, letter) else "the file is missing"
        if missing and session.names_visible and clip and clip.missing:
            missing = clip.missing
        here = playback.levels is not None and playback.letters[status.index : status.index + 1] == letter
        value = session.value(trial, letter)
        scores = session.state.mode == "scores"
        bad = trial.id in session.state.all_bad
        return ClipLook(
            letter=letter,
            missing=missing,
            heard=session.rating(trial, letter).heard > 0 or (trial.id, letter) in playback.started,
            current=letter == session.letter,
            playing=here and status.playing,
            position=status.position if here else 0.0,
            duration=status.duration if here else 0.0,
            length=playback.longest,
            value="bad" if bad else "·" if value is None else str(value) if scores else f"rank {value}",
            pips=pips(value, 5) if scores else "",
            name=trial.model(letter) if session.names_visible else "",
            peaks=self.peaks.get(letter),
            mel=self.mels.get(letter) if self.spectrogram else None,
            loop=status.loop if here else None,
        )

    def _transport(self, session: Session, playback: Playback) -> list[Content]:
        status, levels = playback.player.status, playback.levels
        loop = "off"
        if status.loop is not None:
            loop = "whole" if status.loop == (0.0, None) else f"{status.loop[0]:.1f}–{status.loop[1] or 0:.1f} s"
        level = "…" if levels is None else "not known" if levels.target is None else f"{levels.target:.0f} LUFS"
        parts: list[tuple[str, str] | str] = [("loop ", "$quiet"), loop, ("   level-matched ", "$quiet"), level]
        parts += [("   out ", "$quiet"), route(status)]
        lines = [Content.assemble(*parts)]
        lines += [Content.styled(said, "$warning") for said in _missing(session)]
        if status.output == "none":
            lines.append(
                Content.styled("no sound here: judging works all the same, r shows how to get sound", "$warning")
            )
            # After space the hint is the line that fetches the clip.
            lines.append(Content.styled(status.hint.splitlines()[-1] if status.hint else "", "$quiet"))
        elif status.output == "browser" and status.hint and status.url:
            lines.append(Content.assemble(("open ", "$warning"), (status.url, "$accent"), ("  r says more", "$quiet")))
        elif status.error:
            lines.append(Content.styled(status.error, "$warning"))
        room = 6 - len(playback.letters) if self.size.height < 30 else len(lines)
        return lines[: max(1, room)]

    def _write_judgement(self, session: Session) -> None:
        rating = session.rating(session.trial, session.letter)
        card = self.query_one("#judgement-card")
        keys = (
            "press the tag's letter · esc leaves" if self.tagging else "t tags · i writes a note · saved at every key"
        )
        frame(card, f"{session.letter} · tags and note", keys)
        card.set_class(self.tagging, "-tagging")
        tags = self.query_one("#tags", Lines)
        tags.show(tag_lines(session.review.tags, rating.tags, self.size.width - 4, choosing=self.tagging))
        note = (rating.note, "$foreground") if rating.note else ("–", "$quiet")
        self.query_one("#note", Lines).show([Content.assemble(("note  ", "$quiet"), note)])
        self.query_one("#measured", Lines).show(self._measured(session))

    def _measured(self, session: Session) -> list[Content]:
        """What the engine measured of the clip: once names are shown, for it would tell the models apart by eye."""
        clip = session.item.clips.get(session.trial.model(session.letter))
        parts = measured.of_clip(clip.measures) if clip and session.names_visible else []
        most = 2 if self.size.height >= 30 else 1
        return Content.styled(" · ".join(parts), "$quiet").wrap(self.size.width - 4)[:most] if parts else []

    def _write_so_far(self, session: Session) -> None:
        card = self.query_one("#so-far-card")
        lines = self.query_one("#so-far", Lines)
        width = self.size.width - 4
        said = self._said(session, width)
        if self.size.width >= 100:
            frame(card, "So far")
            lines.show(said)
            return
        room = 7 if self.size.height >= 30 else 6
        if session.names_visible and session.complete:
            # The result is what all was done for: in little room it goes before the single scores.
            frame(card, "Result")
            lines.show(said[:room])
            return
        frame(card, "Scores")
        grid = grid_lines(session, width)
        lines.show([*grid, *said[: max(1, room - len(grid))]])

    def _said(self, session: Session, width: int) -> list[Content]:
        """The lines of "So far", found anew only when the session changed: exact intervals take their time."""
        mark = (session.state.listener, session.saves, width, session.sitting_seconds() > FATIGUE)
        if mark != self._said_mark:
            self._said_mark, self._said_lines = mark, so_far_lines(session, width)
        return self._said_lines

    # -- pictures

    def draw_pictures(self) -> None:
        """Find envelopes and spectrograms of the clips that were played, in a thread."""
        session, playback = self.session, self.playback
        if session is None or playback is None or playback.levels is None:
            return
        clips = self.query_one(Clips)
        heard = [
            letter
            for letter in playback.letters
            if (session.trial.id, letter) in playback.started or session.rating(session.trial, letter).heard > 0
        ]
        seen = heard if session.may_be_seen(session.trial) else []
        paths = {letter: path for letter in seen if (path := playback.path(letter)) is not None}
        look = partial(pictures, paths, playback.levels.gains, clips.wave_columns, clips.rows, self.spectrogram)
        self.look_up(look, partial(self._have_pictures, session.trial), group="pictures")

    def _have_pictures(self, trial: Trial, found: Pictures) -> None:
        if self.session is not None and trial is self.session.trial:
            self.peaks, self.mels = found
            self.write_clips()


def pictures(paths: dict[str, Path], gains: dict[str, float], columns: int, rows: int, spectrogram: bool) -> Pictures:
    """Envelopes and, when asked for, spectrograms of clips by letter. A file that cannot be read has none.

    One scale for all: the clips' loudness is matched, and the envelopes show it.
    """
    peaks, mels = {}, {}
    for letter, path in paths.items():
        factor = 10 ** (gains.get(letter, 0.0) / 20)
        try:
            peaks[letter] = tuple(peak * factor for peak in envelope.peaks(path, 2 * columns))
            if spectrogram:
                mels[letter] = envelope.mel(path, columns, 2 * rows)
        except (UserError, OSError):
            continue
    top = max((max(each) for each in peaks.values()), default=1.0) or 1.0
    return Pictures({letter: tuple(peak / top for peak in each) for letter, each in peaks.items()}, mels)


def _missing(session: Session) -> list[str]:
    """Models without any clip, and how many files this prompt lacks: not which, that would tell who is left."""
    evaluation, item = session.evaluation, session.item
    said = [f"missing: no clips of {' and '.join(evaluation.missing_models)}"] if evaluation.missing_models else []
    lost = sum(item.clips[m].path is None for m in evaluation.models if m in item.clips)
    return [*said, f"missing: {lost} clip file{'s' if lost > 1 else ''} of this prompt"] if lost else said


def _title(session: Session, trial: Trial) -> str:
    item = session.item_of(trial)
    return f"{item.text} · seed {item.repeat + 1}" if item.repeat else item.text


def _cells(session: Session, trial: Trial, rows: list[str]) -> list[str | tuple[str, str]]:
    values = [value_of(session, trial, row) for row in rows]
    scores = [(value, "$quiet" if value == "·" else "$foreground bold") for value in values]
    return [(number_of(session, trial), "$quiet"), _title(session, trial), *scores]
