"""The evaluation folder: clips, their codes, comparison_results.jsonl, and the base clips that all runs share."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.contract import config, sound, typed
from engine.contract.errors import UserError
from engine.contract.prompts import Prompt
from engine.contract.rundir import keep_copy, write_atomically
from engine.generate.models import Model

RESULTS = "comparison_results.jsonl"
PLANNED = ("base", "best", "final")
Line = dict[str, Any]


class Stored(msgspec.Struct, kw_only=True):
    """A line as it is read: what is compared with the recipe of a task stays as it is in ``extra``."""

    prompt_id: str | typed.Int | None = None
    repeat: typed.Count = 0
    models: dict[str, str] = {}
    weights: dict[str, str] = {}
    measures: dict[str, dict[str, float | None]] = {}
    extra: dict[str, Any] = {}


@dataclass(frozen=True)
class Task:
    """One line of the results: a prompt and one of its repeats. ``number`` counts prompts from 1."""

    number: int
    prompt: Prompt
    repeat: int
    width: int = 2

    @property
    def stem(self) -> str:
        """Name of its files: 01-slug-of-the-prompt, with -r2 for the second repeat."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.prompt.text.lower()).strip("-")[:48].strip("-") or "prompt"
        return f"{self.number:0{self.width}d}-{slug}" + (f"-r{self.repeat + 1}" if self.repeat else "")

    @property
    def key(self) -> tuple[str, int]:
        return self.prompt.id, self.repeat


def tasks(prompts: Sequence[Prompt], repeats: int) -> list[Task]:
    """All clips of one model, prompt by prompt."""
    width = max(2, len(str(len(prompts))))
    return [Task(n, prompt, repeat, width) for n, prompt in enumerate(prompts, start=1) for repeat in range(repeats)]


def recipe(task: Task, settings: config.Evaluate, arithmetic: str) -> Line:
    """What, besides the weights, decides how a clip sounds; it stands in the task's line."""
    return {
        "text_prompt": task.prompt.text,
        "duration": settings.duration,
        "prompt_id": task.prompt.id,
        "seed": settings.seed,
        "repeat": task.repeat,
        "guidance_scale": settings.guidance_scale,
        "top_k": settings.top_k,
        "top_p": settings.top_p,
        "temperature": settings.temperature,
        "arithmetic": arithmetic,
    }


class Results:
    """The lines of one evaluation folder. What is there already and was made the same way is kept.

    In a distributed run every process keeps the lines of its own tasks in a file of its own, and the first one gathers
    them.
    """

    def __init__(self, folder: Path, recipes: dict[Task, Line], rank: int = 0) -> None:
        self.folder, self.recipes, self.rank = folder, recipes, rank
        self.complaints: list[str] = []
        """What of the lines that are there could not be read; the file as it was is kept beside the new one."""
        self._kept = False
        self.lines: dict[Task, Line] = {}
        before = {(str(line.get("prompt_id")), line.get("repeat")): line for line in self._read()}
        for task, made_as in recipes.items():
            line = before.get(task.key, {})
            kept = all(line.get(name) == value for name, value in made_as.items())
            self.lines[task] = self._line(made_as, line if kept else {})

    def measures_of(self, task: Task, model: Model) -> dict[str, float | None] | None:
        """Measures of a clip that is there and was made with the model's weights; None when it must be made."""
        line = self.lines[task]
        file = line["models"].get(model.name)
        there = file is not None and line["weights"].get(model.name) == model.weights and is_whole(self.folder, file)
        return line["measures"].get(model.name, {}) if there else None

    def add(self, task: Task, model: Model, file: str, measures: dict[str, float | None]) -> bool:
        """Name a clip that is on disk; whether that is news. ``file`` is relative to the evaluation folder."""
        line = self.lines[task]
        news = line["models"].get(model.name) != file or line["weights"].get(model.name) != model.weights
        line["models"][model.name] = file
        line["weights"][model.name] = model.weights
        line["measures"][model.name] = measures
        if model.name in PLANNED:
            line[f"{model.name}_model_file"] = file
        return news

    def say_equal(self, names: Sequence[str]) -> None:
        """Record in every line which models have the same weights."""
        for line in self.lines.values():
            line["same_weights"] = list(names)

    def save(self, mine: Sequence[Task]) -> None:
        """Write what is known so far; a file is there whole or as it was. Raises UserError when the disk is full."""
        if self.rank:
            self._write(self._part(self.rank), [self.lines[task] for task in mine])
            return
        for task, line in self._of_others().items():
            self.lines[task] = self._line(self.recipes[task], line, self.lines[task]["same_weights"])
        made = [line for line in self.lines.values() if line["models"]]
        if made or (self.folder / RESULTS).exists():
            if self.complaints and not self._kept:
                written(self.folder / RESULTS, lambda: keep_copy(self.folder / RESULTS))
                self._kept = True
            self._write(self.folder / RESULTS, made)

    def gather(self) -> None:
        """Take what all processes have saved into one file, and their own files away."""
        self.save([])
        for part in self.folder.glob(f".{RESULTS}.part-*"):
            part.unlink(missing_ok=True)

    def _line(self, made_as: Line, old: Line, same: Sequence[str] = ()) -> Line:
        models = dict(old.get("models") or {})
        planned = {f"{name}_model_file": models.get(name) for name in PLANNED}
        return {
            "text_prompt": made_as["text_prompt"],
            "duration": made_as["duration"],
            **planned,
            **made_as,
            "same_weights": list(same),
            "models": models,
            "weights": dict(old.get("weights") or {}),
            "measures": dict(old.get("measures") or {}),
        }

    def _of_others(self) -> dict[Task, Line]:
        by_key = {task.key: task for task in self.lines}
        found: dict[Task, Line] = {}
        for part in self.folder.glob(f".{RESULTS}.part-*"):
            for line in _read_lines(part)[0]:
                task = by_key.get((str(line.get("prompt_id")), line.get("repeat", 0)))
                if task and all(line.get(name) == value for name, value in self.recipes[task].items()):
                    found[task] = line
        return found

    def _read(self) -> list[Line]:
        lines, self.complaints = _read_lines(self.folder / RESULTS)
        for part in sorted(self.folder.glob(f".{RESULTS}.part-*")):
            lines += _read_lines(part)[0]
        return lines

    def _part(self, rank: int) -> Path:
        return self.folder / f".{RESULTS}.part-{rank}"

    def _write(self, path: Path, lines: list[Line]) -> None:
        text = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
        written(path, lambda: write_atomically(path, text))


