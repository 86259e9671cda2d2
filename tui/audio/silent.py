"""No output: judging goes on, and the listener is told how to fetch and play a clip by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from engine.contract import sound
from tui.audio import clips as audio
from tui.audio.laptop import fetch_line
from tui.audio.output import ClipSet, Emit, Output, State
from tui.audio.pulse import cache_folder

HOW = "No sound output: each clip can be fetched and played by hand."


class NoOutput(Output):
    name = "none"
    label = "no sound"

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._clips: ClipSet | None = None
        self._durations: list[float] = []
        self._state = State()

    def open(self) -> None:
        self.hint = HOW

    def load(self, clips: ClipSet) -> list[float]:
        self._durations = [self._duration(path, name) for path, name in zip(clips.paths, clips.names, strict=True)]
        self._clips, self.hint = clips, HOW
        self._state = State(duration=self._durations[0] if self._durations else 0.0, heard=(0.0,) * len(clips.paths))
        return self._durations

    def _duration(self, path: Path, name: str) -> float:
        try:
            return audio.duration(path)
        except audio.UnreadableClip as error:
            self._emit({"event": "error", "text": f"Clip {name}: {error}"})
            return 0.0

    def play(self, index: int, position: float | None) -> None:
        """Offer the line that fetches the clip under a name that does not say which model made it."""
        self.switch(index)
        if self._clips and index < len(self._clips.paths):
            self.hint = fetch_line(_levelled(self._clips, index), self._clips.names[index])
            text = f"No sound output. To hear this clip, fetch it on your laptop and open it: {self.hint}"
            self._emit({"event": "error", "text": text})

    def switch(self, index: int) -> None:
        if index < len(self._durations):
            self._state = replace(self._state, index=index, duration=self._durations[index])

    def seek(self, seconds: float, relative: bool) -> None:
        position = self._state.position + seconds if relative else seconds
        self._state = replace(self._state, position=min(max(0.0, position), self._state.duration))

    def loop(self, region: tuple[float, float | None] | None) -> None:
        self._state = replace(self._state, loop=region)

    def pause(self) -> None:
        pass

    def stop(self) -> None:
        self._state = replace(self._state, position=0.0)

    def prove(self) -> None:
        self._emit({"event": "proof", "proven": False, "text": "There is no sound output to prove."})

    def check(self) -> None:
        pass

    def state(self) -> State:
        return self._state

    def close(self) -> None:
        pass


def _levelled(clips: ClipSet, index: int) -> Path:
    """The clip at the level it would be played at: also by hand the loudest must not win. The file as it is if not.

    Where one clip of a prompt is turned down all are copied: in what scp says of them they are to be alike.
    """
    path, gain = clips.paths[index], clips.gains[index]
    if all(each == 1.0 for each in clips.gains):
        return path
    copy = cache_folder() / f"level-{clips.names[index]}.wav"
    try:
        samples, rate = sound.read(path)
        soundfile.write(copy, samples * np.float32(gain), rate, subtype="PCM_24")
    except (sound.BadSound, soundfile.SoundFileError, OSError):
        return path
    return copy
