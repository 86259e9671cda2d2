"""What the notes of a run say, in their order, as blocks that become markdown or a page."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from engine.contract import config
from tui import text
from tui.review import blocks, course, curve, measured, plain_words, pooled, samples, statistics, tournament
from tui.review.blocks import Block, Break, Code, Folded, Heading, Line, Paragraph, Points, Strong, Table
from tui.review.evaluation import Clip, Evaluation, Item
from tui.review.report import Report
from tui.review.results import Judgement, Results
from tui.review.state import PICKS, State
from tui.runs import gate

OF_THE_PANEL = ("panel", "audio", "runs", "run")
"""Sections that say nothing about how a run was trained and heard."""


def content(found: Report) -> list[Block]:
    """The notes from top to bottom."""
    title = found.name
    if found.evaluation and found.evaluation.name:
        title += f" · {found.evaluation.name}"
    parts: list[Sequence[Block]] = [
        [Heading(1, title), Paragraph(plain_words.paragraph(found))],
        _picture(found),
        _prompts(found),
        _result(found),
        _listening(found),
        _changes(found),
        _health(found),
        _next(found),
        _measures(found),
        _settings(found),
        _problems(found),
        [Paragraph(f"Written by mgl-tui on {time.strftime('%Y-%m-%d %H:%M %Z')}; state: {found.state}.")],
    ]
    return [block for part in parts for block in part]


def _picture(found: Report) -> list[Block]:
    wide = curve.svg(found.history, found.spiked)
    if not wide:
        return []
    narrow = curve.svg(found.history, found.spiked, curve.NARROW)
    return [blocks.Picture(wide, narrow, f"Loss of {found.name}: train, valid, base model and best")]


# What was heard


def _prompts(found: Report) -> list[Block]:
    """One table: prompt by model."""
    results = found.results
    if results is None:
        return []
    evaluation = results.evaluation
    said: dict[tuple[str, str], list[Judgement]] = {}
    for j in results.judgements:
        said.setdefault((j.item, j.model), []).append(j)
    # A model whose clips were deleted after they were judged comes last.
    models = list(dict.fromkeys([*evaluation.models, *(j.model for j in results.judgements if _is_said(j))]))
    several = len(results.sessions) > 1
    rows = []
    for number, item in enumerate(evaluation.items, 1):
        cells = [_cell(found, item, model, said.get((item.key, model), []), several) for model in models]
        aside = f"seed {item.seed}, repeat {item.repeat + 1}" if item.seed is not None and item.repeat else ""
        rows.append(blocks.PromptRow(number, item.text, aside, cells))
    legend = f"Scores are of {results.highest}. " if results.means() else ""
    if results.means() and results.unit == "place":
        legend = "Each clip has its place in the order of the listener. "
    return [Heading(2, "Clips"), Paragraph(f"{legend}{_levels(found)}"), blocks.Prompts(models, rows)]


def _cell(found: Report, item: Item, model: str, said: Sequence[Judgement], several: bool) -> blocks.ClipCell:
    clip = item.clips.get(model) or Clip(model, None)
    said = [j for j in said if _is_said(j)]
    marks = []
    for who in dict.fromkeys(j.listener for j in said):
        first, *again = [_mark(j) for j in said if j.listener == who and (j.value is not None or j.all_bad)] or [""]
        marks += [(who, first + (f" (again {', '.join(again)})" if again else ""))] if first else []
    score = marks[0][1] if len(marks) == 1 else ""
    of_each = ", ".join(f"{who} {mark}" for who, mark in marks) if several else ""
    if found.results and len(marks) > 1:
        score = f"{float(found.results.values()[item.key][found.results.canonical(model)]):.1f}"
    tags = [tag for j in said for tag in j.tags]
    counted = [f"{tag} ×{tags.count(tag)}" if tags.count(tag) > 1 else tag for tag in dict.fromkeys(tags)]
    notes = [f"{f'{j.listener}: ' if several else ''}“{j.note}”" for j in said if j.note]
    return blocks.ClipCell(
        model,
        clip.path,
        missing=clip.missing or "",
        gain_db=found.gains.get(item.key, {}).get(model, 0.0),
        score=score,
        said=[part for part in (of_each, ", ".join(counted), *notes) if part],
    )


def _mark(j: Judgement) -> str:
    return "all bad" if j.all_bad else f"rank {j.rank}" if j.rank else str(j.score)


def _levels(found: Report) -> str:
    gains = [gain for models in found.gains.values() for gain in models.values()]
    if not gains:
        return ""
    if min(gains) > -0.05:
        return "All clips of a prompt are equally loud."
    return f"Clips are turned down to the quietest of their prompt to be compared, by up to {-min(gains):.1f} dB."


def _result(found: Report) -> list[Block]:
    """Statistics: each pair of models once, and what several listeners say together."""
    results = found.results
    if results is None or not any(j.value is not None for j in results.judgements):
        return [Heading(2, "Result"), Paragraph("Nothing has been judged yet.")] if results else []
    lines = (
        [_pair_words(pair, results) for pair in results.pairs()] if results.standing is None else results.sentences()
    )
    lines += pooled.sentences(results)
    if len({session.mode for session in results.sessions}) > 1:
        lines.append("Some scored and some ranked: points and places are mixed in what follows for all.")
    if any(pair.sampled for pair in results.pairs()):
        lines.append(f"With this many prompts the 95 % come from {statistics.SUBSETS:,} drawn subsets, not from all.")
    if results.standing is not None:
        return [Heading(2, "Result"), *_standing(results, results.standing), Points(lines), *_tags(results)]
    lines.append(statistics.power_sentence(results.evaluation.prompts))
    return [Heading(2, "Result"), Points(lines), *_tags(results)]


def _standing(results: Results, found: tournament.Standing) -> list[Block]:
    """The table of a tournament."""
    rows = []
    for model, score in zip(found.models, found.scores, strict=True):
        low, high = found.interval(model)
        rows.append([results.label(model), f"{score:+.2f}", f"{low:+.2f} to {high:+.2f}", str(found.heard[model])])
    what = Paragraph(
        "Heard two by two. Scores by the Bradley-Terry model, a tie as half a win each: a difference of 1 means 73 in "
        "100 for the better one."
    )
    return [what, Table(["model", "score", "95 %", "pairs"], rows)]


def _pair_words(pair: statistics.Pair, results: Results) -> str:
    said = statistics.conclusion(pair, results.evaluation.prompts)
    if pair.mean_difference is None:
        return said
    # In the direction of the sentence, whichever model is ahead in it.
    sign, low_high = (1 if pair.wins >= pair.losses else -1), pair.interval()
    size = f"{sign * pair.mean_difference:+.2f} {results.unit}s on average"
    if not pair.wins and not pair.losses:
        return said
    if low_high is None:
        return f"{said} {size}."
    low, high = sorted(sign * end for end in low_high)
    return f"{said} {size}, 95 % {low:+.2f} to {high:+.2f}."


def _tags(results: Results) -> list[Block]:
    counts = results.tags()
    if not counts:
        return []
    rows = [[tag, *(str(models.get(m, 0)) for m in results.models)] for tag, models in counts.items()]
    head = ["tag, on how many prompts", *map(results.label, results.models)]
    return [Table(head, rows)]


def _listening(found: Report) -> list[Block]:
    results = found.results
    if results is None or not results.sessions:
        return []
    lines = [_session_line(results, session) for session in results.sessions]
    lines += [
        f"{' and '.join(group)} have the same weights and count as one." for group in results.evaluation.same_weights
    ]
    same = "the same noise for all models of a prompt" if results.evaluation.same_seed else "seeds not recorded"
    lines.append(f"Sampling: {same}.")
    if results.evaluation.across is not None:
        about = results.evaluation.across
        names = ", ".join(member.name for member in about.members)
        lines += [f"A blind session across {names}.", *about.said]
    models = results.evaluation.models
    rows = [
        [str(n), *(f"{found.gains[item.key][m] + 0.0:.1f}" if m in found.gains[item.key] else "–" for m in models)]
        for n, item in enumerate(results.evaluation.items, 1)
        if item.key in found.gains
    ]
    levels = Folded("Level of each clip, in dB down to the quietest of its prompt", [Table(["prompt", *models], rows)])
    return [Heading(2, "Who listened"), Points(lines), *([levels] if rows else [])]


def _session_line(results: Results, session: State) -> Line:
    """One listener: how much, blind or not, when, through what, and how well they agree with themselves."""
    who = session.listener
    judged = [j for j in results.judgements if j.listener == who]
    given = [j for j in judged if j.value is not None]
    if session.page == PICKS:
        chosen = Counter(results.canonical(j.model) for j in judged if j.rank == 1).most_common()
        picked = ", ".join(f"{results.label(model)} {count} times" for model, count in chosen)
        return [Strong(who), f": picked {picked} elsewhere; whether blind, and in what order, is not known."]
    said = [
        f"{len(given)} of {len(judged)} clips {'ranked' if session.mode == 'ranking' else 'scored'}{_blind(session)}"
    ]
    after = sum(not j.blind for j in judged)
    if after:
        known = samples.heard(results.evaluation.home, who)
        by_name = ", or where a clip had been heard by name as a sample of training" if known else ""
        said.append(f"{after} judgements were given or changed with the names shown{by_name}")
    means = results.means(who)
    if len(results.sessions) > 1 and means:
        said.append("on average " + ", ".join(f"{results.label(m)} {mean:.1f}" for m, mean in means.items()))
    said.append(statistics.consistency_sentence(results.consistency(who), results.unit).rstrip("."))
    elsewhere = sum(j.elsewhere for j in given)
    if elsewhere:
        said.append(f"{elsewhere} of {len(given)} judged clips were said to be heard elsewhere")
    unheard = sum(not j.heard and not j.elsewhere for j in given)
    if unheard:
        said.append(f"{unheard} of {len(given)} judged clips were never played in the panel")
    if session.equal:
        said.append(f"equal weights were heard as {session.equal} clips a prompt")
    said.append(_sittings(session))
    return [Strong(who), ": " + ". ".join(part[0].upper() + part[1:] for part in said) + "."]


def _blind(session: State) -> str:
    """Whether the listener saw names, and when."""
    if session.page:
        return " blind, on a shared page, which shows no names"
    if session.revealed is None:
        return " blind, names not shown yet"
    if session.revealed.early:
        done, total = session.revealed.done, session.revealed.total
        return f"; names were shown early, at {done} of {total} judgements, and what came after was not blind"
    return " blind, names shown after the last judgement"


def _sittings(session: State) -> str:
    # A page counts what was heard of each clip, and not when.
    heard = [rating.heard for clips in session.ratings.values() for rating in clips.values()] if session.page else []
    minutes = (sum(heard) + sum(entry.seconds for entry in session.played)) / 60
    sound = f"{minutes:.1f} min of sound through {', '.join(session.outputs)}" if session.outputs else ""
    sittings = ", ".join(
        f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(s.start))} ({(s.end - s.start) / 60:.0f} min)"
        for s in session.sittings
    )
    order = f"order drawn from seed {session.seed}"
    return "; ".join(part for part in (sittings, sound or "no sound was played by the panel", order) if part)


def _is_said(j: Judgement) -> bool:
    return j.value is not None or bool(j.tags or j.note)


# What was trained


def _changes(found: Report) -> list[Block]:
    """What differs from the run that it was made from."""
    name, why = found.settings.get("run.parent", ""), found.settings.get("run.why", "")
    if not name:
        return []
    lines: list[Block] = [Paragraph(f"Why it was made: {why}")] if why else []
    title = Heading(2, f"Changed since {name}")
    if found.parent is None:
        return [title, *lines, Paragraph("That run is not there any more.")]
    rows = [[c.name, _setting(c.old), _setting(c.new)] for c in found.changes]
    changed = Table(["setting", found.parent, found.name], rows) if rows else Paragraph("No setting differs.")
    return [title, *lines, changed, *([Points(found.against_parent)] if found.against_parent else [])]


def _health(found: Report) -> list[Block]:
    verdicts = course.verdicts(found.history)
    lines: list[Line] = [
        [Strong(f"{_look(one.verdict)} {one.name}"), f": {one.evidence}"] for one in verdicts if one.verdict != "ok"
    ]
    good = [one.name for one in verdicts if one.verdict == "ok"]
    if good:
        lines.append(f"{text.VERDICTS['ok'].glyph} in order: {', '.join(good)}")
    lines += found.paired
    log = course.snapshot(found.history, found.spiked)
    if not lines and not log:
        return []
    return [Heading(2, "Training"), *([Points(lines)] if lines else []), *([Code("text", log)] if log else [])]


def _look(verdict: str) -> str:
    return text.VERDICTS[verdict].glyph if verdict in text.VERDICTS else "·"


def _next(found: Report) -> list[Block]:
    """The decision, and the advice that was there to be considered."""
    lines: list[Block] = []
    if found.decision:
        at = time.strftime(", %Y-%m-%d", time.localtime(found.decision.t)) if found.decision.t else ""
        lines.append(Points([f"gate: {gate.sentence(found.decision)}{at}"]))
    fired = [advice for advice in found.advice if advice["fires"]]
    if fired:
        lines.append(Points([_advice_line(advice, found.settings) for advice in fired]))
    silent = [advice for advice in found.advice if not advice["fires"]]
    if silent:
        waits: list[Line] = [[Strong(advice["rule"]), f": needs {advice['needs']}"] for advice in silent]
        lines.append(Folded(f"{len(silent)} rules that are silent, and what they wait for", [Points(waits)]))
    return [Heading(2, "What next"), *lines] if lines else []


def _advice_line(advice: dict[str, Any], settings: dict[str, Any]) -> Line:
    parts: list[blocks.Inline] = [Strong(advice["rule"])]
    if advice["changes"]:
        changes = [plain_words.change_words(name, settings.get(name), new) for name, new in advice["changes"].items()]
        parts.append(f": {', '.join(changes)}")
    for name in ("for", "against"):
        if advice[name]:
            parts += [Break(), f"{name}: {'; '.join(advice[name])}"]
    return parts


# What was measured, and with which settings


def _measures(found: Report) -> list[Block]:
    """Means over the prompts by model, and the measures of each model's clips as a set."""
    evaluation = found.evaluation
    if evaluation is None:
        return []
    models, items = evaluation.models, evaluation.items
    clips = [[item.clips[m].measures for item in items if m in item.clips and item.clips[m].path] for m in models]
    rows = [[label, *values] for label, values in measured.rows(clips)]
    rows += [[label, *values] for label, values in measured.rows(_whole_sets(found, evaluation))]
    if not rows:
        return []
    return [Heading(2, "Measures"), Paragraph("Means over the prompts."), Table(["measure", *models], rows),
            *([Points(reasons)] if (reasons := _reasons(found)) else [])]  # fmt: skip


