"""Completion of a path that is being typed, as a shell does it."""

from __future__ import annotations

import os
from os.path import commonprefix

from engine.contract.text import plain


def complete(text: str) -> tuple[str, list[str]]:
    """The text as far as it can go on in one way only, and the names that fit; folders end with a slash.

    Hidden names are offered once their dot is typed; names that a line cannot hold as they are, never.
    """
    if text == "~":
        return "~/", []
    folder, begun = os.path.split(text)
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:
            names = sorted(
                entry.name + "/" * entry.is_dir()
                for entry in entries
                if entry.name.startswith(begun) and (begun or not entry.name.startswith("."))
            )
    except OSError:
        return text, []
    names = [name for name in names if plain(name) == name]
    longer = commonprefix(names)  # noqa: RUF071  (by characters is what is wanted: names, no paths)
    return (text[: len(text) - len(begun)] + longer if names else text), names
