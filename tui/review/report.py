"""What the notes say about a run, gathered once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from engine.contract import config, liveness, typed
from engine.contract.errors import UserError
from engine.contract.events import Start
from engine.contract.rundir import RunDir
from tui.review import advice, facts, loudness, paired
from tui.review.evaluation import Evaluation, open_evaluation
from tui.review.results import Results, results_of
from tui.runs import gate, sessions
from tui.runs.history import History
from tui.runs.store import changes

SET_MEASURES = "set_measures.json"


@dataclass(frozen=True)
class Report:
    """All that goes into the notes of one run."""

    run: RunDir
    state: str
    settings: dict[str, Any] = field(default_factory=dict)
    """Dotted name -> value; {} for a folder that is no run."""
    across: tuple[str, ...] = ()
    """Names of the runs, of a session across several."""
    parent: str | None = None
    changes: list[config.Change] = field(default_factory=list)
    """What changed since the parent run."""
    history: History = field(default_factory=History)
    spiked: tuple[int, ...] = ()
    """Steps whose train loss stands out."""
    paired: tuple[str, ...] = ()
    """What the valid losses say of this run's models, clip by clip."""
    against_parent: tuple[str, ...] = ()
    """The same of this run and its parent."""
    results: Results | None = None
    gains: dict[str, dict[str, float]] = field(default_factory=dict)
    """dB by item and model."""
    set_measures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the engine measured of each model's clips as a set."""
    advice: Sequence[dict[str, Any]] = ()
    """All rules, those that fire first; none where the settings are not known."""
    decision: gate.Decision | None = None
    """What was decided at the gate."""
    problems: tuple[str, ...] = ()

    @property
    def start(self) -> Start | None:
        return self.history.start if self.history.started else None

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def evaluation(self) -> Evaluation | None:
        return self.results.evaluation if self.results else None

    def prompt_text(self, item: str) -> str:
        found = self.evaluation.item(item) if self.evaluation else None
        return found.text if found else item


def report(run: RunDir, set_name: str | None = None) -> Report:
    """Gather a run folder, or a folder of clips that is no run. What is missing or wrong is said in ``problems``."""
    problems: list[str] = []
    results: Results | None = None
    gains: dict[str, dict[str, float]] = {}
    sets: dict[str, dict[str, Any]] = {}
    try:
        evaluation = open_evaluation(run.path, set_name)
        results = results_of(evaluation)
        sets, unread = _read_set_measures(evaluation)
        problems += [*evaluation.problems, *results.unreadable, *unread]
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
    session = sessions.read(run.path) if sessions.is_session(run.path) else None
    problems += session.said if session else []
    parent, changed = _since_parent(run, settings)
    seen = facts.training(settings or config.Settings(), history)
    return Report(
        run=run,
        state=_state(run, history),
        settings=config.values(settings) if settings else {},
        across=tuple(member.name for member in session.members) if session else (),
        parent=parent,
        changes=changed,
        history=history,
        spiked=seen.spiked,
        paired=_paired((run, history)),
        against_parent=_against(run, history, parent),
        results=results,
        gains=gains,
        set_measures=sets,
        advice=_advice(settings, history, results, seen),
        decision=decision,
        problems=tuple(problems),
    )


def _since_parent(run: RunDir, settings: config.Settings | None) -> tuple[str | None, list[config.Change]]:
    """The run that this one was made from, and what differs; (None, []) when there is none or it is gone."""
    if settings is None or not settings.run.parent:
        return None, []
    parent = RunDir(run.path.parent / settings.run.parent)
    try:
        return parent.name, changes(parent.settings(), settings)
    except UserError:
        return None, []


def _advice(
    settings: config.Settings | None, history: History, results: Results | None, seen: facts.Training
) -> Sequence[dict[str, Any]]:
    """What the rules say; where the settings are not known, without the changes to them."""
    if settings is None:
        return ()
    found = advice.advise(settings, history, results, seen)
    return [{**one, "changes": {}} for one in found] if settings.run.imported else found


def _paired(*runs: tuple[RunDir, History]) -> tuple[str, ...]:
    found = paired.of_runs([(run.path, history) for run, history in runs])[0]
    return tuple(map(paired.sentence, found))


def _against(run: RunDir, history: History, parent: str | None) -> tuple[str, ...]:
    if not parent:
        return ()
    before = RunDir(run.path.parent / parent)
    return _paired((before, History.of(before.events)), (run, history))


def _state(run: RunDir, history: History) -> str:
    if sessions.is_session(run.path):
        return "a session across runs"
    if not run.config.is_file():
        return "clips of another script"
    state = liveness.state_from(run, history.state, begun=history.count > 0)
    return f"{state.state}: {state.error}" if state.error else state.state


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
