"""Reads which clip has which caption, in every layout people keep them; the split is the first folder.

Layouts: metadata.json (a list of {"audio", "text"}), metadata.jsonl and metadata.csv with file_name (Hugging Face
audiofolder), a .txt beside each audio file, audiocraft's .json beside each audio file with "description".
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract import config
from engine.contract.errors import UserError
from engine.contract.text import TO_UTF_8, decoded, is_whole

AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg")
LONGEST_NAME = 255
"""Bytes of a file's name; asking the system about a longer one is an error."""
SHOWN = 3
"""Captions that an error names."""
_AUDIO_KEYS = ("audio", "file_name", "path")
_TEXT_KEYS = ("text", "caption", "description")
_BESIDE_KEYS = ("description", "text", "caption")
OUT = "out of "
"""What a split begins with for a clip that was taken out; the split that it was in follows."""
_VALID_NAMES = ("valid", "validation", "val", "dev")


@dataclass(frozen=True)
class Clip:
    """One audio file with its caption. ``name`` is the path as the metadata writes it."""

    name: str
    audio: Path
    text: str
    split: str
    """"train", "valid", or the name of another first folder, which training leaves alone."""
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


def read(data: config.Data) -> list[Clip]:
    """All clips of the data folder, in the order of the metadata.

    Raises UserError when there is no metadata, or it is broken or empty. Whether the audio exists is not looked at.
    """
    folder = Path(data.dir)
    if not folder.is_dir():
        raise UserError(f"The data folder {folder} does not exist; set data.dir to the folder that holds the clips.")
    file = folder / data.metadata
    if file.is_file():
        clips = list(_from_file(file, folder))
    else:
        clips = _from_other_layouts(folder)
        if not clips:
            raise UserError(
                f"There is no {data.metadata} in {folder}, nor a caption beside any audio file; "
                'write one as a list of {"audio": "train/x.wav", "text": "caption"}.'
            )
    if not clips:
        raise UserError(f'{file} names no clip; add entries such as {{"audio": "train/x.wav", "text": "caption"}}.')
    return clips


def of_split(clips: list[Clip], split: str) -> list[Clip]:
    return [clip for clip in clips if clip.split == split]


def _from_other_layouts(folder: Path) -> list[Clip]:
    for name in ("metadata.json", "metadata.jsonl", "metadata.csv"):
        files = [file for file in (folder / name, *sorted(folder.glob(f"*/{name}"))) if file.is_file()]
        clips = [clip for file in files for clip in _from_file(file, folder)]
        if clips:
            return clips
    return list(_from_sidecars(folder))


def _from_file(file: Path, folder: Path) -> Iterator[Clip]:
    for number, row in enumerate(rows(file), start=1):
        yield _clip(row, file, number, folder)


def rows(file: Path) -> list[Any]:
    """The entries of a metadata file, whatever they hold. Raises UserError when it cannot be read."""
    try:
        text = decoded(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror or error}); make it readable.") from None
    except ValueError as error:
        raise UserError(f"{file} {error}; save it as UTF-8, such as with `{TO_UTF_8}`.") from None
    return {".jsonl": _json_lines, ".csv": _csv_rows}.get(file.suffix.lower(), _json_list)(text, file)


def _json_list(text: str, file: Path) -> list[Any]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is no valid JSON ({error}); mend it there.") from None
    if not isinstance(rows, list):
        raise UserError(f'{file} must be a list of {{"audio", "text"}}, not a {type(rows).__name__}.')
    return rows


def _json_lines(text: str, file: Path) -> list[Any]:
    rows = []
    # Not splitlines: a caption may hold U+2028 and the like, which JSON leaves as they are.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise UserError(f"{file} line {number} is no valid JSON ({error}); mend that line.") from None
    return rows


def _csv_rows(text: str, file: Path) -> list[Any]:
    # A quoted caption may go over several lines.
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        return list(reader)
    except csv.Error as error:
        raise UserError(f"{file} line {reader.line_num + 1} is no valid CSV ({error}); mend that line.") from None


