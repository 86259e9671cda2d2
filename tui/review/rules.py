"""The rules of advice: each looks at the training and at what was heard, and says what speaks for it and against it.

A rule changes one idea; of two ideas changed at once nobody knows afterwards which one it was. What follows from
several rules together, and in which order they are offered, is decided in ``tui.review.advice``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.contract.bounds import MEMORISED
from engine.contract.config import Settings
from tui.review import statistics
from tui.review.facts import Listening, Training

RANKS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
FALLING = -0.005
"""Valid loss per 100 steps, relative to the loss, below which it is still falling."""
SMALL_GAIN = 0.01
"""Share of the base model's loss below which training has hardly moved it."""
STEADY = 16
"""Clips a step from which on the gradient of LoRA fine-tuning is smooth enough that more would not help."""


@dataclass
class Advice:
    """One rule's verdict."""

    rule: str
    fires: bool = False
    for_: list[str] = field(default_factory=list)
    against: list[str] = field(default_factory=list)
    needs: str = ""
    changes: dict[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "fires": self.fires,
            "for": self.for_,
            "against": self.against,
            "needs": self.needs,
            "changes": self.changes,
        }


def _start_loss(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    advice = Advice("start-loss", needs="a base model whose valid loss is near blind guessing")
    if not _known(seen.base) and seen.best >= seen.blind:
        advice.fires = True
        advice.for_.append(
            f"the valid loss never came below {seen.best:.2f}, blind guessing is {seen.blind:.2f}: the data or the "
            "labels were wrong, and no setting mends that"
        )
    if seen.base >= 0.85 * seen.blind:
        advice.fires = True
        advice.for_.append(
            f"the base model starts at {seen.base:.2f}, blind guessing is {seen.blind:.2f}: the data or the labels "
            "are wrong, and no setting mends that; run `mgl-tui check`"
        )
    elif _known(seen.base):
        advice.needs += f"; found {seen.base:.2f} against {seen.blind:.2f}"
    return advice


def _unstable(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    tags = ("noise", "unstable", "clipping")
    lower = _two_digits(settings.train.learning_rate / 2)
    advice = Advice("unstable", changes={"train.learning_rate": lower})
    if seen.not_finite:
        advice.for_.append(f"{_count(seen.not_finite, 'step')} without a finite loss")
    if seen.spikes >= 2:
        advice.for_.append(f"{seen.spikes} spikes in the train loss")
    for tag in tags:
        if heard and _often(heard, tag) and heard.tags[tag] > heard.base_tags.get(tag, 0):
            advice.for_.append(_tag_words(heard, tag))
    advice.fires = bool(advice.for_)
    advice.needs = (
        f"NaN, two spikes or {', '.join(tags)} on 3+ items; found {seen.not_finite}, {seen.spikes}, "
        f"{max((heard.tags.get(tag, 0) for tag in tags), default=0) if heard else 0}"
    )
    if seen.clipped > 0.3:
        advice.for_.append(f"{seen.clipped:.0%} of the steps were clipped at norm {settings.train.max_grad_norm:g}")
    if heard and heard.pair and heard.pair.wins > heard.pair.losses:
        advice.against.append(_pair_words(heard.pair) + ": it learns something at this rate")
    return advice


def _warm_up(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    wanted = settings.train.learning_rate
    advice = Advice("warm-up", needs=f"a learning rate that never came near {wanted:g}")
    if not _known(seen.peak_lr):
        return advice
    advice.needs += f"; it reached {seen.peak_lr:.3g}"
    if seen.peak_lr < 0.9 * wanted:
        advice.fires = True
        advice.for_.append(f"the learning rate reached {seen.peak_lr:.2g} of {wanted:g} in {seen.steps} steps")
        if seen.total_steps and seen.steps < seen.total_steps:
            advice.against.append(f"the run ended at step {seen.steps} of {seen.total_steps}")
        advice.changes = {"train.warmup_steps": "auto"}
        if settings.train.warmup_steps == "auto":
            advice.changes = {"train.epochs": settings.train.epochs * 3}
    return advice


def _overfit(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    advice = Advice("overfit", needs="a valid loss that rises again, or that stands far above the train loss")
    rise = seen.last - seen.best
    if _known(rise):
        advice.needs += f"; it ended {rise:+.3f} above its best"
    if _known(seen.gap):
        advice.needs += f", {seen.gap:+.3f} above train"
    if memorised(seen):
        advice.for_.append(
            f"train is {seen.last - seen.gap:.3f} where valid is {seen.last:.3f}: the clips are learned by heart"
        )
        advice.changes = {"lora.dropout": min(0.3, round(max(settings.lora.dropout * 2, 0.05), 3))}
        advice.against.append("more clips, of more tracks, would do more than any setting")
    if _known(rise) and rise > 0.01 * seen.best:
        advice.for_.append(
            f"valid was best at step {seen.best_step} ({seen.best:.3f}), step {seen.steps} has {seen.last:.3f}; "
            "best_model is from before the rise and can be used as it is"
        )
    advice.fires = bool(advice.for_)
    return advice


def _generic(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    rank = next((r for r in RANKS if r > settings.lora.rank), settings.lora.rank * 2)
    advice = Advice("generic", needs="'generic' on 3+ items of the trained model, a third of them at least")
    advice.changes = {"lora.rank": rank, "lora.alpha": _same_ratio(settings, rank)}
    if heard and heard.tags:
        advice.needs += f"; found {heard.tags.get('generic', 0)}"
    if heard and _often(heard, "generic"):
        advice.fires = True
        if heard.pair and heard.pair.wins > heard.pair.losses:
            advice.for_.append(_pair_words(heard.pair))
        advice.for_.append(_tag_words(heard, "generic"))
    if _falling(seen):
        advice.against.append(f"{_falling_words(seen)}: more epochs may do it")
    if _known(seen.gap) and seen.gap > 0.1 * seen.last:
        advice.against.append(f"valid is {seen.gap:.2f} above train: more capacity may overfit")
    return advice


def _rhythm_or_timbre(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    tags, train = ("rhythm-off", "timbre-off"), settings.train
    clips = train.batch_size * train.gradient_accumulation_steps
    advice = Advice("rhythm-or-timbre", needs="'rhythm-off' or 'timbre-off' on 3+ items of the trained model")
    if heard and heard.tags:
        advice.needs += "; found " + " and ".join(str(heard.tags.get(tag, 0)) for tag in tags)
    longer = min(30.0, settings.data.duration * 2)
    if clips < STEADY:
        advice.changes = {"train.gradient_accumulation_steps": math.ceil(STEADY / train.batch_size)}
    elif longer > settings.data.duration:
        advice.changes = {"data.duration": longer}
    for tag in tags:
        if heard and _often(heard, tag) and heard.tags[tag] > heard.base_tags.get(tag, 0):
            advice.fires = True
            advice.for_.append(_tag_words(heard, tag))
    if not advice.fires:
        return advice
    if clips < STEADY:
        advice.for_.append(f"{STEADY} clips a step instead of {clips} average away what is peculiar to single clips")
        advice.against.append(
            f"splitting the {clips} clips of a step otherwise (batch 1 x {clips}) would change nothing: the effective "
            "batch stays the same, and with the same seed so does the run"
        )
        advice.against.append("an epoch has fewer steps then")
        if longer > settings.data.duration:
            advice.against.append(
                f"data.duration = {longer:g} is the other way, where the clips are that long: more bars at once"
            )
    elif advice.changes:
        advice.for_.append(f"windows of {longer:g} s show more bars at once than {settings.data.duration:g} s")
        advice.against.append("the clips must be that long, and a step takes more memory and time")
    return advice


def _underfit(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    advice = Advice("underfit", needs="a valid loss that is still falling at the end, close to the train loss")
    advice.changes = {"train.epochs": _more_epochs(settings)}
    if _known(seen.slope):
        advice.needs += f"; found {seen.slope:+.3f} per 100 steps"
    if _falling(seen) and not memorised(seen):
        advice.fires = True
        gap = f", valid - train {seen.gap:+.2f}" if _known(seen.gap) else ""
        advice.for_.append(_falling_words(seen) + gap)
    if seen.not_finite:
        advice.against.append("the loss was not finite at times: a lower learning rate comes first")
    return advice


def _no_difference(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    advice = Advice("no-difference", needs="a trained model that sounds, or measures, like the base model")
    pair = heard.pair if heard else None
    # A mean difference of nothing with few ties is no equality: wins and losses that cancel out were heard.
    if pair and pair.trials >= 4 and pair.ties * 2 >= pair.trials:
        apart = f"{pair.mean_difference or 0.0:+.1f} apart on average"
        advice.for_.append(f"{pair.a} and base are {apart}, {pair.ties} of {pair.trials} ties")
    gain = (seen.base - seen.best) / seen.base if seen.base else math.nan
    if _known(gain) and gain < SMALL_GAIN:
        advice.for_.append(f"valid fell from {seen.base:.3f} to {seen.best:.3f} only")
    advice.fires = bool(advice.for_)
    if _known(gain):
        advice.needs += f"; valid fell by {gain:.1%}"
        if gain >= SMALL_GAIN:
            advice.against.append(f"valid fell by {gain:.1%}: something was learned")
    if 0 < seen.steps < 200:
        advice.changes = {"train.epochs": _more_epochs(settings)}
    else:
        advice.changes = {"train.learning_rate": _two_digits(min(1.0, settings.train.learning_rate * 2))}
        if seen.not_finite or seen.spikes >= 2:
            advice.against.append("training was unstable: a higher learning rate would make it worse")
    return advice


def _too_few(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    advice = Advice("too-few-prompts", needs="a listening result that cannot be told from chance")
    pair = heard.pair if heard else None
    if not heard or not pair or pair.trials == 0:
        return advice
    advice.needs += f"; found {statistics.p_text(pair.p)}"
    advice.fires = pair.p >= statistics.ALPHA and pair.wins != pair.losses
    if not advice.fires:
        return advice
    wanted = statistics.trials_to_settle(pair.wins, pair.losses, heard.prompts)
    repeats = min(16, max(settings.evaluate.repeats + 1, math.ceil(wanted / heard.prompts) if wanted else 0))
    advice.for_.append(statistics.conclusion(pair, heard.prompts))
    advice.changes = {"evaluate.repeats": repeats}
    if wanted is None or repeats * heard.prompts < wanted:
        advice.against.append("at this rate, more clips alone are unlikely to settle it")
    advice.against.append(f"{heard.prompts * repeats} items are to be listened to instead of {heard.items}")
    return advice


def _off_style(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    scale = min(20.0, settings.evaluate.guidance_scale + 1.0)
    advice = Advice("off-style", needs="'off-style' on 3+ items of the trained model, a third of them at least")
    advice.changes = {"evaluate.guidance_scale": scale}
    if heard and heard.tags:
        advice.needs += f"; found {heard.tags.get('off-style', 0)}"
    if heard and _often(heard, "off-style"):
        advice.fires = True
        advice.for_.append(_tag_words(heard, "off-style") + ": stronger guidance holds a clip closer to its prompt")
        if heard.base_tags.get("off-style", 0) >= heard.tags["off-style"]:
            advice.against.append("base is off-style as often: the captions may not name the style")
        if settings.evaluate.guidance_scale >= 5:
            advice.against.append("guidance above 5 brings distortion")
    return advice


def _loops(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    advice = Advice("loops", needs="'loops' on 3+ items of the trained model, a third of them at least")
    advice.changes = {"evaluate.temperature": round(min(5.0, settings.evaluate.temperature + 0.1), 2)}
    if heard and heard.tags:
        advice.needs += f"; found {heard.tags.get('loops', 0)}"
    if heard and _often(heard, "loops"):
        advice.fires = True
        advice.for_.append(_tag_words(heard, "loops") + ": a little more temperature leaves the loop")
        if heard.base_tags.get("loops", 0) >= heard.tags["loops"]:
            advice.against.append("base loops as often: training did not bring it")
    return advice


def _silence(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    advice = Advice("silence", needs="'silent' or 'fades-out' on 3+ items of the trained model, more than of base")
    for tag in ("silent", "fades-out"):
        if heard and _often(heard, tag) and heard.tags[tag] > heard.base_tags.get(tag, 0):
            advice.fires = True
            advice.for_.append(
                _tag_words(heard, tag) + ": it learned silence; `mgl-tui check` finds clips that are short or padded"
            )
    return advice


def _best_is_final(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    advice = Advice("best-is-final", needs="best and final with the same weights")
    same = bool(heard and heard.same_weights) or (seen.validations > 0 and seen.best_step == seen.steps)
    if not same:
        if seen.best_step:
            advice.needs += f"; best is from step {seen.best_step} of {seen.steps}"
        return advice
    advice.fires = True
    if seen.validations < 5:
        few = _count(seen.validations, "validation")
        advice.for_.append(f"best and final are one: best is the last step, and there were only {few}")
        advice.changes = {"train.validate_steps": max(1, (seen.steps or 10) // 10)}
    else:
        advice.for_.append(f"best and final are one: no peak in {seen.validations} validations over {seen.steps} steps")
        advice.changes = {"train.epochs": _more_epochs(settings)}
    if _falling(seen):
        advice.against.append(f"{_falling_words(seen)}: more epochs part best and final as well")
    return advice


def _listen_first(settings: Settings, seen: Training, heard: Listening | None) -> Advice:
    advice = Advice("listen-first", needs="clips that nobody has judged to the end")
    if heard is None or not heard.complete:
        advice.fires = True
        judged = (
            f"only {_count(heard.items, 'item')} judged so far" if heard else "nobody has judged the clips to the end"
        )
        advice.for_.append(f"{judged}: loss alone does not say how it sounds")
    return advice


RULES: tuple[Callable[[Settings, Training, Listening | None], Advice], ...] = (
    _start_loss, _unstable, _warm_up, _silence, _listen_first, _overfit, _generic, _rhythm_or_timbre, _underfit,
    _no_difference, _too_few, _off_style, _loops, _best_is_final,
)  # fmt: skip
"""In the order of what would be learned most: what is broken, what was never heard, what training would change, how
clips are made and judged."""


def memorised(seen: Training) -> bool:
    """The train loss lies far below the valid loss."""
    return _known(seen.gap) and seen.gap > MEMORISED * seen.last


def _often(heard: Listening, tag: str) -> bool:
    found = heard.tags.get(tag, 0)
    return found >= min(3, max(heard.items, 1)) and found * 3 >= heard.items


def _tag_words(heard: Listening, tag: str) -> str:
    return f"'{tag}' on {heard.tags[tag]} of {heard.items} for {heard.trained} ({heard.base_tags.get(tag, 0)} for base)"


def _pair_words(pair: statistics.Pair) -> str:
    difference = "" if pair.mean_difference is None else f" ({pair.mean_difference:+.1f})"
    return f"{pair.a} beats {pair.b} on {pair.wins} of {pair.trials}{difference}, {statistics.p_text(pair.p)}"


def _falling(seen: Training) -> bool:
    return _known(seen.slope) and seen.slope < FALLING * seen.last and seen.last <= seen.best * 1.002


def _falling_words(seen: Training) -> str:
    return f"valid still falls at the end ({seen.slope:+.3f} per 100 steps)"


def _more_epochs(settings: Settings) -> int:
    epochs = settings.train.epochs
    return next((more for more in (3, 5) if more > epochs), epochs * 2)


def _same_ratio(settings: Settings, rank: int) -> int:
    """Alpha for another rank, so that the update keeps its scale."""
    return max(1, min(2048, round(settings.lora.alpha / settings.lora.rank * rank)))


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def _known(value: float) -> bool:
    return math.isfinite(value)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
