"""Brings in what listeners said elsewhere: what a shared page gave them to send back, or picks of other tools.

A file of picks is a list of ``{"text_prompt", "selected_model"}``, or ``{"evaluator", "evaluations"}`` around it.
The chosen model wins against the others of its prompt, and these tie.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.contract import typed
from engine.contract.errors import UserError
from engine.contract.rundir import write_atomically
from tui.review import answers, order, shared
from tui.review.answers import Answers
from tui.review.evaluation import Evaluation, Item
from tui.review.session import review_path
from tui.review.state import PICKS, Rating, State, read_state


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
    judgements: int
    """Clips judged, or prompts picked, in the file."""
    new: int
    """Of these, how many were not brought in before."""
    unit: str
    """clip or pick."""
    left_out: tuple[str, ...] = ()
    """What fits nothing here, each with the reason."""


def collect(evaluation: Evaluation, file: Path) -> Collected:
    """Bring in one file as a listener of the evaluation, or of the prompt set that its page was made from.

    UserError, and nothing is written, when it holds nothing of the kind, fits nothing here, or the listener has said
    something else here already.
    """
    file = Path(file).expanduser()
    given = _read(file)
    if isinstance(given, _Given):
        return _collect_answers(evaluation.home, file, given)
    listener = _name(given.evaluator or file.stem, "listener")
    state, left_out = _session(evaluation, listener, given.evaluations, created=file.stat().st_mtime)
    if not state.trials:
        knows = "; ".join(dict.fromkeys(item.text for item in evaluation.items))
        raise UserError(
            f"{file} fits no prompt of {evaluation.folder}{f' ({left_out[0]})' if left_out else ''}; it knows: {knows}."
        )
    path, before, whole = review_path(evaluation, listener), 0, state
    if path.exists():
        known = read_state(path).state
        if known.page != PICKS:
            raise UserError(_taken(listener, path, f'"evaluator" of {file}'))
        if against := _other_pick(evaluation, known, state):
            raise UserError(_contradicts(file, listener, path, against))
        before, whole = len(known.trials), _more_picks(known, state)
    if len(whole.trials) > before:
        _write(path, whole, file)
    return Collected(listener, len(state.trials), len(whole.trials) - before, "pick", tuple(left_out))


def _collect_answers(home: Path, file: Path, given: _Given) -> Collected:
    try:
        key, evaluation = shared.find(home, given.answers.page)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    if changed := key.changed(evaluation):
        raise UserError(
            f"{file}: {len(changed)} of {len(key.clips)} prompts of {evaluation.folder} have other clips than when the "
            "page was made, so what was heard is not what is there; nothing was brought in."
        )
    listener = _name(given.answers.listener or key.listener, f"listener-{key.page[:4]}")
    state, left_out = answers.session(key, given.answers, listener)
    left_out = [*given.complaints, *left_out]
    if not answers.judged(state):
        raise UserError(f"{file} judges no clip{f' ({left_out[0]})' if left_out else ''}; nothing was brought in.")
    path, before = review_path(evaluation, listener), 0
    whole = state
    if path.exists():
        known = read_state(path).state
        if known.page != key.page:
            raise UserError(_taken(listener, path, f'"listener" of {file}'))
        if against := answers.contradiction(key, known, state):
            raise UserError(_contradicts(file, listener, path, against))
        before, whole = answers.judged(known), answers.joined(known, state)
        if whole == known:
            return Collected(listener, answers.judged(state), 0, "clip", tuple(left_out))
    _write(path, whole, file)
    return Collected(listener, answers.judged(state), answers.judged(whole) - before, "clip", tuple(left_out))


def _name(said: str, otherwise: str) -> str:
    """A listener's name as a file can have it."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", said).strip("-_")[:100] or otherwise
    return "gate-listener" if name == "gate" else name


def _taken(listener: str, path: Path, where: str) -> str:
    return (
        f"{listener} has a session on this run already ({path}), which is kept; write another name into {where} if it "
        "is somebody else."
    )


def _contradicts(file: Path, listener: str, path: Path, against: str) -> str:
    return (
        f"{file} contradicts what {listener} said before ({against}), which is kept; if the file is right, move {path} "
        "away and collect it again."
    )


def _write(path: Path, state: State, file: Path) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, state.as_json())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); {file} was not brought in.") from None


@dataclass(frozen=True)
class _Given:
    """Answers as they were read."""

    answers: Answers
    complaints: Sequence[str]


def _read(file: Path) -> Picks | _Given:
    """What the file holds. What tells the kinds apart is looked at first, so that what is wrong is said of the right
    one."""
    if file.exists() and not file.is_file():  # a pipe would be waited for
        raise UserError(f"{file} is no file; save what the listener sent as one, and name that.")
    try:
        raw = typed.load(file, Any).value  # type: ignore[arg-type]
    except typed.Unreadable as error:
        raise UserError(f"{error}; {_KINDS}.") from None
    if isinstance(raw, dict) and ("format" in raw or "page" in raw):
        return _answers(file, raw)
    try:
        if isinstance(raw, list):
            return Picks(evaluations=typed.load(file, list[Pick]).value)  # type: ignore[type-var]
        return typed.load(file, Picks).value
    except typed.Unreadable as error:
        raise UserError(f"{error}; {_KINDS}.") from None


_KINDS = (
    "what a shared page gave is sent as it is, and a file of picks is "
    '{"evaluator": "name", "evaluations": [{"text_prompt": "...", "selected_model": "best"}]}'
)


def _answers(file: Path, raw: dict[str, Any]) -> _Given:
    version = raw.get("version")
    if isinstance(version, int) and version > answers.VERSION:
        raise UserError(f"{file} is of a later version of mgl-tui ({version}, this one reads {answers.VERSION}).")
    try:
        found, complaints = typed.load(file, Answers)
    except typed.Unreadable as error:
        raise UserError(f"{error}; ask the listener to send what the page gave once more, as it is.") from None
    return _Given(found, [" ".join(filter(None, (one.place, one.what))) for one in complaints])


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
        listener=listener, page=PICKS, evaluation=evaluation.folder.name, mode="ranking", created=created,
        trials=trials, ratings=ratings, trial=trials[0].id if trials else "",
    )  # fmt: skip
    return state, left_out


def _other_pick(evaluation: Evaluation, known: State, new: State) -> str:
    """The first prompt of which another model was picked before; "" when there is none."""
    before, now = _picked(known), _picked(new)
    against = next((key for key in now if before.get(key, now[key]) != now[key]), None)
    if against is None:
        return ""
    item = evaluation.item(against)
    return f'"{item.text if item else against}": {before[against]} before and {now[against]} now'


def _picked(state: State) -> dict[str, str]:
    """Item -> the model that won."""
    return {
        trial.item: next(
            (trial.model(letter) for letter, rating in state.ratings.get(trial.id, {}).items() if rating.rank == 1), ""
        )
        for trial in state.trials
    }


def _more_picks(known: State, new: State) -> State:
    """The known picks and those of other prompts."""
    items, trials, ratings = {trial.item for trial in known.trials}, list(known.trials), dict(known.ratings)
    for trial in new.trials:
        if trial.item not in items:
            number = str(len(trials) + 1)
            trials.append(order.Trial(number, trial.item, trial.kind, trial.order))
            ratings[number] = new.ratings[trial.id]
    return msgspec.structs.replace(known, trials=trials, ratings=ratings)


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