def _clip(row: Any, file: Path, number: int, folder: Path) -> Clip:
    audio, text = audio_of(row), _first(row, _TEXT_KEYS)
    if not isinstance(audio, str) or not audio or not isinstance(text, str):
        raise UserError(
            f"Entry {number} of {file} is not an object with an audio path and a caption; "
            'write it as {"audio": "train/x.wav", "text": "caption"}.'
        )
    split = row.get("split")
    if not isinstance(split, (str, type(None))):
        raise UserError(f'Entry {number} of {file} has the split {split!r}; write "train" or "valid", or leave it out.')
    if not is_whole(text):
        raise UserError(f"Entry {number} of {file} was cut in the middle of a character; write it anew: {text}")
    if "\0" in audio or any(len(_bytes(part)) not in range(1, LONGEST_NAME + 1) for part in Path(audio).parts):
        raise UserError(f"Entry {number} of {file} has an audio path that no file can have; mend it there.")
    path = _absolute(file.parent / audio)
    track = row.get("track")
    named = isinstance(track, str) and is_whole(track) and not track.strip().isdecimal()
    return Clip(
        audio, path, " ".join(text.split()), split_of(split, path, folder), file, number - 1,
        " ".join(track.split()) if named else "",
    )  # fmt: skip


def audio_of(row: Any) -> Any:
    """What an entry names as its audio, None where it names none."""
    return _first(row, _AUDIO_KEYS)


def text_key(row: dict[str, Any], *, beside: bool) -> str:
    """The key that an entry has its caption under, or would have; ``beside`` for a file beside its clip."""
    keys = _BESIDE_KEYS if beside else _TEXT_KEYS
    return next((key for key in keys if key in row), keys[0])


def split_of(said: str | None, audio: Path, folder: Path) -> str:
    """The split of a clip whose entry says ``said`` of it, if anything; else its folder does."""
    return _split_name(said) if said else _split_of(audio, folder)


def _bytes(name: str) -> bytes:
    """What the system calls a file, b"" where no file can have the name."""
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:
        return b""


def _first(row: Any, keys: tuple[str, ...]) -> Any:
    return next((row[key] for key in keys if key in row), None) if isinstance(row, dict) else None


def _from_sidecars(folder: Path) -> Iterator[Clip]:
    """Clips with a caption beside them. Raises UserError about captions that cannot be read: none is passed over."""
    unreadable = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES):
        try:
            caption, file = _sidecar_caption(path)
        except _Unreadable as error:
            unreadable.append(str(error))
            continue
        if caption is not None:
            name = str(path.relative_to(folder))
            yield Clip(name, _absolute(path), " ".join(caption.split()), _split_of(_absolute(path), folder), file)
    if unreadable:
        more = f" and {len(unreadable) - SHOWN} more" if len(unreadable) > SHOWN else ""
        raise UserError(
            f"{len(unreadable)} captions in {folder} cannot be read: {'; '.join(unreadable[:SHOWN])}{more}. Save them "
            f"as UTF-8, such as with `{TO_UTF_8}`, or take them away."
        )


class _Unreadable(Exception):
    """A caption that is there and cannot be read; the text says which and why."""


def _sidecar_caption(path: Path) -> tuple[str | None, Path]:
    """The caption beside an audio file, None where there is none, and its file. Raises _Unreadable."""
    for suffix in (".txt", ".json"):
        file = path.with_suffix(suffix)
        try:
            text = decoded(file.read_bytes())
            described = text if suffix == ".txt" else _first(json.loads(text), _BESIDE_KEYS)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _Unreadable(f"{file.name} ({error.strerror or error})") from None
        except json.JSONDecodeError as error:
            raise _Unreadable(f"{file.name} is no valid JSON ({error})") from None
        except (ValueError, RecursionError) as error:
            raise _Unreadable(f"{file.name} {error}") from None
        if isinstance(described, str):
            if not is_whole(described):
                raise _Unreadable(f"{file.name} was cut in the middle of a character")
            return described, file
    return None, path


def _split_of(path: Path, folder: Path) -> str:
    try:
        parts = path.relative_to(_absolute(folder)).parts[:-1]
    except ValueError:
        parts = path.parts[1:-1]
        named = [part for part in parts if _split_name(part) in ("train", "valid")]
        return _split_name(named[-1]) if named else "train"
    return _split_name(parts[0]) if parts else "train"


def _absolute(path: Path) -> Path:
    # Links are not followed: a split may be a folder of links to files that lie elsewhere.
    return Path(os.path.abspath(path))


def _split_name(folder: str) -> str:
    return "valid" if folder.lower() in _VALID_NAMES else "train" if folder.lower() == "train" else folder
