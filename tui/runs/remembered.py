"""What the panel keeps from one start to the next on this machine: nothing that a run depends on.

It lies in the cache folder; a lost or damaged file costs a choice, so neither is an error.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.contract import paths, typed
from engine.contract.errors import UserError
from engine.contract.rundir import write_atomically


class Remembered(msgspec.Struct, kw_only=True):
    theme: str = ""
    """Chosen in the palette; empty for the one of the settings."""
    opened: list[str] = []
    """Folders of clips that were opened by their path."""
    marked: dict[str, list[str]] = {}
    """Runs marked for Compare, by the runs folder."""
    data: dict[str, str] = {}
    """The data folder that was chosen in Data, by the runs folder."""
    page_token: str = ""
    """The secret part of the address of the page that plays, so that a page that is open finds the next panel."""


def load() -> Remembered:
    """What was kept; nothing where there is no file, or none that can be read."""
    try:
        return typed.load(_file(), Remembered).value
    except UserError:
        return Remembered()


def change(how: Callable[[Remembered], None]) -> None:
    """Keep a change. The file is the user's alone: the token in it opens their page."""
    kept = load()
    how(kept)
    with suppress(OSError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_atomically(_file(), json.dumps(typed.data(kept), indent=1) + "\n", mode=0o600)


def folders(kept: Sequence[str]) -> list[Path]:
    """Those that are still there."""
    there = []
    for path in map(Path, kept):
        with suppress(OSError, ValueError):  # a damaged file may hold what can be no path
            there += [path] * path.is_dir()
    return there


def page_token() -> str:
    """The token of this machine's page, the same at every start."""
    token = load().page_token
    if len(token) < 16 or not token.isascii() or not all(c.isalnum() or c in "-_" for c in token):
        token = secrets.token_urlsafe(16)
        change(lambda kept: setattr(kept, "page_token", token))
    return token


def _file() -> Path:
    return paths.cache_dir() / "panel.json"
