"""Processes that share work on many files, a core each."""

from __future__ import annotations

import os
import signal
import threading
import time


def begin(parent: int) -> None:
    """What such a process does first. Ctrl-c is for ``parent``, who asked; without it there is nobody to work for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=leave_with, args=(parent,), daemon=True).start()


def leave_with(parent: int) -> None:
    """End this process once its parent is gone, however that ended: killed, it could tell nobody."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
