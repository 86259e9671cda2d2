"""Which files are tracks: folders are walked, links followed, and what is passed over is counted."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.contract.errors import UserError

LIBSNDFILE = frozenset((
    ".wav", ".wave", ".flac", ".mp3", ".mp2", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf",
    ".w64", ".rf64", ".voc", ".paf", ".svx",
))  # fmt: skip
"""What a folder is searched for and libsndfile reads."""
FFMPEG = frozenset((
    ".m4a", ".m4b", ".aac", ".mp4", ".wma", ".mka", ".mkv", ".webm", ".mov", ".ape", ".wv", ".mpc", ".tta", ".alac",
    ".ac3", ".eac3", ".dts", ".amr", ".3gp", ".dsf", ".dff", ".ra", ".spx", ".tak",
))  # fmt: skip
"""What a folder is searched for and ffmpeg reads."""
BESIDE = frozenset((".txt", ".json", ".jsonl", ".csv"))
"""What holds captions, and is no track."""


@dataclass(frozen=True)
class Source:
    """One track: its absolute path, links as they are, and the folders between what was named and the file."""

    path: Path
    folders: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The path as text that any file can hold, whatever bytes the name is of."""
        return os.fsencode(self.path).decode("utf-8", "backslashreplace")


@dataclass
class Found:
    tracks: list[Source] = field(default_factory=list)
    other: Counter[str] = field(default_factory=Counter)
    """Files that are no audio by their name, by suffix."""
    closed: list[tuple[Path, str]] = field(default_factory=list)
    """Folders and files that cannot be looked into, and why."""


def find(named: list[Path], out: Path) -> Found:
    """The tracks of files and folders, in the order named and then by name; none twice, none that prepare made.

    Raises UserError for what does not exist.
    """
    found, seen = Found(), set()
    made = _made(named, out)
    for source in named:
        top = Path(os.path.abspath(source))
        try:
            is_folder = stat.S_ISDIR(top.stat().st_mode)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UserError(f"{source} cannot be read ({reason}); name a file or a folder that is there.") from None
        files = _walk(top, made, found) if is_folder else [top]
        for path in files:
            if path not in seen and (not is_folder or _is_track(path, found)):
                seen.add(path)
                found.tracks.append(Source(path, path.relative_to(top).parts[:-1] if is_folder else ()))
    return found


def _made(named: list[Path], out: Path) -> set[str]:
    """Folders that hold what prepare writes. Of a DIR inside a SOURCE that is all of it."""
    real = os.path.realpath(out)
    if any(os.path.realpath(source) == real or Path(os.path.realpath(source)).is_relative_to(real) for source in named):
        return {os.path.join(real, name) for name in ("train", "valid", ".prepare")}
    return {real}


def _walk(top: Path, made: set[str], found: Found) -> Iterator[Path]:
    """Files below ``top`` by name, through links to folders; a folder that a link leads back to is entered once."""
    entered: set[str] = set()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in entered or real in made:
            continue
        entered.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            found.closed.append((folder, (error.strerror or str(error)).lower()))
            continue
        # Hidden files are no tracks: macOS leaves a ._x.mp3 beside every x.mp3.
        entries = [entry for entry in entries if not entry.name.startswith(".")]
        yield from (Path(entry.path) for entry in entries if not entry.is_dir())
        waiting += [Path(entry.path) for entry in reversed(entries) if entry.is_dir()]


def _is_track(path: Path, found: Found) -> bool:
    suffix = path.suffix.lower()
    if suffix in LIBSNDFILE or suffix in FFMPEG:
        return True
    if suffix not in BESIDE:
        found.other[suffix or "no suffix"] += 1
    return False
