"""A document as blocks, written once and rendered as markdown or as a page.

Every ``str`` in it is a text that is shown as it stands, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True)
class Strong:
    text: str


@dataclass(frozen=True)
class Break:
    """The next line of the same cell."""


Inline: TypeAlias = str | Strong | Break
Line: TypeAlias = str | Sequence[Inline]
"""A text, or parts that follow one another."""


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    line: Line


@dataclass(frozen=True)
class Points:
    lines: Sequence[Line]


@dataclass(frozen=True)
class Table:
    head: Sequence[str]
    rows: Sequence[Sequence[Line]]


@dataclass(frozen=True)
class Code:
    language: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Folded:
    """Blocks that open when their summary is asked for."""

    summary: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Picture:
    """An SVG that a document in markdown has beside it, and a page inside."""

    wide: str
    narrow: str
    """The same for a phone."""
    alt: str


@dataclass(frozen=True)
class WholeFile:
    """A text file: linked from markdown, folded into a page."""

    text: str
    path: Path


@dataclass(frozen=True)
class ClipCell:
    """One model's clip of a prompt, and what was said of it."""

    model: str
    path: Path | None
    missing: str = ""
    """Why there is no clip."""
    gain_db: float = 0.0
    score: str = ""
    """Of the one listener, or the mean over several."""
    said: Sequence[str] = ()
    """Each listener's score where there are several, tags, notes: each a line."""


@dataclass(frozen=True)
class PromptRow:
    number: int
    text: str
    aside: str
    """Seed and repeat, where the prompt has several."""
    clips: Sequence[ClipCell]


@dataclass(frozen=True)
class Prompts:
    """Prompt by model: a table whose cells link to the clips, or in a page cards that play them."""

    models: Sequence[str]
    rows: Sequence[PromptRow] = field(default_factory=tuple)


Block: TypeAlias = Heading | Paragraph | Points | Table | Code | Folded | Picture | WholeFile | Prompts


def inlines(line: Line) -> Sequence[Inline]:
    """The parts of a line."""
    return [line] if isinstance(line, str) else line
