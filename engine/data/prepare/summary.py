"""What prepare says at its end: what was made, what was left out and why, and what is offered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.contract.data import metadata
from engine.contract.errors import UserError
from engine.data.prepare import words
from engine.data.prepare.decode import NO_FFMPEG
from engine.data.prepare.plan import in_place
from engine.data.prepare.records import Left, Record
from engine.data.prepare.track import Seen

SHOWN = 3
REASONS = {
    "near-silent": "nearly silent",
    "clipped": "clipped",
    "not-finite": "with values that are no numbers",
    "too-short": "ends shorter than a clip",
    "silence": "silence at beginnings, ends and in gaps",
}


@dataclass
class Told:
    """What happened on the way. Tracks are told by their paths."""

    asked: list[str] | None = None
    """Where captions are to come from."""
    known: int = 0
    """Tracks of earlier calls."""
    new: list[Record] = field(default_factory=list)
    updated: list[Record] = field(default_factory=list)
    """Known tracks whose file moved or was touched."""
    moved: list[tuple[str, str]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    same: list[tuple[str, str]] = field(default_factory=list)
    unread: list[Seen] = field(default_factory=list)
    mute: list[str] = field(default_factory=list)
    """Sidecars that cannot be read."""
    pairs: list[tuple[str, str]] = field(default_factory=list)
    """Tracks, by the names of their clips, that share audio."""
    other: Counter[str] = field(default_factory=Counter)
    closed: list[tuple[Path, str]] = field(default_factory=list)


def nothing(named: list[Path], told: Told) -> UserError:
    """Why there is nothing to make a data set of."""
    where = ", ".join(map(str, named))
    if told.unread:
        return UserError(
            f"No file of {where} can be read as audio: {_some(f'{_name(s)} ({s.error})' for s in told.unread)}."
        )
    return UserError(f"There is no audio file in {where}; name the folder, or the files, that hold the tracks.")


def summary(out: Path, told: Told) -> dict[str, Any]:
    """The document of ``prepare --json``; ``lines`` are the same for people."""
    clips = in_place(out)
    left: dict[str, Left] = {}
    for record in told.new:
        for reason, more in record.left_out.items():
            have = left.setdefault(reason, Left())
            have.count, have.seconds = have.count + more.count, round(have.seconds + more.seconds, 3)
    pieces = [piece for record in told.new for piece in record.pieces]
    found: dict[str, Any] = {
        "out": str(out),
        "new_tracks": len(told.new),
        "known_tracks": told.known,
        "new_clips": len(pieces),
        "new_seconds": round(sum(piece.seconds for piece in pieces), 1),
        "clips": len(clips),
        "train": _side(clips, "train"),
        "valid": _side(clips, "valid"),
        "left_out": {reason: {"count": n.count, "seconds": n.seconds} for reason, n in left.items()},
        "without_clips": [record.source for record in told.new if not record.pieces],
        "unread": [{"file": one.source.key, "reason": one.error} for one in told.unread],
        "closed": [{"file": str(path), "reason": reason} for path, reason in told.closed],
        "no_audio": dict(told.other),
        "same": [{"file": file, "as": other} for file, other in told.same],
        "moved": [{"from": old, "to": new} for old, new in told.moved],
        "changed": told.changed,
        "shared": [list(pair) for pair in told.pairs],
        "one_channel": _tracks(told.new, lambda piece: piece.one_channel),
        "turned_down": _tracks(told.new, lambda piece: piece.turned_down > 0),
        "captions": dict(Counter(_told_by(record, told.asked) for record in told.new if record.pieces)),
        "unread_captions": told.mute,
        "offered": [
            {"track": record.name, "tempo": record.words.get("tempo"), "key": record.words.get("key")}
            for record in told.new
            if record.pieces and (record.words.keys() & {"tempo", "key"})
        ],
    }
    return {**found, "lines": _lines(found, told)}


def _side(clips: list[metadata.Clip], side: str) -> dict[str, int]:
    of_it = metadata.of_split(clips, side)
    return {"clips": len(of_it), "tracks": len({clip.track or clip.name for clip in of_it})}


def _tracks(new: list[Record], which: Any) -> list[str]:
    return [record.name for record in new if any(map(which, record.pieces))]


def _told_by(record: Record, asked: list[str] | None) -> str:
    """Where a caption came from; "none" when nothing says anything."""
    kinds = [kind for kind in asked or words.USUAL if record.words.get(kind)]
    return " and ".join(kinds if asked else kinds[:1]) or "none"


def _lines(found: dict[str, Any], told: Told) -> list[str]:
    train, valid = found["train"], found["valid"]
    known = f", {_count(told.known, 'track')} known before" if told.known else ""
    lines = [
        f"{_count(found['new_tracks'], 'new track')}{known}: {_count(found['new_clips'], 'clip')} added "
        f"({_time(found['new_seconds'])}); {found['out']} holds {found['clips']}, {train['clips']} train "
        f"({_count(train['tracks'], 'track')}) and {valid['clips']} valid ({_count(valid['tracks'], 'track')})"
    ]
    lines += [
        f"left out: {n['count']} {REASONS[reason]}, {_time(n['seconds'])}" for reason, n in found["left_out"].items()
    ]
    wanting = [one for one in told.unread if one.error == NO_FFMPEG]
    broken = [one for one in told.unread if one.error != NO_FFMPEG]
    lines += [
        *_about("files that need ffmpeg, which is not installed", map(_name, wanting)),
        *_about("files that cannot be read", (f"{_name(one)} ({one.error})" for one in broken)),
        *_about("folders that cannot be looked into", (f"{path} ({why})" for path, why in told.closed)),
        *_about("tracks that gave no clip", map(_base, found["without_clips"])),
        *_about("files that are the same as another, left out", (f"{_base(a)} = {b}" for a, b in told.same)),
        *_about("known tracks under another name, nothing to do", (_base(b) for _, b in told.moved)),
        *_about("sources that changed since their clips were made", map(_base, told.changed)),
        *_about("tracks whose channels cancel in mono, one of them kept", found["one_channel"]),
        *_about("tracks that went beyond full scale, turned down", found["turned_down"]),
        *_about("pairs of tracks that share audio, kept on one side", (" = ".join(p) for p in told.pairs)),
        *_about("files that are no audio by their names", (f"{n} {end}" for end, n in told.other.most_common())),
        *_about("captions that cannot be read", map(_base, told.mute)),
    ]
    if found["new_clips"] and (
        others := sorted(file.name for file in Path(found["out"]).glob("metadata_by_track*.json"))
    ):
        lines.append(f"{others[-1]} does not have the new clips; let `mgl-tui check --fix-split` write another")
    if told.changed:
        lines.append("  their clips stay as they are; delete a track's clips and prepare makes them anew")
    if found["captions"]:
        by = ", ".join(f"{n} from {kind}" for kind, n in Counter(found["captions"]).most_common())
        lines.append(f"captions of tracks: {by}")
    if train["clips"] and not valid["clips"]:
        lines.append("no clip is held out for validation: that takes a second track")
    return lines + _offer(found["offered"])


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _time(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )


def _offer(offered: list[dict[str, Any]]) -> list[str]:
    if not offered:
        return []
    sure = [
        f"{kind} of {_count(n, 'track')}" for kind in ("tempo", "key") if (n := sum(bool(o[kind]) for o in offered))
    ]
    first = offered[0]
    like = ", ".join(filter(None, (first["tempo"], first["key"])))
    return [
        f"measured for sure and not written: {' and '.join(sure)}, such as {like} of {first['track']}; to have them in "
        "the captions, make the data set with --captions sidecar,tags,tempo,key"
    ]


def _about(what: str, cases: Iterable[str]) -> list[str]:
    cases = list(cases)
    return [f"{what} ({len(cases)}): {_some(cases)}"] if cases else []


def _some(cases: Iterable[str]) -> str:
    cases = list(cases)
    return "; ".join(cases[:SHOWN]) + (f" and {len(cases) - SHOWN} more" if len(cases) > SHOWN else "")


def _name(one: Seen) -> str:
    return one.source.path.name


def _base(path: str) -> str:
    return path.rpartition("/")[2]
