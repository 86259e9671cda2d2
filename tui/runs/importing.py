"""What other scripts left, as a run that can be listened to, compared and learned from; nothing of theirs is touched.

A log becomes events, folders of clips an evaluation, adapters best_model and final_model, and what was wrong with the
round becomes health verdicts. Files of raters are only found here; ``tui.review.collect`` reads them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.contract import config, events, rundir, typed
from engine.contract.data.metadata import Clip
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from engine.contract.text import plain
from tui.runs import foreign_data, foreign_log
from tui.runs.foreign_log import Log

RESULTS = "comparison_results"
AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
LOGS = (".log", ".txt", ".out", ".jsonl", ".json")
LARGEST_LOG = 64 << 20
MOST_FILES = 100_000
MODELS = ("base", "best", "final")
_TEXTS = ("text_prompt", "prompt", "text", "caption", "description")
_CODES = 2048
"""Size of MusicGen's codebooks; no script's log says it."""
_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


@dataclass
class Found:
    """What lies in a folder, by what it is."""

    clips: list[dict[str, Any]] = field(default_factory=list)
    """Lines of comparison_results.jsonl as we write them, with the paths of the files absolute."""
    adapters: dict[str, Path] = field(default_factory=dict)
    """Model name -> its PEFT folder."""
    log: Log = field(default_factory=Log)
    log_file: Path | None = None
    silent_logs: list[Path] = field(default_factory=list)
    """Texts with numbers, of which no line told a loss."""
    data: list[Clip] = field(default_factory=list)
    """What its metadata names."""
    raters: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.clips or self.adapters or self.log or self.raters)


def bring_in(source: Path, runs_dir: Path, name: str | None = None) -> tuple[RunDir, Found]:
    """Make a read-only run from the folder. UserError when nothing in it can be used, or the run cannot be written."""
    source = Path(source).expanduser()
    found = look(source)
    if not found:
        raise UserError(
            f"{source} holds no {RESULTS}.jsonl or .json, no adapter, no log with losses and no file of picks; "
            f"{_silent(found) or 'name the folder that an earlier round left.'}"
        )
    free = rundir.free_name(
        runs_dir, name or re.sub(r"[^A-Za-z0-9._+-]+", "-", source.resolve().name).strip("-.") or "old"
    )
    settings = config.Settings(run=config.Run(imported=True, why=plain(f"brought in from {source.resolve()}")))
    run = rundir.create(runs_dir, name or free, settings)
    try:
        _write_clips(run, found)
        for model, folder in found.adapters.items():
            target = {"best": run.best_model, "final": run.final_model}.get(model)
            if target is not None:
                shutil.copytree(folder, target)
        _write_events(run, found)
    except OSError as error:
        shutil.rmtree(run.path, ignore_errors=True)
        raise UserError(f"{run.path} cannot be written ({error.strerror or error}); nothing was brought in.") from None
    return run, found


def look(source: Path) -> Found:
    """What the folder and those below it hold. Raises UserError when it is none."""
    if not source.is_dir():
        raise UserError(f"{source} is no folder; name the one that an earlier round left.")
    found, files = Found(), list(_files(source))
    by_name: dict[str, list[Path]] = {}
    for file in files:
        if file.suffix.lower() in AUDIO:
            by_name.setdefault(file.name, []).append(file)
    for file in files:
        _take(found, file, by_name)
    found.data, unreadable = foreign_data.read(file for file in files if file.name in foreign_data.NAMES)
    found.problems += unreadable
    if found.silent_logs and not found.log and found:
        found.problems.append(_silent(found))
    return found


def _silent(found: Found) -> str:
    """What a log must say to be understood, where there is one that was not; else ""."""
    if not found.silent_logs:
        return ""
    more = f" and {len(found.silent_logs) - 1} more were" if len(found.silent_logs) > 1 else " was"
    return (
        f"{found.silent_logs[0]}{more} read, and no line tells a loss in words that are known here, such as "
        "train_loss=8.35, valid_loss: 8.19 or loss=8.4."
    )


def _take(found: Found, file: Path, by_name: Mapping[str, list[Path]]) -> None:
    """Take what one file tells; one that cannot be read costs itself alone."""
    try:
        if file.name == "adapter_config.json":
            if any((file.parent / weights).is_file() for weights in _WEIGHTS):
                found.adapters.setdefault(_model_of(file.parent.name) or file.parent.name, file.parent)
        elif file.stem == RESULTS and file.suffix in (".json", ".jsonl"):
            _take_clips(found, file, by_name)
        elif file.suffix.lower() in LOGS and file.stem != "metadata":
            _take_text(found, file)
    except OSError as error:
        found.problems.append(f"{file} cannot be read ({error.strerror or error})")


def _files(source: Path) -> Iterator[Path]:
    count = 0
    for folder, below, names in os.walk(source):
        below[:] = sorted(name for name in below if not name.startswith(".") and name != "node_modules")
        for name in sorted(names):
            count += 1
            if count > MOST_FILES:
                raise UserError(f"{source} holds more than {MOST_FILES:,} files; name the folder of one round.")
            # A pipe would be waited for, and a link into nothing cannot be read.
            if (Path(folder) / name).is_file():
                yield Path(folder) / name


# -- clips


def _take_clips(found: Found, file: Path, by_name: Mapping[str, list[Path]]) -> None:
    for entry in _objects(_json(file)):
        text = next((entry[name] for name in _TEXTS if isinstance(entry.get(name), str)), None)
        named = _audio_fields(entry)
        if text is None or not named:
            continue
        row: dict[str, Any] = {"text_prompt": text, "duration": _number(entry.get("duration"))}
        for model, name in named.items():
            clip = _clip(file.parent, name, model, by_name)
            if clip is None:
                found.problems.append(f'{name}, the clip of {model} for "{text}", was not found below {file.parent}')
            row[f"{model}_model_file"] = str(clip) if clip else None
        found.clips.append(row)
    if not found.clips:
        found.problems.append(f"{file} names no clip beside a prompt")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value, the outer ones first; what hangs on a prompt as its key has it as ``prompt``."""
    waiting = [value]
    while waiting:
        here = waiting.pop(0)
        if isinstance(here, dict):
            yield here
            for key, inner in here.items():
                waiting.append({"prompt": key, **inner} if isinstance(inner, dict) and " " in key else inner)
        elif isinstance(here, list):
            waiting += here


