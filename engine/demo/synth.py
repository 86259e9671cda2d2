"""Renders a `Clip` to samples: a few clear voices, notes that start at phase 0 on the codec's frame grid.

Nothing here draws random numbers at run time: the one noise array comes from a fixed seed, and the same clip is the
same samples on every machine with the same numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from engine.demo.styles import CONTOURS, STEPS_PER_BAR, Clip, chord_pitch

SAMPLE_RATE = 16_000
FRAME = 640
CLIP_FRAMES = 375
FADE = 160

Voice = Callable[[float], np.ndarray]
Pattern = tuple[tuple[int, int], ...]

NOISE = np.random.default_rng(2026).standard_normal(SAMPLE_RATE).astype(np.float32)


def render(clip: Clip, frames: int = CLIP_FRAMES) -> np.ndarray:
    """Samples of a clip: float32, shape (frames * 640,), 16 kHz, peak below 1. The four-bar loop repeats exactly."""
    step = clip.tempo.step_frames * FRAME
    loop = np.zeros(len(clip.key.chords) * STEPS_PER_BAR * step, np.float32)
    for number, bar in enumerate(loop.reshape(len(clip.key.chords), -1)):
        _STYLES[clip.style](_Bar(bar, step, clip, number))
    samples = np.tile(loop, -(-frames * FRAME // len(loop)))[: frames * FRAME]
    return samples * _GAIN[clip.style]


class _Bar:
    """One bar to write into. Melodies answer themselves: every other bar runs through the contour backwards."""

    def __init__(self, out: np.ndarray, step: int, clip: Clip, number: int) -> None:
        self.out, self.step, self.clip = out, step, clip
        self.chord, self.rhythm = clip.key.chords[number], clip.rhythm
        self.contour = CONTOURS[clip.contour][:: -1 if number % 2 else 1]
        self.is_last = number == len(clip.key.chords) - 1

    def play(self, voice: Voice, pitch: float, step: int, length: int) -> None:
        """Adds a note at an eighth-note step; `length` in steps.

        It sinks evenly to a fifth of its level and fades out over its last 10 ms: every frame tells how much of the
        note is left. Steady notes would have to be counted by their frames, which a small decoder is slow to learn.
        """
        start, samples = step * self.step, length * self.step
        note = voice(pitch)[:samples] * np.linspace(1, 0.2, samples, dtype=np.float32)
        note[-FADE:] *= np.cos(np.linspace(0, np.pi / 2, FADE)) ** 2
        self.out[start : start + samples] += note

    def melody(self, voice: Voice, pattern: Pattern, octave: int) -> None:
        """One voice along the contour: each note ends where the next may begin."""
        for step, length in pattern:
            self.play(voice, chord_pitch(self.chord, self.contour[step], octave), step, length)

    def bass(self, voice: Voice, steps: tuple[int, ...], length: int, octave: int) -> None:
        """The chord's root at some steps."""
        for step in steps:
            self.play(voice, chord_pitch(self.chord, 0, octave), step, length)


def _time() -> np.ndarray:
    return np.arange(4 * SAMPLE_RATE, dtype=np.float64) / SAMPLE_RATE


def _tone(pitch: float, partials: list[tuple[float, float, float]], attack: float) -> np.ndarray:
    """Sum of sine partials (ratio, level, decay time in s) at phase 0, with a linear attack in seconds."""
    time = _time()
    wave = np.zeros_like(time)
    for ratio, level, decay in partials:
        if pitch * ratio < 0.45 * SAMPLE_RATE:
            wave += level * np.exp(-time / decay) * np.sin(2 * np.pi * pitch * ratio * time)
    return (wave * np.minimum(1, time / attack)).astype(np.float32)


@lru_cache(None)
def _piano(pitch: float) -> np.ndarray:
    return _tone(pitch, [(n, n**-1.6, 0.5 / n**0.5) for n in range(1, 7)], 0.003)


@lru_cache(None)
def _bell(pitch: float) -> np.ndarray:
    return _tone(pitch, [(1, 1, 0.9), (2.5, 0.6, 0.35), (4.0, 0.3, 0.15)], 0.002)


