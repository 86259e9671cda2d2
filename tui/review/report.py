"""What the notes say about a run, gathered once, and its markdown."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from engine.contract import config, liveness, typed
from engine.contract.errors import UserError
from engine.contract.events import Start
from engine.contract.rundir import RunDir
from tui.review import loudness, paired, pooled, statistics
from tui.review.evaluation import Evaluation, open_evaluation
from tui.review.markdown import code, escaped, heading, points, table
from tui.review.results import Judgement, Results, results_of
from tui.review.state import State
from tui.runs import gate
from tui.runs.history import History
from tui.runs.store import changes
from tui.text import sparkline

SET_MEASURES = "set_measures.json"


@dataclass(frozen=True)
class Report:
    """All that goes into the notes of one run."""

    name: str
    state: str
    settings: dict[str, Any] = field(default_factory=dict)
    """Dotted name -> value; {} for a folder that is no run."""
    parent: str | None = None
    changes: list[config.Change] = field(default_factory=list)
    """What changed since the parent run."""
    start: Start | None = None
    valid: list[tuple[int, float]] = field(default_factory=list)
    """(step, loss), the base model's at step 0."""
    paired: tuple[str, ...] = ()
    """What the valid losses say clip by clip: of this run's models, and of it and its parent."""
    elapsed: float = 0.0
    results: Results | None = None
    gains: dict[str, dict[str, float]] = field(default_factory=dict)
    """dB by item and model."""
    decision: gate.Decision | None = None
    """What was decided at the gate."""
    problems: tuple[str, ...] = ()

    @property
    def evaluation(self) -> Evaluation | None:
        return self.results.evaluation if self.results else None

    def prompt_text(self, item: str) -> str:
        found = self.evaluation.item(item) if self.evaluation else None
        return found.text if found else item


def report(run: RunDir, set_name: str | None = None) -> Report:
    """Gather a run folder, or a folder of clips that is no run. What is missing or wrong is said in ``problems``."""
    problems: list[str] = []
    results, gains = None, {}
    try:
        evaluation = open_evaluation(run.path, set_name)
        results = results_of(evaluation)
        problems += [*evaluation.problems, *results.unreadable, *_read_set_measures(evaluation)[1]]
        gains = {item.key: loudness.gains(loudness.loudness_of(item)) for item in evaluation.items}
    except UserError as error:
        problems.append(str(error))
    settings: config.Settings | None = None
    try:
        settings = run.settings() if run.config.is_file() else None
    except UserError as error:
        problems.append(str(error))
    decision = None
    try:
        decision = gate.read(run.path)
    except UserError as error:
        problems.append(str(error))
    history = History.of(run.events)
    problems += history.problems()
    parent, changed = _since_parent(run, settings)
    return Report(
        name=run.name,
        state=_state(run, history),
        settings=config.values(settings) if settings else {},
        parent=parent,
        changes=changed,
        start=history.start if history.started else None,
        valid=[(v.step, v.loss) for v in history.valid],
        paired=tuple(_paired(run, history, parent)),
        elapsed=history.elapsed,
        results=results,
        gains=gains,
        decision=decision,
        problems=tuple(problems),
    )


def markdown(found: Report) -> str:
    """The generated part of the notes."""
    title = found.name
    if found.evaluation and found.evaluation.name:
        title += f" · {found.evaluation.name}"
    parts = [[heading(1, title)], _headline(found), _conclusions(found), _pairs(found), _tags(found), _scores(found)]
    parts += [_listening(found), _training(found), _settings(found), _measures(found), _problems(found)]
    return "\n".join(line for part in parts if part for line in [*part, ""])


def _since_parent(run: RunDir, settings: config.Settings | None) -> tuple[str | None, list[config.Change]]:
    """The run that this one was made from, and what differs; (None, []) when there is none or it is gone."""
    if settings is None or not settings.run.parent:
        return None, []
    parent = RunDir(run.path.parent / settings.run.parent)
    try:
        return parent.name, changes(parent.settings(), settings)
    except UserError:
        return None, []


