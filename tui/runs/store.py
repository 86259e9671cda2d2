"""Summaries of runs, read from their folders. Nothing is stored: a summary is what the log and the lock say.

``Store`` keeps what it has read of each log and goes on from there, so that a look at all runs costs little while one
of them trains. ``summaries`` is the same for one look.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.contract import liveness
from engine.contract.rundir import RunDir, list_runs
from tui.runs.history import NAN, number
from tui.runs.tail import FileTail, parse

RESULTS = "comparison_results.jsonl"
ARCHIVE = "archive"
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
    disk: int = 0
    clips: bool = False
    """It holds clips to listen to."""
    foreign: bool = False
    """A folder of clips that another script made; it has neither settings nor events."""

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
            "disk_bytes": self.disk,
            "clips": self.clips,
            "foreign": self.foreign,
        }


def _known(value: float) -> float | None:
    return value if value == value else None


class _Reader:
    """Folds one run's log into a summary, going on where it stopped."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.tail = FileTail(run.events)
        self._reset()

    def _reset(self) -> None:
        self.state: dict[str, Any] = {}
        self.any = False
        self.valid: dict[int, float] = {}
        self.facts: dict[str, Any] = {}
        self.first_train: dict[str, Any] = {}

    def summary(self) -> RunSummary:
        while lines := self.tail.poll():
            if self.tail.restarted:
                self._reset()
            trains = [line for line in lines if _TRAIN in line[:60]]
            for event in parse([line for line in lines if _TRAIN not in line[:60]] + trains[-1:]):
                self._add(event)
            # A step that is not a number is rare and must not be missed among those that are not parsed.
            for event in parse([line for line in trains if b'"loss": null' in line]):
                self.facts["non_finite"] = int(number(event.get("step"), 0))
        return self._summary()

    def _add(self, event: dict[str, Any]) -> None:
        self.any = True
        name, facts = event["event"], self.facts
        facts["last_t"] = event["t"]
        facts.setdefault("started", event["t"])
        if name == "state":
            self.state = event
        elif name == "start":
            facts["total_steps"] = int(number(event.get("total_steps"), 0))
            facts["device"] = str(event.get("device") or "")
            self.first_train = {}
        elif name == "train":
            self._add_train(event)
        elif name == "valid":
            self.valid[int(number(event.get("step"), 0))] = number(event.get("loss"))
        elif name == "best":
            facts["best_valid"], facts["best_step"] = number(event.get("loss")), int(number(event.get("step"), 0))
        elif name == "checkpoint":
            facts["checkpoint"] = int(number(event.get("step"), 0))

    def _add_train(self, event: dict[str, Any]) -> None:
        step = int(number(event.get("step"), 0))
        self.facts["step"], self.facts["epoch"] = step, number(event.get("epoch"))
        if not self.first_train:
            self.first_train = event
        steps = step - number(self.first_train.get("step"), 0)
        if steps > 0 and event["t"] > self.first_train["t"]:
            self.facts["seconds_per_step"] = (event["t"] - self.first_train["t"]) / steps

    def _summary(self) -> RunSummary:
        run = self.run
        seen: list[dict[str, Any]] = [self.state] if self.state else [{"event": "note"}] if self.any else []
        state = liveness.state_of(run, seen)
        losses = [self.valid[step] for step in sorted(self.valid)]
        summary = RunSummary(run.name, run.path, state.state, state.phase, state.error, valid=losses, **self.facts)
        summary.base_valid = self.valid.get(0, NAN)
        if summary.best_valid != summary.best_valid:
            summary.best_valid = min((v for step, v in self.valid.items() if step and v == v), default=NAN)
        summary.clips = bool(evaluation_folders(run.path))
        summary.disk = disk_usage(run.path)
        if not summary.started:
            summary.started = _modified(run.config)
        return summary


class Store:
    """All runs of a folder, and folders of clips that were opened by their path."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = Path(runs_dir)
        self.opened: list[Path] = []
        self._readers: dict[Path, _Reader] = {}

    def summaries(self) -> list[RunSummary]:
        """Newest first; running ones before all others."""
        runs = list_runs(self.runs_dir)
        self._readers = {run.path: self._readers.get(run.path) or _Reader(run) for run in runs}
        found = [reader.summary() for reader in self._readers.values()]
        known = {summary.path for summary in found}
        foreign = [p for p in (*_foreign(self.runs_dir), *self.opened) if p not in known]
        found += [foreign_summary(path) for path in dict.fromkeys(foreign)]
        return sorted(found, key=lambda s: (not s.live, -s.started))


def summaries(runs_dir: Path) -> list[RunSummary]:
    """All runs of a folder and the folders of clips in it, newest first; [] when there is no such folder."""
    return Store(runs_dir).summaries()


def summary(run: RunDir) -> RunSummary:
    """One run."""
    return _Reader(run).summary()


def evaluation_folders(path: Path) -> list[Path]:
    """Folders of clips in a run, the run's own prompts first; the folder itself if it holds a results file."""
    if (path / RESULTS).is_file():
        return [path]
    try:
        names = sorted(entry.name for entry in os.scandir(path) if entry.name.startswith("evaluation"))
    except OSError:
        return []
    return [path / name for name in names if (path / name / RESULTS).is_file()]


def foreign_summary(path: Path) -> RunSummary:
    """Summary of a folder of clips that is no run."""
    changed = _modified(path / RESULTS) or _modified(path)
    return RunSummary(
        path.name, path, "done", started=changed, last_t=changed, disk=disk_usage(path), clips=True, foreign=True
    )


def is_foreign(path: Path) -> bool:
    """Whether a folder is no run but holds clips with their results file."""
    return not (path / "config.toml").is_file() and bool(evaluation_folders(path))


def _foreign(runs_dir: Path) -> list[Path]:
    try:
        folders = [Path(entry.path) for entry in os.scandir(runs_dir) if entry.is_dir() and entry.name != ARCHIVE]
    except OSError:
        return []
    return [folder for folder in folders if is_foreign(folder)]


def disk_usage(path: Path) -> int:
    """Bytes of all files below a folder; what vanishes meanwhile is left out."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
