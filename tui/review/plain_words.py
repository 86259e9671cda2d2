"""A run in one paragraph that a musician reads: what was tried, what was heard, what to do next."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tui import text
from tui.review import course, statistics
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
    """What was trained, unlike what, and how it went; or that nothing is known of that."""
    settings, start = found.settings, found.start
    if found.across:
        yield f"One session across runs: {_and(list(found.across))}, side by side."
        return
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
            f"LoRA of rank {settings['lora.rank']} for {_model(settings['model.base'])}, trained{data} for {epochs} "
            f"at a learning rate of {text.short(settings['train.learning_rate'])}{_made_from(found)}."
        )
    yield from _went(found)


def _model(base: str) -> str:
    return "the embedded demo model" if base == "demo" else text.value(base)


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
    wrong = next((v for v in course.verdicts(history) if v.verdict == "bad"), None)
    if wrong:
        yield f"Something was wrong with it: {_clause(wrong.evidence or wrong.name)}."
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
    if not any(j.blind for j in results.judgements):
        blind = "" if any(session.revealed for session in results.sessions) else ", whether blind is not known"
    yield f"{who} judged {_counted(len(results.values()), 'prompt')}{blind}: {_ranking(results)}."
    first = max(means, key=lambda model: means[model])
    yield from _settled(results, first)
    yield from _said_most(results, first)


def _ranking(results: Results) -> str:
    means = sorted(results.means().items(), key=lambda one: -one[1])
    unit = f" of {results.highest}"
    first, *others = [f"{results.label(model)} {mean:.1f}" for model, mean in means]
    if len(means) > 1 and means[0][1] == means[1][1]:
        return f"{_and([first, *others])} on average{unit}, with none ahead"
    return f"{first}{unit} on average" + (f", before {_and(others)}" if others else "")


def _settled(results: Results, first: str) -> Iterable[str]:
    """Whether the model that came out first can be told from the base model, or from the next one."""
    means = results.means()
    others = [model for model in sorted(means, key=lambda model: -means[model]) if model != first]
    against = "base" if "base" in others else others[0] if others else ""
    pair = next((pair for pair in results.pairs() if {pair.a, pair.b} == {first, against}), None)
    if pair is None or not pair.trials:
        return
    names = f"{results.label(first)} over {results.label(against)}"
    if pair.p < statistics.ALPHA:
        yield f"That preference, {names}, is more than chance."
    else:
        yield f"That may be chance: {names} is not certain with so few prompts."


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
    if found.results is not None and not found.results.means():
        yield "Next: listen to them."
        return
    if found.results is None and found.state == "done":
        yield "Next: make its clips and listen to them."
        return
    fired = [advice for advice in found.advice if advice["fires"]]
    first = next((advice for advice in fired if advice["changes"]), None)
    if first and found.history.step:
        changes = [change_words(name, found.settings.get(name), new) for name, new in first["changes"].items()]
        yield f"Not decided yet; the next run would teach most with {', '.join(changes)}."
    elif found.results is not None and found.settings:
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