def _read_lines(path: Path) -> tuple[list[Line], list[str]]:
    """Lines of a results file, and what of them cannot be read; none when there is no file."""
    try:
        content = path.read_bytes()
    except OSError:
        return [], []
    found, complaints = typed.parse_lines(content, Stored, path.name)
    return [typed.data(line) for _, line in found], [str(complaint) for complaint in complaints]


def written(path: Path, write: Callable[[], Any]) -> None:
    """Run ``write``; a disk that is full or read-only becomes one sentence, and nothing half written remains."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(
            f"{path} cannot be written ({reason}); make room, then evaluate again: the clips that are there are kept."
        ) from None


def wav_bytes(audio: np.ndarray, rate: int) -> bytes:
    """A 16-bit WAV file of audio (channels, samples); what exceeds full scale is clipped."""
    import soundfile

    samples = np.clip(np.nan_to_num(audio), -1.0, 1.0)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.round(samples.T * 32767).astype(np.int16), rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def codes_file(folder: Path, clip: str) -> Path:
    """Where the codes of a clip are kept, for the measures of the whole set."""
    return folder / ".codes" / Path(clip).with_suffix(".npy")


def codes_of(folder: Path, clip: str) -> np.ndarray | None:
    """The codes (K, frames) of a clip; None when they are gone or damaged."""
    return _load_codes(codes_file(folder, clip))


def _load_codes(path: Path) -> np.ndarray | None:
    try:
        codes = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return codes if codes.ndim == 2 and codes.dtype == np.uint16 and codes.size else None


def is_whole(folder: Path, clip: str) -> bool:
    """Whether a clip may be used again: a power loss leaves files that are empty, or cut off.

    Codes that are gone are no reason to make it anew; codes that are damaged are.
    """
    if not sound.is_whole(folder / clip):
        return False
    return not codes_file(folder, clip).exists() or codes_of(folder, clip) is not None


def save_clip(folder: Path, clip: str, audio: np.ndarray, rate: int, codes: np.ndarray) -> None:
    """Write a clip (channels, samples) and its codes (K, frames). Raises UserError when the disk is full."""
    buffer = io.BytesIO()
    np.save(buffer, codes.astype(np.uint16))
    path = codes_file(folder, clip)
    written(path, lambda: write_atomically(path, buffer.getvalue()))
    path = folder / clip
    written(path, lambda: write_atomically(path, wav_bytes(audio, rate)))


class BaseClips:
    """Clips of base models, made once for all runs: WAV, codes and measures under a digest of recipe and weights."""

    def __init__(self, root: Path) -> None:
        self.root = root / "base_clips"

    def fetch(self, made_as: Line, weights: str, folder: Path, clip: str) -> dict[str, float | None] | None:
        """Bring a clip into an evaluation folder by hard link or copy; its measures, or None when it is not there."""
        stored = self._folder(made_as, weights)
        try:
            measures = typed.load(stored / "measures.json", dict[str, float | None]).value
            if not sound.is_whole(stored / "clip.wav") or _load_codes(stored / "codes.npy") is None:
                return None
            for source, target in (
                (stored / "codes.npy", codes_file(folder, clip)),
                (stored / "clip.wav", folder / clip),
            ):
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(source, target)
        except (OSError, typed.Unreadable):
            return None
        return measures

    def keep(self, made_as: Line, weights: str, folder: Path, clip: str, measures: dict[str, float | None]) -> None:
        """Share a clip that was just made. A disk that is full costs only the sharing."""
        stored = self._folder(made_as, weights)
        try:
            stored.mkdir(parents=True, exist_ok=True)
            _link(codes_file(folder, clip), stored / "codes.npy")
            _link(folder / clip, stored / "clip.wav")
            write_atomically(stored / "measures.json", json.dumps(measures))
        except OSError:
            pass

    def _folder(self, made_as: Line, weights: str) -> Path:
        # The id only names the prompt inside its file.
        made_by = [{name: value for name, value in made_as.items() if name != "prompt_id"}, weights]
        digest = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()
        return self.root / digest[:2] / digest[:32]


def _link(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source``, or a copy where links are not possible; it appears whole."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        try:
            os.link(source, temporary)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(source, temporary)
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())  # a link's content is on the disk already, a copy's is not
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
