"""What the clips of new tracks are called, on which side of the split they go, and doing it so that nothing is lost."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from engine.contract import config, typed
from engine.contract.data import metadata, split
from engine.contract.data.metadata import Clip
from engine.contract.errors import UserError
from engine.contract.paths import cache_dir
from engine.contract.rundir import write_atomically
from engine.contract.text import plain
from engine.contract.user_files import alone
from engine.data import scan
from engine.data.fingerprint import shared_audio
from engine.data.prepare.records import (
    METADATA,
    PLAN,
    STAGE,
    Prepared,
    Record,
    load,
    save,
    staged_clip,
    staged_record,
)  # fmt: skip
from engine.data.prepare.sources import Source

LONGEST_NAME = 200
"""Bytes of the part of a clip's name that tells the track."""
_NUMBERED = re.compile(r"(.*)_\d{4,}\.wav", re.IGNORECASE | re.DOTALL)


def decide(
    out: Path, known: list[Record], new: list[tuple[Source, Record]], share: float, seed: int
) -> list[tuple[str, str]]:
    """Give new tracks their name, ``track`` and files; returns pairs of tracks, by name, that share audio."""
    names = _names(out, known, [source for source, _ in new])
    for (_, record), name in zip(new, names, strict=True):
        record.name = name
    paths = [f"{_place(r.source)}/{Path(r.source).name}" for r in [*known, *(r for _, r in new)]]
    guessed = split.track_names(paths, folders=False)
    for record, guess in zip([*known, *(r for _, r in new)], guessed, strict=True):
        # A track that names do not join to another is called as its clips are.
        record.track = record.track or (record.name if "/" in guess else guess)
    old = in_place(out)
    measured = scan.scan([clip.audio for clip in old], kept=scan.kept_file(cache_dir(), out)) if old else []
    prints = [m.print for m in measured]
    clips, owners = list(old), [clip.track or clip.name for clip in old]
    for _, record in new:
        for piece in record.pieces:
            clips.append(Clip(piece.file, out / piece.file, record.caption, "train", track=record.track))
            owners.append(record.name)
            prints.append(np.frombuffer(base64.b64decode(piece.print), np.uint32))
    pairs = [(pair.a, pair.b) for pair in shared_audio(prints)]
    sides = _sides(clips, pairs, seed, share, range(len(old)))
    each = iter(sides[len(old) :])
    for _, record in new:
        for number, piece in enumerate(record.pieces, 1):
            piece.file, piece.print = f"{next(each)}/{record.name}_{number:04d}.wav", ""
    return sorted({(owners[a], owners[b]) for a, b in pairs if owners[a] != owners[b] and b >= len(old)})


def in_place(out: Path) -> list[Clip]:
    """The clips that the data set has; [] where there is none yet."""
    return metadata.read(config.Data(dir=str(out))) if (out / METADATA).exists() else []


def _sides(clips: list[Clip], pairs: list[tuple[int, int]], seed: int, share: float, settled: range) -> list[str]:
    if not share:
        return ["train"] * len(clips)
    try:
        return split.split_by_track(clips, pairs, seed, share, settled)
    except UserError:
        # One track alone has no other side; the check says so, too.
        return [clip.split for clip in clips]


def _place(source: str) -> str:
    return str(Path(source).parent).replace("/", "|")


def _names(out: Path, known: Iterable[Record], sources: list[Source]) -> Iterator[str]:
    """A name for each track that no other and no file has: its own, else with its folder, else with a number."""
    taken = {record.name.casefold() for record in known}
    for side in ("train", "valid"):
        for file in os.listdir(out / side) if (out / side).is_dir() else []:
            found = _NUMBERED.fullmatch(file)
            taken.add((found[1] if found else file).casefold())
    for source in sources:
        own = _file_name(source.path.stem)
        folder = _file_name(source.path.parent.name)
        number = 1
        name = own
        while name.casefold() in taken:
            name = f"{folder}_{own}" if number == 1 else f"{own}-{number}"
            number += 1
        taken.add(name.casefold())
        yield name


def _file_name(stem: str) -> str:
    """A stem as it can be typed and kept in JSON: nothing hidden, no leading dash or dot, not too long."""
    name = re.sub(
        r"[\ufffd\u2400-\u2426/\\]",
        "_",
        plain(unicodedata.normalize("NFC", os.fsencode(stem).decode("utf-8", "replace"))),
    )
    name = " ".join(name.split()).lstrip("-. ")
    return name.encode()[:LONGEST_NAME].decode("utf-8", "ignore").rstrip(". ") or "track"


def write(out: Path, plan: Prepared) -> None:
    """From here on the plan is carried out, also by the next call when this one is killed."""
    write_atomically(out / STAGE / PLAN, json.dumps(typed.data(plan)))


def carry_out(out: Path) -> None:
    """Move the clips of a written plan to their places, then add them to metadata.json and prepared.json.

    May be called again at any point of it. Raises UserError when a file stands where a clip is to go.
    """
    if not (out / STAGE / PLAN).exists():
        return
    plan = typed.load(out / STAGE / PLAN, Prepared).value
    for record in plan.tracks:
        for number, piece in enumerate(record.pieces, 1):
            _move(staged_clip(out, record, number), out / piece.file)
    with alone(out):
        _enter(out, plan)
    for record in plan.tracks:
        staged_record(out, record).unlink(missing_ok=True)
    (out / STAGE / PLAN).unlink()


def _enter(out: Path, plan: Prepared) -> None:
    """Add the clips of a plan to metadata.json, then its tracks to prepared.json."""
    prepared = load(out) or Prepared(way=plan.way)
    # A track that was only renamed has its entries, unless its user took them out.
    old = {record.digest for record in prepared.tracks}
    entries = _entries(out)
    listed = {entry.get("audio") for entry in entries if isinstance(entry, dict)}
    entries += [
        {"audio": piece.file, "text": record.caption, "track": record.track}
        for record in plan.tracks
        if record.digest not in old
        for piece in record.pieces
        if piece.file not in listed
    ]
    if entries:
        write_atomically(out / METADATA, json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    made = {record.digest for record in plan.tracks}
    prepared.tracks = [record for record in prepared.tracks if record.digest not in made] + plan.tracks
    save(out, prepared)


def _move(staged: Path, place: Path) -> None:
    if not staged.exists():
        return
    place.parent.mkdir(exist_ok=True)
    if os.path.lexists(place):
        raise UserError(f"{place} is there already and is not overwritten; move it away, then call prepare again.")
    os.rename(staged, place)


def _entries(out: Path) -> list[Any]:
    """What metadata.json holds, entries of others and their fields too."""
    file = out / METADATA
    if not file.exists():
        return []
    try:
        entries = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read ({error}); mend it, then call prepare again.") from None
    if not isinstance(entries, list):
        raise UserError(f"{file} is no list of clips; mend it, then call prepare again.")
    return entries


def clean(out: Path) -> None:
    """Take away what is of no use once everything is in its place."""
    shutil.rmtree(out / STAGE, ignore_errors=True)


def clean_empty(out: Path) -> None:
    """Take away what a call made that came to nothing; what it had finished stays for the next one."""
    if os.listdir(out / STAGE) == ["lock"]:
        clean(out)
        with suppress(OSError):
            out.rmdir()
