"""Following the text of engine.log."""

from __future__ import annotations

import re
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


def log_line(text: str) -> str:
    """A line of a log, safe to draw: without colours, of a progress bar only what it showed last, tabs as spaces."""
    text = text.rstrip("\r\n").rsplit("\r", 1)[-1]
    return plain(_SEQUENCE.sub("", text).expandtabs(4))
