"""Keeping house among runs: rename, archive, delete, and free what a run holds without need.

A run is known to others by its name: as their parent, as the adapter they begin from, in the queue, among the marks.
Who renames it takes all of these along, or is refused before anything has changed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from engine.contract import config, liveness
from engine.contract.errors import UserError
from engine.contract.rundir import ARCHIVE, RunDir, checked_name, list_runs, write_atomically
from tui.runs import disk, queue, remembered, sessions


def rename(run: RunDir, name: str) -> RunDir:
    """Give a run another name, and tell it to whoever knows it by the old one.

    Raises UserError, and nothing has changed, for a name that is taken or none, for a run that an engine holds, and
    where an unfinished run could not go on with the new name in its settings.
    """
    new = RunDir(run.path.with_name(checked_name(name)))
    if new == run:
        raise UserError(f"{name} is its name already.")
    refuse_held(run, "renamed")
    if os.path.lexists(new.path):
        raise UserError(f"{new.path} exists and is never overwritten; take another name.")
    changed = _pointed(run, new)
    with queue.edited(folder_of(run)) as names:
        try:
            run.path.rename(new.path)
        except OSError as error:
            raise UserError(f"{run.path} cannot be renamed ({error.strerror}).") from None
        if run.path.parent.name != ARCHIVE:
            names[:] = [new.name if waiting == run.name else waiting for waiting in names]
    if run.path.parent.name != ARCHIVE:
        with suppress(OSError, ValueError, LookupError, AttributeError, TypeError):
            # A session that cannot be written says of the clips that they are missing.
            sessions.renamed(folder_of(run), run.name, new.name)
    _tell(changed, run, new)
    _remember(run.path, new.path)
    return new


def _pointed(old: RunDir, new: RunDir) -> list[tuple[RunDir, config.Settings]]:
    """The runs whose settings name the old run, with the settings that name the new one. UserError where one may not
    change: an unfinished run goes on with the settings it began with, or not at all."""
    found = []
    for other, settings in _naming(old.name, everywhere(folder_of(old))):
        table = settings.model_dump()
        for values in table.values():
            for key, value in values.items():
                values[key] = _renamed(value, old, new)
        if table["run"]["parent"] == old.name:
            table["run"]["parent"] = new.name
        sibling, colon, which = table["lora"]["start_from"].rpartition(":")
        if colon and sibling == old.name and old.path.parent.name != ARCHIVE:
            table["lora"]["start_from"] = f"{new.name}:{which}"
        if table == settings.model_dump():
            continue
        parsed = config.parse(table, str(other.config))
        begun = liveness.state_of(other).state in ("running", "stopped", "failed", "lost")
        if begun and other != old and (parsed.lora, parsed.model) != (settings.lora, settings.model):
            raise UserError(
                f"{other.name} began with what {old.name} holds and is not done; let it come to its end, or archive "
                f"it, before {old.name} gets another name."
            )
        found.append((new if other == old else other, parsed))
    return found


def _renamed(value: object, old: RunDir, new: RunDir) -> object:
    """A path into the old folder as one into the new one; anything else as it is."""
    here = str(old.path.resolve())
    if isinstance(value, str) and (value == here or value.startswith(f"{here}/")):
        return str(new.path.resolve()) + value[len(here) :]
    return value


def _tell(changed: list[tuple[RunDir, config.Settings]], old: RunDir, new: RunDir) -> None:
    left = [other.name for other, settings in changed if not _written(other, settings)]
    if left:
        raise UserError(
            f"{old.name} is now {new.name}, but config.toml of {', '.join(left)} cannot be written and still names "
            f"{old.name}: mend it by hand."
        )


def _written(run: RunDir, settings: config.Settings) -> bool:
    with suppress(OSError):
        write_atomically(run.config, config.dumps(settings))
        return True
    return False


def _remember(old: Path, new: Path | None) -> None:
    """Keep the marks and the opened folders where the runs went."""
    paths = {str(old): new, str(old.resolve()): new}

    def moved(kept: list[str]) -> list[str]:
        found = (paths.get(path, Path(path)) for path in kept)
        return [str(path) for path in found if path is not None]

    def how(kept: remembered.Remembered) -> None:
        kept.opened = moved(kept.opened)
        kept.marked = {folder: moved(runs) for folder, runs in kept.marked.items()}

    known = remembered.load()
    if any(path in paths for runs in (known.opened, *known.marked.values()) for path in runs):
        remembered.change(how)


def archive(run: Path, runs_dir: Path) -> Path:
    """Move a run to the archive folder, or out of it; returns where it is now. UserError when that cannot be."""
    folder = runs_dir if run.parent.name == ARCHIVE else runs_dir / ARCHIVE
    target = folder / run.name
    refuse_held(RunDir(run), "moved")
    refuse_needed(RunDir(run), "archived")
    if target.exists():
        raise UserError(f"{target} exists; rename one of the two runs first.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _unqueue(RunDir(run))
        run.rename(target)
    except OSError as error:
        raise UserError(f"{run} cannot be moved to {folder} ({error.strerror}).") from None
    return target


def delete(run: RunDir) -> None:
    """Delete a run for good. UserError for one that an engine holds, or that a run that waits begins from."""
    refuse_held(run, "deleted")
    refuse_needed(run, "deleted")
    gone = run.path.with_name(f".{run.name}.gone")
    try:
        _unqueue(run)
        # Renamed first: a half-removed folder must not look like a run.
        run.path.rename(gone)
        shutil.rmtree(gone)
    except OSError as error:
        raise UserError(f"{run.path} cannot be deleted ({error.strerror}).") from None
    _remember(run.path, None)


def _unqueue(run: RunDir) -> None:
    if run.path.parent.name != ARCHIVE:
        queue.remove(run)


def refuse_held(run: RunDir, what: str) -> None:
    if liveness.is_held(run):
        raise UserError(f"{run.name} is being worked on by an engine; stop it before it is {what}.")


def refuse_needed(run: RunDir, what: str) -> None:
    """Raises UserError when a run that has not begun will begin from what this one holds."""
    if run.path.parent.name == ARCHIVE:
        return
    here = f"{run.path.resolve()}/"
    for other, settings in _naming(run.name, list_runs(folder_of(run))):
        start = settings.lora.start_from
        named = start.startswith(here) or start in (f"{run.name}:best", f"{run.name}:final")
        if named and liveness.state_of(other).state == "waiting":
            raise UserError(f"{other.name}, which waits, begins from {run.name}; it cannot be {what} before that.")


def told_of(run: RunDir) -> str:
    """Who loses something when a run is deleted, as the end of a sentence; empty for nobody."""
    heard = [f"the session {membership.session.name} has its clips" for membership in sessions.of_run(run.path)]
    made = children(run)
    return "".join(f"; {part}" for part in [*heard, *([f"{', '.join(made)} came from it"] if made else [])])


def children(run: RunDir) -> list[str]:
    """Names of the runs that were made from this one."""
    known = _naming(run.name, everywhere(folder_of(run)))
    return [other.name for other, settings in known if settings.run.parent == run.name]


def _naming(name: str, runs: Iterable[RunDir]) -> Iterator[tuple[RunDir, config.Settings]]:
    """The runs whose settings hold a name somewhere, with those settings; what cannot be read is left out."""
    for run in runs:
        with suppress(OSError, UserError):
            # Of hundreds of runs few name another, and reading settings takes its time.
            if name.encode() in run.config.read_bytes():
                yield run, run.settings()


def folder_of(run: RunDir) -> Path:
    """The runs folder that a run belongs to, also from the archive."""
    return run.path.parent.parent if run.path.parent.name == ARCHIVE else run.path.parent


def everywhere(runs_dir: Path) -> list[RunDir]:
    """The runs of a folder and those in its archive."""
    return [*list_runs(runs_dir), *list_runs(runs_dir / ARCHIVE)]


def could_go(run: RunDir, state: str, held: disk.Holds) -> tuple[int, str]:
    """Bytes of a run that nothing needs any more, or 0 and why there are none.

    Those of a run that is done only serve to make clips by a step between (``evaluate --models step-000200``).
    """
    if not held.checkpoints:
        return 0, f"{run.name} holds no checkpoints."
    if state != "done":
        return 0, f"{run.name} is {state}: its checkpoints are what resume goes on from."
    here = f"{run.checkpoints.resolve()}/"
    for other, settings in _naming(run.name, list_runs(folder_of(run))):
        if settings.lora.start_from.startswith(here) and liveness.state_of(other).state == "waiting":
            return 0, f"{other.name}, which waits, begins from a checkpoint of {run.name}."
    return held.checkpoints, ""


def remove_checkpoints(run: RunDir) -> int:
    """Remove the checkpoints of a run that is done; returns the bytes. UserError where something still needs them."""
    refuse_held(run, "cleaned")
    size, why = could_go(run, liveness.state_of(run).state, disk.holds(run.path))
    if why:
        raise UserError(why)
    gone = run.path / ".checkpoints.gone"
    try:
        run.checkpoints.rename(gone)
        shutil.rmtree(gone)
    except OSError as error:
        raise UserError(f"{run.checkpoints} cannot be removed ({error.strerror}).") from None
    return size
