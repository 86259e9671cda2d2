"""Reads which clip has which caption, in every layout people keep them, and on which side of the split it is.

Tables: metadata.json, .jsonl, .csv, .tsv or .parquet (Hugging Face's audiofolder and data sets), one for each split as
well; audiocraft's manifests data.jsonl and data.jsonl.gz. Without any, the captions beside the audio files.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract import config, tables
from engine.contract.data import columnar, sidecars
from engine.contract.data.locate import absolute, locate
from engine.contract.errors import UserError
from engine.contract.paths import cache_dir
from engine.contract.sound import FORMATS
from engine.contract.tables import Entry, NotEntries
from engine.contract.text import is_whole

LONGEST_NAME = 255
"""Bytes of a file's name; asking the system about a longer one is an error."""
SHOWN = 3
"""Captions, or entries, that an error names."""
AUDIO_KEYS = (
    "audio", "file_name", "filename", "path", "file", "audio_path", "audio_file", "audio_filepath", "file_path",
    "filepath", "audio_file_path",
)  # fmt: skip
TEXT_KEYS = ("text", "caption", "description", "prompt", "captions")
OUT = "out of "
"""What a split begins with for a clip that was taken out; the split that it was in follows."""
TABLES = ("metadata.json", "metadata.jsonl", "metadata.csv", "metadata.tsv", "metadata.parquet")
MANIFESTS = ("data.jsonl", "data.jsonl.gz")
_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", *columnar.SUFFIXES)
_COLUMNS = (AUDIO_KEYS, TEXT_KEYS)
_SIDES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev", "validate"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_OF_A_SIDE = re.compile(rf"({'|'.join(_SIDES)})(-\d.*)?", re.IGNORECASE)
_EXAMPLE = '{"audio": "train/x.wav", "text": "caption"}'


@dataclass(frozen=True)
class Clip:
    """One audio file with its caption. ``name`` is the path as the metadata writes it."""

    name: str
    audio: Path
    text: str
    split: str
    """"train", "valid", or another name, which training leaves alone."""
    file: Path = Path()
    """Where its caption stands."""
    entry: int = -1
    """Which entry of the file, from 0; -1 where the file is the clip's own."""
    track: str = ""
    """What it is a piece of, where the metadata says so in words; a bare number is a place on an album."""

    @property
    def is_out(self) -> bool:
        """Whether it was taken out: neither trained on nor checked."""
        return self.split.startswith(OUT)


@dataclass
class _Draft:
    """A clip of which it is not known yet where its audio lies; None for a caption that the entry has no field for."""

    name: str
    text: str | None
    said: str
    file: Path
    entry: int = -1
    audio: Path | None = None
    side: str = ""
    """The side that the whole table is of."""
    track: str = ""


def read(data: config.Data) -> list[Clip]:
    """All clips of the data folder, in the order of the metadata.

    Raises UserError when there is no metadata, or it is broken or empty. Audio that is not there is no error: its path
    is then as the metadata writes it.
    """
    folder = Path(data.dir)
    if not folder.is_dir():
        raise UserError(f"The data folder {folder} does not exist; set data.dir to the folder that holds the clips.")
    files = sources(data)
    drafts = [draft for file in files for draft in _from_file(file, folder, data)] if files else _from_sidecars(folder)
    if not drafts and not files:
        raise UserError(
            f"There is no {data.metadata} in {folder}, nor a caption beside any audio file; "
            f"{misplaced(folder) or f'write one as a list of {_EXAMPLE}'}."
        )
    if not drafts:
        raise UserError(f"{files[0]} names no clip; add entries such as {_EXAMPLE}.")
    return _placed(drafts, folder)


def of_split(clips: list[Clip], split: str) -> list[Clip]:
    return [clip for clip in clips if clip.split == split]


def sources(data: config.Data) -> list[Path]:
    """The tables that the clips are read from; none where captions lie beside the audio. Raises UserError.

    A table that the settings name by a name of its own is never replaced by another one.
    """
    folder, file = Path(data.dir), Path(data.dir) / data.metadata
    if file.is_file():
        return [file]
    if data.metadata != config.Data().metadata:
        there = sorted(path.name for path in folder.iterdir() if tables.suffix_of(path) in _SUFFIXES)
        near = difflib.get_close_matches(data.metadata, there, n=1) or there[:SHOWN]
        hint = f"did you mean {' or '.join(near)}?" if near else misplaced(folder) or "write it, or name another one"
        raise UserError(
            f"There is no {data.metadata} in {folder}, which data.metadata names; {hint}.".replace("?.", "?")
        )
    sides = sorted(path for path in folder.iterdir() if path.is_dir() and side_of(path.name))
    for name in (*TABLES, *MANIFESTS):
        if found := [path / name for path in (folder, *sides) if (path / name).is_file()]:
            return found
    if found := [path for path in sorted(folder.iterdir()) if _is_of_a_side(path)]:
        return found
    return [
        path
        for place in (folder, folder / "data", *sides)
        if place.is_dir()
        for path in sorted(place.iterdir())
        if path.suffix.lower() in columnar.SUFFIXES
    ]