def _audio_fields(entry: Mapping[str, Any]) -> dict[str, str]:
    """Model -> file, from fields whose name tells the model: base_model_file, best, {"audio": {"final": ...}}."""
    named: dict[str, str] = {}
    for key, value in entry.items():
        inner = value if isinstance(value, dict) and not any(text in value for text in _TEXTS) else {key: value}
        for name, file in inner.items():
            model = _model_of(str(name)) or _model_of(str(key))
            file = (
                next((file[one] for one in ("file", "path", "audio") if one in file), None)
                if isinstance(file, dict)
                else file
            )
            if model and isinstance(file, str) and file.lower().endswith(AUDIO):
                named.setdefault(model, file)
    return {model: named[model] for model in MODELS if model in named}


def _model_of(name: str) -> str:
    words = re.split(r"[^a-z]+", name.lower())
    return next((model for model in MODELS if model in words), "")


def _clip(folder: Path, name: str, model: str, by_name: Mapping[str, list[Path]]) -> Path | None:
    path = Path(name.replace("\\", "/"))
    with suppress(OSError):  # a name longer than a file's can be
        if (folder / path).is_file():
            return folder / path
    same = by_name.get(path.name, [])
    # Files of one name under several folders: the one whose folder ends as the name does, or names the model.
    ends = [file for file in same if len(path.parts) > 1 and file.parts[-2:] == path.parts[-2:]]
    of_model = [file for file in same if model in (_model_of(part) for part in file.parts[:-1])]
    for candidates in (ends, of_model, same):
        if len(candidates) == 1:
            return candidates[0]
    return None


def _write_clips(run: RunDir, found: Found) -> None:
    if not found.clips:
        return
    folder = run.evaluation()
    lines = []
    for number, row in enumerate(found.clips, 1):
        line = dict(row)
        for model in MODELS:
            file = row.get(f"{model}_model_file")
            if file is not None:
                clip = Path(f"{model}_model") / f"{number:02d}{Path(file).suffix.lower()}"
                (folder / clip).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, folder / clip)
                line[f"{model}_model_file"] = str(clip)
        lines.append(json.dumps(line, ensure_ascii=False))
    rundir.write_atomically(folder / f"{RESULTS}.jsonl", "\n".join(lines) + "\n")


