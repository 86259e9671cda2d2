"""Keeping house among runs: names, comments, the archive, and what can go from the disk."""

from __future__ import annotations

import argparse

from engine.contract import rundir
from engine.contract.errors import UserError
from engine.contract.rundir import ARCHIVE, RunDir
from tui.commands import find, say
from tui.runs import comment, disk, keeping, store
from tui.text import size


def rename(args: argparse.Namespace) -> int:
    old = find.kept_run(args, args.run)
    new = keeping.rename(old, args.name)
    say.line(f"{old.name} is now {new.name}")
    return 0


def remark(args: argparse.Namespace) -> int:
    """Say a run's comment, or keep another; an empty one takes it away."""
    run = find.run_or_clips(args, args.run)
    kept = comment.read(run.path) if args.text is None else comment.write(run.path, args.text)
    say.line(f"{run.name}: {kept or 'no comment'}")
    return 0


def archive(args: argparse.Namespace) -> int:
    for name in args.run:
        run = find.kept_run(args, name)
        say.line(keeping.archive(run.path, keeping.folder_of(run)))
    return 0


def delete(args: argparse.Namespace) -> int:
    runs = [find.kept_run(args, name) for name in args.run]
    for run in runs:
        keeping.refuse_needed(run, "deleted")
        say.aside(f"{run.name}: {size(disk.usage(run.path))}{keeping.told_of(run)}")
    _ask(args, f"Delete {len(runs)} {'run' if len(runs) == 1 else 'runs'} for good?", "mgl-tui archive puts runs away.")
    for run in runs:
        keeping.delete(run)
        say.line(f"{run.name} is deleted")
    return 0


def clean(args: argparse.Namespace) -> int:
    """Remove checkpoints that nothing needs any more, or all that is in the archive."""
    folder = find.runs_dir(args)
    if args.archive:
        return _empty(args, rundir.list_runs(folder / ARCHIVE))
    named = [find.kept_run(args, name) for name in args.run]
    found = []
    for run in named or rundir.list_runs(folder):
        free, why = keeping.could_go(run, store.summary(run).state, disk.holds(run.path))
        found += [(run, free)] if free else []
        if why and (named or not why.endswith("holds no checkpoints.")):
            say.aside(why)
    if not found:
        say.line("There is nothing that could go.")
        return 0
    for run, free in found:
        say.line(f"{run.name}: checkpoints, {size(free)}")
    total = size(sum(free for _, free in found))
    _ask(args, f"Remove the checkpoints of {len(found)} finished runs, {total}?", "Models and clips stay.")
    for run, _ in found:
        keeping.remove_checkpoints(run)
    say.line(f"{total} are free.")
    return 0


def _empty(args: argparse.Namespace, runs: list[RunDir]) -> int:
    if args.run:
        raise UserError("clean --archive empties the archive; `mgl-tui delete RUN` deletes single runs of it.")
    if not runs:
        say.line("The archive is empty.")
        return 0
    for run in runs:
        say.line(f"{run.name}: {size(disk.usage(run.path))}")
    _ask(args, f"Delete all {len(runs)} runs of the archive for good?", "mgl-tui archive RUN brings one back.")
    for run in runs:
        keeping.delete(run)
    say.line("The archive is empty.")
    return 0


def _ask(args: argparse.Namespace, question: str, otherwise: str) -> None:
    if not args.yes and not say.agreed(question):
        raise UserError(f"Nothing is removed: say yes when asked, or give --yes. {otherwise}")
