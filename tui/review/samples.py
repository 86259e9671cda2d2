"""Samples of a run's training as a timeline: one clip a prompt and sampled step, each under its step's name.

Hearing them is not blind. Which of them a listener heard is kept in ``review/samples_heard.jsonl``, because a clip of a
blind session can be one of them to the byte (the best model is the weights of some step): what is said of such a
prompt afterwards is not counted as blind.
"""

from __future__ import annotations

import filecmp
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.contract import typed
from engine.contract.errors import UserError
from engine.contract.rundir import SAMPLES, RunDir
from tui.review.evaluation import RESULTS, Clip, Item, open_evaluation
from tui.review.state import read_state

HEARD = "samples_heard.jsonl"
_STEP = re.compile(r"step-(\d+)")


class Timeline(NamedTuple):
    """What was sampled so far."""

    items: tuple[Item, ...] = ()
    steps: tuple[int, ...] = ()
    """Ascending. A prompt may lack the clip of the last one while it is made."""

    def clip(self, item: Item, step: int) -> Clip | None:
        """The clip of a prompt at a step, if its file is there."""
        found = item.clips.get(model_of(step))
        return found if found is not None and found.path is not None else None


class Heard(msgspec.Struct, kw_only=True):
    """A sample that was played under its name."""

    t: float = 0.0
    listener: str
    file: str
    """Below the run's folder."""
    seconds: float = 0.0


def model_of(step: int) -> str:
    return f"step-{step:06d}"


def exist(run: Path) -> bool:
    return (RunDir(run).evaluation(SAMPLES) / RESULTS).is_file()


def changed(run: Path) -> tuple[int, int]:
    """Size and time of the file that names the samples: another pair when clips came."""
    try:
        status = (RunDir(run).evaluation(SAMPLES) / RESULTS).stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def would_spoil(run: Path, listener: str) -> bool:
    """Whether a blind session of this listener on the run's clips lies ahead, or is not over."""
    if not (RunDir(run).evaluation() / RESULTS).is_file():
        return False
    try:
        return read_state(RunDir(run).review(listener)).state.revealed is None
    except UserError:
        return True


def read(run: Path) -> Timeline:
    """The samples of a run; empty while there are none, or when they cannot be read."""
    try:
        found = open_evaluation(RunDir(run).evaluation(SAMPLES))
    except UserError:
        return Timeline()
    steps = (int(named.group(1)) for model in found.models if (named := _STEP.fullmatch(model)))
    return Timeline(found.items, tuple(sorted(steps)))


def note_heard(run: Path, listener: str, clip: Path, seconds: float, *, clock: Callable[[], float] = time.time) -> None:
    """Keep that a listener heard a sample by name. UserError when it cannot be written."""
    path = RunDir(run).review_dir / HEARD
    line = Heard(t=round(clock(), 1), listener=listener, file=str(clip.relative_to(run)), seconds=round(seconds, 1))
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(typed.data(line), ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): that samples were heard is not kept.") from None


def heard(run: Path, listener: str) -> list[Path]:
    """Files of the samples that a listener heard by name."""
    try:
        lines, _ = typed.parse_lines((RunDir(run).review_dir / HEARD).read_bytes(), Heard, HEARD)
    except OSError:
        return []
    return [run / file for file in dict.fromkeys(line.file for _, line in lines if line.listener == listener)]


def among(clips: Sequence[Path], samples: Sequence[Path]) -> bool:
    """Whether one of these clips is, to the byte, one of the samples."""
    return any(_same(clip, sample) for sample in samples for clip in clips)


def _same(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False