def _paired(run: RunDir, history: History, parent: str | None) -> list[str]:
    found = paired.of_runs([(run.path, history)])[0]
    if parent:
        before = RunDir(run.path.parent / parent)
        found += paired.of_runs([(before.path, History.of(before.events)), (run.path, history)])[0]
    return [paired.sentence(pair) for pair in found]


def _state(run: RunDir, history: History) -> str:
    if not run.config.is_file():
        return "clips of another script"
    state = liveness.state_from(run, history.state, begun=history.count > 0)
    return f"{state.state}: {state.error}" if state.error else state.state


def _headline(found: Report) -> list[str]:
    lines = [f"state: {found.state}"]
    if found.settings:
        lines.append(f"base model: {found.settings['model.base']}")
    results = found.results
    if results and results.sessions:
        who = ", ".join(session.listener for session in results.sessions)
        means = " · ".join(f"{results.label(m)} {value:.1f}" for m, value in results.means().items())
        lines.append(f"listened by {who}: {means or 'nothing judged yet'}")
    if found.decision:
        lines.append(f"gate: {gate.sentence(found.decision)}")
    lines.append(f"exported {time.strftime('%Y-%m-%d %H:%M %Z')}")
    return points(lines)


def _conclusions(found: Report) -> list[str]:
    results = found.results
    if results is None or not results.judgements:
        return ["## Result", "", "Nothing has been judged yet."]
    lines = [*results.sentences(), *pooled.sentences(results)]
    if len({session.mode for session in results.sessions}) > 1:
        lines.append("some scored and some ranked: points and places are mixed in what follows for all")
    for session in results.sessions:
        consistent = statistics.consistency_sentence(results.consistency(session.listener), results.unit)
        lines.append(f"{session.listener}: {consistent}")
        said = [j for j in results.judgements if j.listener == session.listener and j.value is not None]
        elsewhere = sum(j.elsewhere for j in said)
        if elsewhere:
            lines.append(
                f"{session.listener}: {elsewhere} of {len(said)} judged clips were said to be heard elsewhere."
            )
        unheard = sum(not j.heard and not j.elsewhere for j in said)
        if unheard:
            lines.append(f"{session.listener}: {unheard} of {len(said)} judged clips were never played in the panel.")
    lines.append(statistics.power_sentence(results.evaluation.prompts))
    return ["## Result", "", *points(lines)]


def _pairs(found: Report) -> list[str]:
    results = found.results
    if results is None or not results.judgements:
        return []
    rows, sampled = [], False
    people = [session.listener for session in results.sessions]
    for who in [None, *people] if len(people) > 1 else [None]:
        for pair in results.pairs(who):
            interval = pair.interval()
            sampled |= pair.sampled
            low_high = "–" if interval is None else f"{interval[0]:+.2f} … {interval[1]:+.2f}"
            mean = "–" if pair.mean_difference is None else f"{pair.mean_difference:+.2f}"
            rows.append(
                [f"{results.label(pair.a)} over {results.label(pair.b)}", who or "all", str(pair.wins), str(pair.ties),
                 str(pair.losses), f"{pair.p:.3f}", mean, low_high]
            )  # fmt: skip
    head = ["pair", "listener", "wins", "ties", "losses", "p (sign test)", f"mean difference ({results.unit}s)", "95 %"]
    how = f"With this many prompts the 95 % come from {statistics.SUBSETS:,} drawn subsets of them, not from all."
    return [*table(head, rows), *(["", how] if sampled else [])]


def _tags(found: Report) -> list[str]:
    results = found.results
    counts = results.tags() if results else {}
    if results is None or not counts:
        return []
    rows = [[tag, *(str(models.get(m, 0)) for m in results.models)] for tag, models in counts.items()]
    return ["## Tags", "", "On how many items a clip got the tag.", "",
            *table(["tag", *map(results.label, results.models)], rows)]  # fmt: skip


