"""An evaluation folder as typed items: one prompt with one seed, one clip per model.

Only the first five fields of a line of comparison_results.jsonl are needed (``text_prompt``, ``duration``,
``base_model_file``, ``best_model_file``, ``final_model_file``), so folders made by other scripts open too,
whatever their file names. A model or file that is not there is shown as missing, never an error.
"""

from __future__ import annotations

import filecmp
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.contract.errors import UserError

RESULTS = "comparison_results.jsonl"
MODELS = ("base", "best", "final")
_FILE_FIELD = re.compile(r"(.+)_model_file")


@dataclass(frozen=True)
class Clip:
    """One model's clip of an item. ``path`` is None when it was not named or is not on disk."""

    model: str
    path: Path | None
    named: str | None = None
    """The name in comparison_results.jsonl, shown when the file is missing."""
    measures: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def missing(self) -> str | None:
        """Why the clip cannot be heard, None when it can."""
        if self.path is not None:
            return None
        return f"file missing: {self.named}" if self.named else f"no clip of {self.model}"


@dataclass(frozen=True)
class Item:
    """One prompt with one seed."""

    key: str
    """Unique in the evaluation and stable over time: judgements are stored under it."""
    text: str
    duration: float | None
    clips: Mapping[str, Clip]
    prompt_id: str
    seed: int | None = None
    repeat: int = 0

    def equals(self) -> list[tuple[str, ...]]:
        """Groups of models whose clips of this item are one and the same file, or the same bytes."""
        groups: list[list[str]] = []
        for model, clip in self.clips.items():
            if clip.path is None:
                continue
            for group in groups:
                if _same_audio(clip.path, self.clips[group[0]].path):
                    group.append(model)
                    break
            else:
                groups.append([model])
        return [tuple(group) for group in groups if len(group) > 1]


@dataclass(frozen=True)
class Evaluation:
    """Everything there is to judge in one evaluation folder."""

    folder: Path
    items: tuple[Item, ...]
    models: tuple[str, ...]
    """base, best, final first, then others in the order they were met; only models that have a clip somewhere."""
    missing_models: tuple[str, ...]
    same_weights: tuple[tuple[str, ...], ...]
    """Groups of models with one and the same weights: as the engine recorded, or because all clips are equal."""
    same_seed: bool
    """Whether the models of an item were sampled with the same noise, as far as the file says."""
    left_out: tuple[str, ...] = ()
    """Lines of the results file that could not be read."""
    missing_files: tuple[str, ...] = ()
    """Prompt, model and name of files that are named and not there: not for a blind listener's eyes."""

    @property
    def problems(self) -> tuple[str, ...]:
        """All that is wrong with the folder."""
        return self.left_out + self.missing_files

    @property
    def whole(self) -> bool:
        """Every item has a clip of base, best, final and all other models."""
        return not self.missing_models and not self.problems

    @property
    def name(self) -> str:
        """The prompt set: "" for evaluation/, NAME for evaluation_NAME/."""
        return home_of(self.folder)[1]

    @property
    def home(self) -> Path:
        """The folder that review/ and notes.md belong to: the run, or a foreign folder itself."""
        return home_of(self.folder)[0]

    @property
    def prompts(self) -> int:
        return len({item.prompt_id for item in self.items})

    def item(self, key: str) -> Item | None:
        return next((item for item in self.items if item.key == key), None)


def find_folder(path: Path, set_name: str | None = None) -> Path:
    """The evaluation folder meant by a run folder, an evaluation folder, or its comparison_results.jsonl."""
    path = Path(path)
    if path.name == RESULTS:
        path = path.parent
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; name a run or a folder that holds {RESULTS}.")
    named = path / (f"evaluation_{set_name}" if set_name else "evaluation")
    for folder in (named, path) if set_name else (path, named):
        if (folder / RESULTS).is_file():
            return folder
    raise UserError(f"{path}: no {RESULTS} here or in {named.name}/; make the clips with `mgl-tui evaluate` first.")


