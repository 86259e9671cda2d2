"""What is known of a track in words: its sidecar, its tags, its folders, its name; and the caption they make."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.contract.data import metadata
from engine.contract.errors import UserError
from engine.contract.text import decoded, is_whole, plain

KINDS = ("sidecar", "tags", "folder", "name", "tempo", "key")
"""Where words come from; the last two are measured, and taken only when asked for."""
USUAL = ("sidecar", "tags", "folder", "name")
"""The first of these that says something is the caption, unless the user chooses."""
FIELDS = ("style", "styles", "genre", "genres", "tag", "tags", "mood", "moods", "instrument", "instruments", "keywords")
"""What of a description without a text is joined."""
_DESCRIPTIONS = ("description", "text", "caption", "prompt")
_SAYS_NOTHING = frozenset(("other", "unknown", "misc", "none", "genre", "undefined", "default", "<unknown>"))
_TEMPI = ("bpm", "tempo", "tmpo", "tbpm", "beatsperminute")
_KEYS = ("key", "initialkey", "initial key", "initial_key", "tkey")
_KEY = re.compile(r"([A-G])\s*(#|♯|sharp|b|♭|flat)?[\s-]*(m|min|minor|maj|major)?", re.IGNORECASE)
_CAMELOT = re.compile(r"(1[0-2]|[1-9])([AB])", re.IGNORECASE)
# The keys of Camelot's wheel from 1 on: minor (A) and major (B).
_WHEEL = (
    ("A flat", "E flat", "B flat", "F", "C", "G", "D", "A", "E", "B", "F sharp", "D flat"),
    ("B", "F sharp", "D flat", "A flat", "E flat", "B flat", "F", "C", "G", "D", "A", "E"),
)
_NUMBERED = re.compile(r"^(\d{1,3}\s*[._-]+\s*|0\d+\s+)(?=\D)")


class UnreadableWords(Exception):
    """A sidecar that is there and cannot be read; the text says which and why."""


def caption(words: dict[str, str], kinds: Iterable[str] | None, add: str, *, behind: bool) -> str:
    """The caption of a track: what ``kinds`` say, joined without repeating; by default the first that says anything."""
    if kinds is None:
        said = [next((words[kind] for kind in USUAL if words.get(kind)), "")]
    else:
        said = [words.get(kind, "") for kind in kinds]
    # Whoever adds "boombap," means the comma that is put there anyhow.
    add = add.strip(" ,")
    parts = [part for part in ([*said, add] if behind else [add, *said]) if part]
    known: set[str] = set()
    return ", ".join(part for part in parts if not (part.casefold() in known or known.add(part.casefold())))  # type: ignore[func-returns-value]


def of_name(stem: str) -> str:
    """A file's name as words: "03 - slow_sad piano" is "slow sad piano"; "" for a name without letters."""
    text = _NUMBERED.sub("", stem)
    if " " not in text and "_" not in text:
        text = text.replace("-", " ")
    text = _clean(re.sub(r"[_.]+|\s-+\s", " ", text))
    return text if any(map(str.isalpha, text)) else ""


def of_folders(folders: Iterable[str]) -> str:
    return ", ".join(filter(None, map(of_name, folders)))


def of_sidecar(path: Path) -> str:
    """The words of a .txt or .json beside a file, "" where there is none. Raises UnreadableWords."""
    ends = (".txt", ".json")
    for file in [*map(path.with_suffix, ends), *(Path(f"{path}{end}") for end in ends)]:
        try:
            text = decoded(file.read_bytes())
            found = text if file.suffix == ".txt" else of_fields(json.loads(text))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UnreadableWords(f"{file} ({(error.strerror or str(error)).lower()})") from None
        except json.JSONDecodeError:
            raise UnreadableWords(f"{file} (no valid JSON)") from None
        except (ValueError, RecursionError) as error:
            raise UnreadableWords(f"{file} ({error})") from None
        if not is_whole(found):
            raise UnreadableWords(f"{file} (cut in the middle of a character)")
        if found := _clean(found):
            return found
    return ""


