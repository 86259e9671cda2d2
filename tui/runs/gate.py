"""The gate: what was decided after listening, by whom and why, kept in the run as ``review/gate.json``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import msgspec

from engine.contract import typed
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir, write_atomically

Choice = Literal["extend", "adjust", "stop"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
MEANINGS = {
    "extend": "train on: more epochs, or on from best",
    "adjust": "change one thing: the advice that would teach most",
    "stop": "this is it, or it leads nowhere",
}


class Decision(msgspec.Struct, kw_only=True):
    """One decision. A later one takes its place."""

    decision: Choice
    why: str = ""
    listener: str = ""
    t: float = 0.0


def read(run: Path) -> Decision | None:
    """The decision on a run; None when there is none. UserError when its file cannot be read."""
    path = RunDir(run).gate
    if not path.is_file():
        return None
    try:
        return typed.load(path, Decision).value
    except typed.Unreadable as error:
        raise UserError(f"{error}; decide again with `mgl-tui gate`, which writes it anew.") from None


def decide(run: Path, decision: str, why: str, listener: str, *, clock: Callable[[], float] = time.time) -> Decision:
    """Keep a decision. UserError for one that is none, or a run that cannot be written."""
    if decision not in CHOICES:
        raise UserError(f'"{decision}" is no decision; take one of {", ".join(CHOICES)}.')
    made = Decision(decision=decision, why=why.strip(), listener=listener, t=round(clock(), 3))
    path = RunDir(run).gate
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(typed.data(made), indent=1) + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); the decision is not kept.") from None
    return made


def sentence(made: Decision) -> str:
    """``extend: the groove is there (anna)``."""
    by = f" ({made.listener})" if made.listener else ""
    return f"{made.decision}{f': {made.why}' if made.why else ''}{by}"