def open_evaluation(path: Path, set_name: str | None = None) -> Evaluation:
    """Read the evaluation folder meant by ``path``; UserError when there is none or nothing in it can be read."""
    folder = find_folder(path, set_name)
    entries, left_out = _read_lines(folder / RESULTS)
    if not entries:
        said = f" ({left_out[0]})" if left_out else ""
        raise UserError(f"{folder / RESULTS}: holds no prompt{said}; make the clips again with `mgl-tui evaluate`.")
    items: list[Item] = []
    for number, entry in enumerate(entries, 1):
        items.append(_item(folder, entry, number, taken={item.key for item in items}))
    named = _in_order(model for item in items for model in item.clips)
    models = tuple(m for m in named if any(item.clips[m].path for item in items if m in item.clips))
    missing = [
        f"prompt {number}, {model}: {clip.missing}"
        for number, item in enumerate(items, 1)
        for model, clip in item.clips.items()
        if clip.missing and model in models
    ]
    return Evaluation(
        folder=folder,
        items=tuple(items),
        models=models,
        missing_models=tuple(m for m in named if m not in models),
        same_weights=_same_weights(entries, items),
        same_seed=all(isinstance(entry.get("seed"), int) for entry in entries),
        left_out=tuple(left_out),
        missing_files=tuple(missing),
    )


def home_of(folder: Path) -> tuple[Path, str]:
    """The run that a folder of clips belongs to and the name of its prompt set; the folder itself if it is no set."""
    if folder.name == "evaluation" or folder.name.startswith("evaluation_"):
        return folder.parent, folder.name.removeprefix("evaluation").removeprefix("_")
    return folder, ""


def _read_lines(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    entries, problems = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            problems.append(f"{path.name}, line {number}: not JSON, left out")
            continue
        if isinstance(entry, dict) and isinstance(entry.get("text_prompt"), str):
            entries.append(entry)
        else:
            problems.append(f"{path.name}, line {number}: no text_prompt, left out")
    return entries, problems


def _item(folder: Path, entry: Mapping[str, Any], number: int, taken: set[str]) -> Item:
    prompt_id = str(entry.get("prompt_id") or entry["text_prompt"])
    repeat = entry.get("repeat")
    repeat = repeat if isinstance(repeat, int) else 0
    key = f"{prompt_id} #{repeat}" if repeat else prompt_id
    if key in taken:
        key = f"{key} @{number}"
    measures = entry.get("measures")
    measures = measures if isinstance(measures, dict) else {}
    return Item(
        key=key,
        text=entry["text_prompt"],
        duration=_number(entry.get("duration")),
        clips={
            model: Clip(model, resolve_clip(folder, model, name), name, _measures(measures.get(model)))
            for model, name in _named_files(entry).items()
        },
        prompt_id=prompt_id,
        seed=entry["seed"] if isinstance(entry.get("seed"), int) else None,
        repeat=repeat,
    )


def _named_files(entry: Mapping[str, Any]) -> dict[str, str | None]:
    """Model name -> file as named by the line; the three models of the plan come even when they are not named."""
    named: dict[str, str | None] = dict.fromkeys(MODELS)
    extra = entry.get("models")
    by_field = {m.group(1): name for field_name, name in entry.items() if (m := _FILE_FIELD.fullmatch(field_name))}
    for model, name in {**(extra if isinstance(extra, dict) else {}), **by_field}.items():
        if isinstance(name, str) and name.strip():
            named[str(model)] = name
    return named


def resolve_clip(folder: Path, model: str, name: str | None) -> Path | None:
    """The file on disk: as named from ``folder``, else by its last parts, for folders that were moved or copied."""
    if not name:
        return None
    parts = Path(name.replace("\\", "/")).parts
    candidates = [folder / Path(*parts), folder / f"{model}_model" / parts[-1], folder / parts[-1]]
    if len(parts) > 1:
        candidates.insert(1, folder / Path(*parts[-2:]))
    return next((path for path in candidates if path.is_file()), None)


def _measures(found: Any) -> dict[str, float | None]:
    return {str(k): _number(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _number(value: Any) -> float | None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None


def _in_order(models: Any) -> list[str]:
    met = list(dict.fromkeys(models))
    return [m for m in MODELS if m in met] + [m for m in met if m not in MODELS]


def _same_weights(entries: Sequence[Mapping[str, Any]], items: Sequence[Item]) -> tuple[tuple[str, ...], ...]:
    recorded = entries[0].get("same_weights")
    if isinstance(recorded, list):
        return (tuple(_in_order(str(model) for model in recorded)),) if len(recorded) > 1 else ()
    groups = items[0].equals()
    rest = [item.equals() for item in items[1:]]
    return tuple(group for group in groups if all(group in other for other in rest))


def _same_audio(one: Path, other: Path | None) -> bool:
    return other is not None and (one == other or filecmp.cmp(one, other, shallow=False))
