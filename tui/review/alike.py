"""Which clips of several runs may stand beside one another: those of one prompt, made with the same noise and settings.

What does not fit is left out, and said.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from engine.contract.errors import UserError
from tui.review.evaluation import RESULTS, SAMPLING, Evaluation, Item, home_of, open_evaluation, same_audio
from tui.runs.store import evaluation_folders

BASE = "base"


@dataclass(frozen=True)
class Side:
    """One of the runs, or folders of clips."""

    name: str
    """What it is called here: its folder's name, or the first like it that is free."""
    path: Path
    model: str
    """The model that is heard."""
    evaluation: Evaluation
    items: Mapping[tuple[str, int], Item]
    """By the words of the prompt and the repeat."""


@dataclass(frozen=True)
class Row:
    """A prompt that all runs made in the same way."""

    items: tuple[Item, ...]
    """In the order of the runs."""
    base: int | None
    """Whose clip of the base model is heard; None when none has one."""


class Shared(NamedTuple):
    """What the runs have of one prompt set."""

    sides: tuple[Side, ...]
    rows: tuple[Row, ...]
    said: tuple[str, ...]
    """What was left out; where there are no rows, the last says why."""


def sides_of(runs: Sequence[tuple[Path, str]]) -> list[Side]:
    """The runs with their clips, each by a name of its own. UserError for one without clips."""
    taken, sides = {BASE}, []
    for path, known in runs:
        folder = home_of(path)[0] if (path / RESULTS).is_file() else path
        name = known or next(n for n in _names(folder.name) if n not in taken)
        taken.add(name)
        first = evaluation_folders(path)
        if not first:
            raise UserError(f"{path.name} has no clips; make them with `mgl-tui evaluate {path.name}`.")
        evaluation = open_evaluation(first[0])
        sides.append(Side(name, path, _model(evaluation, name), evaluation, _items(evaluation)))
    return sides