def of_tables(named: Iterable[Path]) -> tuple[dict[str, str], list[str]]:
    """What metadata.json, .jsonl and .csv of the named folders say of tracks, by path; and what is unreadable."""
    found: dict[str, str] = {}
    unread = []
    for folder in named:
        for name in ("metadata.csv", "metadata.jsonl", "metadata.json"):
            for file in (folder / name, *sorted(folder.glob(f"*/{name}"))):
                try:
                    rows = metadata.rows(file) if file.is_file() else []
                except UserError as error:
                    unread.append(str(error).rstrip("."))
                    continue
                for row in rows:
                    audio = metadata.audio_of(row)
                    if isinstance(audio, str) and (text := of_fields(row)) and is_whole(text):
                        found[os.path.abspath(file.parent / audio)] = text
    return found, unread


def of_fields(row: Any) -> str:
    """A description's text, else its style, genre, mood and the like joined."""
    if not isinstance(row, dict):
        return ""
    lower = {str(name).strip().casefold(): value for name, value in row.items()}
    for name in _DESCRIPTIONS:
        if isinstance(lower.get(name), str) and lower[name].strip():
            return _clean(lower[name])
    found = {name: _listed(lower[name]) for name in (*FIELDS, *_TEMPI, *_KEYS) if lower.get(name)}
    return _joined(found)


def of_tags(path: Path) -> str:
    """Genre, style, mood, tempo and key of a file's own tags: ID3, Vorbis comments, MP4, APE, ASF, RIFF."""
    return _joined(_tags(path))


def _joined(found: dict[str, list[str]]) -> str:
    parts = [_clean(part) for name in FIELDS for value in found.get(name, []) for part in re.split(r"[;/|,\0]", value)]
    parts = [part for part in parts if part and part.casefold() not in _SAYS_NOTHING]
    parts += [_tempo(value) for name in _TEMPI for value in found.get(name, [])[:1]][:1]
    parts += [_key(value) for name in _KEYS for value in found.get(name, [])[:1]][:1]
    return ", ".join(dict.fromkeys(filter(None, parts)))


def _tempo(value: str) -> str:
    try:
        bpm = round(float(value.replace(",", ".")))
    except (ValueError, OverflowError):
        return ""
    return f"{bpm} bpm" if 20 <= bpm <= 400 else ""


def _key(value: str) -> str:
    value = value.strip()
    if place := _CAMELOT.fullmatch(value):
        minor = place[2] in "aA"
        return f"{_WHEEL[0 if minor else 1][int(place[1]) - 1]} {'minor' if minor else 'major'}"
    if not (named := _KEY.fullmatch(value)):
        return ""
    sign = {"#": " sharp", "♯": " sharp", "s": " sharp", "b": " flat", "♭": " flat", "f": " flat"}
    mode = (named[3] or "").lower()
    minor = mode in ("min", "minor") or named[3] == "m"
    return f"{named[1].upper()}{sign[named[2][0].lower()] if named[2] else ''} {'minor' if minor else 'major'}"


def _listed(value: Any) -> list[str]:
    parts = value if isinstance(value, list) else [value]
    return [str(part) for part in parts if isinstance(part, (str, int, float))]


def _tags(path: Path) -> dict[str, list[str]]:
    """Tags by their common names in lower case; {} where there are none, or they are damaged."""
    import mutagen

    try:
        file = mutagen.File(path)
    except Exception:  # it raises what it stumbles over; a track without readable tags is a track
        file = None
    tags = getattr(file, "tags", None)
    if not tags:
        return _riff(path)
    if hasattr(tags, "getall"):
        return _id3(tags)
    found: dict[str, list[str]] = {}
    for name, values in tags.items():
        name = str(name).casefold().removeprefix("wm/").rpartition(":")[2]
        name = {"©gen": "genre"}.get(name, name)
        values = values if isinstance(values, list) else [values]
        found[name] = [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values]
    return found


def _id3(tags: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for frame in tags.getall("TXXX"):
        found.setdefault(str(frame.desc).casefold(), []).extend(map(str, frame.text))
    for name, frame_id in (("genre", "TCON"), ("mood", "TMOO"), ("bpm", "TBPM"), ("key", "TKEY")):
        texts = [text for frame in tags.getall(frame_id) for text in (frame.genres if name == "genre" else frame.text)]
        found[name] = [*map(str, texts), *found.get(name, [])]
    return found


def _riff(path: Path) -> dict[str, list[str]]:
    """The genre of a WAV's own list of tags, which mutagen passes over."""
    import soundfile

    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            return {"genre": [file.copy_metadata().get("genre", "")]}
    except (OSError, RuntimeError, TypeError, ValueError):
        return {}


def _clean(text: str) -> str:
    return " ".join(plain(text).split())
