"""The line that a person keeps on a run, in ``comment.txt`` of its folder."""

from __future__ import annotations

from pathlib import Path

from engine.contract.errors import UserError
from engine.contract.rundir import write_atomically
from engine.contract.text import plain

FILE = "comment.txt"
LONGEST = 200


def read(run: Path) -> str:
    """The line that a person keeps on a run; empty without one."""
    try:
        text = (run / FILE).read_bytes()[: 4 * LONGEST].decode("utf-8", "replace")
    except OSError:
        return ""
    return text.split("\n")[0].strip()[:LONGEST]


def write(run: Path, text: str) -> str:
    """Keep a line on a run, or none when it is empty; returns what is kept. UserError when it cannot be written."""
    kept = plain(text).strip()
    if len(kept) > LONGEST:
        raise UserError(f"A comment is one line of {LONGEST} characters at most; this one has {len(kept)}.")
    path = run / FILE
    try:
        if kept:
            write_atomically(path, kept + "\n")
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); the comment is not kept.") from None
    return kept
