"""The key to a page that is sent to a listener: it stays in the run, as ``review/shared/PAGE.json``.

The page knows its clips by number and letter alone. Which model a letter was stands in the key, with the clips' hashes:
what was said of clips that were made again since is not what is there now.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from engine.contract import typed
from engine.contract.config import Review
from engine.contract.errors import UserError
from engine.contract.rundir import checked_name, write_atomically
from tui.review import order
from tui.review.evaluation import Evaluation, open_evaluation
from tui.review.session import draw_trials, review_path
from tui.review.state import Moment, read_state
from tui.runs import sessions

VERSION = 1
FOLDER = "shared"
FEWEST_FOR_A_REPEAT = 4
"""Prompts from which on at least one comes again, hidden: of a stranger's ears nothing else is known."""
_PAGE = re.compile(r"[0-9a-f]{16}")
TRAINING = "T"
"""The number of the training item, on the page and in what comes back."""


class Key(msgspec.Struct, kw_only=True):
    """What a page's numbers and letters stand for."""

    version: typed.Int = VERSION
    page: str
    """Drawn at random; the page and what comes back name it."""
    listener: str = ""
    """Whom it was made for; empty when the page asks."""
    evaluation: str
    """Name of the folder of clips."""
    created: Moment = 0.0
    seed: typed.Int = 0
    mode: Literal["scores", "ranking"] = "scores"
    equal: order.EqualWeights | None = None
    trials: list[order.Trial]
    clips: dict[str, dict[str, str]]
    """Hash of the file by item and model."""

    def numbered(self) -> dict[str, order.Trial]:
        """The trials by the number that the listener sees: T for the training item, then 1, 2, 3 ..."""
        counted = [trial for trial in self.trials if trial.kind != "training"]
        numbered = {str(number): trial for number, trial in enumerate(counted, 1)}
        training = next((trial for trial in self.trials if trial.kind == "training"), None)
        return {TRAINING: training, **numbered} if training else numbered

    def changed(self, evaluation: Evaluation) -> list[str]:
        """Prompts with a clip that is another one than it was; one that is gone is none."""
        now = digests(evaluation, self.trials)
        return [
            item
            for item, models in self.clips.items()
            if any(now.get(item, {}).get(model, digest) != digest for model, digest in models.items())
        ]


def key_for(
    evaluation: Evaluation, review: Review, listener: str = "", *, clock: Callable[[], float] = time.time
) -> Key:
    """The key of a page for a listener: the one made for them before if the clips are still the same, or a new one.

    Nothing is written. UserError when there is nothing to hear, or the listener has a session of the panel here.
    """
    if listener:
        checked_name(listener, "listener")
        known = _known(evaluation, listener, review)
        if known is not None:
            return known
    equal: order.EqualWeights | None = "three" if evaluation.same_weights else None
    repeats = review.repeats or int(len(evaluation.items) >= FEWEST_FOR_A_REPEAT)
    seed = order.new_seed()
    trials = draw_trials(evaluation, review.model_copy(update={"repeats": repeats}), seed, equal)
    if not trials:
        raise UserError(
            f"{evaluation.folder}: none of its clips can be found; make them again with `mgl-tui evaluate`."
        )
    return Key(
        page=f"{order.new_seed():08x}{order.new_seed():08x}",
        listener=listener, evaluation=evaluation.folder.name, created=round(clock(), 1), seed=seed, mode=review.mode,
        equal=equal, trials=trials, clips=digests(evaluation, trials),
    )  # fmt: skip


def _known(evaluation: Evaluation, listener: str, review: Review) -> Key | None:
    """The newest key of the listener that still fits; UserError when they have a session that no page was made for."""
    folder = _folder(evaluation)
    own = [key for key in _keys(folder) if key.listener == listener]
    path = review_path(evaluation, listener)
    if path.exists() and read_state(path).state.page not in {key.page for key in own}:
        raise UserError(
            f"{listener} has a session on these clips already ({path}); share the page under another name, "
            "with --listener NAME."
        )
    own.sort(key=lambda key: key.created)
    fits = (key for key in reversed(own) if key.mode == review.mode and not key.changed(evaluation))
    return next((key for key in fits if _covers(key, evaluation)), None)


