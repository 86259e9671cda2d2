"""What a shell completes: names of runs, and settings with what they may be."""

from __future__ import annotations

import argparse
from typing import Any

from engine.contract import config, rundir
from engine.contract.errors import UserError
from engine.contract.text import plain
from tui.commands import find


def runs(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Names of the runs in the runs folder; none when the settings cannot be read."""
    try:
        # A shell would write the others as they are.
        return [run.name for run in rundir.list_runs(find.runs_dir(parsed_args)) if plain(run.name) == run.name]
    except UserError:
        return []


def settings(prefix: str, **_: Any) -> list[str]:
    """``section.name=`` of every setting, or of the one that is begun ``section.name=value`` for each choice."""
    name, equals, _value = prefix.partition("=")
    known = config.fields()
    if not equals:
        return [f"{name}=" for name in known]
    return [f"{name}={choice}" for choice in config.choices(known[name])] if name in known else []


def names(prefix: str, **_: Any) -> list[str]:
    """Names of all settings."""
    return list(config.fields())
