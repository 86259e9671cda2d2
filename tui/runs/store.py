"""Summaries of runs, read from their folders. Nothing is stored: a summary is what the log and the lock say.

``Store`` keeps what it has read of each log and goes on from there, so that a look at all runs costs little while one
of them trains. ``summaries`` is the same for one look.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from copy import copy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.contract import config, liveness
from engine.contract import events as event_log
from engine.contract.errors import UserError
from engine.contract.events import AnyEvent, Best, Checkpoint, Start, State, Train, Valid
from engine.contract.rundir import ARCHIVE, RunDir, is_run, list_runs
from engine.contract.tail import FileTail
from tui.runs import comment, disk, gate, plain_folder, sessions
from tui.runs.history import NAN, number

RESULTS = "comparison_results.jsonl"
DISK_EVERY = 30.0
# The engine's writer begins every line {"t": ..., "event": "train"; other writers' lines are parsed like any other.
_TRAIN = b'"event": "train"'


@dataclass
class RunSummary:
    """One line of the list of runs. Losses are NaN and times 0 where they are not known."""

    name: str
    path: Path
    state: str = "waiting"
    phase: str = ""
    error: str = ""
    step: int = 0
    total_steps: int = 0
    epoch: float = NAN
    base_valid: float = NAN
    best_valid: float = NAN
    best_step: int = 0
    valid: list[float] = field(default_factory=list)
    """Valid losses in the order of their steps, the base model's first."""
    non_finite: int = 0
    """Last step whose loss was not a number; 0 if there was none."""
    started: float = 0.0
    last_t: float = 0.0
    seconds_per_step: float = NAN
    device: str = ""
    checkpoint: int = 0
    """Step of the newest checkpoint; 0 if there is none."""
    held: disk.Holds = field(default_factory=disk.Holds)
    """What its folder takes on disk."""
    clips: bool = False
    """It holds clips to listen to."""
    foreign: bool = False
    """A folder of clips without settings and events: another script made them, or it is a session across runs."""
    across: tuple[str, ...] = ()
    """The runs that a session is about, by the names they have in it."""
    settings: config.Settings | None = None
    """None when config.toml cannot be read."""
    changed: list[config.Change] = field(default_factory=list)
    """What differs from the parent."""
    parent: str = ""
    """Name of the run that it was made from, where that is known and still there."""
    listen: str = ""
    """What listening gave: the preferred model's mean score, or how much is judged; empty before the first."""
    comment: str = ""
    """The line that a person keeps on it."""
    gate: str = ""
    """What was decided after listening: extend, adjust or stop; empty before."""

    @property
    def live(self) -> bool:
        return self.state == "running"

    @property
    def resumable(self) -> bool:
        return self.state in ("stopped", "failed", "lost") and not self.foreign

    def as_dict(self) -> dict[str, Any]:
        """The object of ``runs --json``; numbers that are not known are None."""
        return {
            "name": self.name,
            "path": str(self.path),
            "state": self.state,
            "phase": self.phase,
            "error": self.error or None,
            "step": self.step,
            "total_steps": self.total_steps,
            "epoch": _known(self.epoch),
            "best_valid": _known(self.best_valid),
            "best_step": self.best_step,
            "base_valid": _known(self.base_valid),
            "started": self.started or None,
            "seconds_per_step": _known(self.seconds_per_step),
            "device": self.device or None,
            "checkpoint": self.checkpoint or None,
            "disk_bytes": self.held.total,
            "disk": asdict(self.held),
            "comment": self.comment or None,
            "clips": self.clips,
            "listen": self.listen or None,
            "gate": self.gate or None,
            "foreign": self.foreign,
            "across": list(self.across) or None,
        }


def _known(value: float) -> float | None:
    return value if value == value else None


