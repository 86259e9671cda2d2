"""A run in one paragraph that a musician reads: what was tried, what was heard, what to do next."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tui import text
from tui.review.results import Results
from tui.runs import gate

if TYPE_CHECKING:
    from tui.review.report import Report

MOST_CHANGES = 3
MOST_NAMES = 3
MOST_TAGS = 3


def paragraph(found: Report) -> str:
    """The whole paragraph."""
    return " ".join([*tried(found), *heard(found), *to_do(found)])


def tried(found: Report) -> Iterable[str]:
    """What was trained, unlike what, and how it went; of a folder of clips only that nothing is known."""
    settings, start = found.settings, found.start
    if not settings:
        yield "Clips that another script made; how their models were trained is not known."
        return
    if settings["run.imported"]:
        why = settings["run.why"]
        yield f"An earlier round of other scripts{f', {why}' if why else ''}; its settings are not known."
    else:
        data = f" on {start.train_clips} clips" if start and start.train_clips else ""
        epochs = _counted(settings["train.epochs"], "epoch")
        yield (
            f"LoRA of rank {settings['lora.rank']} for {settings['model.base']}, trained{data} for {epochs} at a "
            f"learning rate of {text.short(settings['train.learning_rate'])}{_made_from(found)}."
        )
    yield from _went(found)


def _made_from(found: Report) -> str:
    if not found.parent:
        why = found.settings["run.why"]
        return f", because {_clause(why)}" if why else ""
    changes = [change_words(c.name, c.old, c.new) for c in found.changes]
    more = f" and {len(changes) - MOST_CHANGES} more" if len(changes) > MOST_CHANGES else ""
    unlike = f", made from {found.parent}"
    if changes:
        unlike += f" with {', '.join(changes[:MOST_CHANGES])}{more}"
    why = found.settings["run.why"]
    return f"{unlike}, because {_clause(why)}" if why else unlike


def _went(found: Report) -> Iterable[str]:
    """How the training ended, and what it did to the loss."""
    history, state = found.history, found.state.split(":")[0]
    ways = {
        "failed": "It failed",
        "stopped": "It was stopped",
        "lost": "Its engine vanished",
        "running": "It still runs",
        "waiting": "It has not begun",
    }
    if state in ways:
        step = f" at step {history.step} of {history.total_steps}" if history.step and history.total_steps else ""
        error = f": {history.error}" if history.error else ""
        yield f"{ways[state]}{step}{_clause(error)}."
    base, best = history.base_valid, history.best_valid
    valid = [v.loss for v in history.valid if v.step > 0 and math.isfinite(v.loss)]
    if not valid or not math.isfinite(best):
        return
    if math.isfinite(base):
        moved = "fell" if best < base else "did not fall"
        yield f"The loss on clips it was not trained on {moved} from {base:.3f} to {best:.3f}{_ended(best, valid[-1])}."
    else:
        yield f"The loss on clips it was not trained on came to {best:.3f} at best{_ended(best, valid[-1])}."


def _ended(best: float, last: float) -> str:
    return f", and stood at {last:.3f} at the end" if last > best * 1.002 else ""


def heard(found: Report) -> Iterable[str]:
    """Who listened, what came out ahead and what was said of it most."""
    results = found.results
    if results is None:
        if found.settings:
            yield "No clips were made yet."
        return
    means = results.means()
    if not means:
        clips = sum(clip.path is not None for item in results.evaluation.items for clip in item.clips.values())
        yield f"Nobody has judged its {_counted(clips, 'clip')} yet."
        return
    people = [s.listener for s in results.sessions if results.means(s.listener)]
    who = f"{len(people)} listeners" if len(people) > MOST_NAMES else _and(people)
    blind = " blind" if all(j.blind for j in results.judgements) else ", not all of it blind"
    yield f"{who} judged {_counted(len(results.values()), 'prompt')}{blind}: {_ranking(results)}."
    yield from _settled(results)
    yield from _said_most(results, max(means, key=lambda model: means[model]))


def _ranking(results: Results) -> str:
    means = sorted(results.means().items(), key=lambda one: -one[1])
    unit = f" of {len(results.models)}" if results.unit == "place" else " of 5"
    first, *others = [f"{results.label(model)} {mean:.1f}" for model, mean in means]
    if len(means) > 1 and means[0][1] == means[1][1]:
        return f"{_and([first, *others])} on average{unit}, with none ahead"
    return f"{first}{unit} on average" + (f", before {_and(others)}" if others else "")


def _settled(results: Results) -> Iterable[str]:
    """Whether the trained model can be told from the base model."""
    trained = next((m for m in ("best", "final") if m in results.models), None)
    if trained is None or "base" not in results.models:
        return
    pair = results.pair(trained, "base")
    if not pair.trials:
        return
    if pair.p < 0.05:
        ahead = trained if pair.wins > pair.losses else "base"
        yield f"That {results.label(ahead)} is preferred is more than chance."
    else:
        yield f"{results.label(trained)} and base cannot be told apart for certain with so few prompts."


def _said_most(results: Results, model: str) -> Iterable[str]:
    items = sum(model in models for models in results.values().values())
    counts = {tag: models.get(model, 0) for tag, models in results.tags().items()}
    tags = sorted((tag for tag in counts if counts[tag]), key=lambda tag: -counts[tag])[:MOST_TAGS]
    if tags:
        said = ", ".join(f"{tag} ({counts[tag]} of {items})" for tag in tags)
        yield f"Of {results.label(model)} was said most: {said}."


def to_do(found: Report) -> Iterable[str]:
    """The decision, or what would be learned most from."""
    decision = found.decision
    if decision:
        by = f" by {decision.listener}" if decision.listener else ""
        why = f", because {_clause(decision.why)}" if decision.why else ""
        yield f"Decided{by}: {decision.decision} ({gate.MEANINGS[decision.decision]}){why}."
        return
    fired = [advice for advice in found.advice if advice["fires"]]
    first = next((advice for advice in fired if advice["changes"]), fired[0] if fired else None)
    if found.results is not None and not found.results.means():
        yield "Next: listen to them."
    elif first and first["changes"]:
        changes = [change_words(name, found.settings.get(name), new) for name, new in first["changes"].items()]
        yield f"Not decided yet; the next run would teach most with {', '.join(changes)}."
    elif first:
        yield f"Not decided yet; first of all: {_clause(first['for'][0] if first['for'] else first['rule'])}."
    elif found.settings and found.results is not None:
        yield "Not decided yet."


def change_words(name: str, old: Any, new: Any) -> str:
    """``lora.rank 12 → 16``."""
    return f"{name} {text.value(old)} → {text.value(new)}"


def _clause(sentence: str) -> str:
    """A sentence inside another one: without its full stop."""
    return sentence.strip().rstrip(".")


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
