"""mgl-tui prepare: raw tracks into a data set, by the engine in a process of its own."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from engine.contract import paths
from engine.contract.errors import UserError
from tui.commands import say
from tui.commands.speaking import Speaking

SURE_AFTER = 3.0
"""Seconds from which on what is left can be told."""
PLAIN_EVERY = 10.0
"""Seconds between two lines of progress in a log."""


def prepare(args: argparse.Namespace) -> int:
    """Show the progress and what came of it; ctrl-c keeps what is done."""
    out = paths.expanded(args.out).absolute()
    progress = _Progress()
    status = 1
    try:
        engine = Speaking(_words(args, out))
        for told in engine:
            if "summary" in told:
                progress.end()
                status = _show(told["summary"], as_json=args.json)
            elif "done" in told:
                progress.show(int(told["done"]), int(told["total"]))
        if engine.status == 130:
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        progress.end()
        say.aside(f"interrupted after {progress.done} of {progress.total} tracks; the same command goes on from there")
        return 130
    if engine.status == 2:
        say.aside(f"mgl-tui prepare: error: {engine.last}")
        return 2
    if engine.status:
        raise UserError(engine.last)
    return status


def _words(args: argparse.Namespace, out: Path) -> list[str]:
    words = ["prepare", "--out", str(out), "--parent", str(os.getpid())]
    words += ["--seconds", repr(args.seconds), "--overlap", repr(args.overlap), "--valid", repr(args.valid)]
    words += ["--seed", str(args.seed), f"--add={args.add}", *["--exact"] * args.exact, *["--behind"] * args.behind]
    words += [f"--captions={args.captions}"] if args.captions else []
    return [*words, "--", *(str(paths.expanded(source).absolute()) for source in args.source)]


def _show(summary: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        say.document(summary)
        return 0 if summary["clips"] else 1
    for line in summary["lines"]:
        say.line(line)
    if summary["clips"]:
        say.aside(f"next: mgl-tui check --set {shlex.quote('data.dir=' + summary['out'])}")
        return 0
    return 1


class _Progress:
    """Tracks done, in one line that is written over; in a log now and then a line."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self._first: tuple[int, float] | None = None
        self._said = time.monotonic()

    def show(self, done: int, total: int) -> None:
        now = time.monotonic()
        self.done, self.total = done, total
        if self._first is None:
            self._first = (done, now)
        text = f"{done} of {total} tracks{self._left(now)}"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{text:<60}")
            sys.stderr.flush()
        elif now - self._said >= PLAIN_EVERY:
            self._said = now
            say.aside(text)

    def _left(self, now: float) -> str:
        first, began = self._first or (0, now)
        if self.done <= first or self.done == self.total or now - began < SURE_AFTER:
            return ""
        seconds = (now - began) / (self.done - first) * (self.total - self.done)
        return f", {seconds:.0f} s left" if seconds < 100 else f", {seconds / 60:.0f} min left"

    def end(self) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{'':<60}\r")
            sys.stderr.flush()
