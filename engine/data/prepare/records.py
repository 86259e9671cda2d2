"""What prepare knows of tracks: prepared.json in the data set, and what an interrupted call left in .prepare/."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from engine.contract import typed
from engine.contract.errors import UserError
from engine.contract.rundir import write_atomically

FILE = "prepared.json"
STAGE = ".prepare"
PLAN = "plan.json"
METADATA = "metadata.json"


class Piece(msgspec.Struct):
    """A clip. ``file`` is its path in the data set, or its name in .prepare/ before it has one."""

    file: str
    begin: float
    """Seconds from the start of the track."""
    seconds: float
    one_channel: bool = False
    """Its channels cancel when they are mixed: it was kept as one of them."""
    turned_down: float = 0.0
    """dB, because it went beyond full scale."""
    print: str = ""
    """Its fingerprint, only in .prepare/."""


class Left(msgspec.Struct):
    count: int = 0
    seconds: float = 0.0


class Record(msgspec.Struct, kw_only=True):
    """One track: where it came from, what was made of it, what was left out."""

    source: str
    size: int
    changed: int
    """Time of change of the source, ns."""
    digest: str
    """SHA-256 of its content."""
    way: str
    """How it was cut, as the settings said."""
    name: str = ""
    """With which its clips' names begin."""
    track: str = ""
    """Equal for tracks that are pieces of one."""
    rate: int
    channels: int
    seconds: float
    pieces: list[Piece] = []
    left_out: dict[str, Left] = {}
    words: dict[str, str] = {}
    """What is known of it, by where from; see words.KINDS."""
    caption: str = ""


class Prepared(msgspec.Struct, kw_only=True):
    way: str
    tracks: list[Record] = []


def load(out: Path) -> Prepared | None:
    """What earlier calls made in a folder; None when prepare never wrote there. Raises UserError for a damaged file."""
    if not (out / FILE).exists():
        return None
    found, wrong = typed.load(out / FILE, Prepared)
    if wrong:
        raise UserError(f"{wrong[0]}; bring {out / FILE} back as it was, or take another folder with --out.")
    return found


def save(out: Path, prepared: Prepared) -> None:
    write_atomically(out / FILE, json.dumps(typed.data(prepared), indent=1, ensure_ascii=False) + "\n")


def staged(out: Path) -> list[Record]:
    """Tracks that an interrupted call had finished cutting."""
    found = []
    for file in sorted((out / STAGE).glob("*.json")):
        if file.name == PLAN:
            continue
        try:
            record, wrong = typed.load(file, Record)
        except typed.Unreadable:
            continue
        if not wrong:
            found.append(record)
    return found


def stage(out: Path, record: Record) -> None:
    write_atomically(staged_record(out, record), json.dumps(typed.data(record)))


def staged_record(out: Path, record: Record) -> Path:
    return out / STAGE / f"{record.digest[:16]}-{record.way}.json"


def staged_clip(out: Path, record: Record, number: int) -> Path:
    """Where the clip of that number, from 1 on, waits for its name."""
    return out / STAGE / f"{record.digest[:16]}-{record.way}_{number:04d}.wav"
