"""What is wrong with the split: audio that stands twice, tracks on both sides, no valid clips."""

from __future__ import annotations

from collections import defaultdict

from engine.contract.data import split
from engine.contract.data.metadata import Clip
from engine.data.findings import Case, Finding, found
from engine.data.fingerprint import Shared, shared_audio
from engine.data.scan import Measured

WHOLE = 0.8
"""Two clips that share so much of the shorter one are the same clip; below, pieces of one track."""


def pairs_of(measured: list[Measured]) -> list[Shared]:
    """Pairs that share audio: by content of the file, else by fingerprint."""
    pairs = {(pair.a, pair.b): pair for pair in shared_audio([m.print for m in measured])}
    first: dict[str, int] = {}
    for number, m in enumerate(measured):
        if m.digest:
            other = first.setdefault(m.digest, number)
            if other != number:
                pairs[other, number] = Shared(other, number, m.seconds, 1.0)
    return sorted(pairs.values())


def split_findings(clips: list[Clip], shared: list[Shared], misplaced: str = "") -> list[Finding]:
    """``misplaced`` says what to do when the data folder seems to be a level too low or too high."""
    same = [pair for pair in shared if pair.share >= WHOLE]
    names = [clip.name for clip in clips]
    sides = [clip.split for clip in clips]
    across = {pair for pair in shared if {sides[pair.a], sides[pair.b]} == {"train", "valid"}}
    valid = [number for number, side in enumerate(sides) if side == "valid"]
    by_fix = "Let `mgl-tui check --fix-split` write a split by track."
    twice = [
        Case(
            f"{names[p.a]} = {names[p.b]}{' (in both splits)' if p in across else ''}",
            tuple(dict.fromkeys((names[p.a], names[p.b]))),
        )
        for p in same
    ]
    twins = {number for pair in same if pair in across for number in (pair.a, pair.b)}
    most = bool(valid) and sum(number in twins for number in valid) * 2 >= len(valid)
    fix = f"{by_fix} Take double clips out." if twins else "Take one of each out, or the run learns it twice as hard."
    return [
        found(
            "duplicate-audio", "block" if most else "warn", twice,
            "{n} pair{s} of clips {are} the same audio"
            + (", most valid clips are among the train clips" if most else ""),
            fix, fine="no audio stands twice",
        ),
        found(
            "track-leak", "warn", _leaks(clips, sorted(across)),
            "{n} track{s} {have} pieces in train and in valid, so the valid loss flatters", by_fix,
            fine="no track is on both sides of the split",
        ),
        found(
            "no-valid-set", "block", [] if valid else [Case("valid/")],
            "no clip is in the valid split: nothing tells when to stop",
            f"{misplaced[:1].upper()}{misplaced[1:]}." if misplaced else by_fix,
            fine=f"{len(valid)} valid clip{'s' if len(valid) > 1 else ''}",
        ),
    ]  # fmt: skip


def _leaks(clips: list[Clip], across: list[Shared]) -> list[Case]:
    by_track: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for track, clip in zip(split.named_tracks(clips), clips, strict=True):
        by_track[track][clip.split].append(clip.name)
    torn = {track: sides for track, sides in by_track.items() if {"train", "valid"} <= sides.keys()}
    leaks = [
        Case(f"{track}: {sides['train'][0]} and {sides['valid'][0]}", (*sides["train"], *sides["valid"]))
        for track, sides in torn.items()
    ]
    told = {name for case in leaks for name in case.clips}
    for pair in across:
        a, b = clips[pair.a].name, clips[pair.b].name
        if not {a, b} <= told:
            leaks.append(Case(f"{a} and {b} share {pair.seconds:.1f} s of audio", (a, b)))
    return leaks
