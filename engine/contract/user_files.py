"""Files that a user named, or may have made: written whole, through links, and never over what is not ours."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.contract.errors import UserError
from engine.contract.rundir import write_atomically


def target(path: Path, ours: Callable[[bytes], bool], remedy: str) -> Path:
    """Where to write what goes to ``path``: the file itself, or the one that a link leads to. Nothing is written yet.

    Raises UserError for what is no regular file, cannot be read, or holds what ``ours`` does not know as written by
    this program (an empty file is anybody's). ``remedy`` ends the sentence: ``choose another file with -o``.
    """
    try:
        real = Path(os.path.realpath(path))
        status = real.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise UserError(f"{path} is {kind} and is not written to; {remedy}.")
        content = real.read_bytes()
    except FileNotFoundError:
        if real.is_symlink():  # a circle of links
            raise UserError(f"{path} is a link that leads nowhere; {remedy}.") from None
        return real
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be written ({_reason(error)}); {remedy}.") from None
    if content.strip() and not ours(content):
        raise UserError(f"{path} exists and was not written by this command; move it away, or {remedy}.")
    return real


def write(real: Path, content: str | bytes, remedy: str) -> None:
    """Write what ``target`` gave, with the rights that a file there had. Raises UserError when it cannot be."""
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else None
        write_atomically(real, content)
        if mode is not None:
            real.chmod(mode)
    except (OSError, ValueError) as error:
        raise UserError(f"{real} cannot be written ({_reason(error)}); {remedy}.") from None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other edits of this program, in whatever process, out of a folder meanwhile."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"{folder} cannot be opened ({error.strerror}); make it readable.") from None
    try:
        with suppress(OSError):  # some network disks know no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
