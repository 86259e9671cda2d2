"""One blind session across runs: the base model's clips once, and those of one model of each run, prompt by prompt.

Only clips of the same prompt that were made with the same noise and settings stand beside one another; what does not
is left out and said. The session is a folder of clips like a run's own, so Listen, notes and pages to share take it.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract import liveness, typed
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir, alone_in, free_name, is_run, write_atomically
from tui.review.evaluation import RESULTS, SAMPLING, Evaluation, Item, home_of, open_evaluation, same_audio
from tui.runs import sessions
from tui.runs.sessions import Across, Member
from tui.runs.store import evaluation_folders
from tui.text import apart

BASE = "base"
NAMED = 60
"""Characters of a session's name that are made of its runs' names."""


@dataclass(frozen=True)
class Side:
    """One of the runs, or folders of clips."""

    name: str
    """What it is called here: its folder's name, or the first like it that is free."""
    path: Path
    model: str
    """The model that is heard."""
    evaluation: Evaluation
    items: Mapping[tuple[str, int], Item]
    """By the words of the prompt and the repeat."""


@dataclass(frozen=True)
class Row:
    """A prompt that all runs made in the same way."""

    items: tuple[Item, ...]
    """In the order of the runs."""
    base: int | None
    """Whose clip of the base model is heard; None when none has one."""


def without_clips(paths: Sequence[Path]) -> list[RunDir]:
    """The runs whose clips are still to be made, with the noise of those that there are.

    UserError for fewer than two runs, for a folder without clips and without anything to make them with, for a run
    that is worked on, and for one that would make them in another way.
    """
    found = []
    for path in _two_or_more(paths):
        run = RunDir(path)
        if is_run(path) and liveness.is_held(run):
            raise UserError(f"{run.name} is being worked on by an engine; listen to it when its clips are made.")
        if evaluation_folders(path):
            continue
        if not run.best_model.is_dir():
            raise UserError(f"{run.name} has no clips and no best_model to make them with; train it, or leave it out.")
        found.append(run)
    if found:
        _refuse_unlike(distinct(paths))
    return found


def _two_or_more(paths: Sequence[Path]) -> list[Path]:
    """The folders, each once. UserError where that leaves fewer than two, or one is a session itself."""
    paths = distinct(paths)
    if len(paths) < 2:
        raise UserError("A session across runs takes two runs or more; `mgl-tui review RUN` listens to one.")
    inside = next((path for path in paths if sessions.is_session(path)), None)
    if inside is not None:
        raise UserError(f"{inside.name} is a session across runs already; name the runs themselves.")
    return paths


def _refuse_unlike(paths: Sequence[Path]) -> None:
    """UserError when clips that are to be made would not be like those that there are."""
    each = {path: _made_as(path) for path in paths}
    for name in ("seed", "duration", *SAMPLING):
        values = {path.name: made[name] for path, made in each.items() if made.get(name) is not None}
        if len(set(values.values())) > 1:
            said = ", ".join(f"{value} in {run}" for run, value in values.items())
            raise UserError(f"{name} is {said}: their clips would not be made alike. {_alike([*values])}")


def _made_as(path: Path) -> dict[str, Any]:
    """How a run's clips were made, or would be by its settings."""
    folders = evaluation_folders(path)
    if folders:
        item = open_evaluation(folders[0]).items[0]
        return {"seed": item.seed, "duration": item.duration, **item.sampling}
    return RunDir(path).settings().evaluate.model_dump()


def _alike(names: Sequence[str]) -> str:
    models = ",".join(f"{name}:best" for name in names[1:])
    return f"`mgl-tui evaluate {names[0]} --models base,best,{models}` makes them alike, to be heard in {names[0]}."


def distinct(paths: Sequence[Path]) -> list[Path]:
    """The folders, each once, in their order."""
    return list(dict.fromkeys(Path(os.path.abspath(path)) for path in paths))


