"""Following the text of engine.log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from engine.contract.tail import FileTail
from engine.contract.text import plain

# Colours, and the other whole sequences that programs put into a log for a terminal: they say nothing here.
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")


class TextTail(FileTail):
    """Lines of a growing text log. Starts near the end of a long file."""

    def __init__(self, path: Path, *, last_bytes: int = 256 * 1024) -> None:
        size = path.stat().st_size if path.is_file() else 0
        super().__init__(path, start=max(0, size - last_bytes))
        self._skip_first = size > last_bytes

    def lines(self) -> list[str]:
        """New lines, without control characters; of a progress bar only what it showed last."""
        lines = self.poll()
        if self._skip_first and lines:
            # The first bite begins in the middle of a line.
            lines, self._skip_first = lines[1:], False
        return [log_line(line.decode("utf-8", "replace")) for line in lines]


_PROGRESS = re.compile(r"(.+) \d+ of (\d+ .+)")
"""What the engine's journal says of a phase: "evaluating 12 of 24 clips"."""


def latest(lines: Iterable[str]) -> list[str]:
    """The lines without those whose progress the next one brings up to date."""
    kept: list[str] = []
    for line in lines:
        if kept and replaces(kept[-1], line):
            kept.pop()
        kept.append(line)
    return kept


def replaces(before: str, line: str) -> bool:
    """Whether a line tells the same phase's progress as the one before it, so that it can take its place."""
    a, b = _PROGRESS.fullmatch(before), _PROGRESS.fullmatch(line)
    return a is not None and b is not None and a.groups() == b.groups()


def log_line(text: str) -> str:
    """A line of a log, safe to draw: without colours, of a progress bar only what it showed last, tabs as spaces."""
    text = text.rstrip("\r\n").rsplit("\r", 1)[-1]
    return plain(_SEQUENCE.sub("", text).expandtabs(4))
