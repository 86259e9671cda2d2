"""mgl-tui prepare: raw tracks into a data set, by the engine in a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.contract import paths
from engine.contract.errors import UserError
from tui.commands import say

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
        for told in _told(_command(args, out)):
            if "summary" in told:
                progress.end()
                status = _show(told["summary"], as_json=args.json)
            else:
                progress.show(int(told["done"]), int(told["total"]))
    except KeyboardInterrupt:
        progress.end()
        say.aside(f"interrupted after {progress.done} of {progress.total} tracks; the same command goes on from there")
        return 130
    return status


def _command(args: argparse.Namespace, out: Path) -> list[str]:
    command = [sys.executable, "-m", "engine", "prepare", "--out", str(out), "--parent", str(os.getpid())]
    command += ["--seconds", repr(args.seconds), "--overlap", repr(args.overlap), "--valid", repr(args.valid)]
    command += ["--seed", str(args.seed), f"--add={args.add}", *["--exact"] * args.exact, *["--behind"] * args.behind]
    command += [f"--captions={args.captions}"] if args.captions else []
    return [*command, "--", *(str(paths.expanded(source).absolute()) for source in args.source)]


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


def _told(command: list[str]) -> Iterator[dict[str, Any]]:
    """What the engine says, as it comes. Raises UserError with its reason when it ends without a data set."""
    with tempfile.TemporaryFile("w+") as words:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words, text=True,
            cwd=Path(__file__).resolve().parents[2],
        )  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield json.loads(line)
            status = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()
        words.seek(0)
        last = words.read().strip().splitlines()[-1:] or [f"its process ended with {status}"]
    if status == 130:
        raise KeyboardInterrupt
    if status == 2:
        say.aside(f"mgl-tui prepare: error: {last[0]}")
        raise SystemExit(2)
    if status:
        raise UserError(last[0])
