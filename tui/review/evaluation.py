"""An evaluation folder as typed items: one prompt with one seed, one clip per model.

Only the first five fields of a line of comparison_results.jsonl are needed (``text_prompt``, ``duration``,
``base_model_file``, ``best_model_file``, ``final_model_file``), so folders made by other scripts open too,
whatever their file names. A model or file that is not there is shown as missing, never an error.
"""

from __future__ import annotations

import filecmp
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from engine.contract import typed
from engine.contract.errors import UserError
from tui.runs import plain_folder, sessions
from tui.runs.sessions import Across, Source

RESULTS = "comparison_results.jsonl"
MODELS = ("base", "best", "final")
_FILE_FIELD = re.compile(r"(.+)_model_file")
SAMPLING = ("guidance_scale", "top_k", "top_p", "temperature")
"""Fields of a line that, with seed and duration, decide how a model's clip sounds."""


class Line(msgspec.Struct, kw_only=True):
    """One line of comparison_results.jsonl, as far as it can be read. ``extra`` holds the ``X_model_file`` fields."""

    text_prompt: str
    duration: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    prompt_id: str | typed.Int | None = None
    seed: typed.Int | None = None
    repeat: typed.Count | None = None
    same_weights: list[str] | None = None
    models: dict[str, str | None] = {}
    measures: dict[str, dict[str, float | None] | None] = {}
    sources: dict[str, Source] = {}
    """Of a session across runs, by model: the line names no other models then."""
    alone: bool = False
    """The line names all models that there are: of a folder that no evaluation made."""
    extra: dict[str, Any] = {}


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
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """What is known of the fields ``SAMPLING``, and of the models' weights."""
    sources: Mapping[str, Source] = field(default_factory=dict)
    """By model, where the clips of a session across runs come from."""

    def equals(self) -> list[tuple[str, ...]]:
        """Groups of models whose clips of this item are one and the same file, or the same bytes."""
        groups: list[list[str]] = []
        for model, clip in self.clips.items():
            if clip.path is None:
                continue
            for group in groups:
                if same_audio(clip.path, self.clips[group[0]].path):
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
    """Lines of the results file that could not be read, and fields."""
    across: Across | None = None
    """What it is about, of a session across runs."""
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

    @cached_property
    def _by_key(self) -> dict[str, Item]:
        return {item.key: item for item in self.items}

    def item(self, key: str) -> Item | None:
        return self._by_key.get(key)


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
    if not set_name and plain_folder.is_one(path):
        return path
    raise UserError(f"{path}: no {RESULTS} here or in {named.name}/; make the clips with `mgl-tui evaluate` first.")


def open_evaluation(path: Path, set_name: str | None = None) -> Evaluation:
    """Read the evaluation folder meant by ``path``; UserError when there is none or nothing in it can be read."""
    folder = find_folder(path, set_name)
    if (folder / RESULTS).is_file():
        lines, left_out = _read_lines(folder / RESULTS)
    else:
        groups = plain_folder.by_name(folder)
        lines, left_out = (
            tuple(Line(text_prompt=name, models={**files}, alone=True) for name, files in groups.items()),
            (),
        )
    if not lines:
        said = f" ({left_out[0]})" if left_out else ""
        raise UserError(f"{folder / RESULTS}: holds no prompt{said}; make the clips again with `mgl-tui evaluate`.")
    items: dict[str, Item] = {}
    for number, line in enumerate(lines, 1):
        item = _item(folder, line, number, taken=items)
        items[item.key] = item
    return _evaluation(folder, lines, tuple(items.values()), left_out)


def _evaluation(folder: Path, lines: Sequence[Line], items: tuple[Item, ...], left_out: tuple[str, ...]) -> Evaluation:
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
        items=items,
        models=models,
        missing_models=tuple(m for m in named if m not in models),
        same_weights=_same_weights(lines, items),
        same_seed=all(line.seed is not None for line in lines),
        left_out=left_out,
        across=sessions.read(home_of(folder)[0]) if sessions.is_session(home_of(folder)[0]) else None,
        missing_files=tuple(missing),
    )


