"""Names for clips that do not say which model made them.

What leaves the panel — the browser's page, the line that fetches a clip to be played by hand — shows a file's path,
and an evaluation's paths hold the model's name. So the clips are handed on under links named by trial and letter.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "mgl-clips-"


class BlindNames:
    """A private folder of links, removed with ``close``; those that killed panels left behind go before it is made."""

    def __init__(self) -> None:
        _sweep()
        while True:
            self._folder = tempfile.TemporaryDirectory(prefix=PREFIX)
            try:
                self._held = _hold(Path(self._folder.name))
                break
            except FileNotFoundError:  # a panel that starts at the same moment swept it before it was held
                self._folder.cleanup()

    def link(self, trial_id: str, letter: str, clip: Path) -> Path:
        """A path that plays ``clip``, such as /tmp/mgl-clips-x/3-B.wav."""
        path = Path(self._folder.name) / f"{trial_id}-{letter}{clip.suffix}"
        target = clip.resolve()
        if not path.is_symlink() or path.readlink() != target:
            path.parent.mkdir(mode=0o700, exist_ok=True)  # whoever cleans /tmp may have taken it
            path.unlink(missing_ok=True)
            path.symlink_to(target)
        return path

    def close(self) -> None:
        self._folder.cleanup()
        os.close(self._held)


def _hold(folder: Path) -> int:
    """Lock a folder for as long as this process lives, however it ends: by this the next panel sees whether it does.

    Raises FileNotFoundError when it is gone.
    """
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    if not folder.is_dir():
        os.close(held)
        raise FileNotFoundError(folder)
    return held


def _sweep() -> None:
    """Remove folders of this user that no living process holds."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass  # a panel that lives
        finally:
            os.close(held)