def _scores(found: Report) -> list[str]:
    results = found.results
    if results is None:
        return []
    lines = ["## Prompts"]
    places = {model: place for place, model in enumerate(results.evaluation.models)}
    for number, item in enumerate(results.evaluation.items, 1):
        seed = f" · seed {item.seed}, repeat {item.repeat + 1}" if item.seed is not None else ""
        lines += ["", heading(3, f"{number}. {item.text}"), "", f"{len(item.clips)} clips{seed}", ""]
        said = [j for j in results.judgements if j.item == item.key and _said(j)]
        # A model whose clips were deleted after they were judged comes last.
        said.sort(key=lambda j: places.get(j.model, len(places)))
        rows = [_score_row(j) for j in said]
        lines += table(["model", "listener", "score", "tags", "note", "heard"], rows) if rows else ["Not judged."]
    return lines


def _score_row(j: Judgement) -> list[str]:
    value = "all bad" if j.all_bad else f"rank {j.rank}" if j.rank else str(j.score or "·")
    again = " (again)" if j.kind == "repeat" else ""
    return [
        j.model + again,
        j.listener,
        value,
        ", ".join(j.tags),
        j.note,
        ("elsewhere" if j.elsewhere else f"{j.heard:.0f} s" if j.heard else "not"),
    ]


def _listening(found: Report) -> list[str]:
    results = found.results
    if results is None or not results.sessions:
        return []
    lines: list[str] = []
    for session in results.sessions:
        lines += _session_lines(session)
        after = sum(not j.blind for j in results.judgements if j.listener == session.listener)
        if after:
            lines.append(f"{session.listener}: {after} judgements were given or changed with the names shown")
    for group in results.evaluation.same_weights:
        lines.append(f"{' and '.join(group)} have the same weights and count as one")
    same = "the same noise for all models of a prompt" if results.evaluation.same_seed else "seeds not recorded"
    lines += [f"sampling: {same}", "level matching, dB down to the quietest of the prompt:"]
    models = results.evaluation.models
    rows = [
        [str(n), *(f"{found.gains[item.key][m]:+.1f}" if m in found.gains[item.key] else "–" for m in models)]
        for n, item in enumerate(results.evaluation.items, 1)
        if item.key in found.gains
    ]
    return ["## How it was listened to", "", *points(lines), "", *table(["prompt", *models], rows)]


def _session_lines(session: State) -> Iterable[str]:
    who = session.listener
    if session.revealed is None:
        yield f"{who}: blind, names not shown yet"
    elif session.revealed.early:
        done, total = session.revealed.done, session.revealed.total
        yield f"{who}: names were shown early, at {done} of {total} judgements; what came after was not blind"
    else:
        yield f"{who}: blind, names shown after the last judgement"
    sittings = ", ".join(
        f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(s.start))} ({(s.end - s.start) / 60:.0f} min)"
        for s in session.sittings
    )
    played = sum(entry.seconds for entry in session.played)
    yield f"{who}: {sittings or 'no sitting'}; {played / 60:.1f} min of sound played"
    sound = ", ".join(session.outputs) or "no sound was played by the panel"
    yield f"{who}: mode {session.mode}, order drawn from seed {session.seed}, sound through {sound}"
    if session.equal:
        yield f"{who}: equal weights were heard as {session.equal} clips a prompt"


def _training(found: Report) -> list[str]:
    if not found.start and not found.valid:
        return []
    lines: list[str] = []
    start = found.start
    if start:
        counts = f"{start.train_clips or '?'} train and {start.valid_clips or '?'} valid clips"
        lines.append(
            f"{counts}, {start.total_steps or '?'} steps on {start.device or '?'}, "
            f"{found.elapsed / 60:.1f} min, {start.trainable_parameters or '?'} trainable parameters"
        )
    finite = [(step, loss) for step, loss in found.valid if math.isfinite(loss)]
    if finite:
        step, loss = min(finite, key=lambda v: v[1])
        base = next((value for at, value in finite if at == 0), None)
        against = "" if base is None else f", base {base:.3f}"
        lines.append(f"best valid loss {loss:.3f} at step {step}{against}, last {finite[-1][1]:.3f}")
        lines += found.paired
        lines.append(f"valid {sparkline([value for _, value in finite], 40)}")
    return [
        "## Training",
        "",
        *points(lines),
        "",
        *table(["step", "valid loss"], [[str(s), f"{value:.4f}"] for s, value in finite]),
    ]


