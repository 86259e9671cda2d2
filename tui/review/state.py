"""What is stored of a listening session: plain data and its file, read through typed models at the border.

What a hand or a broken disk left in the file that cannot be used is left out and said; behind ``read_state`` every
field has its kind and range, every trial its clips, and every step that can be taken back its trial.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta

from engine.contract import typed
from engine.contract.errors import UserError
from tui.review import order

VERSION = 1
PICKS = "picks"
"""What stands for the page of a session of picks that other tools took down."""
OF_THE_TRIAL = ("all_bad", "elsewhere")
"""What is said of all clips of a trial at once: a list of trials in the file, true or false in a step."""
Score: TypeAlias = Annotated[int, Meta(ge=1, le=5)]
Rank: TypeAlias = Annotated[int, Meta(ge=1, le=len(order.LETTERS))]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=1e9)]
Moment: TypeAlias = Annotated[float, Meta(ge=0, le=253_402_300_000)]
"""Unix seconds, to the end of the year 9999: what a calendar can say."""


class Rating(msgspec.Struct, forbid_unknown_fields=True):
    """What was said about one clip of one trial."""

    score: Score | None = None
    """1-5, in score mode."""
    rank: Rank | None = None
    """1 is best, equal ranks are ties, in ranking mode."""
    tags: list[str] = []
    note: str = ""
    heard: Seconds = 0.0
    """Seconds played."""
    blind: bool = True
    """The last score or rank was given before the names were shown."""


class Revealed(msgspec.Struct, forbid_unknown_fields=True):
    """When and at how many of how many the names were shown; ``early`` when not all was judged."""

    at: Moment = 0.0
    done: typed.Count = 0
    total: typed.Count = 0
    early: bool = False


class Sitting(msgspec.Struct, forbid_unknown_fields=True):
    start: Moment
    end: Moment


class Played(msgspec.Struct, forbid_unknown_fields=True):
    """``seconds`` of one clip, played at one time."""

    at: Moment
    trial: str
    letter: str
    seconds: Seconds


class Step(msgspec.Struct, forbid_unknown_fields=True):
    """A judgement that can be taken back: what the fields of ``Rating``, or of the trial, were before it."""

    trial: str
    letter: str
    before: dict[str, bool | typed.Int | str | list[str] | None]
    what: str


class State(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The whole file. ``ratings[trial id][letter]``."""

    version: typed.Int = VERSION
    listener: str = ""
    page: str = ""
    """The shared page that it was given on, or "picks" for those of other tools; empty for the panel."""
    evaluation: str = ""
    seed: typed.Int = 0
    mode: Literal["scores", "ranking"] = "scores"
    created: Moment = 0.0
    equal: order.EqualWeights | None = None
    trials: list[order.Trial]
    ratings: dict[str, dict[str, Rating]] = {}
    all_bad: list[str] = []
    elsewhere: list[str] = []
    """Trials whose clips the listener said to have heard outside the panel."""
    trial: str = ""
    letter: str = "A"
    revealed: Revealed | None = None
    sittings: list[Sitting] = []
    outputs: list[str] = []
    played: list[Played] = []
    history: list[Step] = []

    def as_json(self) -> bytes:
        """The file's content. Not through ``json``: a session of 128 prompts is written at every key."""
        try:
            content = msgspec.json.encode(self)
        except UnicodeEncodeError:  # half a character, which only an escape can write
            return json.dumps(typed.data(self), indent=1).encode() + b"\n"
        return msgspec.json.format(content, indent=1) + b"\n"


class Read(NamedTuple):
    """A stored session, and what of its file was left out."""

    state: State
    complaints: tuple[str, ...]


def read_state(path: Path) -> Read:
    """A stored session; UserError when there is none in the file."""
    try:
        state, complaints = typed.load(path, State)
    except typed.Unreadable as error:
        what = " ".join(part for part in (error.complaint.place, error.complaint.what) if part)
        raise UserError(
            f"{path} cannot be read as a listening session ({what}); move it away to begin a new one."
        ) from None
    said = [*map(str, complaints), *(f"{path}: {what}" for what in _mend(state))]
    state.listener = state.listener or path.stem
    return Read(state, tuple(said))


def _mend(state: State) -> list[str]:
    """Leave out what is of the right kind and points at nothing; says what."""
    said = []
    by_id = {trial.id: trial for trial in reversed(state.trials) if 0 < len(trial.order) <= len(order.LETTERS)}
    sound = [trial for trial in state.trials if by_id.get(trial.id) is trial]
    if len(sound) < len(state.trials):
        said.append(f"{len(state.trials) - len(sound)} trials without clips or of a name that is taken are left out")
    letters = {trial.id: trial.letters for trial in sound}
    steps = [step for step in state.history if step.letter in letters.get(step.trial, ()) and _can_be_undone(step)]
    if len(steps) < len(state.history):
        said.append(f"{len(state.history) - len(steps)} steps of undo are left out")
    state.trials, state.history = sound, steps
    if state.trial not in letters:
        state.trial = sound[0].id if sound else ""
    if state.letter not in letters.get(state.trial, ()):
        state.letter = "A"
    return said


def _can_be_undone(step: Step) -> bool:
    fields = {name: value for name, value in step.before.items() if name not in OF_THE_TRIAL}
    try:
        msgspec.convert(fields, Rating)
    except ValueError:
        return False
    return all(isinstance(step.before.get(name, False), bool) for name in OF_THE_TRIAL)