def _whole_sets(found: Report, evaluation: Evaluation) -> list[list[dict[str, Any]]]:
    names = dict.fromkeys(name for each in found.set_measures.values() for name in each if is_measure(name))
    return [[{name: found.set_measures.get(model, {}).get(name) for name in names}] for model in evaluation.models]


def is_measure(name: str) -> bool:
    """Whether a field of a set's measures is one, and neither a count nor a reason."""
    return name != "clips" and not name.endswith("_reason")


def _reasons(found: Report) -> list[str]:
    """Why a set has no value of a measure, each reason once."""
    models: dict[tuple[str, str], list[str]] = {}
    for model, each in found.set_measures.items():
        for name in filter(is_measure, each):
            if reason := each.get(f"{name}_reason"):
                models.setdefault((name, str(reason)), []).append(model)
    return [f"{measured.label(name)}: none for {', '.join(of)} ({why})." for (name, why), of in models.items()]


def _settings(found: Report) -> list[Block]:
    """Only what differs from the defaults; the whole file is linked."""
    if not found.settings or found.settings["run.imported"]:
        return []
    defaults = config.values(config.Settings())
    rows = [
        [name, _setting(defaults[name]), _setting(value)]
        for name, value in found.settings.items()
        if name.split(".")[0] not in OF_THE_PANEL and value != defaults[name]
    ]
    table: Block = (
        Table(["setting", "default", "here"], rows) if rows else Paragraph("All settings have their defaults.")
    )
    return [Heading(2, "Settings"), table, blocks.WholeFile("All settings", found.run.config)]


def _setting(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _problems(found: Report) -> list[Block]:
    return [Heading(2, "Problems"), Points(found.problems)] if found.problems else []
