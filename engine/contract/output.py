"""What a process writes to its terminal, log or pipe: through here nothing that a person or a file wrote is obeyed."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from engine.contract.text import plain_lines


class Output:
    """A text stream to which foreign text can be written: escape sequences are shown, what it cannot encode as well.

    A ``\\r`` that begins a write is a progress bar's own way back to the start of its line, and passes.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        bar = "\r" if text.startswith("\r") and not text.startswith("\r\n") else ""
        self.stream.write(bar + plain_lines(text[len(bar) :]))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def safe_output() -> Iterator[None]:
    """stdout and stderr of this process as ``Output``, inside the block."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(Output(sys.stdout)))  # type: ignore[type-var]
        stack.enter_context(contextlib.redirect_stderr(Output(sys.stderr)))  # type: ignore[type-var]
        yield


def told(line: str | bytes) -> dict[str, Any]:
    """What an engine said in a JSON line on its standard output; {} for a library's own words among them."""
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return {}
