"""Sound through ``pacat``, for servers where PortAudio or ALSA's PulseAudio plugin is missing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import threading

import numpy as np

from tui.audio.output import Emit, OutputError, OutputLost
from tui.audio.pcm import PcmOutput
from tui.audio.pulse import PulseServer, client_environment

BLOCK_FRAMES = 512
PIPE_BYTES = (
    4096  # what is in the pipe cannot be taken back: the default of 64 kB would delay a switch by a third of a second
)
FRAME_BYTES = 4
LONGEST_LATENCY = 1.6
F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)  # named in Python 3.10 and later, Linux only


class Pacat(PcmOutput):
    """Feeds stereo 16-bit samples to a pacat process by a short pipe."""

    name = "pacat"

    def __init__(self, emit: Emit, server: PulseServer, *, latency: float, restart_on_switch: bool = False) -> None:
        super().__init__(emit, monitor=server, restart_on_switch=restart_on_switch)
        self._server = server
        self.label = server.label.replace("(pulse", "(pacat")
        self._buffer = latency
        self._process: subprocess.Popen[bytes] | None = None
        self._said = ""  # the last line on pacat's stderr
        self._underruns = 0

    def open(self) -> None:
        self._use_rate(self._server.rate)
        self._set_latency()
        try:
            subprocess.run(["pacat", "--version"], capture_output=True, timeout=1.5, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise OutputError("pacat is missing: install it (sudo apt install pulseaudio-utils).") from error

    def _set_latency(self) -> None:
        self.latency = self._buffer + PIPE_BYTES / FRAME_BYTES / self.rate

    def _start_device(self) -> None:
        command = ["pacat", "--playback", "--verbose", "--raw", "--format=s16le", "--channels=2"]
        command += [f"--rate={self.rate}", f"--latency-msec={round(self._buffer * 1000)}", "--client-name=mgl-tui"]
        environment = client_environment(self._server.address)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
        )
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._process.stdin, F_SETPIPE_SZ, PIPE_BYTES)
        for task in (self._feed, self._follow):
            threading.Thread(target=task, args=(self._process,), name="pacat", daemon=True).start()

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        """Read what pacat says; the underruns of its first moments are no dropouts."""
        assert process.stderr is not None
        flowing_at = self._flowing_at
        with contextlib.suppress(OSError, ValueError):
            for line in iter(process.stderr.readline, b""):
                text = line.decode(errors="replace").rpartition("\r")[2].strip()
                if text and not text.startswith("Time:"):
                    self._said = text
                self._underruns += b"underrun" in line and self._rendered > flowing_at

    def _feed(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # pacat is gone: check() says so
            while process is self._process:
                block = self._pull(BLOCK_FRAMES)
                os.write(process.stdin.fileno(), np.round(block * 32767.0).astype("<i2").tobytes())

    def _stop_device(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()  # there is nothing in the buffers that still has to be heard
        process.wait()
        for pipe in (process.stdin, process.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()

    def check(self) -> None:
        process = self._process
        if process and process.poll() is not None:
            reason = f" ({self._said})" if self._said else ""
            raise OutputLost(f"Sound stopped: pacat has ended{reason}. Is the ssh tunnel still up?")
        super().check()
        if self._underruns and self._running and self._buffer < LONGEST_LATENCY:
            self._underruns = 0
            self._buffer *= 2
            self._stop_device()
            self._set_latency()
            self._start_device()