class _Reader:
    """Folds one run's log into a summary, going on where it stopped."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.tail = FileTail(run.events)
        self._kept: RunSummary | None = None
        self._signature: tuple[object, ...] = ()
        self._reset()

    def _reset(self) -> None:
        self.state: State | None = None
        self.any = False
        self.valid: dict[int, float] = {}
        self.facts: dict[str, Any] = {}
        self.first_train: Train | None = None

    def summary(self) -> RunSummary:
        # Of hundreds of runs hardly one changes between two looks: four questions to the system tell.
        signature = _signature(self.run)
        if self._kept is None or self._kept.live or signature != self._signature:
            self._kept, self._signature = self._read(), signature
        return copy(self._kept)

    def _read(self) -> RunSummary:
        while lines := self.tail.poll():
            if self.tail.restarted:
                self._reset()
            for event in event_log.parse(_needed(lines)).events:
                self._add(event)
        return self._summary()

    def _add(self, event: AnyEvent) -> None:
        self.any = True
        facts = self.facts
        facts["last_t"] = event.t
        facts.setdefault("started", event.t)
        match event:
            case State():
                self.state = event
            case Start():
                facts["total_steps"], facts["device"] = event.total_steps, event.device
                self.first_train = None
            case Train():
                self._add_train(event)
            case Valid():
                self.valid[event.step] = number(event.loss)
                if event.base_loss is not None:
                    self.facts["base_valid"] = event.base_loss
            case Best():
                facts["best_valid"], facts["best_step"] = number(event.loss), event.step
            case Checkpoint():
                facts["checkpoint"] = event.step

    def _add_train(self, event: Train) -> None:
        self.facts["step"], self.facts["epoch"] = event.step, number(event.epoch)
        if event.loss is None:
            self.facts["non_finite"] = event.step
        first = self.first_train = self.first_train or event
        if event.step > first.step and event.t > first.t:
            self.facts["seconds_per_step"] = (event.t - first.t) / (event.step - first.step)

    def _summary(self) -> RunSummary:
        run = self.run
        state = liveness.state_from(run, self.state, begun=self.any)
        losses = [self.valid[step] for step in sorted(self.valid)]
        summary = RunSummary(run.name, run.path, state.state, state.phase, state.error, valid=losses, **self.facts)
        if summary.base_valid != summary.base_valid:
            summary.base_valid = self.valid.get(0, NAN)
        if summary.best_valid != summary.best_valid:
            summary.best_valid = min((v for step, v in self.valid.items() if step and v == v), default=NAN)
        summary.clips = bool(evaluation_folders(run.path))
        if not summary.started:
            summary.started = _modified(run.config)
        return summary


def _signature(run: RunDir) -> tuple[object, ...]:
    """What changes when a run does: its log, who holds it, its files, its clips."""
    folder = str(run.path)
    return tuple(_stamp(f"{folder}{name}") for name in ("/events.jsonl", "/lock", "", "/evaluation"))


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _needed(lines: list[bytes]) -> list[bytes]:
    """What a summary needs of the lines: all but the train events that have others on both sides and a loss."""
    kept = []
    train = [line.find(_TRAIN, 0, 60) > 0 for line in lines]
    for at, line in enumerate(lines):
        inside = train[at] and 0 < at < len(lines) - 1 and train[at - 1] and train[at + 1]
        if not inside or b'"loss": null' in line:
            kept.append(line)
    return kept


def _nobody_listened(path: Path) -> str:
    return ""


class Store:
    """All runs of a folder, and folders of clips that were opened by their path."""

    def __init__(self, runs_dir: Path, listening: Callable[[Path], str] = _nobody_listened) -> None:
        """``listening`` says in a few characters what listeners made of a run's clips."""
        self.runs_dir = Path(runs_dir)
        self.listening = listening
        self.opened: list[Path] = []
        self.archived = False
        """Look at the archive instead."""
        self._readers: dict[Path, _Reader] = {}
        self._settings: dict[Path, tuple[float, config.Settings | None]] = {}
        self._across: dict[Path, list[sessions.Membership]] = {}
        self._listen: dict[Path, tuple[object, str]] = {}
        self._disk: dict[Path, tuple[float, int, disk.Holds]] = {}

    @property
    def folder(self) -> Path:
        return self.runs_dir / ARCHIVE if self.archived else self.runs_dir

    def summaries(self) -> list[RunSummary]:
        """Newest first; running ones before all others."""
        runs = list_runs(self.folder)
        self._readers = {run.path: self._readers.get(run.path) or _Reader(run) for run in runs}
        found = [reader.summary() for reader in self._readers.values()]
        known = {summary.path for summary in found}
        others = [] if self.archived else [*sessions.all_of(self.runs_dir), *self.opened]
        foreign = [path for path in (*_foreign(self.folder), *others) if path not in known]
        found += [foreign_summary(path) for path in dict.fromkeys(foreign)]
        self._compare(found)
        return sorted(found, key=lambda s: (not s.live, -s.started))

    def _compare(self, found: list[RunSummary]) -> None:
        """Fill in what needs more than the log: settings and what changed, listening, disk."""
        self._across = sessions.by_run(Path(os.path.abspath(self.runs_dir)))
        for summary in found:
            summary.held = self._disk_of(summary)
            summary.comment = comment.read(summary.path)
            summary.listen = self._listening(summary)
            summary.gate = _decision(summary.path)
            if not summary.foreign:
                summary.settings = self._settings_of(summary.path)
        by_name = {summary.name: summary.settings for summary in found if not summary.foreign}
        for summary in found:
            parent = summary.settings.run.parent if summary.settings is not None else ""
            before = by_name.get(parent)
            if before is not None and summary.settings is not None:
                summary.parent, summary.changed = parent, changes(before, summary.settings)

    def _settings_of(self, path: Path) -> config.Settings | None:
        changed = _modified(path / "config.toml")
        known = self._settings.get(path)
        if known is None or known[0] != changed:
            try:
                known = changed, config.load(path / "config.toml")
            except UserError:
                known = changed, None
            self._settings[path] = known
        return known[1]

    def _listening(self, summary: RunSummary) -> str:
        homes = [summary.path, *(session for session, _ in self._across.get(Path(os.path.abspath(summary.path)), ()))]
        reviews = sorted(review for home in homes for review in home.glob("review/*.json"))
        if not summary.clips or not reviews:
            return ""
        state = [(str(review), _modified(review)) for review in reviews]
        known = self._listen.get(summary.path)
        if known is None or known[0] != state:
            known = self._listen[summary.path] = state, self.listening(summary.path)
        return known[1]

    def _disk_of(self, summary: RunSummary) -> disk.Holds:
        """What the folder takes, measured anew when the log has grown and half a minute has gone by."""
        now, mark = time.monotonic(), hash((summary.last_t, summary.listen, summary.state))
        known = self._disk.get(summary.path)
        if known is None or (known[1] != mark and now - known[0] > DISK_EVERY):
            known = self._disk[summary.path] = now, mark, disk.holds(summary.path)
        return known[2]