def misplaced(folder: Path) -> str:
    """What to do where data.dir seems to be a level too low or too high; "" where it does not."""
    above, below = absolute(folder).parent, sorted(path for path in folder.iterdir() if path.is_dir())
    if side_of(absolute(folder).name) and _is_data_set(above):
        return f"{folder} is one side of the data set in {above}: set data.dir to that"
    sets = [path for path in below if not path.name.startswith(".") and _is_data_set(path)]
    if sets and not _is_data_set(folder):
        return f"a data set lies in {' and in '.join(map(str, sets[:SHOWN]))}: set data.dir to that folder"
    return ""


def _is_data_set(folder: Path) -> bool:
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return bool({*TABLES, *MANIFESTS} & set(names)) or len({side_of(name) for name in names} & {"train", "valid"}) == 2


def _is_of_a_side(path: Path) -> bool:
    """Whether a file is the table of one side, such as train.csv."""
    return bool(side_of(path.name.partition(".")[0])) and tables.suffix_of(path) in _SUFFIXES and path.is_file()


# -- tables


def rows(file: Path) -> list[Any]:
    """The entries of a table, whatever they hold. Raises UserError when it cannot be read."""
    return [entry.value for entry in _entries(file, cache_dir())]


def _entries(file: Path, cache: Path) -> list[Entry]:
    try:
        if file.suffix.lower() in columnar.SUFFIXES:
            return columnar.read(file, cache, AUDIO_KEYS)
        return tables.read(file, "", _COLUMNS)
    except FileNotFoundError:
        raise UserError(f"{file} was removed just now; look whether it is still being written.") from None
    except NotEntries as error:
        raise UserError(f"{file} must be a list of {_EXAMPLE}, not {error}.") from None


def _from_file(file: Path, folder: Path, data: config.Data) -> list[_Draft]:
    entries = _entries(file, cache_dir(data.cache_dir))
    tried = [_draft(entry, file, number) for number, entry in enumerate(entries)]
    drafts = [draft for draft in tried if isinstance(draft, _Draft)]
    for draft in drafts:
        draft.side = _side_of_table(file, folder)
    if wrong := [f"{entry.place} {why}" for entry, why in zip(entries, tried, strict=True) if isinstance(why, str)]:
        raise UserError(_about(wrong, entries, file))
    bases = [file.parent, *([folder] if folder != file.parent else [])]
    unknown = [draft for draft in drafts if draft.audio is None]
    for draft, audio in zip(unknown, locate([draft.name for draft in unknown], bases), strict=True):
        draft.audio = audio
    if drafts and all(draft.text is None for draft in drafts):
        _describe(drafts, file, entries)
    return drafts


def _draft(entry: Entry, file: Path, number: int) -> _Draft | str:
    """The clip of an entry, or what is wrong with it, to follow its place."""
    fields = entry.value
    if not isinstance(fields, dict):
        return "is no object"
    audio = audio_of(fields)
    if not isinstance(audio, str) or not audio.strip():
        return "has no audio path"
    if "\0" in audio or any(len(_bytes(part)) not in range(1, LONGEST_NAME + 1) for part in Path(audio).parts):
        return "has an audio path that no file can have"
    key, side = tables.key_of(fields, TEXT_KEYS), tables.key_of(fields, (tables.SPLIT,))
    said = fields[side] if side else None
    if not isinstance(said, str) and not tables.is_nothing(said):
        return f'has the split {said!r}; write "train" or "valid", or leave it out'
    text = None if key is None else fields[key]
    if isinstance(text, list) and len(text) == 1:
        text = text[0]
    if isinstance(text, (list, dict, bool)):
        return f"has a caption that is {'true or false' if isinstance(text, bool) else 'a list or an object'}"
    if key is not None:
        text = "" if tables.is_nothing(text) else " ".join(str(text).split())
        if not is_whole(text):
            return f"was cut in the middle of a character; write it anew: {text}"
    return _Draft(audio, text, said or "", file, number, entry.audio, track=_track_of(fields))


def _track_of(fields: dict[str, Any]) -> str:
    key = tables.key_of(fields, ("track",))
    track = fields[key] if key else None
    # A bare number is a place on an album.
    named = isinstance(track, str) and is_whole(track) and not track.strip().isdecimal()
    return " ".join(str(track).split()) if named else ""


def _about(wrong: list[str], entries: list[Entry], file: Path) -> str:
    """The sentence on entries that cannot be used; of a table without the columns, what columns it has."""
    columns = list(dict.fromkeys(str(key) for entry in entries if isinstance(entry.value, dict) for key in entry.value))
    known = {tables.plain_name(column) for column in columns}
    if columns and len(wrong) == len(entries) and not known & set(AUDIO_KEYS):
        return (
            f"{file} has no column that names the audio, but {tables.listed(columns)}; "
            f'call it "file_name", and the captions\' "text".'
        )
    place, _, what = wrong[0].partition(" ")
    number, _, rest = what.partition(" ")
    first = f"{place.capitalize()} {number} of {file} {rest}"
    more = f" (and {len(wrong) - 1} more such entries)" if len(wrong) > 1 else ""
    return f"{first}{more}; mend it there, as {_EXAMPLE}."