def _covers(key: Key, evaluation: Evaluation) -> bool:
    """All prompts that can be heard now are in the key, and all of its clips are there."""
    now = digests(evaluation, key.trials)
    heard = {item.key for item in evaluation.items if any(clip.path for clip in item.clips.values())}
    return now == key.clips and heard == set(key.clips)


def write(evaluation: Evaluation, key: Key) -> Path:
    """Keep the key in the run; returns its file. UserError when it cannot be written."""
    path = _folder(evaluation) / f"{key.page}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = msgspec.json.format(msgspec.json.encode(typed.data(key)), indent=1)
        write_atomically(path, content + b"\n")
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); without it nothing could be collected."
        ) from None
    return path


def find(home: Path, page: str) -> tuple[Key, Evaluation]:
    """The key of a page that was made from this run, or from it and others, and the clips it is about.

    UserError, with the run that it was made from where that is beside this one, when it was not made from this one.
    """
    for folder in (home, *(membership.session for membership in sessions.of_run(home))):
        for path in _files(folder, page):
            return _read(path), open_evaluation(folder, _set_of(path))
    others = sorted(run.name for run in home.parent.glob("*") if run != home and next(_files(run, page), None))
    where = f"it was made from {others[0]}: collect it there" if others else "collect it where it was made"
    raise UserError(f"no page {page[:16]} was made from {home.name}; {where}.")


def _files(home: Path, page: str) -> Iterator[Path]:
    if _PAGE.fullmatch(page):  # it comes from a file that anybody may have written, and is to name a file here
        yield from home.glob(f"review*/{FOLDER}/{page}.json")


def _set_of(path: Path) -> str | None:
    """The prompt set: None of review/shared/x.json, "more" of review_more/shared/x.json."""
    return path.parent.parent.name.removeprefix("review").removeprefix("_") or None


def _folder(evaluation: Evaluation) -> Path:
    return review_path(evaluation, "x").parent / FOLDER


def _keys(folder: Path) -> Iterator[Key]:
    for path in sorted(folder.glob("*.json")):
        with suppress(UserError):  # collect says what is wrong with it when somebody answers
            yield _read(path)


def _read(path: Path) -> Key:
    try:
        key, complaints = typed.load(path, Key)
    except typed.Unreadable as error:
        raise UserError(f"{error}; without this key nobody knows which clip was which.") from None
    if complaints or not _is_whole(key):
        wrong = complaints[0] if complaints else f"{path} is not as it was written"
        raise UserError(f"{wrong}; with a damaged key nobody knows which clip was which.")
    return key


def _is_whole(key: Key) -> bool:
    """Every trial has a name of its own, and clips that are known."""
    return (
        bool(key.trials)
        and len({trial.id for trial in key.trials}) == len(key.trials)
        and all(0 < len(set(trial.order)) == len(trial.order) <= len(order.LETTERS) for trial in key.trials)
        and all(set(trial.order) <= key.clips.get(trial.item, {}).keys() for trial in key.trials)
    )


def digests(evaluation: Evaluation, trials: list[order.Trial]) -> dict[str, dict[str, str]]:
    """Hash of every clip that the trials play, by item and model; those that are gone are left out."""
    wanted: dict[str, set[str]] = {}
    for trial in trials:
        wanted.setdefault(trial.item, set()).update(trial.order)
    found: dict[str, dict[str, str]] = {}
    for name, models in wanted.items():
        item = evaluation.item(name)
        clips: Mapping[str, Path] = {} if item is None else {m: c.path for m, c in item.clips.items() if c.path}
        for model in sorted(models & set(clips)):
            found.setdefault(name, {})[model] = _digest(clips[model])
    return found


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); make it readable for you.") from None
