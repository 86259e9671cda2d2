"""One blind session across runs: the base model's clips once, and those of one model of each run, prompt by prompt.

Only clips of the same prompt that were made with the same noise and settings stand beside one another; what does not
is left out and said. The session is a folder of clips like a run's own, so Listen, notes and pages to share take it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.contract import liveness, typed
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir, alone_in, free_name, is_run, write_atomically
from tui.review.alike import (
    BASE,
    Shared,
    Side,
    how_to_make_alike,
    no_common_set,
    of_set,
    prompt_sets,
    shared,
    sides_of,
    words,
)
from tui.review.evaluation import RESULTS, SAMPLING, open_evaluation
from tui.runs import sessions
from tui.runs.sessions import Across, Member
from tui.runs.store import evaluation_folders
from tui.text import apart

NAMED = 60
"""Characters of a session's name that are made of its runs' names."""


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
            raise UserError(f"{name} is {said}: their clips would not be made alike. {how_to_make_alike([*values])}")


def _made_as(path: Path) -> dict[str, Any]:
    """How a run's clips were made, or would be by its settings."""
    folders = evaluation_folders(path)
    if folders:
        item = open_evaluation(folders[0]).items[0]
        return {"seed": item.seed, "duration": item.duration, **item.sampling}
    return RunDir(path).settings().evaluate.model_dump()


def distinct(paths: Sequence[Path]) -> list[Path]:
    """The folders, each once, in their order."""
    return list(dict.fromkeys(Path(os.path.abspath(path)) for path in paths))


def open_across(runs_dir: Path, paths: Sequence[Path], *, clock: Callable[[], float] = time.time) -> Path:
    """The folder of the session over these runs or folders of clips: the one there is, or a new one.

    Prompts that were added to all runs since are added to it; where clips were made again it is another session.
    UserError, and nothing is made, when there are fewer than two runs, nothing they share, or no room on the disk.
    """
    paths = _two_or_more(paths)
    sides = sides_of(_as_known(runs_dir, paths))
    sets = {name: shared([of_set(side, name) for side in sides]) for name in prompt_sets(sides)}
    if not any(each.rows for each in sets.values()):
        raise UserError(next(iter(sets.values())).said[-1] if sets else no_common_set(sides))
    home = sessions.folder(runs_dir)
    if is_run(home) or evaluation_folders(home):
        raise UserError(f"{home} is a run, and sessions across runs are kept there; rename it first.")
    try:
        home.mkdir(parents=True, exist_ok=True)
        with alone_in(home):
            return _made(runs_dir, sides, {name: each for name, each in sets.items() if each.rows}, clock)
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(f"The session cannot be written below {home} ({why}); nothing was changed.") from None


# -- the folder


def _as_known(runs_dir: Path, paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """The runs in the order and by the names of the session that there is over them; else as given, without names."""
    kept = {sessions.written(path, runs_dir): path for path in paths}
    for session in sessions.all_of(runs_dir):
        across = sessions.read(session)
        if across is not None and {member.run for member in across.members} == set(kept):
            return [(kept[member.run], member.name) for member in across.members]
    return [(path, "") for path in paths]


def _made(runs_dir: Path, sides: Sequence[Side], sets: Mapping[str, Shared], clock: Callable[[], float]) -> Path:
    """The session's folder, made or brought up to date. Raises OSError."""
    home = sessions.folder(runs_dir)
    members = [Member(name=s.name, run=sessions.written(s.path, runs_dir), model=s.model) for s in sides]
    said = list(dict.fromkeys(sentence for each in sets.values() for sentence in each.said))
    content = {name: _lines(runs_dir, each) for name, each in sets.items()}
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


def _lines(runs_dir: Path, made: Shared) -> list[dict[str, Any]]:
    """Lines of a results file, without the names of the clips' links. Raises OSError."""
    lines = []
    for row in made.rows:
        first = row.items[0]
        heard = [] if row.base is None else [(BASE, row.items[row.base], BASE)]
        heard += [(side.name, item, side.model) for side, item in zip(made.sides, row.items, strict=True)]
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
    return words(line["text_prompt"]), line.get("repeat") or 0


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
