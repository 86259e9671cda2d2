"""Runs in the order of what is known of them: valid losses paired clip by clip, then what was heard and decided."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.contract.errors import UserError
from tui.review import paired
from tui.review.results import load_results
from tui.review.side_by_side import Side
from tui.review.statistics import ALPHA, Pair, p_text
from tui.review.tournament import Against, Standing
from tui.runs import gate, sessions

UNKNOWN = "–"


@dataclass(frozen=True)
class Rank:
    """One run of a ranking, in a few characters each."""

    name: str
    """The run's; with its path where two are called alike."""
    at: int
    """Place of the run among those that are compared, from 0: its mark and colour."""
    best: float
    """Best valid loss in nats, NaN where there is none."""
    behind: str
    """How far behind the first one, on how many of the clips, and what that is worth."""
    heard: str
    decided: str


@dataclass(frozen=True)
class Ranking:
    ranks: tuple[Rank, ...]
    """The lowest best valid loss first; runs without one last."""
    said: tuple[str, ...]
    """Every pair in a sentence, or why nothing can be paired; then what blind sessions across the runs gave."""


def ranking(sides: Sequence[Side]) -> Ranking:
    """Rank runs. Reads what listeners said of sessions across them."""
    pairs, why = paired.of_runs([(side.path, side.history) for side in sides])
    names = _names(sides)
    order = sorted(range(len(sides)), key=lambda at: (math.isnan(_best(sides[at])), _best(sides[at])))
    # Without a loss nobody is the first.
    first = next((names[at] for at in order if not math.isnan(_best(sides[at]))), "")
    ranks = tuple(
        Rank(
            names[at], at, _best(sides[at]), _behind(pairs, first, names[at]),
            _heard(sides[at]), _decided(sides[at]),
        )
        for at in order
    )  # fmt: skip
    said = [paired.sentence(pair) for pair in pairs] or ([why] if why else [])
    return Ranking(ranks, (*said, *heard_across([side.path for side in sides])))


def _names(sides: Sequence[Side]) -> list[str]:
    names = [side.name for side in sides]
    return [str(side.path) if names.count(side.name) > 1 else side.name for side in sides]


def _best(side: Side) -> float:
    history = side.history
    return history.best[1] if history.best else min((v.loss for v in history.valid if v.step), default=math.nan)


def _behind(pairs: Sequence[paired.Paired], first: str, name: str) -> str:
    """How much worse than the first one, on how many clips: ``+0.012 · 15/20 · p = 0.04``; with ? it may be chance."""
    found = next((pair for pair in pairs if {pair.a, pair.b} == {first, name}), None)
    if found is None:
        return "first" if name == first else UNKNOWN
    more, on = (found.mean_difference, found.losses) if found.a == name else (-found.mean_difference, found.wins)
    chance = " ?" if found.p >= ALPHA else ""
    return f"{more:+.3f} · {on}/{found.clips} · {p_text(found.p)}{chance}"


def _heard(side: Side) -> str:
    """What listening gave: the mean of best, and its wins, ties and losses against base."""
    results = side.results
    means = results.means() if results else {}
    if results is None or not means:
        return UNKNOWN
    if "best" not in means:
        model, mean = max(means.items(), key=lambda item: item[1])
        return f"{model} {mean:.1f}"
    said = f"best {means['best']:.1f}"
    if "base" in means:
        pair = results.pair("best", "base")
        said += f" {pair.wins}-{pair.ties}-{pair.losses} {p_text(pair.p)}" if pair.trials else ""
    return said


def _decided(side: Side) -> str:
    try:
        made = gate.read(side.path)
    except UserError:
        return UNKNOWN
    return made.decision if made is not None else UNKNOWN


def heard_across(runs: Sequence[Path]) -> list[str]:
    """What blind sessions across runs gave that have two or more of these among their members."""
    found: dict[str, dict[str, str]] = {}
    paths = {}
    for run in runs:
        for session, member in sessions.of_run(run):
            found.setdefault(session.name, {})[member.name] = run.name
            paths[session.name] = session
    lines = []
    for name, members in sorted(found.items()):
        try:
            results = load_results(paths[name]).finished()
        except UserError:
            continue
        if len(members) < 2:
            continue
        if results.standing is not None:
            lines += _of_tournament(name, members, results.standing)
        for pair in results.pairs():
            if pair.trials and {pair.a, pair.b} <= {*members, "base"}:
                ahead, behind = (pair.a, pair.b) if pair.wins >= pair.losses else (pair.b, pair.a)
                most, least = max(pair.wins, pair.losses), min(pair.wins, pair.losses)
                lines.append(
                    f"Heard blind ({name}): {members.get(ahead, ahead)} over {members.get(behind, behind)} "
                    f"{most}-{pair.ties}-{least}, {p_text(pair.p)}{_over(pair)}."
                )
    return lines


def _of_tournament(name: str, members: Mapping[str, str], found: Standing) -> list[str]:
    """What a tournament gave of these runs; it puts the better one of each pair first."""
    lines = []
    for pair in found.pairs:
        if {pair.a, pair.b} <= {*members, "base"}:
            a, b = members.get(pair.a, pair.a), members.get(pair.b, pair.b)
            said = f"{a} over {b}" if pair.p < ALPHA else f"nothing can be concluded between {a} and {b}"
            lines.append(f"Heard blind ({name}): {said}, {p_text(pair.p)}{_over(pair)}.")
    return lines


def _over(pair: Pair | Against) -> str:
    return f" (Holm over {pair.corrected_over} pairs)" if pair.corrected_over > 1 else ""
