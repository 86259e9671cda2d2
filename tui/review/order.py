"""The blind order: which model is A, B, C in each trial, drawn from a stored seed.

Orders come in shuffled blocks of all permutations, so that over a session every model stands first about
equally often: a plain draw for eight prompts can put one model on A six times.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count, permutations
from typing import Literal

import msgspec

LETTERS = "ABCDEFGH"
Kind = Literal["training", "main", "repeat", "pair"]
"""What a trial is for. A ``pair`` is one of a tournament, which is drawn by ``tui.review.tournament``."""
EqualWeights = Literal["two", "three"]
"""What is heard when two models share their weights: each clip once, or the shared one twice, hidden."""


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One screenful of clips: an item in one drawn order."""

    id: str
    item: str
    kind: Kind
    order: tuple[str, ...]
    """Models in the order A, B, C."""

    def model(self, letter: str) -> str:
        return self.order[LETTERS.index(letter)]

    @property
    def letters(self) -> str:
        return LETTERS[: len(self.order)]


def heard_models(
    models: Sequence[str], same_weights: Sequence[Sequence[str]], equal: EqualWeights | None
) -> tuple[str, ...]:
    """The models that get a letter: all, or with equal weights and "two" only the first of every equal group."""
    if equal != "two":
        return tuple(models)
    dropped = {model for group in same_weights for model in sorted(group, key=list(models).index)[1:]}
    return tuple(model for model in models if model not in dropped)


def draw(
    seed: int,
    items: Sequence[tuple[str, Sequence[str]]],
    *,
    training: bool = True,
    repeats: int = 0,
    already: Sequence[Trial] = (),
) -> list[Trial]:
    """The session's trials: a training item, every item once in the order given, then hidden repeats.

    ``items`` are (key, models that have a clip). ``repeats`` items, drawn by the same seed, come a second time in
    another order. ``already`` are trials of an earlier sitting: items among them are not drawn again, so a session
    goes on unchanged when prompts were added to the evaluation.
    """
    known = {trial.item for trial in already if trial.kind == "main"}
    fresh = [(key, models) for key, models in items if key not in known and models]
    rng = random.Random(f"{seed}:{len(already)}")
    trials: list[Trial] = []
    if training and not already and fresh:
        most = max(len(models) for _, models in fresh)
        key, models = rng.choice([each for each in fresh if len(each[1]) == most])
        trials.append(Trial("training", key, "training", _shuffled(rng, models)))
    blocks: dict[tuple[str, ...], Iterator[tuple[str, ...]]] = {}
    taken = {trial.id for trial in already}
    numbers = (str(number) for number in count(len(known) + 1) if str(number) not in taken)
    for key, models in fresh:
        block = blocks.setdefault(tuple(models), _balanced(rng, models))
        trials.append(Trial(next(numbers), key, "main", next(block)))
    main = {trial.item: trial.order for trial in trials if trial.kind == "main"}
    if not already:
        again = rng.sample(sorted(main), min(repeats, len(main)))
        for number, key in enumerate(again, 1):
            trials.append(Trial(f"again-{number}", key, "repeat", _other_order(rng, main[key])))
    return trials


def new_seed() -> int:
    """A seed for a new listener, from the system's randomness."""
    return random.SystemRandom().randrange(2**31)


def _balanced(rng: random.Random, models: Sequence[str]) -> Iterator[tuple[str, ...]]:
    if len(models) > 4:
        while True:
            yield _shuffled(rng, models)
    orders = list(permutations(models))
    while True:
        rng.shuffle(orders)
        yield from orders


def _shuffled(rng: random.Random, models: Sequence[str]) -> tuple[str, ...]:
    order = list(models)
    rng.shuffle(order)
    return tuple(order)


def _other_order(rng: random.Random, order: tuple[str, ...]) -> tuple[str, ...]:
    if len(order) < 2:
        return order
    while True:
        other = _shuffled(rng, order)
        if other != order:
            return other
