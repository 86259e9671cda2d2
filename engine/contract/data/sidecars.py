"""Captions that lie beside their audio: `x.txt` and its kin, audiocraft's `x.json` with a description."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.contract import tables
from engine.contract.text import decoded, is_whole

ENDINGS = (".caption.txt", "_prompt.txt", "_caption.txt", ".caption", ".txt", ".json")
"""What the name of a caption has in place of the audio's suffix; the first that is there counts."""
LYRICS = (".lyrics.txt", "_lyrics.txt")
KEYS = ("description", "text", "caption", "prompt")


class Unreadable(Exception):
    """A caption that is there and cannot be read; the text says which and why."""


def beside(audio: Path) -> list[Path]:
    """Where the caption of an audio file may lie, in the order in which it is looked for."""
    stem = audio.with_suffix("")
    return [*(stem.with_name(stem.name + ending) for ending in ENDINGS), audio.with_name(f"{audio.name}.txt")]


def caption_of(audio: Path) -> tuple[str | None, Path]:
    """The caption beside an audio file, None where there is none, and its file. Raises Unreadable."""
    for file in beside(audio):
        try:
            text = decoded(file.read_bytes())
            described = _described(json.loads(text)) if file.suffix == ".json" else text
        except (FileNotFoundError, IsADirectoryError):
            continue
        except OSError as error:
            raise Unreadable(f"{file.name} ({error.strerror or error})") from None
        except json.JSONDecodeError as error:
            raise Unreadable(f"{file.name} is no valid JSON ({error})") from None
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"{file.name} {error}") from None
        if isinstance(described, str):
            if not is_whole(described):
                raise Unreadable(f"{file.name} was cut in the middle of a character")
            return described, file
    return None, audio


def _described(value: Any) -> Any:
    key = tables.key_of(value, KEYS) if isinstance(value, dict) else None
    return value[key] if key else None
