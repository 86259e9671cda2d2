"""Engines that work in the foreground and say in JSON lines how far they are."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.contract.output import told


class Speaking:
    """``python -m engine WORDS``: what it says, as it comes; it is ended when nobody listens to it any more."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self.status = 0
        """Its exit status, once it has ended."""
        self.last = ""
        """The last line of its errors, or that there was none."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with tempfile.TemporaryFile("w+", errors="replace") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "engine", *self._words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=errors, text=True, errors="replace", cwd=Path(__file__).resolve().parents[2],
            )  # fmt: skip
            assert process.stdout is not None
            try:
                yield from filter(None, map(told, process.stdout))
                process.wait()
            finally:
                if process.poll() is None:
                    process.terminate()
                self.status = process.wait()
            errors.seek(0)
            said = errors.read().strip().splitlines()
            self.last = said[-1] if said else f"its process ended with {self.status}"
