"""What was said about the clips, as lines: tags, scores of all prompts, and what they add up to."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.message import Message

from engine.contract.text import plain
from tui.review import statistics, tournament
from tui.review.order import Trial
from tui.review.results import Results, judgements
from tui.review.session import FATIGUE, Session
from tui.review.tags import tag_letters
from tui.text import apart, fit
from tui.widgets.field import Line
from tui.widgets.lines import Lines

Cell = tuple[str, Content]
"""A tag, and how it is written."""


def tag_cells(tags: Sequence[str], given: Sequence[str], width: int, *, choosing: bool) -> list[list[Cell]]:
    """All tags line by line, those given marked with ✔; the letter of each stands out while one is chosen."""
    letters = {tag: letter for letter, tag in tag_letters(tags).items()}
    # Tags that are no longer in the settings but were given stay to be seen.
    lines: list[list[Cell]] = [[]]
    room = width
    for tag in dict.fromkeys([*tags, *given]):
        cell = _tag(tag, letters.get(tag), tag in given, choosing)
        if lines[-1] and cell.cell_length > room:
            lines.append([])
            room = width
        lines[-1].append((tag, cell))
        room -= cell.cell_length + 1
    return lines


class Tags(Lines):
    """The tags of a clip; a click gives or takes one."""

    class Clicked(Message):
        def __init__(self, tag: str) -> None:
            super().__init__()
            self.tag = tag

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._cells: list[list[Cell]] = []

    def show_tags(self, cells: list[list[Cell]]) -> None:
        self._cells = cells
        self.show([Content(" ").join(cell for _, cell in line) for line in cells])

    def on_click(self, event: events.Click) -> None:
        end = 0
        for tag, cell in self._cells[event.y] if event.y < len(self._cells) else []:
            end += cell.cell_length + 1
            if event.x < end:
                self.post_message(self.Clicked(tag))
                return


def _tag(tag: str, letter: str | None, given: bool, choosing: bool) -> Content:
    text = Content.styled(tag, "$foreground bold" if given else "$foreground" if choosing else "$quiet")
    if letter is not None and letter in tag.lower():
        at = tag.lower().index(letter)
        text = text.stylize("$accent bold underline" if choosing else "underline", at, at + 1)
    elif letter is not None:
        text = Content.assemble((f"{letter}:", "$accent bold underline" if choosing else "$quiet"), text)
    # The mark has its place beforehand: no tag moves when another one is given.
    return Content.assemble(text, ("✔", "$success bold") if given else " ")


def grid_lines(session: Session, width: int) -> list[Content]:
    """Scores of all prompts in a narrow grid: one column a prompt, one row a letter, or a model after the reveal."""
    trials = session.trials
    room = max(1, (width - 9) // 3)
    first = max(0, min(session.index - room // 2, len(trials) - room))
    shown = trials[first : first + room]
    head: list[tuple[str, str] | str] = [("prompt   ", "$quiet")]
    head += [(f"{number_of(session, t):>2} ", "$accent bold" if t is session.trial else "$quiet") for t in shown]
    lines = [Content.assemble(*head)]
    rows = rows_of(session)
    heads = apart(rows, 9)
    for row in rows:
        cells = [
            (f"{value_of(session, trial, row):>2} ", "$accent bold" if trial is session.trial else "")
            for trial in shown
        ]
        lines.append(Content.assemble((fit(heads[row], 9), "$foreground"), *cells))
    return lines


def rows_of(session: Session) -> list[str]:
    """What the scores are listed under: letters while it is blind, models afterwards."""
    if session.names_visible:
        return [m for m in session.evaluation.models if any(m in trial.order for trial in session.trials)]
    return list(max((trial.letters for trial in session.trials), default=""))


def value_of(session: Session, trial: Trial, row: str) -> str:
    """The score or rank in one cell; a blank where the trial lacks the clip."""
    if session.names_visible:
        if row not in trial.order:
            return " "
        row = trial.letters[trial.order.index(row)]
    if row not in trial.letters:
        return " "
    if session.clip_path(trial, row) is None:
        return "✕"
    if trial.id in session.state.all_bad:
        return "✗"
    return str(session.value(trial, row) or "·")


def number_of(session: Session, trial: Trial) -> str:
    """How a trial is numbered in the list: T for the training item; a prompt that comes again counts on."""
    return str(session.number(trial) or "T")


def so_far_lines(session: Session, width: int) -> list[Content]:
    """What may be said at this moment: nothing about the models before the reveal, the result afterwards."""
    if session.names_visible:
        return _result_lines(session, width)
    lines = [f"{session.done} of {session.total} judged · names and result hidden until all are, or V shows them"]
    if session.trial.kind == "training":
        lines.append("T is to get used to clips and keys, not counted; ↓ goes on to prompt 1.")
    elif session.sitting_seconds() > FATIGUE:
        minutes = session.sitting_seconds() / 60
        lines.append(f"{minutes:.0f} minutes without a rest: ears tire. All is saved; go on another day.")
    elif session.state.mode == "ranking":
        lines.append("ranking: 1 is the best, equal ranks are ties, x says all are bad; u takes back")
    elif session.review.advance == "enter":
        lines.append("score, tags and note in any order, then enter goes on; u takes back")
    else:
        lines.append("after a score the next unheard clip plays; u takes it back")
    if session.done == 0 and not tournament.is_one(session.trials):
        lines.append(statistics.power_sentence(session.evaluation.prompts))
    return [part for line in lines for part in Content.styled(line, "$quiet").wrap(width)]


def _result_lines(session: Session, width: int) -> list[Content]:
    results = Results(session.evaluation, (session.state,), tuple(judgements(session.state)))
    means = results.means()
    if not means:
        return [Content.styled("Nothing judged yet.", "$quiet")]
    if results.standing is not None:
        return [part for line in _standing_lines(results, results.standing) for part in line.wrap(width)]
    best = max(means.values())
    parts: list[tuple[str, str] | str] = []
    for model, mean in means.items():
        style = "$success bold" if mean == best else "$foreground"
        parts += [(f"{results.label(model)} ", "$quiet"), (f"{mean:.1f}", style), "   "]
    if session.state.revealed and session.state.revealed.early:
        parts.append(("names shown early", "$warning"))
    pairs, prompts = results.pairs(), results.evaluation.prompts
    over = max((pair.corrected_over for pair in pairs), default=1)
    if over > 1:
        parts.append((f"p: Holm over {over} pairs", "$quiet"))
    lines = [Content.assemble(*parts)]
    lines += [Content(statistics.conclusion(pair, prompts, says_over=False)) for pair in pairs]
    found = results.consistency(session.state.listener)
    if found is not None:
        lines.append(Content.styled(statistics.consistency_sentence(found, results.unit), "$quiet"))
    return [part for line in lines for part in line.wrap(width)]


def _standing_lines(results: Results, found: tournament.Standing) -> list[Content]:
    """The scores of a tournament with their intervals, and what can be concluded."""
    parts: list[tuple[str, str] | str] = []
    for place, (model, score) in enumerate(zip(found.models, found.scores, strict=True)):
        low, high = found.interval(model)
        style = "$foreground" if place else "$success bold"
        parts += [(f"{results.label(model)} ", "$quiet"), (f"{score:+.1f}", style)]
        parts.append((f" ({low:+.1f} … {high:+.1f})   ", "$quiet"))
    return [Content.assemble(*parts), *map(Content, results.sentences())]


class NoteInput(Line):
    """The note of one clip, kept at every key; enter closes it, esc takes it back."""

    DEFAULT_CSS = """
    NoteInput { border: none; height: 1; padding: 0; background: $panel; }
    NoteInput:focus { border: none; height: 1; }
    NoteInput.-hidden { display: none; }
    """

    class Written(Message):
        """The note has another text; ``going_on`` after the first key."""

        def __init__(self, text: str, going_on: bool) -> None:
            super().__init__()
            self.text = text
            self.going_on = going_on

    class Closed(Message):
        """Writing is over; ``undo`` when what was written is not wanted. Who hears it calls ``put_away``."""

        def __init__(self, undo: bool) -> None:
            super().__init__()
            self.undo = undo

    class Passed(Message):
        """A key that came close behind the one that closed the note, and belongs to the place."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, placeholder="what you heard, and where · enter keeps it, esc does not")
        self._open = False
        self._written = False
        self._first = ""

    def begin(self, text: str) -> None:
        """Show the field with the note so far."""
        self._written, self._first = False, plain(text)
        self.value = text
        # A note is written on: marked whole, its first key would take the place of all of it.
        self.select_on_focus = False
        self.cursor_position = len(text)
        self._open = True
        self.remove_class("-hidden")
        self.screen.set_focus(self)  # at once: the next key is text already

    def watch_value(self, value: str) -> None:
        if self._open and (self._written or value != self._first):
            self.post_message(self.Written(value, self._written))
            self._written = True

    def on_key(self, event: events.Key) -> None:
        if self._open and event.key not in ("enter", "escape"):
            return
        event.stop()
        event.prevent_default()
        if self._open:
            self._open = False
            self.post_message(self.Closed(event.key == "escape" and self._written))
        else:
            self.post_message(self.Passed(event.key))

    def put_away(self) -> None:
        self.add_class("-hidden")
        self.screen.set_focus(None)
