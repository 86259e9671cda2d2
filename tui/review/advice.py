"""The next run, with reasons: the rules over settings, training history and listening results, brought into one voice.

Every rule is looked at every time and says what speaks for it, what against it, and, when it is silent, why. Those
that fire never contradict one another, and there are at most three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.contract import config
from engine.contract.config import Settings
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui.review.facts import Training, listening, training
from tui.review.results import Results, load_results
from tui.review.rules import RULES, Advice
from tui.runs.history import History

MOST = 3
FITS_MORE = ("train.epochs", "train.learning_rate", "lora.rank")
"""Settings whose rise fits the training clips more closely: what overfitting forbids."""


def advise(
    settings: Settings, history: History, results: Results | None = None, seen: Training | None = None
) -> list[dict[str, Any]]:
    """All rules as ``{"rule", "fires", "for", "against", "needs", "changes"}``: those that fire first, then by weight.

    ``seen`` is what ``training`` made of the history, where it is known. ``changes`` maps dotted setting names to new
    values; it is empty where a setting is not the remedy.
    """
    seen, heard = seen or training(settings, history), listening(results)
    found = settle([rule(settings, seen, heard) for rule in RULES], settings)
    return [advice.as_data() for advice in sorted(found, key=lambda advice: not advice.fires)]


def advise_run(run: RunDir) -> list[dict[str, Any]]:
    """Advice from what lies in a run's folder. UserError when its settings cannot be read."""
    try:
        results = load_results(run.path)
    except UserError:
        results = None
    return advise(run.settings(), History.of(run.events), results)


def settle(found: Sequence[Advice], settings: Settings) -> list[Advice]:
    """Silence what an advice of more weight (``found`` is in that order) contradicts, repeats, or comes before."""
    fired: list[Advice] = []
    for advice in found:
        if not advice.fires:
            continue
        reason = _silenced_by(advice, fired, config.values(settings))
        if reason:
            advice.fires, advice.needs = False, reason
        else:
            fired.append(advice)
    return list(found)


def _silenced_by(advice: Advice, fired: Sequence[Advice], now: Mapping[str, Any]) -> str:
    """Why it is silent beside those that fired already; empty when it is not."""
    for other in fired:
        if other.rule == "start-loss":
            return "a base model that starts where it should: before that nothing else means anything"
        if advice.changes and advice.changes == other.changes:
            return f"a remedy of its own: {other.rule} offers the same run"
        if _opposed(advice.changes, other.changes, now):
            return f"that {other.rule}, which asks for the opposite, is silent"
        if other.rule == "overfit" and other.changes and any(_rises(advice, name, now) for name in FITS_MORE):
            return "a train loss close to the valid loss: overfit forbids to fit the clips still more closely"
    if len(fired) == MOST:
        return f"its turn: {', '.join(other.rule for other in fired)} would teach more first"
    return ""


def _opposed(one: Mapping[str, Any], other: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """They move a setting in different directions."""
    both = [name for name in one if name in other]
    return any(_direction(one[name], now[name]) * _direction(other[name], now[name]) < 0 for name in both)


def _rises(advice: Advice, name: str, now: Mapping[str, Any]) -> bool:
    return name in advice.changes and _direction(advice.changes[name], now[name]) > 0


def _direction(new: Any, old: Any) -> int:
    if isinstance(new, str) or isinstance(old, str):
        return 0
    return (new > old) - (new < old)
