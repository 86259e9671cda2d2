"""A sweep: a grid of runs that differ in one or two settings, queued one after another, ranked by what is measured.

A sweep is nothing of its own: its members carry its name in ``[run] sweep``, and everything else is read from them.
Clips are made of the best members only, once all have come to their end.
"""

from __future__ import annotations

import itertools
import math
import shutil
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.contract import config, rundir
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir, list_runs
from tui.runs import store
from tui.text import short

ASK_ABOVE = 100
"""Runs of a grid above which a person is asked first."""
MOST = 10_000


@dataclass(frozen=True)
class Member:
    """One run of the grid, not made yet."""

    name: str
    settings: config.Settings


@dataclass(frozen=True)
class Group:
    """Members that differ in nothing but their seed."""

    values: Mapping[str, Any]
    """The swept settings, by dotted name."""
    runs: tuple[str, ...]
    """In the order of their seeds."""
    best: tuple[float, ...]
    """Best valid loss of each that has one, in nats."""
    states: tuple[str, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.best) if self.best else math.nan

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds; NaN with fewer than two."""
        return statistics.stdev(self.best) if len(self.best) > 1 else math.nan


@dataclass(frozen=True)
class Ranking:
    """The groups of a sweep, the lowest mean of the best valid losses first; those without a loss last.

    All members have the same valid clips, so this is also the order of the mean paired differences.
    """

    name: str
    groups: tuple[Group, ...]
    finalists: int
    parent: str = ""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Why each member failed that did, by its name."""

    @property
    def settled(self) -> bool:
        """All members have come to an end of some kind."""
        return not any(state in ("waiting", "running") for group in self.groups for state in group.states)

    def verdict(self) -> str:
        """What the ranking is worth beside the spread of its seeds, in a sentence."""
        known = [group for group in self.groups if group.best]
        if len(known) < 2:
            return "Fewer than two settings have a valid loss: nothing to compare yet."
        spreads = [group.spread for group in known if not math.isnan(group.spread)]
        apart = known[-1].mean - known[0].mean
        if not spreads:
            return f"From best to last {apart:.4f}; one seed each, so what is noise and what is gain is not known."
        noise = math.sqrt(statistics.fmean(spread**2 for spread in spreads))
        if apart <= 2 * noise:
            return (
                f"From best to last {apart:.4f}, the seeds alone differ by {noise:.4f}: the differences are within the "
                "spread of the seeds, and nothing can be concluded."
            )
        return f"From best to last {apart:.4f}; seeds of the same settings differ by {noise:.4f}."


Axes = Mapping[str, Sequence[Any]]
"""The values of each swept setting, by its dotted name."""


def axes(base: config.Settings, assignments: Sequence[str]) -> Axes:
    """The axes that ``section.name=value,value`` assignments give.

    Raises SettingsError for a value that is not allowed, UserError for a setting that is swept twice.
    """
    found: dict[str, Sequence[Any]] = {}
    for assignment in assignments:
        name, values = axis(base, assignment)
        if name in found:
            raise UserError(f"{name} is swept twice; write all its values in one --set.")
        found[name] = values
    return found


def size(axes: Axes) -> int:
    """Combinations of the values."""
    return math.prod(len(values) for values in axes.values())


def count(axes: Axes, seeds: int) -> int:
    """Runs of the grid. Raises UserError for one that is none."""
    if seeds < 1:
        raise UserError(f"--seeds {seeds} makes no run; take 1 or more.")
    runs = size(axes) * seeds
    if runs < 2:
        raise UserError("A sweep of one run is a run: give a setting more than one value, or --seeds 2.")
    if runs > MOST:
        raise UserError(f"The grid has {runs:,} runs, {MOST:,} at most; give fewer values.")
    return runs


def grid(base: config.Settings, axes: Axes, seeds: int, name: str, finalists: int) -> list[Member]:
    """The members of a sweep over these axes, each with ``seeds`` seeds.

    Raises SettingsError for values that are not allowed together, UserError for a grid that is none.
    """
    count(axes, seeds)
    rundir.checked_name(name, "sweep")
    members: list[Member] = []
    taken: set[str] = set()
    for combination in itertools.product(*axes.values()):
        words = [
            f"{_short_name(swept)}{_word(value)}"
            for (swept, values), value in zip(axes.items(), combination, strict=True)
            if len(values) > 1
        ]
        for seed in range(seeds):
            chosen = dict(zip(axes, combination, strict=True))
            chosen["train.seed"] = chosen.get("train.seed", base.train.seed) + seed
            table = base.model_dump()
            for dotted, value in chosen.items():
                section, key = dotted.split(".")
                table[section][key] = value
            table["run"] |= {"sweep": name, "finalists": finalists}
            label = _unlike("-".join([name, *words, *([f"s{seed}"] if seeds > 1 else [])]), taken)
            taken.add(label)
            members.append(Member(rundir.checked_name(label), config.parse(table, "the sweep")))
    return members


def _unlike(label: str, taken: Collection[str]) -> str:
    """The label as a run's name that no other member has: files of one name in two folders are said alike."""
    found, number = label[:100].rstrip("."), 1
    while found in taken:
        number += 1
        found = f"{label[:94].rstrip('.')}-{number}"
    return found


