"""Which clips are pieces of one track, and a split that keeps tracks together."""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable
from pathlib import Path, PurePosixPath

from engine.contract.data.metadata import Clip, side_of
from engine.contract.errors import UserError
from engine.contract.rundir import write_atomically

VALID_SHARE = 0.1
LONGEST_TRACK = 40
"""Clips in a folder from which on it is a genre or an artist rather than a track."""
_SEPARATORS = re.compile(r"[_\-. ]+")
_PIECE = re.compile(r"(part|pt|seg|segment|chunk|clip|slice|section|split)(\d*)", re.IGNORECASE)
_TEMPO = re.compile(r"(\d+bpm|bpm\d+|\d+k?hz)", re.IGNORECASE)


def track_names(names: list[str], *, folders: bool = True) -> list[str]:
    """The track each file name is a piece of, as far as names tell; a file that is no piece is itself.

    ``beat_beat33_01_0000`` and ``beat_beat33_02_0004`` are pieces of ``beat_beat33``, ``a_part2`` is one of ``a``;
    ``clip_001`` and ``clip_002`` are only numbered: in folders of their own they are pieces of what the folder is,
    unless ``folders`` is False, as for whole tracks in folders of albums.
    """
    paths = [PurePosixPath(name.replace("\\", "/")) for name in names]
    places = [_folder(path) if folders and _is_only_numbered(path.stem) else "" for path in paths]
    counts = Counter(filter(None, places))
    by_folder = len(counts) > 1 and max(counts.values()) <= LONGEST_TRACK
    guesses = [_track(path.stem) or (folder if by_folder else "") for path, folder in zip(paths, places, strict=True)]
    sizes = Counter(guesses)
    # What half of a data set shares is the name of the data set, not of a track.
    most = max(10, len(names) // 2)
    return [guess if guess and sizes[guess] <= most else name for guess, name in zip(guesses, names, strict=True)]


def _folder(path: PurePosixPath) -> str:
    """The folder that a file lies in, without the side of the split that it is on."""
    return "/".join(part for part in path.parts[:-1] if not side_of(part))


def _is_only_numbered(stem: str) -> bool:
    """Whether a name is nothing but a number and a word for a piece: "0001", "clip_001", "part2"."""
    tokens = [token for token in _SEPARATORS.split(stem) if token]
    return any(map(str.isdigit, stem)) and all(token.isdigit() or _PIECE.fullmatch(token) for token in tokens)


def _track(stem: str) -> str:
    tokens = [token for token in _SEPARATORS.split(stem) if token]
    head = list(tokens)
    numbers: list[str] = []
    while len(head) > 1 and head[-1].isdigit():
        numbers.insert(0, head.pop())
    if not numbers:
        piece = _PIECE.fullmatch(tokens[-1]) if len(tokens) > 1 else None
        return "_".join(tokens[:-1]) if piece and piece[2] else ""
    if len(head) > 1 and _PIECE.fullmatch(head[-1]):
        return "_".join(head[:-1])
    if any(any(map(str.isdigit, token)) for token in head if not _TEMPO.fullmatch(token)):
        return "_".join(head)
    return "_".join([*head, numbers[0]]) if len(numbers) > 1 else ""


def named_tracks(clips: list[Clip]) -> list[str]:
    """The track of each clip: what the metadata says, else what its name tells."""
    return [clip.track or name for clip, name in zip(clips, track_names([c.name for c in clips]), strict=True)]


def tracks(clips: list[Clip], pairs: Iterable[tuple[int, int]] = ()) -> list[str]:
    """The name of each clip's track: that of the first clip among those that are pieces of one, or share audio."""
    names = named_tracks(clips)
    first: dict[int, str] = {}
    return [first.setdefault(root, name) for root, name in zip(groups(clips, pairs), names, strict=True)]


def groups(clips: list[Clip], pairs: Iterable[tuple[int, int]]) -> list[int]:
    """A group number per clip: clips of one track by name, or joined by a pair that shares audio, have the same."""
    parent = list(range(len(clips)))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    first: dict[str, int] = {}
    for number, track in enumerate(named_tracks(clips)):
        parent[root(number)] = root(first.setdefault(track, number))
    for a, b in pairs:
        parent[root(a)] = root(b)
    return [root(number) for number in range(len(clips))]


def split_by_track(
    clips: list[Clip],
    pairs: Iterable[tuple[int, int]] = (),
    seed: int = 0,
    share: float = VALID_SHARE,
    settled: Container[int] = (),
) -> list[str]:
    """ "train" or "valid" per clip, about ``share`` of them valid, no track on both sides.

    ``pairs`` are numbers of clips that share audio. Clips of another split, such as "test", stay where they are, and so
    do those whose numbers are ``settled``, with whatever belongs to their tracks. Raises UserError when all are of one.
    """
    import numpy as np

    members = defaultdict(list)
    for number, root in enumerate(groups(clips, pairs)):
        if clips[number].split in ("train", "valid"):
            members[root].append(number)
    if not members:
        raise UserError(
            "No clip is in train or valid, so there is nothing to split; look at what the metadata call split."
        )
    if len(members) < 2:
        raise UserError("All clips are of one track, so no split can keep it on one side; add clips of another track.")
    splits = ["train" if clip.split == "valid" else clip.split for clip in clips]
    taken, free = 0, []
    for group in members.values():
        sides = {clips[number].split for number in group if number in settled}
        for number in group if sides else ():
            splits[number] = clips[number].split if number in settled else min(sides)
            taken += splits[number] == "valid"
        free += [] if sides else [group]
    wanted = max(1, round(sum(map(len, members.values())) * share))
    order = [free[index] for index in np.random.default_rng(seed).permutation(len(free))]
    # A track so long that it would take much more than its share stays in train, unless there is no other.
    for group in [group for group in order if len(group) <= wanted] or sorted(order, key=len)[:1]:
        if taken < wanted:
            taken += len(group)
            for number in group:
                splits[number] = "valid"
    return splits


def write_split(clips: list[Clip], splits: list[str], folder: Path) -> Path:
    """Write a metadata file with a `split` beside each clip into the data folder; never over an existing file."""
    number = 1
    while (file := folder / f"metadata_by_track{'' if number == 1 else f'_{number}'}.json").exists():
        number += 1
    entries = []
    root = os.path.abspath(folder)
    for clip, split in zip(clips, splits, strict=True):
        name = str(clip.audio.relative_to(root)) if clip.audio.is_relative_to(root) else str(clip.audio)
        track = {"track": clip.track} if clip.track else {}
        entries.append({"audio": name, "text": clip.text, "split": split, **track})
    try:
        write_atomically(file, json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(f"{file} cannot be written ({error.strerror}); make the data folder writable.") from None
    return file
