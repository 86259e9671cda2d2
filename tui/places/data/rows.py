"""The lists of Data as rows of a table: clips, findings, words, prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.contract.sound import FORMATS
from engine.contract.text import plain
from tui.dataset import words
from tui.places.data.room import Known, Room, gravity, side
from tui.runs.draft import Finding
from tui.text import NONE
from tui.widgets.table import Column, Row

Cell = str | tuple[str, str]
GLYPHS = {"block": ("✘", "$error"), "warn": ("▲", "$warning"), "info": ("·", "$quiet"), "ok": ("✔", "$success")}
BY_KEY = {
    "track-leak": "F splits anew by track",
    "no-valid-set": "F splits anew by track",
    "caption-misspelling": "w shows such words first, h replaces one everywhere",
    "caption-empty": "i writes the caption",
    "prompt-in-captions": "p shows the prompts, i words one anew",
    "duplicate-audio": "x takes a clip out",
    "missing-file": "x takes a clip out",
    "unreadable-audio": "x takes a clip out",
}
"""What a key of this place does about a finding, by its id."""
_NARROW = [Column("Split", 5), Column("Track", 12), Column("s", 5, True), Column("LUFS", 5, True), Column("Faults", 6)]
_WIDE = [Column("Split", 5), Column("Track", 20), Column("s", 5, True), Column("LUFS", 6, True), Column("Faults", 6)]
COLUMNS = {
    "findings": [Column("", 1), Column("Finding", 22), Column("Clips", 6, True), Column("", 0)],
    "words": [Column("Word", 24), Column("Captions", 8, True), Column("Times", 8, True), Column("", 0)],
    "prompts": [Column("", 3, True), Column("", 1), Column("Prompt", 0)],
}


def clip_columns(width: int) -> list[Column]:
    """Columns of the list of clips for a terminal of this width; the name only where there is room for it."""
    caption = Column("Caption", 0)
    if width < 100:
        return [*_NARROW, caption]
    return [*_WIDE, *([Column("Clip", 34)] if width >= 160 else []), caption]


def clip_row(known: Known, width: int) -> Row:
    clip = known.clip
    style = "$quiet" if clip.is_out else ""
    cells: list[Cell] = [
        (side(clip), "$quiet" if clip.is_out else "$accent" if clip.split == "valid" else ""),
        (track_name(known), style),
        (NONE if known.seconds is None else f"{known.seconds:.1f}", "$quiet"),
        (NONE if known.lufs is None else f"{known.lufs:.1f}", "$quiet"),
        faults(known.findings),
    ]
    if width >= 160:
        cells.append((clip.name, style))
    return Row(known.key, [*cells, (clip.text or "no caption", style if clip.text else "$warning")])


def track_name(known: Known) -> str:
    """The track in the words of its files; one that has a single clip is called by that clip's path."""
    return Path(known.track).stem if known.track.lower().endswith(tuple(FORMATS)) else known.track


def faults(findings: Sequence[Finding]) -> Cell:
    """The gravest mark, and how many findings there are."""
    if not findings:
        return ""
    glyph, colour = GLYPHS[min(findings, key=gravity).severity]
    return f"{glyph} {len(findings)}" if len(findings) > 1 else glyph, colour


def finding_rows(room: Room) -> list[Row]:
    rows = []
    for number, (finding, only) in enumerate(room.findings):
        count = str(len(only.keys)) if only.keys else ""
        rows.append(Row(number, [GLYPHS[finding.severity], finding.id, (count, "$accent"), plain(finding.message)]))
    return rows


def word_rows(found: Sequence[words.Word], meant: Mapping[str, str]) -> list[Row]:
    rows = []
    for word in found:
        perhaps = (f"▲ perhaps “{meant[word.text]}”", "$warning") if word.text in meant else ""
        rows.append(Row(word.text, [word.text, str(word.captions), (str(word.times), "$quiet"), perhaps]))
    return rows


def prompt_rows(room: Room) -> list[Row]:
    rows = []
    for number, text in enumerate(room.prompts):
        mark: Cell = ""
        if number in room.repeats:
            mark = GLYPHS["block" if room.repeats[number][0] else "warn"]
        rows.append(Row(number, [(str(number + 1), "$quiet"), mark, text]))
    return rows
