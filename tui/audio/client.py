"""The worker process as the panel holds it: pipes that never block, a watchdog, and words for its end."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from typing import Any

HANG_SECONDS = 2.0
OPENING_SECONDS = 8.0  # a device behind a long tunnel may take so long to open
STARTING_SECONDS = 20.0  # Python and its libraries come up on a busy machine
KEPT_STDERR = 4000


class WorkerGone(Exception):
    """The worker has ended, or was ended because it hung. One sentence."""


class WorkerProcess:
    """One ``python -m tui.audio.worker``. Used by one thread; ``wake`` may be called by any."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tui.audio.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._pipes = [pipe for pipe in (self._process.stdin, self._process.stdout, self._process.stderr) if pipe]
        self._in, self._out, self._err = (pipe.fileno() for pipe in self._pipes)
        self._wake_read, self._wake_write = os.pipe()
        self._selector = selectors.DefaultSelector()
        for descriptor in (self._in, self._out, self._err, self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)
        for descriptor in (self._out, self._err, self._wake_read):
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._received = b""
        self._stderr = b""
        self._deadline = time.monotonic() + STARTING_SECONDS
        self.pid = self._process.pid
        self.trying = ""  # the output being opened
        self.lost = ""  # the sentence with which the worker said goodbye

    def wake(self) -> None:
        """Let ``exchange`` return at once."""
        try:
            os.write(self._wake_write, b"x")
        except OSError:
            pass

    def exchange(self, outbox: bytearray) -> list[dict[str, Any]]:
        """Send what can be sent of ``outbox`` and wait up to half a second for messages. Raises WorkerGone."""
        writing = self._in in self._selector.get_map()
        if outbox and not writing:
            self._selector.register(self._in, selectors.EVENT_WRITE)
        elif writing and not outbox:
            self._selector.unregister(self._in)
        messages: list[dict[str, Any]] = []
        for key, _ in self._selector.select(0.5):
            if key.fd == self._in:
                self._write(outbox)
            elif key.fd == self._out:
                messages += self._read()
            else:
                text = os.read(key.fd, 65536)
                if key.fd == self._err:
                    self._stderr = (self._stderr + text)[-KEPT_STDERR:]
                    if not text:
                        self._selector.unregister(self._err)
        if time.monotonic() > self._deadline:
            what = f"opening the output {self.trying!r}" if self.trying else "answering"
            raise WorkerGone(f"Sound hung while {what} and was started again.")
        return messages

    def _write(self, outbox: bytearray) -> None:
        try:
            del outbox[: os.write(self._in, outbox)]
        except BlockingIOError:
            pass
        except OSError:  # its end shows on stdout
            outbox.clear()

    def _read(self) -> list[dict[str, Any]]:
        data = os.read(self._out, 65536)
        if not data:
            raise WorkerGone(self._epitaph())
        *lines, self._received = (self._received + data).split(b"\n")
        messages = [json.loads(line) for line in lines]
        for message in messages:
            self._deadline = time.monotonic() + HANG_SECONDS
            if message["event"] == "trying":
                self.trying = message["output"]
                self._deadline = time.monotonic() + OPENING_SECONDS
            elif message["event"] == "state":
                self.trying = ""
            elif message["event"] == "lost":
                self.lost = message["text"]
        return messages

    def _epitaph(self) -> str:
        if self.lost:
            return self.lost
        try:
            code = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return "The sound process closed its pipe and was started again."
        try:
            self._stderr += os.read(self._err, 65536)
        except OSError:
            pass
        said = self._stderr.decode(errors="replace").strip().splitlines()
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        return f"The sound process died ({how}{'; ' + said[-1][:200] if said else ''}) and was started again."

    def end(self, patience: float = 0.0) -> None:
        """Close the pipes and see the process off; kill it after ``patience`` seconds."""
        self._selector.close()
        self._pipes[0].close()
        try:
            self._process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in self._pipes[1:]:
            pipe.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
