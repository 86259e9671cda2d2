"""Why a file of weights or settings cannot be used, in our words: libraries speak of their insides, or advise badly."""

from __future__ import annotations

import json
import pickle

from engine.contract.text import plain

_NOT_WHOLE = "a file of it is not whole: cut off, or written over"
_SIGNS = {
    "not fully covered": _NOT_WHOLE,
    "header too": _NOT_WHOLE,
    "in header": _NOT_WHOLE,
    "PytorchStreamReader": _NOT_WHOLE,
    "inline_container": _NOT_WHOLE,
    "legacy .tar format": _NOT_WHOLE,
    "No such device": "a folder stands where a file should be",
    # Never the advice to load it all the same: such a file runs what is in it.
    "Weights only load failed": "a file of it holds more than weights, and is not opened for safety",
}


def reason(error: BaseException) -> str:
    """The cause as a part of a sentence, one line without a full stop."""
    text = str(error).strip()
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror.lower()}"
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError, EOFError, pickle.UnpicklingError)) and not any(
        sign in text for sign in _SIGNS
    ):
        return _NOT_WHOLE
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}" if error.args else "something in it is missing"
    ours = next((words for sign, words in _SIGNS.items() if sign in text), "")
    return ours or plain((text.splitlines() or [type(error).__name__])[0]).rstrip(".")
