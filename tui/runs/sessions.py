"""Blind sessions across runs: ``sessions/NAME/`` beside the runs.

Such a folder is laid out as a run's clips and what was said of them are (evaluation/, review/, notes.md), so whatever
takes those takes a session. ``session.json`` says which runs it is about; the clips are links into them.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.contract import typed
from engine.contract.rundir import ARCHIVE, write_atomically

FOLDER = "sessions"
FILE = "session.json"


class Member(msgspec.Struct, kw_only=True):
    """One of the runs."""

    name: str
    """What it is called in the session, once the names are shown."""
    run: str
    """Its folder: relative to the runs folder where it lies in there, else absolute."""
    model: str = "best"
    """Which of its models is heard."""


class Across(msgspec.Struct, kw_only=True):
    """What ``session.json`` holds."""

    created: float = 0.0
    members: list[Member]
    said: list[str] = []
    """What was left out, and why."""


class Source(msgspec.Struct, kw_only=True):
    """Where a clip of a session comes from, and what it was then."""

    file: str
    """Relative to the runs folder where it lies in there, else absolute."""
    item: str = ""
    """Key of the prompt in the run's own evaluation."""
    model: str = ""
    size: typed.Count = 0
    changed: typed.Int = 0
    """Nanoseconds of the last change."""
    digest: str = ""
    """BLAKE2b of the file, 16 bytes."""


class Membership(NamedTuple):
    """A session that a run is a member of."""

    session: Path
    member: Member


def folder(runs_dir: Path) -> Path:
    """Where the sessions lie."""
    return Path(runs_dir) / FOLDER


def all_of(runs_dir: Path) -> list[Path]:
    """The folders of all sessions, by name."""
    try:
        found = [Path(entry.path) for entry in os.scandir(folder(runs_dir)) if not entry.name.startswith(".")]
    except OSError:
        return []
    return sorted(path for path in found if os.path.isfile(path / FILE))


def is_session(path: Path) -> bool:
    """Whether a folder holds a session across runs."""
    return os.path.isfile(Path(path) / FILE)


def read(session: Path) -> Across | None:
    """What a session is about; None when that cannot be read."""
    try:
        return typed.load(session / FILE, Across).value
    except typed.Unreadable:
        return None


def written(path: Path, runs_dir: Path) -> str:
    """How the path of a run, or of a file in it, is kept: a runs folder may be moved as a whole."""
    path, runs_dir = Path(os.path.abspath(path)), Path(os.path.abspath(runs_dir))
    return str(path.relative_to(runs_dir)) if path.is_relative_to(runs_dir) else str(path)


def found(kept: str, runs_dir: Path) -> Path:
    """The path that was kept; in the archive, for a run that was put there meanwhile."""
    path, away = Path(runs_dir) / kept, Path(runs_dir) / ARCHIVE / kept
    return away if not os.path.lexists(path) and os.path.lexists(away) else path


def moved(clips: Path, source: Source) -> Path | None:
    """The file of a clip whose link leads nowhere: the run may have been put into the archive. None when it is gone.

    ``clips`` is the folder of clips in a session.
    """
    path = found(source.file, clips.parent.parent.parent)
    return path if os.path.isfile(path) else None


def source_of(path: Path, runs_dir: Path, item: str, model: str) -> Source:
    """A clip as it is now. Raises OSError."""
    status = path.stat()
    return Source(
        file=written(path, runs_dir), item=item, model=model, size=status.st_size, changed=status.st_mtime_ns,
        digest=digest(path),
    )  # fmt: skip


def is_as_it_was(path: Path, source: Source) -> bool:
    """Whether a file is the clip that the session was made with; a copy of it is."""
    try:
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) == (source.size, source.changed):
            return True
        return status.st_size == source.size and digest(path) == source.digest
    except OSError:
        return False


def digest(path: Path) -> str:
    """BLAKE2b of a file, 16 bytes in hexadecimal. Raises OSError."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def by_run(runs_dir: Path) -> dict[Path, list[Membership]]:
    """The sessions that each run is a member of."""
    members: dict[Path, list[Membership]] = {}
    for session in all_of(runs_dir):
        across = read(session)
        for member in across.members if across is not None else ():
            run = Path(os.path.abspath(found(member.run, runs_dir)))
            members.setdefault(run, []).append(Membership(session, member))
    return members


def of_run(run: Path) -> list[Membership]:
    """The sessions that a run of the same runs folder is a member of."""
    run = Path(os.path.abspath(run))
    return by_run(run.parent.parent if run.parent.name == ARCHIVE else run.parent).get(run, [])


def renamed(runs_dir: Path, old: str, new: str) -> None:
    """A run has another name: its sessions find its clips there. Raises OSError."""
    for session in all_of(runs_dir):
        across = read(session)
        if across is None or not any(_in_run(member.run, old) for member in across.members):
            continue
        for member in across.members:
            member.run = _at(member.run, old, new)
        write_atomically(session / FILE, as_text(across))
        for results in session.glob("evaluation*/comparison_results.jsonl"):
            lines = [json.loads(line) for line in results.read_bytes().split(b"\n") if line.strip()]
            for line in lines:
                for model, source in line["sources"].items():
                    if _in_run(source["file"], old):
                        source["file"] = _at(source["file"], old, new)
                        link(results.parent / line["models"][model], Path(runs_dir) / source["file"])
            write_atomically(results, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def link(at: Path, clip: Path) -> None:
    """Link a clip into a session, so that the runs folder may be moved as a whole. Raises OSError."""
    at.parent.mkdir(parents=True, exist_ok=True)
    at.unlink(missing_ok=True)
    runs_dir = at.parents[4]
    inside = Path(os.path.abspath(clip)).is_relative_to(os.path.abspath(runs_dir))
    at.symlink_to(os.path.relpath(clip, at.parent) if inside else os.path.abspath(clip))


def as_text(across: Across) -> str:
    """The content of ``session.json``."""
    return json.dumps(typed.data(across), indent=1, ensure_ascii=False) + "\n"


def _in_run(kept: str, name: str) -> bool:
    return Path(kept).parts[:1] == (name,)


def _at(kept: str, old: str, new: str) -> str:
    return str(Path(new, *Path(kept).parts[1:])) if _in_run(kept, old) else kept
