"""The file around a page: its content, data, styles and scripts in one, and a policy that forbids all else."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from engine.contract.text import plain

MADE_BY = '<meta name="generator" content="mgl-tui">'


def document(title: str, body: str, *, scripts: Sequence[str], styles: Sequence[str], data: Any = None) -> str:
    """A whole HTML document.

    ``body`` is HTML whose foreign texts went through ``escaped``; ``scripts`` and ``styles`` are names of files beside
    this one, in their order. A script finds ``data`` with ``JSON.parse(document.getElementById("data").textContent)``.
    """
    code = "\n".join(map(part, scripts))
    style = "\n".join(map(part, styles))
    policy = (
        f"default-src 'none'; script-src '{_digest(code)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"{MADE_BY}\n"
        f"<title>{escaped(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="data">{_inert(data)}</script>\n'
        f"<script>{code}</script>\n</body>\n</html>\n"
    )


def escaped(text: str) -> str:
    """Foreign text, shown and never obeyed, between tags or in an attribute's double quotes."""
    return html.escape(plain(text))


def part(name: str) -> str:
    """The text of a script or style of a page."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _inert(data: Any) -> str:
    """JSON in which no text can end its element or begin a comment."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
