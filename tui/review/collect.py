"""Brings in what listeners said elsewhere: picks of other tools become sessions of the run.

A file of picks is a list of ``{"text_prompt", "selected_model"}``, or ``{"evaluator", "evaluations"}`` around it.
The chosen model wins against the others of its prompt, and these tie.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.contract import typed
from engine.contract.errors import UserError
from engine.contract.rundir import write_atomically
from tui.review import order
from tui.review.evaluation import Evaluation, Item
from tui.review.session import review_path
from tui.review.state import Rating, State, read_state


class Pick(msgspec.Struct, kw_only=True):
    text_prompt: str = ""
    selected_model: str = ""


class Picks(msgspec.Struct, kw_only=True):
    evaluator: str = ""
    evaluations: list[Pick]


@dataclass(frozen=True)
class Collected:
    """What one file gave."""

    listener: str
    picks: int
    left_out: tuple[str, ...]
    """Picks that fit nothing here, each with the reason."""
    new: bool
    """False when the same was brought in before."""


def collect(evaluation: Evaluation, file: Path) -> Collected:
    """Bring in one file as a listener of the evaluation.

    UserError, and nothing is written, when it holds no picks, none of them fits, or the listener has said something
    else here already.
    """
    file = Path(file).expanduser()
    picks = _read(file)
    listener = re.sub(r"[^A-Za-z0-9_-]+", "-", picks.evaluator or file.stem).strip("-_")[:100] or "listener"
    state, left_out = _session(evaluation, listener, picks.evaluations, created=file.stat().st_mtime)
    if not state.trials:
        knows = "; ".join(dict.fromkeys(item.text for item in evaluation.items))
        raise UserError(
            f"{file} fits no prompt of {evaluation.folder}{f' ({left_out[0]})' if left_out else ''}; it knows: {knows}."
        )
    path = review_path(evaluation, listener)
    if path.exists():
        known = read_state(path).state
        if (known.trials, known.ratings) != (state.trials, state.ratings):
            raise UserError(
                f"{listener} has a session on this run already ({path}), which is kept; write another name into "
                f'"evaluator" of {file} if it is somebody else.'
            )
        return Collected(listener, len(state.trials), tuple(left_out), new=False)
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, state.as_json())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); {file} was not brought in.") from None
    return Collected(listener, len(state.trials), tuple(left_out), new=True)


def _read(file: Path) -> Picks:
    try:
        try:
            return typed.load(file, Picks).value
        except typed.Unreadable:
            return Picks(evaluations=typed.load(file, list[Pick]).value)  # type: ignore[type-var]
    except typed.Unreadable as error:
        raise UserError(
            f'{error}; a file of picks is {{"evaluator": "name", "evaluations": '
            '[{"text_prompt": "...", "selected_model": "best"}]}.'
        ) from None


def _session(evaluation: Evaluation, listener: str, picks: list[Pick], created: float) -> tuple[State, list[str]]:
    """Picks as a session of rankings, and those that fit nothing."""
    items = {_words(item.text): item for item in reversed(evaluation.items)}
    trials: list[order.Trial] = []
    ratings: dict[str, dict[str, Rating]] = {}
    left_out: list[str] = []
    for number, pick in enumerate(picks, 1):
        item = items.get(_words(pick.text_prompt))
        heard = _heard(item) if item else ()
        model = next((model for model in heard if model == _model(pick.selected_model, heard)), "")
        if item is None or not model:
            lacks = f'no prompt "{pick.text_prompt}"' if item is None else _no_model(pick.selected_model, heard)
            left_out.append(f"pick {number}: {lacks}")
            continue
        if any(trial.item == item.key for trial in trials):
            left_out.append(f'pick {number}: a second one for "{pick.text_prompt}"')
            continue
        trial = order.Trial(str(number), item.key, "main", heard)
        trials.append(trial)
        # Whether it was blind is not known, so it does not count as blind.
        ratings[trial.id] = {
            letter: Rating(rank=1 if trial.model(letter) == model else 2, blind=False) for letter in trial.letters
        }
    state = State(
        listener=listener, evaluation=evaluation.folder.name, mode="ranking", created=created, trials=trials,
        ratings=ratings, trial=trials[0].id if trials else "",
    )  # fmt: skip
    return state, left_out


def _heard(item: Item) -> tuple[str, ...]:
    return tuple(model for model, clip in item.clips.items() if clip.path is not None)[: len(order.LETTERS)]


def _model(named: str, heard: tuple[str, ...]) -> str:
    """The model that a name such as "best", "best_model" or "Best Model" means; empty when it means none or two."""
    words = re.split(r"[^a-z0-9]+", named.lower())
    meant = [model for model in heard if model.lower() in (*words, named.lower())]
    return meant[0] if len(meant) == 1 else ""


def _no_model(named: Any, heard: tuple[str, ...]) -> str:
    return f'no model "{named}", there are {", ".join(heard)}'


def _words(text: str) -> str:
    return " ".join(text.split()).casefold()
