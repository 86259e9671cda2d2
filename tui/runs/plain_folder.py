"""A folder of sound files without any record: heard by file name, the same name in each subfolder a model."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from engine.contract.data.metadata import MANIFESTS, TABLES
from engine.contract.rundir import is_run
from engine.contract.sound import FORMATS

DEEPEST = 2
"""Levels of subfolders that are looked into."""
_NUMBERS = re.compile(r"(\d+)")


def is_one(folder: Path) -> bool:
    """Whether a folder holds sound, and is no run and no data set."""
    return next(_sounds(folder), None) is not None


def by_name(folder: Path) -> dict[str, dict[str, str]]:
    """File name without its ending -> model -> file, relative to ``folder``; a model is a subfolder, or the folder."""
    groups: dict[str, dict[str, str]] = {}
    for path in _sounds(folder):
        place = path.relative_to(folder).parent
        model = "-".join(place.parts).removesuffix("_model") or folder.name
        group = groups.setdefault(path.stem, {})
        if model in group:  # the same name with another ending
            group = groups.setdefault(path.name, {})
        group[model] = str(path.relative_to(folder))
    return dict(sorted(groups.items(), key=lambda item: _natural(item[0])))


def _natural(name: str) -> list[tuple[int, str]]:
    """A name as people sort it: 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in _NUMBERS.split(name)]


def _sounds(folder: Path) -> Iterator[Path]:
    if is_run(folder) or any(os.path.isfile(folder / name) for name in (*TABLES, *MANIFESTS)):
        return
    for place, folders, names in os.walk(folder):
        deep = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(
            name
            for name in folders
            if deep < DEEPEST and not name.startswith((".", "evaluation")) and not is_run(Path(place, name))
        )
        for name in sorted(names):
            if Path(name).suffix.lower() in FORMATS and not name.startswith("."):
                yield Path(place, name)