def _describe(drafts: list[_Draft], file: Path, entries: list[Entry]) -> None:
    """Captions of a table that has none: those beside the audio, as with audiocraft's manifests."""
    found = []
    for draft in drafts:
        assert draft.audio is not None
        draft.text, draft_file = sidecars.caption_of(draft.audio)
        if draft.text is not None:
            found.append(draft)
            draft.file, draft.entry = draft_file, -1
        draft.text = " ".join((draft.text or "").split())
    if not found:
        columns = list(dict.fromkeys(str(key) for entry in entries for key in entry.value))
        raise UserError(
            f'{file} has no column with captions, but {tables.listed(columns)}; call it "text", or put a .txt with the '
            "caption beside each audio file."
        )


def audio_of(fields: Any) -> Any:
    """What an entry names as its audio, None where it names none."""
    key = tables.key_of(fields, AUDIO_KEYS) if isinstance(fields, dict) else None
    audio = fields[key] if key else None
    if isinstance(audio, str) and audio.startswith("{") and "path" in audio:
        # Hugging Face's dict, as a table writes it.
        try:
            audio = ast.literal_eval(audio)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return audio
    return audio.get("path") if isinstance(audio, dict) else audio


def delimiter_of(text: str) -> str:
    """What stands between the cells of a table's text."""
    return tables.delimiter_of(text, _COLUMNS)


def text_key(fields: dict[str, Any], *, beside: bool) -> str:
    """The key that an entry has its caption under, or would have; ``beside`` for a file beside its clip."""
    keys = sidecars.KEYS if beside else TEXT_KEYS
    return tables.key_of(fields, keys) or keys[0]


# -- captions beside the audio


def audio_files(folder: Path) -> Iterator[Path]:
    """Audio files of a folder and all below it, in order; hidden ones, and the folders of runs, are left out."""
    return (path for path in files_below(folder) if path.suffix.lower() in FORMATS)


def files_below(folder: Path) -> Iterator[Path]:
    """All files of a folder and those below it, in order, through links; hidden ones and runs are left out."""
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen or "events.jsonl" in names:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))


def _from_sidecars(folder: Path) -> list[_Draft]:
    """Clips with a caption beside them. Raises UserError about captions that cannot be read: none is passed over."""
    drafts, unreadable = [], []
    for path in audio_files(folder):
        try:
            caption, file = sidecars.caption_of(path)
        except sidecars.Unreadable as error:
            unreadable.append(str(error))
            continue
        if caption is not None:
            name = str(path.relative_to(folder))
            drafts.append(_Draft(name, " ".join(caption.split()), "", file, audio=absolute(path)))
    if unreadable:
        more = f" and {len(unreadable) - SHOWN} more" if len(unreadable) > SHOWN else ""
        raise UserError(
            f"{len(unreadable)} captions in {folder} cannot be read: {'; '.join(unreadable[:SHOWN])}{more}. Save them "
            f"as UTF-8, such as with `{tables.TO_UTF_8}`, or take them away."
        )
    return drafts


# -- splits


def side_of(name: str) -> str:
    """ "train", "valid" or "test" for a folder or the stem of a table that is called so, "" for any other."""
    found = _OF_A_SIDE.fullmatch(name)
    return _SIDES[found[1].lower()] if found else ""


def _placed(drafts: list[_Draft], folder: Path) -> list[Clip]:
    """The clips, each on its side: what its entry says, else the folder it lies in, else the table that names it.

    Where no folder is a side's, folders mean something else, such as artists, and all clips are train.
    """
    root = absolute(folder)
    parts = [_folders(draft.audio or Path(), root) for draft in drafts]
    divided = any(side_of(name) in ("train", "valid") for folders in parts for name in folders)
    clips = []
    for draft, folders in zip(drafts, parts, strict=True):
        other = folders[0] if divided and folders else "train"
        assert draft.audio is not None
        split = split_of(draft.said, draft.audio, folder) or draft.side or other
        clips.append(Clip(draft.name, draft.audio, draft.text or "", split, draft.file, draft.entry, draft.track))
    return clips


def split_of(said: str | None, audio: Path, folder: Path) -> str:
    """The split of a clip whose entry says ``said`` of it, if anything; else that of its folder, "" if it is none's."""
    said = (said or "").strip()
    return side_of(said) or said or next(filter(None, map(side_of, _folders(audio, absolute(folder)))), "")


def _side_of_table(file: Path, folder: Path) -> str:
    of_folder = side_of(file.parent.name) if absolute(file.parent) != absolute(folder) else ""
    return side_of(file.name.partition(".")[0]) or of_folder


def _folders(audio: Path, root: Path) -> tuple[str, ...]:
    """The folders that an audio file lies in, below the data folder; elsewhere those from its side on."""
    if audio.is_relative_to(root):
        return audio.relative_to(root).parts[:-1]
    parts = audio.parts[1:-1]
    return next((parts[at:] for at in reversed(range(len(parts))) if side_of(parts[at])), ())


def _bytes(name: str) -> bytes:
    """What the system calls a file, b"" where no file can have the name."""
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:
        return b""