def open_across(runs_dir: Path, paths: Sequence[Path], *, clock: Callable[[], float] = time.time) -> Path:
    """The folder of the session over these runs or folders of clips: the one there is, or a new one.

    Prompts that were added to all runs since are added to it; where clips were made again it is another session.
    UserError, and nothing is made, when there are fewer than two runs, nothing they share, or no room on the disk.
    """
    paths = _two_or_more(paths)
    sides = _sides(_as_known(runs_dir, paths))
    sets: dict[str, tuple[list[Row], list[str]]] = {}
    for name in _prompt_sets(sides):
        sets[name] = _shared([_of_set(side, name) for side in sides])
    if not any(rows for rows, _ in sets.values()):
        raise UserError(next(iter(sets.values()))[1][-1] if sets else _no_common_set(sides))
    home = sessions.folder(runs_dir)
    if is_run(home) or evaluation_folders(home):
        raise UserError(f"{home} is a run, and sessions across runs are kept there; rename it first.")
    try:
        home.mkdir(parents=True, exist_ok=True)
        with alone_in(home):
            return _made(runs_dir, sides, {name: each for name, each in sets.items() if each[0]}, clock)
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(f"The session cannot be written below {home} ({why}); nothing was changed.") from None


# -- which clips


def _sides(runs: Sequence[tuple[Path, str]]) -> list[Side]:
    taken, sides = {BASE}, []
    for path, known in runs:
        folder = home_of(path)[0] if (path / RESULTS).is_file() else path
        name = known or next(n for n in _names(folder.name) if n not in taken)
        taken.add(name)
        first = evaluation_folders(path)
        if not first:
            raise UserError(f"{path.name} has no clips; make them with `mgl-tui evaluate {path.name}`.")
        evaluation = open_evaluation(first[0])
        sides.append(Side(name, path, _model(evaluation, name), evaluation, _items(evaluation)))
    return sides