def axis(base: config.Settings, assignment: str) -> tuple[str, list[Any]]:
    """A setting and its values, each checked by itself."""
    name, equals, text = assignment.partition("=")
    name = name.strip()
    if equals and name in config.fields() and isinstance(config.values(base)[name], list):
        raise UserError(f"{name} is a list; a sweep takes settings with one value.")
    found = [config.values(config.override(base, [f"{name}{equals}{word.strip()}"]))[name] for word in text.split(",")]
    return name, list(dict.fromkeys(found))


def _short_name(name: str) -> str:
    known = {"learning_rate": "lr", "gradient_accumulation_steps": "accum", "batch_size": "batch"}
    key = name.split(".")[1]
    return known.get(key, key.replace("_", ""))


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    text = short(value) if isinstance(value, (int, float)) else Path(str(value)).name
    return "".join(c if c.isascii() and (c.isalnum() or c in "._+-") else "-" for c in text)


@dataclass(frozen=True)
class Cost:
    """What a grid takes, going by a run that this machine has measured."""

    seconds: float
    bytes: int
    like: str
    """That run."""

    def words(self) -> str:
        """Minutes and GB."""
        size = self.bytes / 1e9
        return f"about {max(1, self.seconds / 60):,.0f} min and {f'{size:,.1f}' if size >= 1 else f'{size:.2g}'} GB"


def cost(base: config.Settings, axes: Axes, seeds: int, known: Iterable[store.RunSummary]) -> Cost | None:
    """Time and disk of a grid without its clips; None where no run of the same model was measured here."""
    same = ((s, s.settings) for s in known if s.settings is not None and s.settings.model == base.model)
    like = next(((s, old) for s, old in same if s.total_steps and math.isfinite(s.seconds_per_step)), None)
    if like is None:
        return None
    summary, old = like
    then, now, count = config.values(old), config.values(base), size(axes) * seeds

    def more(name: str) -> float:
        """How much larger a setting is than it was then, on the mean of the grid."""
        return statistics.fmean(axes.get(name, [now[name]])) / then[name]

    seconds = summary.total_steps * summary.seconds_per_step * more("train.epochs") * more("data.duration") * count
    adapters = (summary.held.checkpoints + summary.held.models) * more("lora.rank")
    return Cost(seconds, round((adapters + summary.held.rest) * count), summary.name)


def create(members: Sequence[Member], runs_dir: Path) -> list[RunDir]:
    """Make the folders of all members, or of none. Raises UserError for a name that is taken or a full disk."""
    made: list[RunDir] = []
    taken = next((member.name for member in members if (Path(runs_dir) / member.name).exists()), None)
    if taken is not None:
        raise UserError(f"The run {taken} exists in {runs_dir} and is never overwritten; take another --name.")
    try:
        for member in members:
            run = rundir.create(runs_dir, member.name, member.settings)
            made.append(run)
    except UserError:
        for run in made:
            shutil.rmtree(run.path, ignore_errors=True)
        raise
    return made


def members(runs_dir: Path, name: str) -> list[RunDir]:
    """The runs of a sweep, in the order of their names."""
    return [run for run in list_runs(runs_dir) if sweep_of(run) == name]


def sweep_of(run: RunDir) -> str:
    """Name of the sweep that a run is a member of; empty when it is none, or its settings cannot be read."""
    try:
        return run.settings().run.sweep
    except UserError:
        return ""


def ranking(runs_dir: Path, name: str) -> Ranking:
    """What has come of a sweep so far. UserError when there is none of that name."""
    found = [(store.summary(run), run.settings()) for run in members(runs_dir, name)]
    if not found:
        raise UserError(f"There is no sweep {name} in {runs_dir}; `mgl-tui runs` lists the runs.")
    differing = _differing([settings for _, settings in found])
    grouped: dict[tuple[Any, ...], list[tuple[store.RunSummary, config.Settings]]] = {}
    for summary, settings in found:
        values = config.values(settings)
        grouped.setdefault(tuple(values[name] for name in differing), []).append((summary, settings))
    groups = []
    for key, runs in grouped.items():
        runs.sort(key=lambda each: each[1].train.seed)
        best = tuple(summary.best_valid for summary, _ in runs if math.isfinite(summary.best_valid))
        names, states = tuple(summary.name for summary, _ in runs), tuple(summary.state for summary, _ in runs)
        groups.append(Group(dict(zip(differing, key, strict=True)), names, best, states))
    groups.sort(key=lambda group: (math.isnan(group.mean), group.mean))
    first = found[0][1].run
    failed = {summary.name: summary.error for summary, _ in found if summary.state == "failed"}
    return Ranking(name, tuple(groups), first.finalists, first.parent, failed)


def _differing(settings: Iterable[config.Settings]) -> list[str]:
    """Settings that are not the same in all members, the seed left out."""
    tables = [config.values(each) for each in settings]
    return [name for name in tables[0] if name != "train.seed" and any(t[name] != tables[0][name] for t in tables)]


def without_clips(runs_dir: Path, found: Ranking) -> list[RunDir]:
    """Whose clips are to be made now: the first of each of the best groups, and the parent; none before the end."""
    if not found.settled:
        return []
    best = [group.runs[0] for group in found.groups if group.best][: found.finalists]
    chosen = [RunDir(Path(runs_dir) / name) for name in (*best, *([found.parent] if found.parent else []))]
    return [run for run in chosen if run.best_model.is_dir() and not store.evaluation_folders(run.path)]
