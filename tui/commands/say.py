"""What a command says: lines for people, one document for scripts."""

from __future__ import annotations

import json
import sys
from typing import Any

from engine.contract.text import plain


def line(text: object = "") -> None:
    """One line on stdout, whatever a name or a file put into it."""
    print(plain(str(text)))


def aside(text: object) -> None:
    """One line on stderr: progress, and what a script that reads stdout does not want."""
    print(plain(str(text)), file=sys.stderr, flush=True)


def agreed(question: str) -> bool:
    """Ask a person at the terminal; no where nobody sits at it."""
    if not sys.stdin.isatty():
        return False
    aside(f"{question} [y/N]")
    return input().strip().lower() in ("y", "yes")


def table(head: list[str], rows: list[list[str]]) -> None:
    """Rows under a head, in columns as wide as their widest cell."""
    rows = [[plain(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def document(value: Any) -> None:
    """One JSON document on stdout: exact data, all of it in ASCII, so that no character needs another to show it."""
    print(json.dumps(value))