def changes(old: config.Settings, new: config.Settings) -> list[config.Change]:
    """Differences that matter for the result: not where runs come from and are kept, nor how the panel looks."""
    quiet = ("panel.", "audio.", "runs.", "run.", "review.", "data.cache_dir")
    return [change for change in config.difference(old, new) if not change.name.startswith(quiet)]


def summaries(runs_dir: Path, listening: Callable[[Path], str] = _nobody_listened) -> list[RunSummary]:
    """All runs of a folder and the folders of clips in it, newest first; [] when there is no such folder."""
    return Store(runs_dir, listening).summaries()


def summary(run: RunDir) -> RunSummary:
    """One run."""
    return _Reader(run).summary()


def evaluation_folders(path: Path) -> list[Path]:
    """Folders of clips in a run, the run's own prompts first; the folder itself if it holds a results file, or sound
    and nothing that says what it is."""
    if os.path.isfile(path / RESULTS):
        return [path]
    try:
        names = sorted(entry.name for entry in os.scandir(path) if entry.name.startswith("evaluation"))
    except OSError:
        return []
    found = [path / name for name in names if os.path.isfile(path / name / RESULTS)]
    return found or ([path] if plain_folder.is_one(path) else [])


def foreign_summary(path: Path) -> RunSummary:
    """Summary of a folder of clips that is no run."""
    changed = _modified(path / RESULTS) or _modified(path)
    about = sessions.read(path) if sessions.is_session(path) else None
    across = tuple(member.name for member in about.members) if about else ()
    started = about.created if about else changed
    return RunSummary(
        path.name, path, "done", started=started, last_t=changed, clips=True, foreign=True, across=across
    )  # fmt: skip


def _decision(path: Path) -> str:
    try:
        made = gate.read(path)
    except UserError:
        # Who asks for the decision itself is told what is wrong with its file.
        return ""
    return made.decision if made is not None else ""


def is_foreign(path: Path) -> bool:
    """Whether a folder is no run but holds clips with their results file."""
    return not is_run(path) and bool(evaluation_folders(path))


def _foreign(runs_dir: Path) -> list[Path]:
    try:
        folders = [Path(entry.path) for entry in os.scandir(runs_dir) if entry.is_dir() and entry.name != ARCHIVE]
    except OSError:
        return []
    return [folder for folder in folders if is_foreign(folder)]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
