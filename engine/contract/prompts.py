"""Reads a prompts file: a JSON list of strings or of objects, or a text file with one prompt a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from engine.contract.errors import UserError
from engine.contract.text import TO_UTF_8, decoded, is_empty, is_whole, lines

_TEXT_KEYS = ("prompt", "text", "caption")


class Prompt(NamedTuple):
    """``id`` is the file's own, or the prompt's number from 1 as text."""

    id: str
    text: str


def read(path: Path | str) -> list[Prompt]:
    """The prompts of a file in its order. Raises UserError when it is missing, broken or empty."""
    path = Path(path)
    try:
        content = decoded(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"The prompts file {path} cannot be read ({(error.strerror or str(error)).lower()}); set "
            "evaluate.prompts_file to a JSON list or a text file with one prompt a line."
        ) from None
    except ValueError as error:
        raise UserError(f"The prompts file {path} {error}; save it as UTF-8, such as with `{TO_UTF_8}`.") from None
    is_json = path.suffix.lower() == ".json" or content.lstrip().startswith("[")
    rows = _json_list(content, path) if is_json else [line for line in lines(content) if line.strip()]
    prompts = [_prompt(row, number, path) for number, row in enumerate(rows, start=1)]
    if not prompts:
        raise UserError(f"The prompts file {path} holds no prompt; write one a line, or a JSON list of strings.")
    return prompts


def _json_list(content: str, path: Path) -> list[Any]:
    try:
        rows = json.loads(content) if content.strip() else []
    except (ValueError, RecursionError) as error:
        raise UserError(f"The prompts file {path} is no valid JSON ({error}); mend it there.") from None
    if not isinstance(rows, list):
        raise UserError(f"The prompts file {path} must hold a JSON list of prompts, not a {type(rows).__name__}.")
    return rows


def _prompt(row: Any, number: int, path: Path) -> Prompt:
    fields = row if isinstance(row, dict) else {"prompt": row}
    text = next((fields[key] for key in _TEXT_KEYS if key in fields), None)
    if not isinstance(text, str) or is_empty(text):
        raise UserError(f'Prompt {number} of {path} is no text; write a string, or an object with "prompt".')
    name = str(fields.get("id", number))
    if not is_whole(text + name):
        raise UserError(f"Prompt {number} of {path} was cut in the middle of a character; write it anew: {text}")
    return Prompt(name, " ".join(text.split()))