# -- logs and picks


def _take_text(found: Found, file: Path) -> None:
    if file.stat().st_size > LARGEST_LOG:
        found.problems.append(f"{file} is larger than {LARGEST_LOG >> 20} MiB and was not read")
        return
    text = file.read_bytes().decode("utf-8", "replace")
    if file.suffix == ".json" and _is_picks(_json(file)):
        found.raters.append(file)
        return
    log = foreign_log.read(text)
    if len(log.train) + len(log.valid) > len(found.log.train) + len(found.log.valid):
        found.log, found.log_file = log, file
    if not log and file.suffix in foreign_log.TEXTS and foreign_log.counts(text):
        found.silent_logs.append(file)


def _is_picks(value: Any) -> bool:
    return any("selected_model" in entry for entry in _objects(value))


def _json(file: Path) -> Any:
    """A file's JSON value, or the list of its lines' values."""
    content = file.read_bytes()
    try:
        return typed.parse(content, Any, file).value  # type: ignore[arg-type]
    except typed.Unreadable:
        return [value for _, value in typed.parse_lines(content, dict[str, Any], file).value]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


# -- events and verdicts


def _write_events(run: RunDir, found: Found) -> None:
    log = found.log
    steps = sorted({*log.train, *log.valid, *log.lr})
    with events.EventLog(run.events) as written:
        written.write("start", total_steps=steps[-1] if steps else 0, codebook_size=_CODES)
        for step in steps:
            epoch = log.epochs.get(step)
            if step in log.train:
                written.write("train", step=step, epoch=epoch, loss=log.train[step], lr=log.lr.get(step))
            if step in log.valid:
                written.write("valid", step=step, epoch=epoch, loss=log.valid[step])
        for name, verdict, evidence in verdicts(found):
            written.write("health", name=name, verdict=verdict, evidence=evidence)
        for problem in found.problems:
            written.write("note", text=problem)
        written.write("state", state="imported")


def verdicts(found: Found) -> list[tuple[str, str, str]]:
    """(name, ok | warn | bad, evidence) of what can be told from what was found."""
    told, log = [], found.log
    blind = math.log(_CODES)
    losses = [loss for _, loss in sorted(log.valid.items() or log.train.items())]
    if losses:
        least = min(losses)
        if least >= blind:
            told.append((
                "start", "bad",
                f"the loss never came below {least:.3f}, blind guessing is {blind:.3f} (ln {_CODES}): the labels were "
                "wrong, and nothing was learned that can be heard",
            ))  # fmt: skip
        elif losses[0] >= 0.85 * blind:
            told.append(("start", "warn", f"starts at {losses[0]:.3f}, blind guessing is {blind:.3f} (ln {_CODES})"))
    told += _rate(log) + _twins(log, found)
    return told + foreign_data.verdicts(found.data, (row["text_prompt"] for row in found.clips))


def _rate(log: Log) -> list[tuple[str, str, str]]:
    rates = [rate for _, rate in sorted(log.lr.items())]
    if len(rates) < 3 or rates[-1] < max(rates) or rates[0] >= rates[-1]:
        return []
    return [(
        "learning-rate", "bad",
        f"the learning rate still rose at the last step that the log tells ({rates[-1]:.2g}): the warm-up never ended",
    )]  # fmt: skip


def _twins(log: Log, found: Found) -> list[tuple[str, str, str]]:
    told = []
    both = [(log.train[step], log.valid[step]) for step in log.valid if step in log.train]
    if len(both) > 1 and all(train == valid for train, valid in both):
        told.append(("valid-is-train", "bad", f"train and valid loss are equal at all {len(both)} validations"))
    weights = {model: digest(folder) for model, folder in found.adapters.items() if model in ("best", "final")}
    if len(weights) == 2 and weights["best"] == weights["final"]:
        told.append(("best-is-final", "warn", "best and final hold the same weights: comparing them tells nothing"))
    return told


def digest(adapter: Path) -> str:
    """Hash of an adapter's weights file."""
    file = next(adapter / name for name in _WEIGHTS if (adapter / name).is_file())
    return hashlib.sha256(file.read_bytes()).hexdigest()
