"""Outputs that take samples: the mixer in front of a device."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from pathlib import Path

import numpy as np

from tui.audio import clips as audio
from tui.audio import proof
from tui.audio.mixer import Mixer, Samples
from tui.audio.output import ClipSet, Emit, Output, OutputLost, State
from tui.audio.pulse import PulseServer, probe

STALL_SECONDS = 1.2  # a device that takes no samples for so long is gone
WAKE_SECONDS = 5.0  # but a sleeping one (Bluetooth, a sink that rests) may take a while to begin
IDLE_SECONDS = 30.0  # the device is let go after so long without playing


class PcmOutput(Output):
    """A mixer that a device pulls from. Subclasses open the device, set ``rate`` and ``latency``, and start it.

    ``monitor`` is the PulseAudio server that carries the sound, where there is one: what it plays can be recorded.
    """

    rate = 48_000
    latency = 0.2  # seconds between the mixer and the ear

    def __init__(self, emit: Emit, *, monitor: PulseServer | None = None, restart_on_switch: bool = False) -> None:
        self._emit = emit
        self._monitor = monitor
        self._restart_on_switch = restart_on_switch
        self.mixer = Mixer(self.rate, restart_on_switch=restart_on_switch)
        self._running = False
        self._rendered = 0
        self._overlay: Samples | None = None
        self._overheard = False
        self._sent: list[Samples] | None = None  # what was rendered, mono, while a proof listens
        self._progress = (0, 0.0)  # frames rendered, and when that was last seen to grow
        self._flowing_at = 0  # frames rendered by when the device has certainly begun to play
        self._last_use = time.monotonic()

    @abstractmethod
    def _start_device(self) -> None:
        """Let the device pull through ``_pull``. Raises OutputLost."""

    @abstractmethod
    def _stop_device(self) -> None: ...

    def _use_rate(self, rate: int) -> None:
        self.rate = rate
        self.mixer = Mixer(rate, restart_on_switch=self._restart_on_switch)

    def _pull(self, frames: int) -> Samples:
        block = self.mixer.render(frames)
        if self._overlay is not None:
            head, self._overlay = self._overlay[:frames], self._overlay[frames:]
            block[: len(head)] += head
            if len(self._overlay) == 0:
                self._overlay = None
        self._rendered += frames
        if self._sent is not None:
            self._sent.append(block.mean(axis=1))
        return np.clip(block, -1.0, 1.0)

    def _run(self) -> None:
        self._last_use = time.monotonic()
        if not self._running:
            self._progress = (self._rendered, self._last_use)
            self._flowing_at = self._rendered + round((self.latency + 0.5) * self.rate)
            self._start_device()
            self._running = True

    def load(self, clips: ClipSet) -> list[float]:
        samples = [self._read(path, name) for path, name in zip(clips.paths, clips.names, strict=True)]
        self._fade_out()
        self.mixer.load(samples, clips.gains)
        return [len(clip) / self.rate for clip in samples]

    def _read(self, path: Path, name: str) -> Samples:
        try:
            return audio.read(path, self.rate)
        except audio.UnreadableClip as error:
            self._emit({"event": "error", "text": f"Clip {name}: {error}"})
            return np.zeros((0, 2), np.float32)

    def _fade_out(self) -> None:
        """Let what plays end softly; a device that stands still is not waited for."""
        self.mixer.pause()
        if self._running:
            deadline = time.monotonic() + 0.1
            while self.mixer.sounding and time.monotonic() < deadline:
                time.sleep(0.005)

    def play(self, index: int, position: float | None) -> None:
        self.mixer.play(index, None if position is None else round(position * self.rate))
        self._run()
        if self._monitor and not self._overheard:
            self._overheard = True
            threading.Thread(target=self._overhear, args=(self._monitor,), name="proof", daemon=True).start()

    def pause(self) -> None:
        self.mixer.pause()

    def stop(self) -> None:
        self.mixer.stop()

    def switch(self, index: int) -> None:
        self.mixer.switch(index)

    def seek(self, seconds: float, relative: bool) -> None:
        self.mixer.seek(round(seconds * self.rate), relative=relative)

    def loop(self, region: tuple[float, float | None] | None) -> None:
        if region is None:
            self.mixer.loop(None)
        else:
            start, end = region
            self.mixer.loop((round(start * self.rate), None if end is None else round(end * self.rate)))

    def prove(self) -> None:
        """Chirp; where a PulseAudio server carries the sound, listen to its monitor and compare."""
        self._run()
        if self._monitor is None:
            self._overlay = proof.stereo_chirp(self.rate)
            self._emit({"event": "proof", "proven": None, "text": "Did you hear the chirp?"})
        else:
            threading.Thread(target=self._listen_back, args=(self._monitor,), name="proof", daemon=True).start()

    def _listen_back(self, server: PulseServer) -> None:
        def chirp() -> None:
            self._overlay = proof.stereo_chirp(self.rate)

        result = proof.listen_back(server, self.rate, chirp)
        self.proven = self.proven or result.proven
        self._emit({"event": "proof", "proven": result.proven, "text": result.text})

    def _overhear(self, server: PulseServer) -> None:
        """Prove the sound by what plays anyway, without a word; only that it is muted has to be said."""

        def begun() -> None:
            self._sent = []

        recorded = proof.record(server, self.rate, begun)
        sent, self._sent = self._sent, None
        if sent and proof.is_in(recorded, np.concatenate(sent), self.rate):
            self.proven = True
        elif (now := probe(server.address)).muted or now.volume == 0:
            where = server.host or "the laptop"
            self._emit({"event": "error", "text": f"The sound on {where} is muted: unmute it to hear the clips."})

    def check(self) -> None:
        now = time.monotonic()
        rendered, since = self._progress
        if self.mixer.sounding or self._overlay is not None:
            self._last_use = now
        if self._rendered != rendered or not self._running:
            self._progress = (self._rendered, now)
        elif now - since > (STALL_SECONDS if rendered > self._flowing_at else WAKE_SECONDS):
            raise OutputLost(f"Sound stopped: {self.label} takes no more samples. Is the tunnel or device still there?")
        if self._running and now - self._last_use > IDLE_SECONDS:
            self._running = False
            self._stop_device()

    def state(self) -> State:
        mixed = self.mixer.playback()
        delay = round(self.latency * self.rate) if mixed.playing else 0
        start = mixed.loop[0] if mixed.loop else 0
        position = max(min(start, mixed.position), mixed.position - delay)
        loop = None
        if mixed.loop:
            loop = (mixed.loop[0] / self.rate, None if mixed.loop[1] is None else mixed.loop[1] / self.rate)
        heard = tuple(frames / self.rate for frames in mixed.heard)
        return State(
            mixed.index, position / self.rate, mixed.playing, mixed.length / self.rate, heard, loop, mixed.ended
        )

    def close(self) -> None:
        self._fade_out()
        if self._running:
            self._running = False
            self._stop_device()