def _names(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


def _model(evaluation: Evaluation, name: str) -> str:
    """The model of a run that is heard: best, else final, else the only one beside base."""
    trained = [model for model in evaluation.models if model != BASE]
    if not trained:
        raise UserError(f"{name} has clips of base alone; make those of its best model with `mgl-tui evaluate`.")
    return trained[0]


def _items(evaluation: Evaluation) -> dict[tuple[str, int], Item]:
    found: dict[tuple[str, int], Item] = {}
    for item in evaluation.items:
        found.setdefault((words(item.text), item.repeat), item)
    return found


def words(text: str) -> str:
    """A prompt as it is compared."""
    return " ".join(text.split())


def prompt_sets(sides: Sequence[Side]) -> list[str]:
    """The prompt sets that all runs have; a folder of clips that was named itself counts as its run's first."""
    sets = [_set_names(side) for side in sides]
    return [name for name in sets[0] if all(name in other for other in sets[1:])]


def _set_names(side: Side) -> list[str]:
    if (side.path / RESULTS).is_file():
        return [""]
    return [home_of(folder)[1] for folder in evaluation_folders(side.path)]


def of_set(side: Side, name: str) -> Side:
    """The same run with the clips of another prompt set."""
    if (side.path / RESULTS).is_file() or side.evaluation.name == name:
        return side
    evaluation = open_evaluation(side.path, name or None)
    return Side(side.name, side.path, _model(evaluation, side.name), evaluation, _items(evaluation))


def no_common_set(sides: Sequence[Side]) -> str:
    """That the runs share no prompt set, and which each has."""
    sets = "; ".join(f"{side.name}: {', '.join(name or 'evaluation' for name in _set_names(side))}" for side in sides)
    return f"The runs share no prompt set ({sets}); make the clips of one for all with `mgl-tui evaluate`."


def shared(sides: Sequence[Side]) -> Shared:
    """What the runs have of one prompt set."""
    rows: list[tuple[Item, ...]] = []
    unlike: dict[str, list[str]] = {}
    silent = 0
    every = dict.fromkeys(key for side in sides for key in side.items)
    known = [key for key in every if all(key in side.items for side in sides)]
    for key in known:
        items = tuple(side.items[key] for side in sides)
        if differing := _differing(sides, items):
            unlike.setdefault(differing.split()[0], []).append(differing)
        elif any(_path(item, side.model) is None for item, side in zip(items, sides, strict=True)):
            silent += 1
        else:
            rows.append(items)
    said = []
    if len(known) < len(every):
        said.append(f"{len(known)} of {len(every)} prompts are shared by all the runs; the others are left out.")
    said += [
        f"{_count(len(each), 'prompt')} left out, whose clips were not made alike: {each[0]}."
        for each in unlike.values()
    ]
    if silent:
        said.append(f"{_count(silent, 'prompt')} left out, of which a clip is missing.")
    if not rows:
        return Shared(tuple(sides), (), (*said, _nothing_shared(sides, said)))
    bases, remark = _bases(sides, rows)
    said += remark
    if others := [f"{side.name}: {side.model}" for side in sides if side.model != "best"]:
        said.append(f"Not the best model is heard of {', '.join(others)}.")
    if any(item.seed is None for items in rows for item in items):
        said.append("Seeds are not recorded for all the runs: whether they had the same noise is not known.")
    found = (Row(items, base) for items, base in zip(rows, bases, strict=True))
    return Shared(tuple(sides), tuple(found), tuple(said))


def _nothing_shared(sides: Sequence[Side], said: Sequence[str]) -> str:
    names = " and ".join(side.name for side in sides)
    why = f" {' '.join(said)}" if said else ""
    remedy = how_to_make_alike([side.name for side in sides])
    return f"{names} have no prompt whose clips can stand beside one another.{why} {remedy}"


def _differing(sides: Sequence[Side], items: Sequence[Item]) -> str:
    """What was not the same when the clips of a prompt were made, as far as it is recorded; empty when all was."""
    for name in ("seed", "duration", *SAMPLING):
        values = [item.sampling.get(name) if name in SAMPLING else getattr(item, name) for item in items]
        known = {value for value in values if value is not None}
        if len(known) > 1:
            each = ", ".join(f"{value} in {side.name}" for side, value in zip(sides, values, strict=True))
            return f"{name} is {each}"
    return ""


def _path(item: Item, model: str) -> Path | None:
    clip = item.clips.get(model)
    return clip.path if clip else None


def _bases(sides: Sequence[Side], rows: Sequence[tuple[Item, ...]]) -> tuple[list[int | None], list[str]]:
    """Whose clip of base is heard in each row. None of any when they are not of one base model, which is said."""
    bases: list[int | None] = []
    for items in rows:
        there = [at for at, item in enumerate(items) if _path(item, BASE) is not None]
        for at in there[1:]:
            if not _same_base(items[there[0]], items[at]):
                said = f"base is left out: {sides[there[0]].name} and {sides[at].name} have different clips of it."
                return [None] * len(rows), [said]
        bases.append(there[0] if there else None)
    lacking = sum(base is None for base in bases)
    return bases, [f"{_count(lacking, 'prompt')} without a clip of base."] if lacking else []


def _same_base(one: Item, other: Item) -> bool:
    """The same sound, or the same weights: those who decode on another device get other bits of the same model."""
    weights = [(item.sampling.get("weights") or {}).get(BASE) for item in (one, other)]
    if weights[0] is not None and weights[0] == weights[1]:
        return True
    path = _path(one, BASE)
    return path is not None and same_audio(path, _path(other, BASE))


def how_to_make_alike(names: Sequence[str]) -> str:
    """The command that makes all of them with one noise, as a sentence."""
    models = ",".join(f"{name}:best" for name in names[1:])
    return f"`mgl-tui evaluate {names[0]} --models base,best,{models}` makes them alike, to be heard in {names[0]}."


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