def _names(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


def _model(evaluation: Evaluation, name: str) -> str:
    """The model of a run that is heard: best, else final, else the only one beside base."""
    trained = [model for model in evaluation.models if model != BASE]
    if not trained:
        raise UserError(f"{name} has clips of base alone; make those of its best model with `mgl-tui evaluate`.")
    return trained[0]


def _items(evaluation: Evaluation) -> dict[tuple[str, int], Item]:
    found: dict[tuple[str, int], Item] = {}
    for item in evaluation.items:
        found.setdefault((_words(item.text), item.repeat), item)
    return found


def _words(text: str) -> str:
    return " ".join(text.split())


def _prompt_sets(sides: Sequence[Side]) -> list[str]:
    """The prompt sets that all runs have; a folder of clips that was named itself counts as its run's first."""
    sets = [_set_names(side) for side in sides]
    return [name for name in sets[0] if all(name in other for other in sets[1:])]


def _set_names(side: Side) -> list[str]:
    if (side.path / RESULTS).is_file():
        return [""]
    return [home_of(folder)[1] for folder in evaluation_folders(side.path)]


def _of_set(side: Side, name: str) -> Side:
    if (side.path / RESULTS).is_file() or side.evaluation.name == name:
        return side
    evaluation = open_evaluation(side.path, name or None)
    return Side(side.name, side.path, _model(evaluation, side.name), evaluation, _items(evaluation))


def _no_common_set(sides: Sequence[Side]) -> str:
    sets = "; ".join(f"{side.name}: {', '.join(name or 'evaluation' for name in _set_names(side))}" for side in sides)
    return f"The runs share no prompt set ({sets}); make the clips of one for all with `mgl-tui evaluate`."


def _shared(sides: Sequence[Side]) -> tuple[list[Row], list[str]]:
    """The rows of one prompt set, and what is to be said of it; without rows the last sentence says why."""
    rows: list[tuple[Item, ...]] = []
    unlike: dict[str, list[str]] = {}
    silent = 0
    every = dict.fromkeys(key for side in sides for key in side.items)
    known = [key for key in every if all(key in side.items for side in sides)]
    for key in known:
        items = tuple(side.items[key] for side in sides)
        if differing := _differing(sides, items):
            unlike.setdefault(differing.split()[0], []).append(differing)
        elif any(_path(item, side.model) is None for item, side in zip(items, sides, strict=True)):
            silent += 1
        else:
            rows.append(items)
    said = []
    if len(known) < len(every):
        said.append(f"{len(known)} of {len(every)} prompts are shared by all the runs; the others are left out.")
    said += [
        f"{_count(len(each), 'prompt')} left out, whose clips were not made alike: {each[0]}."
        for each in unlike.values()
    ]
    if silent:
        said.append(f"{_count(silent, 'prompt')} left out, of which a clip is missing.")
    if not rows:
        return [], [*said, _nothing_shared(sides, said)]
    bases, remark = _bases(sides, rows)
    said += remark
    if others := [f"{side.name}: {side.model}" for side in sides if side.model != "best"]:
        said.append(f"Not the best model is heard of {', '.join(others)}.")
    if any(item.seed is None for items in rows for item in items):
        said.append("Seeds are not recorded for all the runs: whether they had the same noise is not known.")
    return [Row(items, base) for items, base in zip(rows, bases, strict=True)], said


def _nothing_shared(sides: Sequence[Side], said: Sequence[str]) -> str:
    names = " and ".join(side.name for side in sides)
    why = f" {' '.join(said)}" if said else ""
    return f"{names} have no prompt whose clips can stand beside one another.{why} {_alike([s.name for s in sides])}"


def _differing(sides: Sequence[Side], items: Sequence[Item]) -> str:
    """What was not the same when the clips of a prompt were made, as far as it is recorded; empty when all was."""
    for name in ("seed", "duration", *SAMPLING):
        values = [item.sampling.get(name) if name in SAMPLING else getattr(item, name) for item in items]
        known = {value for value in values if value is not None}
        if len(known) > 1:
            each = ", ".join(f"{value} in {side.name}" for side, value in zip(sides, values, strict=True))
            return f"{name} is {each}"
    return ""


def _path(item: Item, model: str) -> Path | None:
    clip = item.clips.get(model)
    return clip.path if clip else None


def _bases(sides: Sequence[Side], rows: Sequence[tuple[Item, ...]]) -> tuple[list[int | None], list[str]]:
    """Whose clip of base is heard in each row. None of any when they are not of one base model, which is said."""
    bases: list[int | None] = []
    for items in rows:
        there = [at for at, item in enumerate(items) if _path(item, BASE) is not None]
        for at in there[1:]:
            if not _same_base(items[there[0]], items[at]):
                said = f"base is left out: {sides[there[0]].name} and {sides[at].name} have different clips of it."
                return [None] * len(rows), [said]
        bases.append(there[0] if there else None)
    lacking = sum(base is None for base in bases)
    return bases, [f"{_count(lacking, 'prompt')} without a clip of base."] if lacking else []


def _same_base(one: Item, other: Item) -> bool:
    """The same sound, or the same weights: those who decode on another device get other bits of the same model."""
    weights = [(item.sampling.get("weights") or {}).get(BASE) for item in (one, other)]
    if weights[0] is not None and weights[0] == weights[1]:
        return True
    path = _path(one, BASE)
    return path is not None and same_audio(path, _path(other, BASE))


# -- the folder


def _as_known(runs_dir: Path, paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """The runs in the order and by the names of the session that there is over them; else as given, without names."""
    kept = {sessions.written(path, runs_dir): path for path in paths}
    for session in sessions.all_of(runs_dir):
        across = sessions.read(session)
        if across is not None and {member.run for member in across.members} == set(kept):
            return [(kept[member.run], member.name) for member in across.members]
    return [(path, "") for path in paths]


def _made(
    runs_dir: Path, sides: Sequence[Side], sets: Mapping[str, tuple[list[Row], list[str]]], clock: Callable[[], float]
) -> Path:
    """The session's folder, made or brought up to date. Raises OSError."""
    home = sessions.folder(runs_dir)
    members = [Member(name=s.name, run=sessions.written(s.path, runs_dir), model=s.model) for s in sides]
    said = list(dict.fromkeys(sentence for _, each in sets.values() for sentence in each))
    content = {name: _lines(runs_dir, sides, rows) for name, (rows, _) in sets.items()}
    for known in sessions.all_of(runs_dir):
        across = sessions.read(known)
        if across is not None and across.members == members and _as_it_was(known, content):
            _write(known, Across(created=across.created, members=members, said=said), content, runs_dir)
            return known
    path = home / free_name(home, _name([side.name for side in sides]))
    part = home / f".{path.name}.{os.getpid()}.part"
    try:
        part.mkdir()
        _write(part, Across(created=round(clock(), 1), members=members, said=said), content, runs_dir)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return path


def _name(names: Sequence[str]) -> str:
    shorter = apart(names, NAMED)
    joined = "+".join([names[0], *(shorter[name] for name in names[1:])])
    joined = re.sub(r"[^A-Za-z0-9._+-]+", "-", joined).lstrip("._+-") or "session"
    if len(joined) > NAMED:
        joined = f"{joined[:NAMED].rsplit('+', 1)[0]}+{len(names)}-runs"
    return joined.rstrip(".")


def _lines(runs_dir: Path, sides: Sequence[Side], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Lines of a results file, without the names of the clips' links. Raises OSError."""
    lines = []
    for row in rows:
        first = row.items[0]
        heard = [] if row.base is None else [(BASE, row.items[row.base], BASE)]
        heard += [(side.name, item, side.model) for side, item in zip(sides, row.items, strict=True)]
        clips = {name: item.clips[model] for name, item, model in heard}
        line: dict[str, Any] = {
            "text_prompt": first.text, "duration": first.duration, "prompt_id": first.prompt_id,
            "seed": first.seed if all(item.seed is not None for item in row.items) else None, "repeat": first.repeat,
            **{name: value for name, value in first.sampling.items() if name != "weights"},
            "measures": {name: dict(clip.measures) for name, clip in clips.items()},
            "sources": {},
        }  # fmt: skip
        for name, item, model in heard:
            path = item.clips[model].path
            assert path is not None
            line["sources"][name] = typed.data(sessions.source_of(path, runs_dir, item.key, model))
        lines.append(line)
    return lines


def _as_it_was(session: Path, content: Mapping[str, list[dict[str, Any]]]) -> bool:
    """Whether the clips that the session has are those that there are now; others may have come."""
    for name, lines in content.items():
        now = {_key(line): line for line in lines}
        for line in _read(_clips_of(session, name)):
            other = now.get(_key(line))
            if other is not None and _digests(other) != _digests(line):
                return False
    return True


def _digests(line: Mapping[str, Any]) -> dict[str, str]:
    return {name: source["digest"] for name, source in line["sources"].items()}


def _key(line: Mapping[str, Any]) -> tuple[str, int]:
    return _words(line["text_prompt"]), line.get("repeat") or 0


def _read(clips: Path) -> list[dict[str, Any]]:
    """The lines that a session has; none where they cannot be read."""
    try:
        lines = [json.loads(line) for line in (clips / RESULTS).read_bytes().split(b"\n") if line.strip()]
        return [line for line in lines if _key(line) and _digests(line)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _clips_of(session: Path, name: str) -> Path:
    return session / (f"evaluation_{name}" if name else "evaluation")


def _write(session: Path, across: Across, content: Mapping[str, list[dict[str, Any]]], runs_dir: Path) -> None:
    """Write what is new: links first, then the lines that name them. Raises OSError."""
    for name, lines in content.items():
        clips = _clips_of(session, name)
        known = _read(clips)
        there = {_key(line) for line in known}
        fresh = [line for line in lines if _key(line) not in there]
        for number, line in enumerate(fresh, len(known) + 1):
            line["models"] = {
                model: _link(clips, model, number, sessions.found(source["file"], runs_dir))
                for model, source in line["sources"].items()
            }
            if BASE in line["models"]:
                line["base_model_file"] = line["models"][BASE]
        if fresh:
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [*known, *fresh])
            write_atomically(clips / RESULTS, text)
    write_atomically(session / sessions.FILE, sessions.as_text(across))


def _link(clips: Path, model: str, number: int, clip: Path) -> str:
    """Link a clip into the session; its name there, relative to the folder of clips. Raises OSError."""
    named = re.match(r"\d+-", clip.name)
    name = f"{model}_model/{number:02d}-{clip.name[named.end() :] if named else clip.name}"
    sessions.link(clips / name, clip)
    return name


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
