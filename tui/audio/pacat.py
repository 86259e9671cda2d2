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

    def open(self) -> None:
        self._use_rate(self._server.rate)
        self.latency = self._buffer + PIPE_BYTES / FRAME_BYTES / self.rate
        try:
            subprocess.run(["pacat", "--version"], capture_output=True, timeout=1.5, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise OutputError("pacat is missing: install it (sudo apt install pulseaudio-utils).") from error

    def _start_device(self) -> None:
        command = ["pacat", "--playback", "--raw", "--format=s16le", "--channels=2"]
        command += [f"--rate={self.rate}", f"--latency-msec={round(self._buffer * 1000)}", "--client-name=mgl-tui"]
        environment = client_environment(self._server.address)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
        )
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._process.stdin, F_SETPIPE_SZ, PIPE_BYTES)
        threading.Thread(target=self._feed, args=(self._process,), name="pacat", daemon=True).start()

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
            said = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
            reason = f" ({said.splitlines()[-1]})" if said else ""
            raise OutputLost(f"Sound stopped: pacat has ended{reason}. Is the ssh tunnel still up?")
        super().check()
