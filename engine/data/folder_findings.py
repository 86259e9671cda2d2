"""What lies in the data folder and is not used, what the metadata name and is not there, and where it may be."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

from engine.contract import config
from engine.contract.data import metadata, sidecars
from engine.contract.data.columnar import SUFFIXES
from engine.contract.data.locate import absolute
from engine.contract.data.metadata import Clip
from engine.contract.sound import FOREIGN, FORMATS
from engine.data.findings import Case, Finding, found
from engine.data.scan import Measured

MOST_FILES = 200_000
"""Files of the data folder that are looked at."""
_WORDS = ("readme", "license", "licence", "copying", "prompts", "notes", "changelog", "requirements", "credits")
"""What text files are called that are nobody's caption."""


def file_findings(clips: list[Clip], measured: list[Measured], folder: Path) -> list[Finding]:
    """Files that the metadata name: missing, not to be read, or lying elsewhere than it says."""
    pairs = list(zip(clips, measured, strict=True))
    gone = [clip for clip in clips if not clip.audio.is_file()]
    broken = [Case(m.error, (clip.name,)) for clip, m in pairs if m.error and clip.audio.is_file()]
    moved = [
        Case(f"{clip.name} is read from {_below(clip.audio, folder)}", (clip.name,))
        for clip in clips
        if _is_elsewhere(clip) and clip.audio.is_file()
    ]
    return [
        found(
            "missing-file", "block", [Case(_told(clip, folder), (clip.name,)) for clip in gone],
            "{n} file{s} that the metadata names {do} not exist",
            _where(gone, folder) or "Bring back what is missing, or take it out of the metadata.",
            fine=f"{len(clips)} of {len(clips)} files exist",
        ),
        found(
            "unreadable-audio", "block", broken, "{n} file{s} cannot be read as audio",
            "Convert to WAV or FLAC, or take out of the metadata what is no audio.", fine="every file can be read",
        ),
        found(
            "other-path", "info", moved, "{n} file{s} {do} not lie where the metadata say{verb_s}, and {are} read",
            "Nothing need be done.", fine="every file lies where the metadata says",
        ),
    ]  # fmt: skip


def use_findings(clips: list[Clip], data: config.Data) -> list[Finding]:
    """Files of the folder that no clip uses, and clips of splits that training leaves alone."""
    folder, others = (
        Path(data.dir),
        [clip for clip in clips if not clip.is_out and clip.split not in ("train", "valid")],
    )
    unused = _unused(clips, data)
    why = "; ".join(f"{count}: {reason}" for reason, count in Counter(unused.values()).most_common())
    names = ", ".join(f"{name} ({count})" for name, count in Counter(clip.split for clip in others).most_common())
    tables = _other_tables(folder, metadata.sources(data))
    return [
        found(
            "left-out", "warn", [Case(f"{_below(path, folder)}: {reason}") for path, reason in unused.items()],
            f"{{n}} file{{s}} in the data folder {{are}} not used ({why})",
            "Give each a caption (a line in the metadata, or a .txt beside it), convert what is not read, such as with "
            "`ffmpeg -i IN.m4a OUT.flac`, or take it away.",
            fine="every audio file in the data folder is used",
        ),
        found(
            "other-metadata", "info", [Case(_below(path, folder)) for path in tables],
            "{n} other file{s} of metadata {do} not count", "To use one, set data.metadata to its name.",
            fine="there is no other metadata",
        ),
        found(
            "other-split", "info", [Case(f"{clip.name}: {clip.split}", (clip.name,)) for clip in others],
            f"{{n}} clip{{s}} {{are}} in splits that training leaves alone: {names}", "Nothing need be done.",
            fine="every clip is in train or valid",
        ),
    ]  # fmt: skip


def _unused(clips: list[Clip], data: config.Data) -> dict[Path, str]:
    """Files that could be clips or captions and are not -> why."""
    folder, sources = Path(data.dir), metadata.sources(data)
    audio = {clip.audio for clip in clips}
    stems = {path.with_suffix("") for path in audio}
    captions = {absolute(clip.file) for clip in clips}
    no_entry = f"{sources[0].name} does not name it" if sources else "no caption beside it"
    unused: dict[Path, str] = {}
    for path in map(absolute, islice(metadata.files_below(folder), MOST_FILES)):
        suffix = path.suffix.lower()
        if suffix in FORMATS and path not in audio:
            unused[path] = no_entry
        elif suffix in FOREIGN and path.with_suffix("") not in stems:
            unused[path] = f"{suffix[1:].upper()} is not read"
        elif not sources and suffix in (".txt", ".caption") and path not in captions and _is_caption(path):
            unused[path] = "no audio beside it"
    return unused


def _is_caption(path: Path) -> bool:
    """Whether a text that no clip has as its caption is one without its audio."""
    name = path.name.lower()
    if name.endswith(sidecars.LYRICS) or name.startswith(_WORDS):
        return False
    stems = {name.removesuffix(ending) for ending in sidecars.ENDINGS if name.endswith(ending)}
    return not any((path.parent / stem).with_suffix(suffix).exists() for stem in stems for suffix in FORMATS)


def _other_tables(folder: Path, sources: list[Path]) -> list[Path]:
    names = (".json", ".jsonl", ".csv", ".tsv", *SUFFIXES)
    tables = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in names and path not in sources)
    return [path for path in tables if path.stem.lower().startswith("metadata") and path.is_file()]


def _told(clip: Clip, folder: Path) -> str:
    others = [clip.audio.with_suffix(suffix) for suffix in FORMATS]
    there = next((path for path in others if path.is_file()), None)
    return f"{clip.name} ({_below(there, folder)} is there)" if there else clip.name


def _where(gone: list[Clip], folder: Path) -> str:
    """Where files that are missing lie, when data.dir is a level too high or too low."""
    if not gone:
        return ""
    below = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    for root in (absolute(folder).parent, *below):
        if sum((root / clip.name).is_file() for clip in gone) * 2 > len(gone):
            return f"They lie below {root}: move the metadata there and set data.dir to it."
    return ""


def _is_elsewhere(clip: Clip) -> bool:
    return clip.entry >= 0 and clip.file.suffix not in SUFFIXES and clip.audio != absolute(clip.file.parent / clip.name)


def _below(path: Path, folder: Path) -> str:
    root = absolute(folder)
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
