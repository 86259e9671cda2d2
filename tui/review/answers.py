"""What a listener sends back from a shared page, and the session that it becomes.

    {"format": "mgl-tui answers", "version": 1, "page": "5f0c...", "listener": "anna", "began": 1.7e9, "sent": 1.7e9,
     "trials": {"1": {"A": {"score": 4, "tags": ["noise"], "note": "", "heard": 12.5}}}, "all_bad": ["2"]}

Trials are named by the number and clips by the letter that the listener saw; the key in the run says what they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from engine.contract import typed
from engine.contract.text import plain
from tui.review import order
from tui.review.shared import Key
from tui.review.state import Moment, Rank, Rating, Score, Seconds, Sitting, State

FORMAT = "mgl-tui answers"
VERSION = 1
OUTPUT = "shared page"
"""How it was listened to, as the notes say it."""
LONGEST = 2000
"""Characters of a note, and of all tags of a clip."""


class Said(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What was said about one clip."""

    score: Score | None = None
    rank: Rank | None = None
    tags: list[str] = []
    note: str = ""
    heard: Seconds = 0.0


class Answers(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    format: Literal["mgl-tui answers"]
    version: typed.Count
    page: str
    listener: str = ""
    began: Moment = 0.0
    sent: Moment = 0.0
    sittings: list[Sitting] = []
    trials: dict[str, dict[str, Said]]
    all_bad: list[str] = []


def session(key: Key, answers: Answers, listener: str) -> tuple[State, list[str]]:
    """The session that the answers are, and what of them fits nothing and is left out."""
    trials, left_out = key.numbered(), []
    ratings: dict[str, dict[str, Rating]] = {}
    for number, said in answers.trials.items():
        trial = trials.get(number)
        if trial is None:
            left_out.append(f"there is no prompt {number[:8]} on the page")
            continue
        for letter, one in said.items():
            if letter not in set(trial.letters):
                left_out.append(f"prompt {number} has no clip {letter[:8]}, only {', '.join(trial.letters)}")
                continue
            rating, complaint = _rating(key, trial, one)
            if complaint:
                left_out.append(f"prompt {number}, {letter}: {complaint}")
            ratings.setdefault(trial.id, {})[letter] = rating
    all_bad, wrong = _all_bad(key, answers, ratings)
    state = State(
        listener=listener, page=key.page, evaluation=key.evaluation, seed=key.seed, mode=key.mode, equal=key.equal,
        created=answers.began, trials=list(key.trials), ratings=ratings, all_bad=all_bad,
        trial=key.trials[0].id, sittings=list(answers.sittings), outputs=[OUTPUT],
    )  # fmt: skip
    return state, left_out + wrong


def _rating(key: Key, trial: order.Trial, said: Said) -> tuple[Rating, str]:
    """One clip's rating, and what is wrong with its score or rank, which is left out then."""
    value = said.score if key.mode == "scores" else said.rank
    complaint = ""
    if value is not None and said.heard <= 0:
        value, complaint = None, "it was judged and never played"
    elif key.mode == "ranking" and value is not None and value > len(trial.order):
        value, complaint = None, f"rank {value} of {len(trial.order)} clips"
    rating = Rating(
        tags=list(dict.fromkeys(plain(tag)[:100] for tag in said.tags))[:26], note=plain(said.note)[:LONGEST],
        heard=said.heard,
    )  # fmt: skip
    if key.mode == "scores":
        rating.score = value
    else:
        rating.rank = value
    return rating, complaint


def _all_bad(key: Key, answers: Answers, ratings: dict[str, dict[str, Rating]]) -> tuple[list[str], list[str]]:
    """Trials of which every clip was called bad, and why others are not taken."""
    trials, taken, left_out = key.numbered(), [], []
    for number in dict.fromkeys(answers.all_bad):
        trial = trials.get(number)
        if trial is None:
            left_out.append(f"there is no prompt {number[:8]} on the page")
        elif not all(
            letter in ratings.get(trial.id, {}) and ratings[trial.id][letter].heard for letter in trial.letters
        ):
            left_out.append(f"prompt {number}: called all bad, and not all of it was played")
        else:
            taken.append(trial.id)
    return taken, left_out


def judged(state: State) -> int:
    """Clips with a score or a rank, or of a prompt that is all bad, the training item aside."""
    return sum(1 for _, value in _values(state) if value is not None)


def contradiction(key: Key, known: State, new: State) -> str:
    """The first clip of which the two say different things: "prompt 3, B: 4 before and 2 now"; "" without one."""
    numbers, before = {trial.id: number for number, trial in key.numbered().items()}, dict(_values(known))
    for (trial, letter), now in _values(new):
        then = before.get((trial, letter))
        if then is not None and now is not None and then != now:
            return f"prompt {numbers.get(trial, trial)}, {letter}: {then} before and {now} now"
    return ""


def joined(known: State, new: State) -> State:
    """Both together, where they do not contradict one another: nothing that either says is lost."""
    ratings = {trial: dict(clips) for trial, clips in known.ratings.items()}
    for trial, clips in new.ratings.items():
        for letter, now in clips.items():
            then = ratings.setdefault(trial, {}).get(letter)
            ratings[trial][letter] = now if then is None else _joined(then, now)
    sittings = {sitting.start: sitting for sitting in sorted([*known.sittings, *new.sittings], key=lambda s: s.end)}
    return msgspec.structs.replace(
        known, ratings=ratings, all_bad=list(dict.fromkeys([*known.all_bad, *new.all_bad])),
        sittings=sorted(sittings.values(), key=lambda s: s.start),
    )  # fmt: skip


def _joined(then: Rating, now: Rating) -> Rating:
    notes = [note for note in (then.note, now.note) if note]
    # A note that was written on holds the earlier one.
    note = max(notes, key=len, default="") if len(notes) < 2 or _within(notes) else " / ".join(notes)
    return Rating(
        score=then.score if now.score is None else now.score, rank=then.rank if now.rank is None else now.rank,
        tags=list(dict.fromkeys([*then.tags, *now.tags])), note=note, heard=max(then.heard, now.heard),
        blind=then.blind and now.blind,
    )  # fmt: skip


def _within(notes: list[str]) -> bool:
    return notes[0] in notes[1] or notes[1] in notes[0]


def _values(state: State) -> Iterator[tuple[tuple[str, str], int | str | None]]:
    for trial in state.trials:
        if trial.kind == "training":
            continue
        for letter in trial.letters:
            rating = state.ratings.get(trial.id, {}).get(letter) or Rating()
            value = rating.score if state.mode == "scores" else rating.rank
            yield (trial.id, letter), "all bad" if trial.id in state.all_bad else value
