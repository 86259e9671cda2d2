"""Tempo and key of a track, where they can be told for sure; None otherwise, which is the commoner answer."""

from __future__ import annotations

import numpy as np

from engine.generate import measures

RATE = 5500
"""Hz at which music is listened to here, as for the fingerprint."""
SEGMENT = 20
"""Seconds that are judged by themselves: what most of them agree on is sure."""
AGREE = 0.75
SAME_TEMPO = 0.02
PLAIN = (80.0, 140.0)
"""Beats a minute between which a tempo is told: half of one beyond is as likely to be what a musician would say."""
PERIODIC = 0.5
"""Least correlation of the onsets with themselves a beat later."""
MARGIN = 0.08
"""By how much the best key's correlation must exceed the next one's."""
TONIC = 1.2
"""How much more often its tonic must be the lowest tone than any other: else it may be the relative key."""
NAMES = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
# How well each degree fits a key (Krumhansl & Kessler 1982).
_MAJOR = np.array((6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88))
_MINOR = np.array((6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17))


def tempo(mono: np.ndarray) -> int | None:
    """Beats a minute of (n,) at RATE, when at least AGREE of its segments have it and count it in fours."""
    segments = _segments(mono)
    found = [bpm for bpm in map(_tempo, segments) if bpm]
    middle = float(np.median(found)) if found else 0.0
    agree = [bpm for bpm in found if abs(bpm - middle) <= SAME_TEMPO * middle]
    return round(float(np.mean(agree))) if agree and len(agree) >= AGREE * len(segments) else None


def key(mono: np.ndarray) -> str | None:
    """The key of (n,) at RATE, such as "F sharp minor", when AGREE of its segments and its bass say the same."""
    segments = _segments(mono)
    if not segments:
        return None
    tones, bass = (np.stack([_chroma(segment, *band) for segment in segments]) for band in ((65, 2000), (40, 140)))
    name, tonic, margin = _key(tones.sum(axis=0))
    lowest = np.sort(np.delete(bass.sum(axis=0), tonic))[-1]
    agree = sum(_key(chroma)[0] == name for chroma in tones)
    sure = margin >= MARGIN and agree >= AGREE * len(segments) and bass.sum(axis=0)[tonic] >= TONIC * lowest > 0
    return name if sure else None


def _segments(mono: np.ndarray) -> list[np.ndarray]:
    size = SEGMENT * RATE
    count = len(mono) // size
    return [mono[n * size : (n + 1) * size] for n in range(count)] if count else [mono] if len(mono) > size // 2 else []


def _tempo(segment: np.ndarray) -> float | None:
    onsets = measures.onset_strength(measures.spectrogram(segment, RATE)[0])
    bpm, periodic = measures.tempo_of(onsets)
    if not bpm or not periodic or periodic < PERIODIC or not PLAIN[0] <= bpm <= PLAIN[1]:
        return None
    # Three eighths look like a beat too; but four of them are no bar, and two thirds of them are a beat as well.
    short, three, four = (_correlation(onsets, beats * 60.0 / bpm) for beats in (2 / 3, 3, 4))
    return bpm if four >= 0.9 * periodic and four > 1.05 * three and short < 0.5 * periodic else None


def _correlation(onsets: np.ndarray, seconds: float) -> float:
    """Of the onsets with themselves ``seconds`` later, as ``tempo_of`` counts it."""
    centred = onsets - onsets.mean()
    lag = int(seconds * measures.FRAMES_PER_SECOND)
    products = [
        float(centred[:-shift] @ centred[shift:]) * len(centred) / (len(centred) - shift) for shift in (lag, lag + 1)
    ]
    return max(products) / (float(centred @ centred) + 1e-12)


def _chroma(segment: np.ndarray, lowest: float, highest: float) -> np.ndarray:
    """Strength of the twelve tones (12,), from C on, between two frequencies in Hz, each moment counting alike."""
    window, hop = 8192, 4096
    frames = np.lib.stride_tricks.sliding_window_view(segment, window)[::hop]
    heard = np.abs(np.fft.rfft(frames * np.hanning(window).astype(np.float32), axis=1))
    frequencies = np.fft.rfftfreq(window, 1 / RATE)
    used = (frequencies >= lowest) & (frequencies <= highest)
    tones = np.round(12 * np.log2(frequencies[used] / 261.6256)).astype(int) % 12
    chroma = np.stack([heard[:, used][:, tones == tone].sum(axis=1) for tone in range(12)], axis=1)
    return (chroma / (chroma.sum(axis=1, keepdims=True) + 1e-9)).sum(axis=0)


def _key(chroma: np.ndarray) -> tuple[str, int, float]:
    """The key that fits best, its tonic counted from C, and by how much better it fits than the next."""
    if chroma.std() < 1e-9:
        return "", 0, 0.0
    fits = [
        (float(np.corrcoef(chroma, np.roll(profile, tone))[0, 1]), f"{NAMES[tone]} {mode}", tone)
        for tone in range(12)
        for profile, mode in ((_MAJOR, "major"), (_MINOR, "minor"))
    ]
    fits.sort(reverse=True)
    return fits[0][1], fits[0][2], fits[0][0] - fits[1][0]
