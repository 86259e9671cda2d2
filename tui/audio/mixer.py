"""The mixer: one playhead over several clips, with fades, loops and switches exact to the sample.

The rules are those of ITU-R BS.1534: a switch fades out for 5 ms with a raised cosine, then fades the other
clip in, without a cross-fade, and the playhead never leaves its line. ``page/mixer.js`` holds the same mixer for
the browser; a test renders both and compares them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

FADE_SECONDS = 0.005
SHORTEST_LOOP_SECONDS = 0.5


@dataclass(frozen=True)
class Target:
    """What the fade-out leads to. ``position`` is in frames; None keeps the playhead where it is."""

    index: int
    position: int | None
    playing: bool


@dataclass(frozen=True)
class Playback:
    """A snapshot of the mixer: positions and lengths in frames, ``heard`` in frames per clip."""

    index: int
    position: int
    playing: bool
    length: int
    heard: tuple[int, ...]
    loop: tuple[int, int | None] | None
    ended: int


class Mixer:
    """Mixes the clip at the playhead into blocks of stereo samples.

    Commands may come from another thread than ``render``. Clips are float32 arrays (frames, 2) at ``rate``;
    ``gains`` are linear factors.
    """

    def __init__(self, rate: int, *, restart_on_switch: bool = False) -> None:
        self.rate = rate
        self.restart_on_switch = restart_on_switch
        fade = max(1, round(FADE_SECONDS * rate))
        self._curve = (0.5 - 0.5 * np.cos(np.pi * np.arange(fade + 1) / fade)).astype(np.float32)
        self._lock = threading.Lock()
        self._clips: list[Samples] = []
        self._gains: list[float] = []
        self._heard: list[int] = []
        self._loop: tuple[int, int | None] | None = None
        self._index = 0
        self._position = 0
        self._playing = False
        self._level = 0  # index into the fade curve: 0 is silence, the last entry is full gain
        self._target: Target | None = None
        self._ended = 0

    # Commands

    def load(self, clips: list[Samples], gains: list[float]) -> None:
        """Replace all clips. What plays is cut: fade out with ``stop`` first where that matters."""
        with self._lock:
            self._clips, self._gains = list(clips), list(gains)
            self._heard = [0] * len(clips)
            self._loop, self._target = None, None
            self._index = self._position = self._level = 0
            self._playing = False

    def play(self, index: int, position: int | None = None) -> None:
        """Play a clip from ``position`` (frames), or on from the playhead; a clip at its end starts again."""
        with self._lock:
            if 0 <= index < len(self._clips):
                aim = self._aim()
                if position is None and not aim.playing:
                    at_end = self._position >= len(self._clips[index])
                    position = 0 if at_end and aim.position is None else aim.position
                if position is not None or aim != Target(index, None, True):
                    self._go(Target(index, position, True))

    def pause(self) -> None:
        with self._lock:
            self._go(replace(self._aim(), playing=False))

    def stop(self) -> None:
        """Fade out and go to the start."""
        with self._lock:
            self._go(replace(self._aim(), position=self._loop[0] if self._loop else 0, playing=False))

    def switch(self, index: int) -> None:
        """Go to another clip at the same position, or at the start where ``restart_on_switch`` is set."""
        with self._lock:
            if 0 <= index < len(self._clips):
                aim = self._aim()
                start = self._loop[0] if self._loop else 0
                if index != aim.index:
                    self._go(replace(aim, index=index, position=start if self.restart_on_switch else aim.position))

    def seek(self, frames: int, *, relative: bool = False) -> None:
        with self._lock:
            if self._clips:
                aim = self._aim()
                origin = (self._position if aim.position is None else aim.position) if relative else 0
                position = min(max(0, origin + frames), len(self._clips[aim.index]))
                if self._loop:
                    start, end = self._bounds(aim.index)
                    position = start if position >= end else max(start, position)
                self._go(replace(aim, position=position))

    def loop(self, region: tuple[int, int | None] | None) -> None:
        """Loop (start, end) in frames; an end of None is the end of the clip; None ends looping."""
        with self._lock:
            self._loop = region
            if region and self._clips and not self._target:
                start, end = self._bounds(self._index)
                if not start <= self._position < end:
                    self._go(Target(self._index, start, self._playing))

    @property
    def sounding(self) -> bool:
        """Whether anything but silence is being rendered, a fade-out included."""
        return self._playing or self._level > 0

    def playback(self) -> Playback:
        with self._lock:
            aim = self._aim()
            length = len(self._clips[aim.index]) if self._clips else 0
            position = self._position if aim.position is None else aim.position
            return Playback(aim.index, position, aim.playing, length, tuple(self._heard), self._loop, self._ended)

    # Rendering

    def render(self, frames: int) -> Samples:
        """The next ``frames`` frames, as float32 (frames, 2)."""
        out = np.zeros((frames, 2), np.float32)
        with self._lock:
            done = 0
            while done < frames and self._clips:
                if self._target and self._level == 0:
                    self._arrive()
                if not self._playing and self._level == 0:
                    break
                done += self._render_segment(out[done:])
        return out

    def _render_segment(self, out: Samples) -> int:
        """Fill the head of ``out`` up to the next change of slope, loop edge or end; return the frames used."""
        full = len(self._curve) - 1
        left = self._turn_at_edge(full)
        if self._target:
            frames = min(len(out), self._level)
            gain = self._curve[self._level - np.arange(1, frames + 1)]
            self._level -= frames
        elif self._level < full:
            frames = min(len(out), full - self._level, max(1, left // 2))  # the fade-out needs as many
            gain = self._curve[self._level + np.arange(1, frames + 1)]
            self._level += frames
        else:
            frames = min(len(out), left)
            gain = self._curve[full:]
        clip = self._clips[self._index]
        part = clip[self._position : self._position + frames]
        out[: len(part)] = part * (self._gains[self._index] * gain[: len(part), None])
        self._position += frames
        self._heard[self._index] += frames
        return frames

    def _turn_at_edge(self, full: int) -> int:
        """Start the fade-out that ends exactly at the loop's or the clip's end; return the frames until then."""
        start, end = self._bounds(self._index)
        left = end - self._level - self._position
        if left > 0 or self._target:
            return max(1, left)
        if self._loop:
            self._target = Target(self._index, start, True)
        else:
            self._target = Target(self._index, len(self._clips[self._index]), False)
            self._ended += 1
        return full

    def _bounds(self, index: int) -> tuple[int, int]:
        """First frame and end of what plays of a clip: its loop, at least 0.5 s of it, or all of it."""
        length = len(self._clips[index])
        if not self._loop:
            return 0, length
        shortest = min(length, round(SHORTEST_LOOP_SECONDS * self.rate))
        end = length if self._loop[1] is None else min(length, max(self._loop[1], self._loop[0] + shortest))
        return max(0, min(self._loop[0], end - shortest)), end

    def _aim(self) -> Target:
        """Where a fade-out under way leads to, or what is now; the state that a command changes."""
        return self._target or Target(self._index, None, self._playing)

    def _go(self, target: Target) -> None:
        self._target = target
        if self._level == 0:
            self._arrive()

    def _arrive(self) -> None:
        """Become the target, in silence."""
        target, self._target = self._target, None
        if target is None:
            return
        self._index, self._playing = target.index, target.playing
        if target.position is not None:
            self._position = target.position
        if not self._clips:
            self._playing = False
        elif self._playing:
            start, end = self._bounds(self._index)
            if self._position >= end:  # the clip switched to is already over here
                self._playing = self._loop is not None and start < end
                self._position = start if self._playing else end
                self._ended += not self._playing
