"""A grid of runs: made, queued, and told what came of it."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from pathlib import Path
from typing import Any

from engine.contract import config
from engine.contract.errors import UserError
from tui.commands import find, say
from tui.runs import queue, store, sweep


def make(args: argparse.Namespace) -> int:
    """Make the members and queue them; without --set say what has come of the sweep."""
    assignments, args.set = args.set, []
    runs_dir = find.runs_dir(args)
    if not assignments and args.seeds == 1:
        return _tell(sweep.ranking(runs_dir, args.name), args.json)
    base = find.settings(args)
    if args.top < 0:
        raise UserError(f"--top {args.top} is below 0; take how many of the best settings are to get clips.")
    name = args.name if args.name != "sweep" else _free(runs_dir)
    axes = sweep.axes(base, assignments)
    count = sweep.count(axes, args.seeds)
    say.aside(_cost(runs_dir, base, axes, args.seeds))
    if count > sweep.ASK_ABOVE and not args.yes and not say.agreed(f"Start all {count:,} runs?"):
        raise UserError(f"The grid has {count:,} runs; give fewer values, or say it again with --yes.")
    members = sweep.grid(base, axes, args.seeds, name, args.top)
    runs = sweep.create(members, runs_dir)
    if not args.print:
        queue.add_sweep(runs)
    if args.json:
        say.document({"sweep": name, "runs": [run.name for run in runs]})
        return 0
    if args.print:
        for run in runs:
            say.line(shlex.join([sys.executable, "-m", "engine", "train", str(run.path.resolve())]))
        return 0
    say.line(f"{name}: {len(runs)} runs in the queue; `mgl-tui sweep --name {name}` says what has come of them.")
    for run in runs:
        say.line(f"  {run.name}")
    return 0


def _cost(runs_dir: Path, base: config.Settings, axes: sweep.Axes, seeds: int) -> str:
    """Minutes and GB of the grid, from the newest run of the same model that this machine has measured."""
    runs, found = sweep.size(axes) * seeds, sweep.cost(base, axes, seeds, store.Store(runs_dir).summaries())
    if found is None:
        return f"{runs} runs; no run of {base.model.base} was measured here, so what they take is not known."
    return f"{runs} runs: {found.words()}, going by {found.like}."


def _free(runs_dir: Path) -> str:
    """The first of sweep, sweep-2, ... that no run's name begins with."""
    names = [path.name for path in runs_dir.iterdir()] if runs_dir.is_dir() else []
    n, name = 1, "sweep"
    while any(other == name or (other.startswith(f"{name}-") and not _numbered(other, name)) for other in names):
        n += 1
        name = f"sweep-{n}"
    return name


def _numbered(other: str, name: str) -> bool:
    return other.removeprefix(f"{name}-").split("-")[0].isdecimal()


def _tell(found: sweep.Ranking, as_json: bool) -> int:
    if as_json:
        say.document(_data(found))
        return 0
    rows = []
    for group in found.groups:
        changed = ", ".join(f"{name.split('.')[1]} {value}" for name, value in group.values.items()) or "as the parent"
        states = ", ".join(f"{group.states.count(state)} {state}" for state in dict.fromkeys(group.states))
        rows.append([changed, _number(group.mean), _number(group.spread), states, ", ".join(group.runs)])
    say.table(["settings", "best valid", "spread of seeds", "states", "runs"], rows)
    for member, why in found.failed.items():
        say.line(f"{member} failed: {why}")
    say.line(found.verdict())
    return 0


def _data(found: sweep.Ranking) -> dict[str, Any]:
    groups = [
        {
            "values": dict(group.values), "runs": list(group.runs), "states": list(group.states),
            "best_valid": list(group.best), "mean": _known(group.mean), "spread": _known(group.spread),
        }
        for group in found.groups
    ]  # fmt: skip
    return {
        "sweep": found.name,
        "settled": found.settled,
        "verdict": found.verdict(),
        "groups": groups,
        "failed": dict(found.failed),
    }


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "-"


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
