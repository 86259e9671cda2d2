"""What Listen looks like: its widgets, and what stands in them for a session at this moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content

from tui.places.listen.judgement import grid_lines, number_of, rows_of, so_far_lines, value_of
from tui.places.listen.judgement_card import JudgementCard
from tui.places.listen.pictures import Pictures, pictures
from tui.places.listen.transport import Transport
from tui.places.sound.playback import Playback
from tui.places.sound.screen import route
from tui.review import tournament
from tui.review.order import Trial
from tui.review.session import FATIGUE, Session
from tui.text import apart
from tui.widgets.clips import ClipLook, Clips, pips
from tui.widgets.lines import Lines, frame
from tui.widgets.table import Column, Row, Table

MIN_PROMPTS = 36
MOST_OF_A_NAME = 9
"""Cells of a model's name above its scores."""
AROUND_A_PROMPT = 11
"""Cells of a row of the list beside the prompt and the scores: frame, pointer, number, gaps."""


class ListenPage(Container):
    """The widgets of Listen. Whoever shows it calls a ``write`` method when something changed; only lines that differ
    are sent to the terminal.
    """

    def __init__(
        self, attempt: Callable[[Callable[[], object]], bool], look_up: Callable[..., None], *, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self._attempt = attempt
        self._look_up = look_up
        self.pictures = Pictures({}, {})
        """Of the clips of one trial that were heard."""
        self._pictured: Trial | None = None
        self.spectrogram = False
        self._prompts_width = 0
        self._said_mark: tuple[object, ...] = ()
        self._said_lines: list[Content] = []

    def compose(self) -> ComposeResult:
        with Container(id="listen-top"):
            with Container(id="prompts-card", classes="card"):
                yield Table([], id="prompts")
            with Container(id="clips-card", classes="card"):
                yield Lines(id="prompt-text")
                yield Clips(id="clips")
                yield Lines(id="transport")
        yield JudgementCard(self._attempt, id="judgement-card")
        with Container(id="so-far-card", classes="card"):
            yield Lines(id="so-far")
        with Container(id="no-session", classes="card"):
            yield Lines(id="no-session-text")

    # -- writing

    def write(self, transport: Transport) -> None:
        """Write all there is of a session."""
        if not self.is_mounted:
            return
        session = transport.session
        self.remove_class("-no-session")
        self._write_prompts(session)
        self._write_prompt(session)
        self.write_clips(transport)
        self.query_one(JudgementCard).write(session)
        self._write_so_far(session)

    def write_nothing(self, said: Sequence[str]) -> None:
        """Write why there is no session."""
        if self.is_mounted:
            self.add_class("-no-session")
            width = min(76, self.screen.size.width - 6)
            folded = [part for line in said for part in Content(line).wrap(width)]
            self.query_one("#no-session-text", Lines).show(folded)

    def _write_prompts(self, session: Session) -> None:
        rows = rows_of(session)
        most = MOST_OF_A_NAME if len(rows) < 5 else 5
        heads = apart(rows, most)
        width = max(5, min(most, *map(cell_len, heads.values()))) if session.names_visible else 2
        self._share_out(max(cell_len(_title(session, trial)) for trial in session.trials) + len(rows) * (width + 1))
        columns = [Column("#", 3, True), Column("Prompt", 0), *(Column(heads[row], width, True) for row in rows)]
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
        counted = len(session.counted) + session.to_come
        what = "Pair" if tournament.is_one(session.trials) else "Prompt"
        title = "Training prompt, not counted" if trial.kind == "training" else (
            f"{what} {number_of(session, trial)} of {counted}"
        )  # fmt: skip
        seeds = [other for other in session.evaluation.items if other.prompt_id == item.prompt_id]
        same = "same noise for every clip" if session.evaluation.same_seed else "seeds not recorded"
        subtitle = f"seed {item.repeat + 1} of {len(seeds)} · {same}" if len(seeds) > 1 else same
        frame(card, f"{self._run_name(session)} · {title}", subtitle)
        text = self.query_one("#prompt-text", Lines)
        width = self.screen.size.width
        folded = Content.styled(item.text, "bold").wrap((width if width < 100 else width - self._prompts_width) - 4)
        # The text takes what the clips can spare, but for a line of the transport.
        height, clips = card.content_size.height, len(trial.letters)
        most = max(1, height - 2 * clips - 2 if height >= 12 else height - clips - 3)
        if len(folded) > most:
            folded = [*folded[: most - 1], folded[most - 1] + Content.styled(" …", "bold")]
        text.show(folded, whole=[item.text])

    def _share_out(self, wanted: int) -> None:
        """Give the list of prompts what its texts ask for, up to half of the screen; the clips have the rest."""
        width = max(MIN_PROMPTS, min(wanted + AROUND_A_PROMPT, self.screen.size.width // 2))
        if width != self._prompts_width:
            self._prompts_width = width
            self.query_one("#prompts-card").styles.width = width

    def _run_name(self, session: Session) -> str:
        across = session.evaluation.across
        # The name of a session, which is made of the names of its runs, has no room.
        name = f"{len(across.members)} runs" if across is not None else session.evaluation.home.name
        return f"{name} · {session.evaluation.name}" if session.evaluation.name else name

    def write_clips(self, transport: Transport) -> None:
        """Write the clips and where the playhead is."""
        if not self.is_mounted:
            return
        session, playback = transport.session, transport.playback
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
            heard=session.was_heard(trial, letter),
            current=letter == session.letter,
            playing=here and status.playing,
            position=status.position if here else 0.0,
            duration=status.duration if here else 0.0,
            length=playback.longest,
            value="bad" if bad else "·" if value is None else str(value) if scores else f"rank {value}",
            pips=pips(value, 5) if scores else "",
            name=apart(trial.order, 5)[trial.model(letter)] if session.names_visible else "",
            peaks=self.pictures.peaks.get(letter),
            mel=self.pictures.mels.get(letter) if self.spectrogram else None,
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
            lines.append(Content.styled("no sound: h marks clips as heard elsewhere; r gets sound", "$warning"))
            # After space the hint is the line that fetches the clip.
            lines.append(Content.styled(status.hint.splitlines()[-1] if status.hint else "", "$quiet"))
        elif status.output == "browser" and status.hint and status.url:
            lines.append(Content.assemble(("open ", "$warning"), (status.url, "$accent"), ("  r says more", "$quiet")))
        elif status.error:
            lines.append(Content.styled(status.error, "$warning"))
        # No clip goes out of sight for them.
        room = self.query_one("#clips-card").content_size.height - 1 - len(session.trial.letters)
        return lines[: max(1, room)]

    def _write_so_far(self, session: Session) -> None:
        card = self.query_one("#so-far-card")
        lines = self.query_one("#so-far", Lines)
        width = self.screen.size.width - 4
        said = self._said(session, width)
        if self.screen.size.width >= 100:
            frame(card, "So far")
            lines.show(said)
            return
        if session.names_visible and session.complete:
            # The result is what all was done for: in little room it goes before the single scores.
            frame(card, "Result")
            lines.show(said)
            return
        frame(card, f"Scores · {session.done} of {session.total} judged")
        lines.show([*grid_lines(session, width), *said])

    def _said(self, session: Session, width: int) -> list[Content]:
        """The lines of "So far", found anew only when the session changed: exact intervals take their time."""
        mark = (session, session.saves, width, session.sitting_seconds() > FATIGUE)
        if mark != self._said_mark:
            self._said_mark, self._said_lines = mark, so_far_lines(session, width)
        return self._said_lines

    # -- pictures

    def no_pictures(self) -> None:
        """Another trial comes: what is still being drawn of the last one is not wanted."""
        self.pictures, self._pictured = Pictures({}, {}), None

    def draw_pictures(self, transport: Transport) -> None:
        """Find envelopes and spectrograms of the clips that were heard, in a thread."""
        levels, trial = transport.playback.levels, transport.session.trial
        if levels is None:
            return

        def have(found: Pictures) -> None:
            if trial is self._pictured:
                self.pictures = found
                self.write_clips(transport)

        self._pictured = trial
        clips = self.query_one(Clips)
        look = partial(pictures, transport.visible(), levels.gains, clips.wave_columns, clips.rows, self.spectrogram)
        self._look_up(look, have, group="pictures")


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
