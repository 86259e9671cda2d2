"""The panel itself, and the two ways straight into one of its places."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui.commands import find, say


def panel(args: argparse.Namespace) -> int:
    return _run(args, mode="runs")


def review(args: argparse.Namespace) -> int:
    """Listen to a run, or blind to several at once; clips that are missing are made first."""
    chosen = [find.run_or_clips(args, name) for name in args.run]
    open_run = chosen[0] if len(chosen) == 1 else _across(args, [run.path for run in chosen])
    return _run(args, mode="listen", open_run=open_run, listener=args.listener)


def _across(args: argparse.Namespace, paths: list[Path]) -> RunDir:
    """The session across these runs."""
    from tui.commands.rounds import make_clips
    from tui.review import across

    missing = across.without_clips(paths)
    if missing:
        _need_a_terminal()
    for run in missing:
        say.aside(f"{run.name}: its clips are made first")
        make_clips(run)
    session = across.open_across(find.runs_dir(args), paths)
    say.aside(f"{session}: a blind session across {len(across.distinct(paths))} runs")
    return RunDir(session)


def replay(args: argparse.Namespace) -> int:
    if not args.speed > 0:
        raise UserError(f"--speed {args.speed} is not above 0; 20 is twenty times as fast as it was.")
    return _run(args, mode="monitor", open_run=find.run(args, args.run), replay=args.speed)


def _need_a_terminal() -> None:
    if not sys.stdout.isatty() or not sys.stdin.isatty():
        raise UserError(
            "The panel needs a terminal; over ssh use `ssh -t`, in scripts the subcommands (mgl-tui --help)."
        )


def _run(args: argparse.Namespace, **where: Any) -> int:
    _need_a_terminal()
    settings = find.settings(args)
    from tui.app import run_panel

    return int(run_panel(find.runs_dir(args), settings=settings, **where) or 0)
