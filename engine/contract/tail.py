"""Following a file that another process writes, by whole lines and in bounded bites."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

BITE = 1 << 18
LONGEST_LINE = 1 << 25
"""Bytes that are kept of a line that does not end; what is longer is no line of ours."""


class FileTail:
    """New bytes of a growing file, by whole lines. Knows when the file vanished, shrank or was replaced."""

    def __init__(self, path: Path, *, start: int = 0) -> None:
        self.path = Path(path)
        self.gone = False
        """The file was there and is not now."""
        self.restarted = False
        """The last poll began again at the first byte: what was read before no longer counts."""
        self._offset = start
        self._rest = b""
        self._identity: tuple[int, int] | None = None

    def poll(self, limit: int = BITE) -> list[bytes]:
        """Whole lines that are new, at most about ``limit`` bytes; a torn last line waits for its end.

        [] when nothing is new.
        """
        self.restarted = False
        try:
            # Without blocking, since a pipe that somebody put there would keep us waiting for a writer.
            with open(self.path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
                self._look(os.fstat(file.fileno()))
                data = self._read(file, limit)
        except (OSError, ValueError):
            self.gone = self._identity is not None
            return []
        self.gone = False
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            # Its beginning counts as a broken line, so that whoever reads on learns of it.
            lines, self._rest = [*lines, self._rest[:80]], b""
        return lines

    def behind(self) -> int:
        """Bytes that are in the file and not yet read."""
        try:
            return max(0, self.path.stat().st_size - self._offset)
        except (OSError, ValueError):
            return 0

    def _look(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{self.path} is no file")
        identity = (status.st_dev, status.st_ino)
        if self._identity not in (None, identity) or status.st_size < self._offset:
            self._offset, self._rest, self.restarted = 0, b"", True
        self._identity = identity

    def _read(self, file: BinaryIO, limit: int) -> bytes:
        file.seek(self._offset)
        data = file.read(limit)
        self._offset += len(data)
        while data and b"\n" not in data and len(self._rest) < LONGEST_LINE:
            more = file.read(limit)
            self._offset += len(more)
            data += more
            if not more or len(data) > LONGEST_LINE:
                break
        return data
