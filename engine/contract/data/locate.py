"""Where the audio is that metadata name: as it is written, or as it is meant where that leaves no doubt.

Metadata are written on other machines than they are read on: with backslashes, with the folders of the machine that
made them, with accents as another system writes them, in other letters' case, without the end of the name.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from engine.contract.sound import FORMATS

ELSEWHERE = 0.5
"""Share of the files that are missing under their own folder and must be there under another one."""


def absolute(path: Path) -> Path:
    # Links are not followed: a split may be a folder of links to files that lie elsewhere.
    return Path(os.path.abspath(path))


def locate(names: Sequence[str], bases: Iterable[Path]) -> list[Path]:
    """The audio of each name, relative to the first of ``bases`` that has it; as written where none has."""
    bases = [absolute(base) for base in dict.fromkeys(bases)]
    index = _Index()
    found = {name: _as_meant(name, bases, index) for name in dict.fromkeys(names)}
    missing = [name for name, path in found.items() if path is None]
    found |= _moved(missing, bases, index)
    return [found[name] or absolute(bases[0] / name) for name in names]


def _as_meant(name: str, bases: list[Path], index: _Index) -> Path | None:
    for written in dict.fromkeys((name, *(["/".join(_parts(name))] if "\\" in name else []))):
        for base in bases:
            path = absolute(base / written)
            if path.is_file() or ((found := index.same(path)) and (path := found)):
                return path
    return None


def _parts(name: str) -> tuple[str, ...]:
    """The folders and the file of a path that either system wrote; without a drive."""
    path = PureWindowsPath(name) if "\\" in name else PurePosixPath(name)
    return tuple(part for part in path.parts if part not in (path.anchor, "."))


def _moved(missing: list[str], bases: list[Path], index: _Index) -> dict[str, Path | None]:
    """Files that a folder has been put before, or taken away from, all alike: `/content/drive/set/train/a.wav`."""
    parts = {name: _parts(name) for name in missing}
    folders = [each[:-1] for each in parts.values()]
    shortest = min(map(len, folders), default=0)
    common = next((n for n in range(shortest) if len({each[n] for each in folders}) > 1), shortest)
    for base in bases:
        for away in range(1, common + 1):
            found = {name: index.same(base.joinpath(*each[away:])) for name, each in parts.items()}
            there = [path for path in found.values() if path]
            if there and len(there) >= ELSEWHERE * len(missing):
                return found
    return {}


class _Index:
    """Files of folders by their names as people would call them the same."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, list[str]]] = {}

    def same(self, path: Path) -> Path | None:
        """``path``, or the one file beside it with a name that differs only in how it is written."""
        if path.is_file():
            return path
        folder = path.parent if path.parent.is_dir() else self._folder(path.parent)
        if folder is None:
            return None
        names = self._names(folder).get(_loose(path.name), [])
        if not names and path.suffix.lower() not in FORMATS:
            names = [each for suffix in FORMATS for each in self._names(folder).get(_loose(path.name) + suffix, [])]
        return folder / names[0] if len(names) == 1 else None

    def _folder(self, folder: Path) -> Path | None:
        """A folder whose name is written another way, such as `Train` for `train`."""
        names = self._names(folder.parent).get(_loose(folder.name), []) if folder.parent.is_dir() else []
        return folder.parent / names[0] if len(names) == 1 and (folder.parent / names[0]).is_dir() else None

    def _names(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._folders:
            names: dict[str, list[str]] = {}
            try:
                for name in os.listdir(folder):
                    names.setdefault(_loose(name), []).append(name)
            except OSError:
                pass
            self._folders[folder] = names
        return self._folders[folder]


def _loose(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().strip()
