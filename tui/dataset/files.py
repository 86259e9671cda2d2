"""A file that is edited: read, kept in its first version beside itself, written whole; never over another's change."""

from __future__ import annotations

import os
from pathlib import Path

from engine.contract import user_files
from engine.contract.errors import UserError
from engine.contract.rundir import keep_copy, write_atomically
from engine.contract.text import decoded, encoding_of

FIRST = ".orig"
"""Ending of the first version, kept beside the file."""
_REMEDY = "make the folder and the file writable"


Stamp = tuple[int, int, int]


class ChangedMeanwhile(Exception):
    """Another program wrote the file after it was read."""


class File:
    """A text file as it was when it was read. Raises UserError where it cannot be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._real = Path(os.path.realpath(path))
        try:
            self.stamp = stamp(self._real)
            self._content = self._real.read_bytes()
            self.text = decoded(self._content)
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror or error}); make it readable.") from None
        except ValueError as error:
            raise UserError(f"{path} {error}; save it as UTF-8.") from None

    def write(self, text: str) -> None:
        """Replace the text, in the file's own encoding. Raises ChangedMeanwhile, and UserError."""
        if text == self.text:
            return
        try:
            if stamp(self._real) != self.stamp:
                raise ChangedMeanwhile
            first = self.path.with_name(self.path.name + FIRST)
            if not first.exists():
                write_atomically(first, self._content)
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be edited ({(error.strerror or str(error)).lower()}); {_REMEDY}."
            ) from None
        user_files.write(self._real, text.encode(encoding_of(self._content), "backslashreplace"), _REMEDY)


def rewrite(path: Path, text: str) -> str:
    """Replace a file by one of another form; returns the name under which it is kept as it was. Raises UserError."""
    file = File(path)
    first = path.with_name(path.name + FIRST)
    try:
        kept = keep_copy(path) if first.exists() and first.read_bytes() != path.read_bytes() else first
        file.write(text)
    except (OSError, ChangedMeanwhile) as error:
        raise UserError(f"{path} cannot be edited ({error or 'another program writes it'}); {_REMEDY}.") from None
    return kept.name


def stamp(path: Path) -> Stamp:
    """What differs once a file was written again. Raises OSError."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
