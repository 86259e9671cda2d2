"""Sound through PortAudio: the machine's own device, or a forwarded PulseAudio server by way of ALSA.

PortAudio may abort, hang or write to stderr; this module is imported in the worker process only.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from tui.audio.mixer import Samples
from tui.audio.output import Emit, OutputError, OutputLost
from tui.audio.pcm import PcmOutput
from tui.audio.pulse import PulseServer, client_settings

PORTAUDIO_MISSING = (
    "PortAudio is missing, so no local device can play: install it (Debian, Ubuntu: sudo apt install libportaudio2), "
    "or use the browser output."
)
NO_PLUGIN = (
    "ALSA has no way to PulseAudio here: install libasound2-plugins (sudo apt install libasound2-plugins), "
    "or use the browser or pacat output."
)
NO_DEVICE = "This machine has no sound device: use the browser output, or forward your laptop's sound server."
LONGEST_LATENCY = 1.6


class Loudspeaker(PcmOutput):
    """A PortAudio stream. With a ``server`` it plays through ALSA's pulse device ("pulse"), else "local"."""

    def __init__(
        self,
        emit: Emit,
        *,
        latency: float,
        server: PulseServer | None = None,
        monitor: PulseServer | None = None,
        restart_on_switch: bool = False,
    ) -> None:
        super().__init__(emit, monitor=server or monitor, restart_on_switch=restart_on_switch)
        self._server = server
        self.name = "pulse" if server else "local"
        self.label = server.label if server else "speakers"
        self.latency = latency
        self.underruns = 0
        self._device: int | None = None
        self._stream: Any = None

    def open(self) -> None:
        sd = self._portaudio()
        try:
            devices = [(i, d) for i, d in enumerate(sd.query_devices()) if d["max_output_channels"] > 0]
            if self._server:
                self._device = next((i for i, device in devices if device["name"] == "pulse"), None)
                if self._device is None:
                    raise OutputError(NO_PLUGIN)
                self._use_rate(self._server.rate)
            elif not devices:
                raise OutputError(NO_DEVICE)
            else:
                device = sd.query_devices(kind="output")
                self.label = f"speakers ({device['name'].split(':')[0].split(',')[0][:20]})"
                self._use_rate(int(device["default_samplerate"]))
            self._stream = self._new_stream()
        except sd.PortAudioError as error:
            raise OutputError(f"The sound device cannot be opened ({_reason(error)}): try another output.") from error

    def _portaudio(self) -> Any:
        """PortAudio with a fresh list of devices, looking at the right sound server."""
        if self._server:
            os.environ.update(client_settings(self._server.address))
        try:
            import sounddevice as sd
        except OSError as error:
            raise OutputError(PORTAUDIO_MISSING) from error
        sd._terminate()  # forget what an earlier look without this server found
        sd._initialize()
        return sd

    def _new_stream(self) -> Any:
        import sounddevice as sd

        # 16 bits halve what the tunnel has to carry.
        return sd.OutputStream(
            samplerate=self.rate,
            device=self._device,
            channels=2,
            dtype="int16" if self._server else "float32",
            latency=self.latency,
            callback=self._fill,
        )

    def _fill(self, out: Samples, frames: int, _time: Any, status: Any) -> None:
        if status.output_underflow:
            self.underruns += 1
        block = self._pull(frames)
        out[:] = np.round(block * 32767.0) if self._server else block

    def _start_device(self) -> None:
        import sounddevice as sd

        try:
            self._stream.start()
        except sd.PortAudioError as error:
            raise OutputLost(f"Sound stopped: {self.label} cannot be started ({_reason(error)}).") from error

    def _stop_device(self) -> None:
        self._stream.stop()

    def check(self) -> None:
        super().check()
        if self._running and not self._stream.active:
            raise OutputLost(f"Sound stopped: {self.label} went away. Is the tunnel or device still there?")
        if self.underruns and self.latency < LONGEST_LATENCY:
            self._lengthen()

    def _lengthen(self) -> None:
        """After an underrun: the same stream with twice the latency."""
        import sounddevice as sd

        self.underruns = 0
        self.latency *= 2
        try:
            self._stream.close()
            self._stream = self._new_stream()
            if self._running:
                self._stream.start()
        except sd.PortAudioError as error:
            raise OutputLost(f"Sound stopped: {self.label} cannot be opened again ({_reason(error)}).") from error

    def close(self) -> None:
        super().close()
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _reason(error: Exception) -> str:
    return str(error.args[0] if error.args else error).rstrip(".")
