"""What Data shows: the clips with what is known of each, which of them are listed and in which order. No screen."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from engine.contract.config import Settings
from engine.contract.data import split
from engine.contract.data.checked import CheckedClip
from engine.contract.data.metadata import OUT, Clip
from engine.contract.errors import UserError
from tui.dataset.dataset import Dataset
from tui.dataset.prompt_list import PromptList, repeats
from tui.dataset.words import Word, counts, has_word
from tui.runs.checks import Checked
from tui.runs.draft import Finding

View = Literal["clips", "findings", "words", "prompts"]
Key = tuple[str, int]
"""A clip: its name, and which of the entries with that name."""
SORTS = ("metadata", "split", "track", "seconds", "LUFS", "findings", "caption")
MISSPELT = "caption-misspelling"
_MEANT = re.compile(r'"(.+?)".*perhaps "(.+?)"')
GRAVE = ("block", "warn", "info", "ok")


class Known(NamedTuple):
    """A clip with what is known of it; the checks add to it what they have measured."""

    key: Key
    clip: Clip
    track: str
    seconds: float | None = None
    lufs: float | None = None
    """None until it is measured, and for silence."""
    findings: tuple[Finding, ...] = ()
    """The gravest first."""


@dataclass(frozen=True)
class Only:
    """Clips that were asked for by a finding or a word."""

    what: str
    keys: frozenset[Key]


@dataclass(frozen=True)
class Look:
    """Which clips are listed, and how."""

    view: View = "clips"
    filter: str = ""
    only: Only | None = None
    sort: int = 0
    inverted: bool = False

    def changed(self, **how: Any) -> Look:
        return replace(self, **how)


@dataclass(frozen=True)
class Room:
    """A data folder as it was read, and what the checks say of it. Raises nothing: ``problem`` says what is wrong."""

    settings: Settings
    clips: Sequence[Clip] = ()
    problem: str = ""
    checked: Checked | None = None
    prompts: Sequence[str] = ()
    prompts_problem: str = ""
    known: Mapping[Key, Known] = field(default_factory=dict)
    """Every clip, in the order of the metadata."""

    def listed(self, look: Look) -> list[Known]:
        """The clips that ``look`` asks for, in its order."""
        terms = look.filter.lower().split()
        found: Iterable[Known] = self.known.values()
        if look.only is not None:
            found = [known for known in found if known.key in look.only.keys]
        for term in terms:
            found = [known for known in found if term in self.texts[known.key]]
        order = _ORDERS.get(SORTS[look.sort])
        ordered = sorted(found, key=order) if order else list(found)
        return ordered[::-1] if look.inverted else ordered

    @cached_property
    def texts(self) -> dict[Key, str]:
        """Where the filter looks, by clip."""
        return {key: _text(known) for key, known in self.known.items()}

    @cached_property
    def findings(self) -> list[tuple[Finding, Only]]:
        """What the checks found fault with, the gravest first, and the clips that each concerns."""
        if self.checked is None:
            return []
        by_name: dict[str, list[Key]] = defaultdict(list)
        for key in self.known:
            by_name[key[0]].append(key)
        found = []
        for finding in sorted(self.checked.findings, key=gravity):
            if finding.severity != "ok":
                names = self.checked.concerned.get(finding.id, [])
                keys = [key for name in names for key in by_name[name] if not self.known[key].clip.is_out]
                found.append((finding, Only(finding.id, frozenset(keys))))
        return found

    @cached_property
    def words(self) -> list[Word]:
        return counts([clip.text for clip in self.clips if not clip.is_out])

    @cached_property
    def meant(self) -> dict[str, str]:
        """Words that look like a misspelling of a frequent one, and that one, as the checks tell them."""
        told = [example for finding, _ in self.findings if finding.id == MISSPELT for example in finding.examples]
        return {found[1]: found[2] for example in told if (found := _MEANT.search(example))}

    def words_like(self, part: str) -> list[Word]:
        """Words with ``part`` in them, those that look misspelt first."""
        found = [word for word in self.words if part.lower() in word.text]
        return sorted(found, key=lambda word: word.text not in self.meant)

    def with_word(self, word: str) -> Only:
        keys = (key for key, known in self.known.items() if has_word(known.clip.text, word))
        return Only(f"“{word}”", frozenset(keys))

    @cached_property
    def repeats(self) -> dict[int, tuple[bool, str]]:
        """Prompts that repeat a caption that is trained on, by their number."""
        return repeats(self.prompts, [clip.text for clip in self.clips if clip.split == "train"])

    @cached_property
    def sides(self) -> str:
        """How many clips each split has, in words."""
        found = Counter(map(side, self.clips))
        order = sorted(found, key=lambda name: (_SIDES.index(name) if name in _SIDES else 2, name))
        return ", ".join(f"{found[name]} {name}" for name in order)


class Reading(NamedTuple):
    """What the files of a data folder say, and the hands that edit them."""

    room: Room
    dataset: Dataset | None
    prompts: PromptList | None


def read(settings: Settings) -> Reading:
    """Read the data folder and the prompts of these settings; in a thread, for it may take a second."""
    dataset, problem, held, prompts_problem = None, "", None, ""
    try:
        dataset = Dataset(settings.data)
    except UserError as error:
        problem = str(error)
    try:
        held = PromptList(Path(settings.evaluate.prompts_file))
    except UserError as error:
        prompts_problem = str(error)
    return with_news(Reading(Room(settings, (), problem, None, (), prompts_problem), dataset, held))


def with_news(reading: Reading, checked: Checked | None = None) -> Reading:
    """The same with what was edited or ``checked`` since; in a thread as well."""
    room, dataset, held = reading
    clips = tuple(dataset.clips) if dataset is not None else ()
    if checked is None and [clip.name for clip in clips] == [clip.name for clip in room.clips]:
        pairs = zip(room.known.items(), clips, strict=True)
        known = {key: one if one.clip == clip else _edited(one, clip) for (key, one), clip in pairs}
    else:
        known = _known(clips, checked or room.checked)
    asked = tuple(prompt.text for prompt in held.prompts) if held is not None else ()
    room = Room(room.settings, clips, room.problem, checked or room.checked, asked, room.prompts_problem, known)
    _ = room.findings, room.texts  # worked out here rather than at the key that asks for them
    return reading._replace(room=room)


def _known(clips: Sequence[Clip], checked: Checked | None) -> dict[Key, Known]:
    measured: dict[str, CheckedClip] = {}
    by_id: dict[str, Finding] = {}
    if checked is not None:
        measured = {clip.name: clip for clip in checked.clips}
        by_id = {finding.id: finding for finding in checked.findings}
    seen: Counter[str] = Counter()
    found = {}
    for clip, track in zip(clips, _tracks(clips, measured), strict=True):
        key = clip.name, seen[clip.name]
        seen[clip.name] += 1
        said = measured.get(clip.name)
        if said is None:
            found[key] = Known(key, clip, track)
            continue
        findings = sorted((by_id[id] for id in said.findings if id in by_id), key=gravity)
        seconds, lufs = (said.seconds, said.lufs) if said.sample_rate else (None, None)
        found[key] = Known(key, clip, track, seconds, lufs, () if clip.is_out else tuple(findings))
    return found


def _edited(known: Known, clip: Clip) -> Known:
    """What is known of a clip after an edit, until the checks look again."""
    return known._replace(clip=clip, findings=() if clip.is_out else known.findings)


def _tracks(clips: Sequence[Clip], measured: Mapping[str, CheckedClip]) -> list[str]:
    # By what they share of their audio as well, where the checks have listened to all of them.
    if all(clip.name in measured for clip in clips):
        return [measured[clip.name].track for clip in clips]
    return split.tracks(list(clips))


def gravity(finding: Finding) -> int:
    return GRAVE.index(finding.severity) if finding.severity in GRAVE else len(GRAVE)


def side(clip: Clip) -> str:
    return "out" if clip.is_out else clip.split


def _text(known: Known) -> str:
    clip, ids = known.clip, " ".join(finding.id for finding in known.findings)
    return f"{clip.name} {known.track} {clip.split} {ids} {clip.text}".lower()


_SIDES = ("train", "valid", "out")
_ORDERS: dict[str, Callable[[Known], Any]] = {
    "split": lambda known: (known.clip.split.startswith(OUT), known.clip.split),
    "track": lambda known: known.track.lower(),
    "seconds": lambda known: -1.0 if known.seconds is None else known.seconds,
    "LUFS": lambda known: -1000.0 if known.lufs is None else known.lufs,
    "findings": lambda known: (min(map(gravity, known.findings), default=len(GRAVE)), -len(known.findings)),
    "caption": lambda known: known.clip.text.lower(),
}