def _settings(found: Report) -> list[str]:
    if not found.settings:
        return []
    lines = ["## Settings", ""]
    if why := found.settings.get("run.why"):
        lines += [escaped(f"Why it was made: {why}"), ""]
    if found.parent:
        lines += [escaped(f"Changed since {found.parent}:"), ""]
        rows = [[c.name, json.dumps(c.old), json.dumps(c.new)] for c in found.changes]
        lines += table(["setting", found.parent, found.name], rows) if rows else ["nothing"]
        lines.append("")
    of_the_panel = ("panel", "audio", "runs", "run")
    shown = {name: value for name, value in found.settings.items() if name.split(".")[0] not in of_the_panel}
    values = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in shown.items()]
    return [*lines, *code("toml", values)]


def _measures(found: Report) -> list[str]:
    """Means over the prompts by model, and the measures of each model's clips as a set."""
    evaluation = found.evaluation
    if evaluation is None:
        return []
    models, items = evaluation.models, evaluation.items
    by_model = {m: [item.clips[m].measures for item in items if m in item.clips and item.clips[m].path] for m in models}
    names = list(dict.fromkeys(name for each in by_model.values() for measures in each for name in measures))
    rows = [[name, *(_mean_of([each.get(name) for each in by_model[m]]) for m in models)] for name in names]
    whole = set_measures(evaluation)
    names = list(dict.fromkeys(name for each in whole.values() for name in each if _is_measure(name)))
    rows += [[f"{name} (whole set)", *(_mean_of([whole.get(m, {}).get(name)]) for m in models)] for name in names]
    if not rows:
        return []
    return ["## Measures", "", "Means over the prompts; each clip's own are in the JSON export.", "",
            *table(["measure", *models], rows), *_reasons(whole)]  # fmt: skip


def _is_measure(name: str) -> bool:
    return name != "clips" and not name.endswith("_reason")


def _reasons(whole: dict[str, dict[str, Any]]) -> list[str]:
    """Why a set has no value of a measure, each reason once."""
    models: dict[tuple[str, str], list[str]] = {}
    for model, each in whole.items():
        for name in filter(_is_measure, each):
            if reason := each.get(f"{name}_reason"):
                models.setdefault((name, str(reason)), []).append(model)
    return [
        line for (name, why), of in models.items() for line in ("", escaped(f"No {name} of {', '.join(of)}: {why}."))
    ]


def set_measures(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """What the engine measured of each model's clips as a set; {} where there is nothing of the kind."""
    return _read_set_measures(evaluation)[0]


def _read_set_measures(evaluation: Evaluation) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The same, and what of the file cannot be read."""
    path = evaluation.folder / SET_MEASURES
    if not path.exists():
        return {}, []
    try:
        found, complaints = typed.load(path, _SetMeasures)
    except typed.Unreadable as error:
        return {}, [str(error)]
    return dict(found.models), [str(complaint) for complaint in complaints]


class _SetMeasures(msgspec.Struct):
    models: dict[str, dict[str, float | str | None]]


def _mean_of(values: Sequence[Any]) -> str:
    known = [value for value in values if isinstance(value, (int, float))]
    return f"{sum(known) / len(known):.4g}" if known else "–"


def _problems(found: Report) -> list[str]:
    return ["## Problems", "", *points(found.problems)] if found.problems else []


def _said(j: Judgement) -> bool:
    return j.value is not None or bool(j.tags or j.note)