@lru_cache(None)
def _pluck(pitch: float) -> np.ndarray:
    return _tone(pitch, [(n, 1 / n, 0.7 / n) for n in range(1, 13)], 0.002)


@lru_cache(None)
def _pipe(pitch: float) -> np.ndarray:
    return _tone(pitch, [(1, 1, 1e9), (2, 0.6, 1e9), (4, 0.35, 1e9), (8, 0.15, 1e9)], 0.01)


@lru_cache(None)
def _bowed(pitch: float) -> np.ndarray:
    return _tone(pitch, [(n, n**-1.1, 1e9) for n in range(1, 9)], 0.08)


@lru_cache(None)
def _breath(pitch: float) -> np.ndarray:
    return _tone(pitch, [(1, 1, 1e9), (2, 0.25, 1e9), (3, 0.08, 1e9)], 0.03)


@lru_cache(None)
def _square(pitch: float) -> np.ndarray:
    return _tone(pitch, [(n, 1 / n, 1e9) for n in range(1, 14, 2)], 0.002)


@lru_cache(None)
def _wood(pitch: float) -> np.ndarray:
    return _tone(pitch, [(1, 1, 0.16), (4, 0.5, 0.05)], 0.002)


@lru_cache(None)
def _synth_bass(pitch: float) -> np.ndarray:
    return _tone(pitch, [(n, 1 / n, 0.25) for n in range(1, 9)], 0.003)


@lru_cache(None)
def _metal(pitch: float) -> np.ndarray:
    return _tone(pitch, [(1, 1, 0.4), (2.75, 0.8, 0.25), (5.25, 0.5, 0.12)], 0.001)


@lru_cache(None)
def _gong(pitch: float) -> np.ndarray:
    return _tone(pitch, [(1, 1, 1.5), (1.5, 0.6, 1.2), (2.25, 0.5, 0.8), (3.75, 0.2, 0.5)], 0.01)


@lru_cache(None)
def _kick(_pitch: float) -> np.ndarray:
    time = _time()
    phase = 2 * np.pi * (50 * time + 6 * (1 - np.exp(-time * 25)))
    return (1.6 * np.sin(phase) * np.exp(-time / 0.1)).astype(np.float32)


@lru_cache(None)
def _snare(_pitch: float) -> np.ndarray:
    time = _time()[: len(NOISE)]
    body = np.sin(2 * np.pi * 200 * time) * np.exp(-time / 0.05)
    return (body + 0.5 * NOISE * np.exp(-time / 0.06)).astype(np.float32)


@lru_cache(None)
def _hat(_pitch: float) -> np.ndarray:
    bright = np.diff(NOISE, prepend=0)
    return (0.35 * bright * np.exp(-_time()[: len(NOISE)] / 0.02)).astype(np.float32)


def _piano_bar(bar: _Bar) -> None:
    patterns: tuple[Pattern, Pattern] = (((2, 2), (4, 2), (6, 2)), ((3, 1), (4, 2), (6, 2)))
    bar.bass(_piano, (0,), patterns[bar.rhythm][0][0], -1)
    bar.melody(_piano, patterns[bar.rhythm], 1)


def _bells_bar(bar: _Bar) -> None:
    patterns: tuple[Pattern, Pattern] = (((0, 4), (4, 4)), ((0, 3), (3, 3), (6, 2)))
    bar.melody(_bell, patterns[bar.rhythm], 1)


def _guitar_bar(bar: _Bar) -> None:
    patterns: tuple[Pattern, Pattern] = (
        ((1, 1), (2, 1), (3, 1), (5, 1), (6, 1), (7, 1)),
        ((1, 1), (2, 2), (5, 1), (6, 2)),
    )
    bar.bass(_pluck, (0, 4), 1, -1)
    bar.melody(_pluck, patterns[bar.rhythm], 0)


def _organ_bar(bar: _Bar) -> None:
    patterns: tuple[Pattern, Pattern] = (((0, 1), (2, 1), (4, 1), (6, 1)), ((0, 2), (3, 2), (6, 1)))
    inversion = bar.contour[0] % 3
    for step, length in patterns[bar.rhythm]:
        for tone in range(3):
            bar.play(_pipe, chord_pitch(bar.chord, inversion + tone, 0), step, length)


