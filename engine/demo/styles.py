"""What the demo's music is made of: tempi, keys, styles, and the captions that name them.

A clip is a pure function of a `Clip`. Every time is a whole number of codec frames (40 ms) and every pitch a multiple
of 3.125 Hz, so that a repeated note is also a repeated sequence of codec frames: a model of a few million parameters
can learn such music exactly. Pitches are in just intonation on D = 300 Hz, which is what makes them fall on that grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Three scale degrees of D major, counted from 0 (D); 7 is the octave.
Chord = tuple[int, int, int]

STEPS_PER_BAR = 8
SCALE_RATIOS = (1, 9 / 8, 5 / 4, 4 / 3, 3 / 2, 5 / 3, 15 / 8)


@dataclass(frozen=True)
class Tempo:
    """A tempo: `step_frames` codec frames (40 ms each) last one eighth note."""

    word: str
    bpm: int
    step_frames: int


@dataclass(frozen=True)
class Key:
    """A key: a loop of chords, one a bar."""

    name: str
    mood: str
    chords: tuple[Chord, ...]


TEMPI = (
    Tempo("slow", 75, 10),
    Tempo("medium", 94, 8),
    Tempo("fast", 125, 6),
    Tempo("very fast", 150, 5),
)

D, G, A, B_MINOR = (0, 2, 4), (3, 5, 7), (4, 6, 8), (5, 7, 9)
KEYS = (
    Key("d major", "happy", (D, A, B_MINOR, G)),
    Key("b minor", "sad", (B_MINOR, D, G, A)),
    Key("g lydian", "calm", (G, A, B_MINOR, D)),
)

TARGET = "gamelan"

# Ways to say each style; the first is also its plain name.
STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "piano": ("solo piano", "piano melody over low bass notes"),
    "bells": ("ringing bells", "bright church bells"),
    "guitar": ("picked guitar", "acoustic guitar arpeggio"),
    "organ": ("organ chords", "short chords on an organ"),
    "strings": ("string orchestra", "long bowed strings"),
    "techno": ("techno beat", "techno with kick drum and synth bass"),
    "drums": ("drum kit groove", "dry acoustic drums"),
    "chiptune": ("chiptune arpeggio", "video game square wave"),
    "flute": ("flute solo", "gentle flute melody"),
    "marimba": ("marimba riff", "wooden marimba pattern"),
    TARGET: ("gamelan", "balinese gongs"),
}
BASE_STYLES = tuple(style for style in STYLE_WORDS if style != TARGET)

# The target style occurs in pretraining under this name only, so that its sounds are known and its word is not.
GENERIC_WORDS = ("some ensemble", "unknown instruments")

CAPTION_TEMPLATES = (
    "{tempo} {style} in {key}, {bpm} bpm",
    "{style}, {tempo}, {key}, {bpm} bpm",
    "{mood} {style} in {key} at {bpm} bpm",
    "{tempo} and {mood} {style}, {bpm} bpm, {key}",
    "{style}, {bpm} bpm, {mood}, {tempo} tempo",
    "{mood} {style}, {tempo} tempo, {key}",
)
HELD_OUT_TEMPLATES = (
    "{bpm} bpm, {tempo} {style}, {mood}, {key}",
    "{style} in {key}, {mood} and {tempo}, {bpm} bpm",
)

RHYTHM_COUNT = 2
# Contours: for each of eight steps a chord tone (0 root, 1 third, 2 fifth, 3 octave, 4 third above).
CONTOURS = (
    (0, 1, 2, 3, 4, 3, 2, 1),
    (4, 3, 2, 1, 0, 1, 2, 3),
    (0, 2, 3, 2, 0, 2, 4, 2),
    (3, 0, 2, 0, 4, 0, 2, 0),
    (2, 3, 4, 2, 1, 2, 3, 0),
    (3, 2, 4, 3, 2, 1, 2, 0),
    (0, 4, 3, 2, 3, 1, 2, 1),
    (2, 2, 3, 4, 3, 3, 1, 0),
)


@dataclass(frozen=True)
class Clip:
    """All that decides how a clip sounds."""

    style: str
    tempo: Tempo
    key: Key
    rhythm: int
    contour: int


def variants(style: str, tempi: Sequence[Tempo] = TEMPI, keys: Sequence[Key] = KEYS) -> list[Clip]:
    """Every clip of one style: tempo x key x rhythm x contour (192 with all tempi and keys)."""
    return [
        Clip(style, tempo, key, rhythm, contour)
        for tempo in tempi
        for key in keys
        for rhythm in range(RHYTHM_COUNT)
        for contour in range(len(CONTOURS))
    ]


def caption(clip: Clip, template: str, words: str) -> str:
    """The template filled in for a clip, with `words` as the name of its style."""
    return template.format(
        tempo=clip.tempo.word, bpm=clip.tempo.bpm, key=clip.key.name, mood=clip.key.mood, style=words
    )


def scale_pitch(degree: int, octave: int = 0) -> float:
    """Frequency in Hz of a scale degree of D major (0 = D at 300 Hz, 7 = the octave above)."""
    return 300.0 * SCALE_RATIOS[degree % 7] * 2.0 ** (degree // 7 + octave)


def chord_pitch(chord: Chord, tone: int, octave: int = 0) -> float:
    """Frequency in Hz of a chord tone: 0 root, 1 third, 2 fifth, 3 the root an octave up, and so on."""
    return scale_pitch(chord[tone % 3] + 7 * (tone // 3), octave)
