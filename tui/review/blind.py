"""Names for clips that do not say which model made them.

What leaves the panel — the browser's page, the line that fetches a clip to be played by hand — shows a file's path,
and an evaluation's paths hold the model's name. So the clips are handed on under links named by trial and letter.
"""

from __future__ import annotations

import tempfile
from pathlib import Path


class BlindNames:
    """A private folder of links, removed with ``close``."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mgl-clips-")

    def link(self, trial_id: str, letter: str, clip: Path) -> Path:
        """A path that plays ``clip``, such as /tmp/mgl-clips-x/3-B.wav."""
        path = Path(self._folder.name) / f"{trial_id}-{letter}{clip.suffix}"
        target = clip.resolve()
        if not path.is_symlink() or path.readlink() != target:
            path.unlink(missing_ok=True)
            path.symlink_to(target)
        return path

    def close(self) -> None:
        self._folder.cleanup()
