"""The panel itself, and the two ways straight into one of its places."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from engine.contract.errors import UserError
from tui.commands import find


def panel(args: argparse.Namespace) -> int:
    return _run(args, mode="runs")


def review(args: argparse.Namespace) -> int:
    return _run(args, mode="listen", open_run=find.run_or_clips(args, args.run), listener=args.listener)


def replay(args: argparse.Namespace) -> int:
    if not args.speed > 0:
        raise UserError(f"--speed {args.speed} is not above 0; 20 is twenty times as fast as it was.")
    return _run(args, mode="monitor", open_run=find.run(args, args.run), replay=args.speed)


def _run(args: argparse.Namespace, **where: Any) -> int:
    if not sys.stdout.isatty() or not sys.stdin.isatty():
        raise UserError(
            "The panel needs a terminal; over ssh use `ssh -t`, in scripts the subcommands (mgl-tui --help)."
        )
    settings = find.settings(args)
    from tui.app import run_panel

    return int(run_panel(find.runs_dir(args), settings=settings, **where) or 0)
