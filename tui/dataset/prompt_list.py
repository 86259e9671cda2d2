"""The prompts file as it is edited, and which prompts only repeat what the model was trained on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.contract import prompts, tables, user_files
from engine.contract.errors import UserError
from engine.contract.prompts import Prompt
from engine.contract.text import is_empty, plain
from tui.dataset import files
from tui.dataset.documents import WHOLE, Document, JsonDocument, LinesDocument

NEAR = 0.75
"""Share of words in common (of all words of both) from which a prompt is said to nearly repeat a caption."""
_WORD = re.compile(r"\w+")


class PromptList:
    """The prompts of a file, in its order; a file that is not there yet is made by the first prompt that is added.

    Edits are kept in the file's own format, at once. Every method raises UserError, and then has changed nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.prompts: list[Prompt] = []
        self._before: list[tuple[str, str, str]] = []
        self.reload()

    def reload(self) -> None:
        self.prompts = prompts.read(self.path) if self.path.exists() else []

    def put(self, number: int, text: str) -> str:
        """Write another text for the prompt at ``number`` (from 0)."""
        text, was = _checked(text), self.prompts[number].text

        def how(document: Document) -> None:
            held = document.get(number)
            key = tables.key_of(held, prompts.KEYS) if isinstance(held, dict) else WHOLE
            if " ".join(str(held[key] if isinstance(held, dict) else held).split()) != was:
                raise UserError(f"{self.path} was changed by another program meanwhile; look at it and edit anew.")
            document.put(number, key, text)

        return self._edit(how, f"prompt {number + 1} kept")

    def add(self, text: str) -> str:
        """Put a prompt at the end."""
        text = _checked(text)
        if text in [prompt.text for prompt in self.prompts]:
            raise UserError(f"This prompt stands in {self.path.name} already.")

        def how(document: Document) -> None:
            last = document.get(len(document) - 1) if len(document) else ""
            key = tables.key_of(last, prompts.KEYS) if isinstance(last, dict) else WHOLE
            document.append(text if key is WHOLE else {key: text})

        return self._edit(how, f"prompt {len(self.prompts) + 1} added")

    def remove(self, number: int) -> str:
        """Take the prompt at ``number`` (from 0) out of the file."""
        if len(self.prompts) == 1:
            raise UserError("This is the only prompt, and without one no clips are made; edit it instead.")
        return self._edit(lambda document: document.remove(number), f"prompt {number + 1} taken out")

    def undo(self) -> str:
        """Take the newest edit back."""
        if not self._before:
            raise UserError("There is nothing to take back: no prompt was edited since the file was opened.")
        before, after, said = self._before[-1]
        with user_files.alone(self.path.parent):
            file = files.File(self.path)
            if file.text != after:
                raise UserError(f"{self.path} was changed by another program since; take it back there.")
            self._replace(file, before)
        self._before.pop()
        self.reload()
        return f"Taken back: {said}"

    def _edit(self, how: Callable[[Document], None], said: str) -> str:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                self.path.touch()
        except OSError as error:
            raise UserError(f"{self.path} cannot be made ({error.strerror}); set evaluate.prompts_file.") from None
        with user_files.alone(self.path.parent):
            known = self.prompts
            if self.path.stat().st_size:
                self.reload()
            if self.prompts != known:
                raise UserError(f"{self.path} was changed by another program meanwhile; look at it and edit anew.")
            file = files.File(self.path)
            document = _document(self.path, file.text)
            how(document)
            after = document.rendered()
            self._replace(file, after)
        self._before.append((file.text, after, said))
        self.reload()
        return said[:1].upper() + said[1:] + f" in {self.path.name}"

    def _replace(self, file: files.File, text: str) -> None:
        try:
            file.write(text)
        except files.ChangedMeanwhile:
            raise UserError(f"{self.path} is being written by another program; try again.") from None


def repeats(texts: Sequence[str], captions: Sequence[str]) -> dict[int, tuple[bool, str]]:
    """By number of a prompt that repeats a caption: whether word for word, and the caption. Others are not in it."""
    sets = [(frozenset(_WORD.findall(caption.lower())), caption) for caption in dict.fromkeys(captions)]
    found = {}
    for number, text in enumerate(texts):
        words = frozenset(_WORD.findall(text.lower()))
        share, caption = max(((_common(words, other), caption) for other, caption in sets), default=(0.0, ""))
        if share >= NEAR:
            same = any(_plain(text) == _plain(other) for held, other in sets if held == words)
            found[number] = same, caption
    return found


def _common(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a and b else 0.0


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(" .")


def _checked(text: str) -> str:
    text = " ".join(plain(text).split())
    if is_empty(text):
        raise UserError("A prompt needs words; nothing was kept.")
    return text


def _document(path: Path, text: str) -> Document:
    form = prompts.form_of(path, text)
    if form == "lines":
        return LinesDocument(text)
    if form == "table":
        raise UserError(f"{path} is a table; edit it where it was made, or write the prompts as a list.")
    try:
        document = JsonDocument(text if text.strip() or path.suffix.lower() != ".json" else "[]\n")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no valid JSON ({error}); mend it there.") from None
    if any(
        isinstance(held := document.get(n), dict) and not tables.key_of(held, prompts.KEYS)
        for n in range(len(document))
    ):
        raise UserError(f"{path} is no list of prompts; write it as one, and it can be edited here.")
    return document
