"""Folders outside a run."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """``~`` and ``~user`` as home folders; of a user that nobody knows as it is, where Path.expanduser raises."""
    return Path(os.path.expanduser(path))


def cache_dir(configured: str = "auto") -> Path:
    """Folder of the caches that all runs share (codes, text states, base clips).

    ``configured`` is the setting ``data.cache_dir``; "auto" means $XDG_CACHE_HOME/mgl-tui, or ~/.cache/mgl-tui.
    """
    if configured != "auto":
        return expanded(configured)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "mgl-tui"