def home_of(folder: Path) -> tuple[Path, str]:
    """The run that a folder of clips belongs to and the name of its prompt set; the folder itself if it is no set."""
    if folder.name == "evaluation" or folder.name.startswith("evaluation_"):
        return folder.parent, folder.name.removeprefix("evaluation").removeprefix("_")
    return folder, ""


def _read_lines(path: Path) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    try:
        status = path.stat()
        return _lines_of(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); make it readable for you.") from None


@lru_cache(maxsize=8)
def _lines_of(path: Path, changed: int, size: int) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    """The lines, kept while the file is the same: the list of runs asks for them whenever a score is given."""
    lines, complaints = typed.parse_lines(path.read_bytes(), Line, path.name)
    return tuple(line for _, line in lines), tuple(map(str, complaints))


def _item(folder: Path, line: Line, number: int, taken: Mapping[str, Item]) -> Item:
    prompt_id = str(line.prompt_id or line.text_prompt)
    repeat = line.repeat or 0
    key = f"{prompt_id} #{repeat}" if repeat else prompt_id
    if key in taken:
        key = f"{key} @{number}"
    return Item(
        key=key,
        text=line.text_prompt,
        duration=line.duration,
        clips={model: _clip(folder, line, model, name) for model, name in _named_files(line).items()},
        prompt_id=prompt_id,
        seed=line.seed,
        repeat=repeat,
        sampling={name: line.extra[name] for name in (*SAMPLING, "weights") if line.extra.get(name) is not None},
        sources=line.sources,
    )


def _clip(folder: Path, line: Line, model: str, name: str | None) -> Clip:
    path, source = resolve_clip(folder, model, name), line.sources.get(model)
    if source is not None:
        path = path or sessions.moved(folder, source)
        if path is not None and not sessions.is_as_it_was(path, source):
            path, name = None, f"{name} (another clip stands there now)"
    return Clip(model, path, name, line.measures.get(model) or {})


def _named_files(line: Line) -> dict[str, str | None]:
    """Model name -> file as named by the line; the three models of the plan come even when they are not named."""
    if line.sources:
        return {model: line.models.get(model) for model in line.sources}
    if line.alone:
        return line.models
    named: dict[str, str | None] = dict.fromkeys(MODELS)
    by_field = {m.group(1): name for field_name, name in line.extra.items() if (m := _FILE_FIELD.fullmatch(field_name))}
    for model, name in {**line.models, **by_field}.items():
        if name is not None and str(name).strip():
            named[model] = str(name)
    return named


def resolve_clip(folder: Path, model: str, name: str | None) -> Path | None:
    """The file on disk: as named from ``folder``, else by its last parts, for folders that were moved or copied."""
    if not name:
        return None
    parts = Path(name.replace("\\", "/")).parts
    if not parts:
        return None
    candidates = [folder / Path(*parts), folder / f"{model}_model" / parts[-1], folder / parts[-1]]
    if len(parts) > 1:
        candidates.insert(1, folder / Path(*parts[-2:]))
    return next((path for path in candidates if _is_file(path)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or none at all for the system
        return False


def _in_order(models: Any) -> list[str]:
    met = list(dict.fromkeys(models))
    return [m for m in MODELS if m in met] + [m for m in met if m not in MODELS]


def _same_weights(lines: Sequence[Line], items: Sequence[Item]) -> tuple[tuple[str, ...], ...]:
    recorded = lines[0].same_weights
    if recorded is not None:
        return (tuple(_in_order(recorded)),) if len(recorded) > 1 else ()
    groups = tuple(items[0].equals())
    for item in items[1:]:
        if not groups:
            break
        others = item.equals()
        groups = tuple(group for group in groups if group in others)
    return groups


def same_audio(one: Path, other: Path | None) -> bool:
    """Whether two files hold the same bytes."""
    try:
        return other is not None and (one == other or filecmp.cmp(one, other, shallow=False))
    except OSError:
        return False
