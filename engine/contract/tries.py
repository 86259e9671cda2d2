"""Tries: clips of a prompt that came to mind, and what is said to the warm process that makes them.

One JSON object a line in both directions. Requests are ``Try``, ``Cancel``, ``AskCaptions`` and ``Leave``; answers
begin with ``Ready`` and end with ``Bye``, and every try in between ends in a ``Done`` or a ``Failed`` with its id.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import msgspec

from engine.contract import typed
from engine.contract.errors import UserError
from engine.contract.typed import Complaint, Count, Parsed

INDEX = "tries.jsonl"
LONGEST_LINE = 64 * 1024
"""Bytes of a request; longer ones are refused unread."""
LONGEST_SECONDS = 30.0
STRONGEST = 1.5
VARIATIONS = 4
MOST_MODELS = 6
SEEDS = 2**31

T = TypeVar("T")


class Recipe(msgspec.Struct, kw_only=True):
    """What, besides the models, decides how a try sounds."""

    prompt: str
    strength: float = 1.0
    """Share of the adapter that is merged in: 0 is the base model, 1 the adapter as it was trained."""
    seconds: float = 15.0
    seed: Count = 0
    guidance_scale: float = 3.0
    temperature: float = 1.0
    top_k: Count = 250
    top_p: float = 0.0


class TryClip(Recipe, kw_only=True):
    """One clip: a line of tries.jsonl, and the comment in the clip's own tags."""

    file: str
    """In the folder of the list."""
    model: str
    """As it was asked for: base, best, final, step-000200, RUN:best or an adapter's folder."""
    weights: str = ""
    """Digest of the weights that were decoded with; equal ones sound the same."""
    arithmetic: str = ""
    run: str = ""
    t: float = 0.0
    """When it was made, unix seconds."""


class Try(Recipe, kw_only=True, tag_field="do", tag="try"):
    """Make the clips of one prompt, by every model from the same noise."""

    id: Count
    run: str
    """The run's folder."""
    models: list[str] = msgspec.field(default_factory=lambda: ["base", "best"])
    variations: Count = 1
    """Clips a model, with the seeds that follow one another from ``seed`` on."""
    out: str = ""
    """Another folder for the clips than the run's tries/."""


class Cancel(msgspec.Struct, kw_only=True, tag_field="do", tag="cancel"):
    """End the try ``id`` between two steps, or leave it out if it waits; what it has made stays."""

    id: Count


class AskCaptions(msgspec.Struct, kw_only=True, tag_field="do", tag="captions"):
    """Tell some captions of the run's training clips: what a prompt may be written like."""

    id: Count
    run: str


class Leave(msgspec.Struct, kw_only=True, tag_field="do", tag="leave"):
    """End at once, because ``why``."""

    why: str = ""


Request = Try | Cancel | AskCaptions | Leave


class Ready(msgspec.Struct, kw_only=True, tag_field="say", tag="ready"):
    """The process takes requests; ``device`` is "cuda" or "cpu"."""

    device: str


class Progress(msgspec.Struct, kw_only=True, tag_field="say", tag="progress"):
    """Where a try is; ``total`` 0 means that its end is not known."""

    id: Count
    doing: str
    done: Count = 0
    total: Count = 0


class Warned(msgspec.Struct, kw_only=True, tag_field="say", tag="warning"):
    id: Count
    text: str


class Made(msgspec.Struct, kw_only=True, tag_field="say", tag="clip"):
    """A clip of a try is on disk."""

    id: Count
    path: str
    clip: TryClip
    before: bool = False
    """The same clip had been made before, and was not made again."""


class Captions(msgspec.Struct, kw_only=True, tag_field="say", tag="captions"):
    id: Count
    texts: list[str]


class Done(msgspec.Struct, kw_only=True, tag_field="say", tag="done"):
    id: Count
    cancelled: bool = False
    seconds: float = 0.0


class Failed(msgspec.Struct, kw_only=True, tag_field="say", tag="failed"):
    """A request gave nothing, or no more; without an id where none could be read."""

    text: str
    id: Count | None = None


class Bye(msgspec.Struct, kw_only=True, tag_field="say", tag="bye"):
    """The process ends."""

    text: str = ""


Answer = Ready | Progress | Warned | Made | Captions | Done | Failed | Bye


def line(message: Request | Answer) -> bytes:
    """A message as it is sent."""
    return json.dumps(typed.data(message)).encode() + b"\n"


def request(text: bytes) -> Request:
    """The request on a line. Raises UserError where it is none, or one of its fields is wrong."""
    found, wrong = typed.parse(text, Request)  # type: ignore[arg-type]
    if wrong:
        # A setting that is silently another than the one that was asked for would be heard, and not understood.
        raise UserError(f"The request cannot be used: {str(wrong[0]).removesuffix('; it is left out')}.")
    return found


def answer(text: bytes) -> Answer:
    """The answer on a line. Raises Unreadable where it is none."""
    return typed.parse(text, Answer).value  # type: ignore[arg-type]


def refuse(wish: Try) -> None:
    """Raise UserError for what no model could make, with the reason."""
    if not wish.prompt.strip():
        raise UserError("The prompt is empty; type what you want to hear, such as: slow piano, rain.")
    if not 1 <= wish.seconds <= LONGEST_SECONDS:
        raise UserError(
            f"A clip of {wish.seconds:g} s is refused: MusicGen was trained on {LONGEST_SECONDS:g} s and knows nothing "
            "of what comes after, and under one second there is nothing to hear; take 1 to 30."
        )
    if not wish.models or len(wish.models) > MOST_MODELS:
        raise UserError(f"{len(wish.models)} models are no choice; name 1 to {MOST_MODELS}, such as base,best.")
    _within("A strength", wish.strength, 0, STRONGEST, "0 is the base model, 1 the adapter as it was trained")
    _within("The number of variations", wish.variations, 1, VARIATIONS, "each has a seed of its own")
    _within("The seed", wish.seed, 0, SEEDS - VARIATIONS, "any whole number there is as good as another")
    _within("The guidance scale", wish.guidance_scale, 1, 20, "1 is none, 3 the usual")
    _within("The temperature", wish.temperature, 0.01, 5, "1 is the usual")
    _within("top-k", wish.top_k, 0, 100_000, "0 keeps all codes, 250 is the usual")
    _within("top-p", wish.top_p, 0, 1, "0 is off")


def _within(what: str, value: float, least: float, most: float, meaning: str) -> None:
    if not least <= value <= most:
        raise UserError(f"{what} of {value:g} is out of range; take {least:g} to {most:g}: {meaning}.")


def read(folder: Path) -> Parsed[list[TryClip]]:
    """The clips that a folder's list names and that are there, newest first. Nothing is raised."""
    path = Path(folder) / INDEX
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Parsed([], [])
    except OSError as error:
        return Parsed([], [Complaint(str(path), "", f"cannot be read ({error.strerror})")])
    found, complaints = typed.parse_lines(content, TryClip, path)
    by_file = {clip.file: clip for _, clip in found if "/" not in clip.file and (folder / clip.file).is_file()}
    return Parsed(list(by_file.values())[::-1], complaints)
