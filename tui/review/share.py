"""A blind session as one page to send to somebody: it plays, keeps what is said, and gives a file to send back.

The page holds clips by number, in the order in which they are first heard. No name of a model, of a file or of the run
is in it; all clips are encoded in one way, from the samples alone, at one level a prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from engine.contract import user_files
from engine.contract.config import Review
from engine.contract.errors import UserError
from engine.contract.text import plain
from tui.review import answers, loudness, order, shared
from tui.review.evaluation import Evaluation
from tui.review.page.document import document, part
from tui.review.page.sounds import Sounds, encode
from tui.review.shared import Key
from tui.review.tags import tag_letters

TITLE = "Blind listening"
MARK = b"<title>Blind listening</title>"
"""By which a page of ours is known when it is written over."""
ANOTHER = "name another file with -o"


class Keys(NamedTuple):
    """What keys do on the page, from the one table of keys."""

    every: Sequence[Mapping[str, Any]]
    """As ``tui.keys.for_pages`` says."""
    hints: Sequence[tuple[str, str]]
    """The most important: (key, label)."""


@dataclass(frozen=True)
class Page:
    """A page that was written."""

    path: Path
    key: Key
    codec: str
    size: int
    """Bytes."""
    left_out: tuple[str, ...]
    """Clips that cannot be heard on it, each with the reason."""


def share(evaluation: Evaluation, review: Review, out: Path, *, listener: str = "", keys: Keys | None = None) -> Page:
    """Write the page for a listener to ``out`` and keep its key in the run.

    UserError when there is nothing to hear, the clips are too many for a page, or one of the two files cannot be
    written; then neither is.
    """
    real = user_files.target(out, lambda content: MARK in content[:4000], ANOTHER)
    key = shared.key_for(evaluation, review, listener)
    made, places = _sounds(evaluation, key)
    if made.full:
        raise UserError(
            f"{sum(map(len, key.clips.values()))} clips are too many for a page: share a smaller set of prompts "
            "(`mgl-tui evaluate RUN --prompts F --set-name S` makes one)."
        )
    if not any(made.clips):
        raise UserError(f"{evaluation.folder}: none of its clips can be read; make them again with `mgl-tui evaluate`.")
    text = document(
        TITLE,
        part("share.html"),
        scripts=["player.js", "session.js", "share_view.js", "share.js"],
        styles=["page.css", "share.css"],
        data=_data(evaluation, review, key, made, places, keys or Keys((), ())),
    )
    key_file = shared.write(evaluation, key)
    try:
        user_files.write(real, text, ANOTHER)
    except UserError:
        key_file.unlink(missing_ok=True)
        raise
    left_out = [f"{_place(key, clip)}: {made.left_out[at]}" for clip, at in places.items() if at in made.left_out]
    return Page(real, key, made.codec, len(text), tuple(left_out))


Clip = tuple[str, str]
"""Item and model."""


def _sounds(evaluation: Evaluation, key: Key) -> tuple[Sounds, dict[Clip, int]]:
    """Every clip once, level-matched within its prompt, and which is which: in the order in which they are heard."""
    places: dict[Clip, int] = {}
    wanted: list[tuple[Path, float]] = []
    for trial in key.trials:
        item = evaluation.item(trial.item)
        assert item is not None
        known = loudness.loudness_of(item)
        # Of all that are heard of the prompt, in whichever trial: each clip is in the page once.
        gains = loudness.gains({model: known.get(model) for model in key.clips[trial.item]})
        for model in trial.order:
            path = item.clips[model].path
            if (trial.item, model) not in places and path is not None:
                places[trial.item, model] = len(wanted)
                wanted.append((path, gains[model]))
    return encode(wanted), places


def _data(
    evaluation: Evaluation,
    review: Review,
    key: Key,
    made: Sounds,
    places: Mapping[Clip, int],
    keys: Keys,
) -> dict[str, Any]:
    """What the page's script reads."""
    most = max(len(trial.order) for trial in key.trials)
    trials = []
    for number, trial in key.numbered().items():
        item = evaluation.item(trial.item)
        clips = [places.get((trial.item, model), -1) for model in trial.order]
        trials.append({
            "number": number,
            "prompt": plain(item.text) if item else "",
            "clips": [at if at >= 0 and made.clips[at] is not None else None for at in clips],
        })  # fmt: skip
    return {
        "format": answers.FORMAT, "version": answers.VERSION, "page": key.page, "listener": key.listener,
        "mode": key.mode, "tags": [[letter, plain(tag)] for letter, tag in tag_letters(review.tags).items()],
        "minListen": review.min_listen, "restartOnSwitch": review.restart_on_switch, "mustRate": review.must_rate,
        "advance": review.advance,
        # Where some clips are one and the same, pictures would say which.
        "picturesLate": bool(evaluation.same_weights), "hints": [list(hint) for hint in keys.hints],
        "keys": [one for one in keys.every if _does_something(one, key.mode, most)], "trials": trials,
        "sounds": [clip and clip._asdict() for clip in made.clips],
    }  # fmt: skip


def _does_something(one: Mapping[str, Any], mode: str, most: int) -> bool:
    """Whether a key has a use on a page in this mode, with so many clips a prompt at most."""
    if one["does"] == "switch":
        return one["with"] in order.LETTERS[:most]
    return mode == "ranking" or one["does"] != "all_bad"


def _place(key: Key, clip: Clip) -> str:
    """``prompt 3, B``: where a clip is heard first."""
    found = next((n, t.letters[t.order.index(clip[1])]) for n, t in key.numbered().items() if t.item == clip[0])
    return f"prompt {found[0]}, {found[1]}"
