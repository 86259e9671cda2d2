"""The run folder: the names of its files; create, open, list. A run is never overwritten."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.contract.config import Settings, dumps, load, resolved
from engine.contract.errors import UserError

_LEFT_BEHIND = re.compile(r"\..+\.(\d+)\.(part|tmp)|\..+\.gone")
ARCHIVE = "archive"
"""Folder beside the runs for those that are put away."""
_KEPT = (ARCHIVE, "sessions")
"""Names in the runs folder that are no run's."""
SAMPLES = "samples"
"""The prompt set of clips that are made while a run trains, one model a sampled step."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


class RunDir:
    """Paths of one run. Making the object touches nothing on disk."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"RunDir({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunDir) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def engine_log(self) -> Path:
        return self.path / "engine.log"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def best_model(self) -> Path:
        return self.path / "best_model"

    @property
    def final_model(self) -> Path:
        return self.path / "final_model"

    def evaluation(self, set_name: str | None = None) -> Path:
        """Folder of a prompt set: evaluation/ for the run's own prompts, evaluation_NAME/ for another set."""
        return self.path / (f"evaluation_{checked_name(set_name, 'prompt set')}" if set_name else "evaluation")

    @property
    def review_dir(self) -> Path:
        return self.path / "review"

    def review(self, listener: str) -> Path:
        return self.review_dir / f"{checked_name(listener, 'listener')}.json"

    @property
    def gate(self) -> Path:
        return self.review_dir / "gate.json"

    @property
    def tries(self) -> Path:
        """Clips of single prompts that were tried, with their list."""
        return self.path / "tries"

    @property
    def notes(self) -> Path:
        return self.path / "notes.md"

    def settings(self) -> Settings:
        """The run's settings. Raises SettingsError when config.toml is missing or wrong."""
        return load(self.config)


def checked_name(name: str, what: str = "run") -> str:
    """``name`` if it can name a file everywhere, else UserError."""
    if what == "listener" and name == "gate":
        raise UserError("A listener cannot be called gate: the run keeps its decision in review/gate.json.")
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise UserError(
            f"{name!r} is no name for a {what}; take letters, digits, dot, dash and underscore, "
            "beginning with a letter or digit, at most 100."
        )
    if what == "run" and name in _KEPT:
        raise UserError(f"A run cannot be called {name}: that folder beside the runs is kept for other things.")
    return name


def free_name(runs_dir: Path, name: str) -> str:
    """``name`` itself, or the first of name-2, name-3 ... that is not taken."""
    candidate, n = name, 1
    while (Path(runs_dir) / candidate).exists():
        n += 1
        candidate = f"{name}-{n}"
    return candidate


def create(runs_dir: Path, name: str, settings: Settings) -> RunDir:
    """Make the folder and write config.toml. Raises UserError for a bad name or one that exists."""
    checked_name(name)
    runs_dir = Path(runs_dir)
    run = RunDir(runs_dir / name)
    text = dumps(resolved(settings, Path.cwd()))
    made = False
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        run.path.mkdir()
        made = True
        write_atomically(run.config, text)
    except FileExistsError:
        raise UserError(
            f"The run {name} exists in {runs_dir} and is never overwritten; {free_name(runs_dir, name)} is free."
        ) from None
    except OSError as error:
        if made:
            # A folder without settings is no run, and would keep the name.
            shutil.rmtree(run.path, ignore_errors=True)
        raise UserError(f"{run.path} cannot be made ({error.strerror}); choose another runs folder.") from None
    return run


def open_run(path: Path | str) -> RunDir:
    """An existing run. Raises UserError when the folder is none."""
    run = RunDir(Path(path))
    if not os.path.isdir(run.path):
        raise UserError(f"{run.path} is no folder; `mgl-tui runs` lists the runs.")
    if not _may_look_into(run.path):
        raise UserError(f"{run.path} cannot be read: it belongs to another user; ask them to let you.")
    if not is_run(run.path):
        raise UserError(f"{run.path} is no run: it has no config.toml; `mgl-tui runs` lists the runs.")
    return run


def list_runs(runs_dir: Path) -> list[RunDir]:
    """Runs of a folder by name; [] when the folder does not exist."""
    try:
        names = sorted(os.listdir(runs_dir))
    except OSError:
        return []
    return [RunDir(Path(runs_dir) / name) for name in names if os.path.isfile(f"{runs_dir}/{name}/config.toml")]


def is_run(path: Path) -> bool:
    """Whether a folder holds a run that can be read."""
    # Unlike Path.is_file, this is False, and no error, where one may not look.
    return os.path.isfile(path / "config.toml")


def closed(runs_dir: Path) -> list[Path]:
    """Folders of a runs folder that may not be looked into, or it itself; for those the lists of runs say nothing."""
    try:
        folders = [Path(entry.path) for entry in os.scandir(runs_dir) if entry.is_dir()]
    except FileNotFoundError:
        return []
    except OSError:
        return [Path(runs_dir)]
    return sorted(folder for folder in folders if not _may_look_into(folder))


def _may_look_into(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK, effective_ids=True)


def sweep(run: RunDir) -> None:
    """Remove what killed processes left half written in a run. For who holds the run's lock: nobody writes but they."""
    below = [Path(folder) for top in run.path.glob("evaluation*") for folder, _, _ in os.walk(top)]
    for folder in (run.path, run.checkpoints, *below):
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            found = _LEFT_BEHIND.fullmatch(name)
            # The panel, too, writes whole files by way of a .tmp; it needs no lock for that.
            if found and not (found[2] == "tmp" and _lives(int(found[1]))):
                shutil.rmtree(folder / name, ignore_errors=True)
                with suppress(OSError):
                    (folder / name).unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, so that no other panel writes between a look at its files and our own writing.

    Raises OSError.
    """
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def write_atomically(path: Path, content: str | bytes, *, mode: int | None = None) -> None:
    """Write a whole file or nothing: a temporary beside it, flushed to disk, then renamed.

    ``mode`` are the file's permissions; by default what the user's mask leaves.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            # Half a character, which UTF-8 has no bytes for, is written as the escape that JSON reads back as the same.
            file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def keep_copy(path: Path) -> Path:
    """The file as it is beside itself, under a name that is free; it is written once. Raises OSError."""
    content, number = path.read_bytes(), 1
    while (copy := path.with_name(f"{path.name}.kept-{number}")).exists():
        if copy.read_bytes() == content:
            return copy
        number += 1
    write_atomically(copy, content)
    return copy