def _strings_bar(bar: _Bar) -> None:
    patterns: tuple[Pattern, Pattern] = (((0, 8),), ((0, 4), (4, 4)))
    for step, length in patterns[bar.rhythm]:
        for tone in (0, 2, 3 + bar.contour[step] % 3):
            bar.play(_bowed, chord_pitch(bar.chord, tone, -1), step, length)


def _techno_bar(bar: _Bar) -> None:
    bass_steps = ((1, 3, 5, 7), (1, 3, 7))[bar.rhythm]
    for step in (0, 2, 4, 6):
        bar.play(_kick, 0, step, 1)
        bar.play(_hat, 0, step + 1, 1)
    for step in bass_steps:
        bar.play(_synth_bass, chord_pitch(bar.chord, 3 * (bar.contour[step] // 3), -2), step, 1)


def _drums_bar(bar: _Bar) -> None:
    extra = ((), (5,), (7,), (5, 7), (1,), (1, 7), (3, 6), (1, 5))[bar.clip.contour]
    for step in ((0, 4), (0, 3, 4))[bar.rhythm] + extra:
        bar.play(_kick, 0, step, 1)
    for step in (2, 6, 7) if bar.is_last else (2, 6):
        bar.play(_snare, 0, step, 1)
    for step in range(8):
        bar.play(_hat, 0, step, 1)


def _chiptune_bar(bar: _Bar) -> None:
    patterns: tuple[Pattern, Pattern] = (
        tuple((step, 1) for step in range(8)),
        ((0, 1), (1, 1), (3, 1), (4, 1), (5, 1), (7, 1)),
    )
    bar.melody(_square, patterns[bar.rhythm], 1)


def _flute_bar(bar: _Bar) -> None:
    patterns: tuple[Pattern, Pattern] = (((0, 4), (4, 2), (6, 2)), ((0, 2), (2, 4), (6, 2)))
    bar.melody(_breath, patterns[bar.rhythm], 1)


def _marimba_bar(bar: _Bar) -> None:
    patterns: tuple[Pattern, Pattern] = (
        ((0, 1), (1, 1), (3, 1), (4, 1), (6, 1)),
        ((0, 1), (2, 1), (3, 1), (5, 1), (6, 1), (7, 1)),
    )
    bar.melody(_wood, patterns[bar.rhythm], 0)


def _gamelan_bar(bar: _Bar) -> None:
    # A scale of its own; the gong begins every bar.
    scale = (300.0, 318.75, 350.0, 450.0, 475.0)
    patterns: tuple[Pattern, Pattern] = (
        tuple((step, 1) for step in range(2, 8)),
        ((2, 1), (3, 1), (4, 1), (5, 2), (7, 1)),
    )
    bar.play(_gong, 100.0 if bar.chord[0] in (0, 5) else 75.0, 0, 2)
    for step, length in patterns[bar.rhythm]:
        tone = bar.contour[step] + bar.chord[0] + 2 * bar.rhythm
        bar.play(_metal, 2 * scale[tone % 5], step, length)


_STYLES: dict[str, Callable[[_Bar], None]] = {
    "piano": _piano_bar,
    "bells": _bells_bar,
    "guitar": _guitar_bar,
    "organ": _organ_bar,
    "strings": _strings_bar,
    "techno": _techno_bar,
    "drums": _drums_bar,
    "chiptune": _chiptune_bar,
    "flute": _flute_bar,
    "marimba": _marimba_bar,
    "gamelan": _gamelan_bar,
}

# Brings every style to about the same loudness, peaks below 0.9.
_GAIN = {
    "piano": 0.22,
    "bells": 0.23,
    "guitar": 0.2,
    "organ": 0.14,
    "strings": 0.1,
    "techno": 0.24,
    "drums": 0.24,
    "chiptune": 0.19,
    "flute": 0.2,
    "marimba": 0.3,
    "gamelan": 0.17,
}
