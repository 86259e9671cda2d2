"""A panel on a pseudo-terminal, as a person has it over ssh."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

_ESCAPES = re.compile(r"\x1b\[[0-9;?<>=$]*[a-zA-Z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>]")


class TerminalPanel:
    """``mgl-tui`` in a terminal of its own; ``saw`` waits for words on the screen."""

    def __init__(self, runs_dir: Path, *words: str, columns: int = 120, rows: int = 35) -> None:
        self.fd, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui.cli", *words, "--runs", str(runs_dir)],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(slave)
        self.written = ""

    def read(self, seconds: float) -> bool:
        """Take what it writes within so many seconds; False once the terminal is gone."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if ready:
            try:
                data = os.read(self.fd, 1 << 16)
            except OSError:
                return False
            self.written += data.decode("utf-8", "replace")
        return True

    def saw(self, words: str, seconds: float = 30) -> bool:
        """Whether these words come to stand on the screen in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if words in self.text:
                return True
            if not self.read(0.2):
                break
        return words in self.text

    @property
    def text(self) -> str:
        """What it has written since it was last forgotten, without colours and cursor movements."""
        return _ESCAPES.sub("", self.written)

    def press(self, key: str) -> None:
        self.written = ""
        os.write(self.fd, key.encode())

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.ended()

    def hang_up(self) -> int:
        """Close the terminal, as a connection that breaks does; returns the exit status."""
        os.close(self.fd)
        self.fd = -1
        return self.process.wait(timeout=20)

    def ended(self, seconds: float = 20) -> int:
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        return self.process.wait(timeout=0)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=20)
        if self.fd >= 0:
            os.close(self.fd)
