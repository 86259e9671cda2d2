"""A fingerprint that recognises audio after re-encoding, level changes and trimming, and finds which clips share audio.

32 bits a frame, each the sign of an energy difference between neighbouring bands and frames (Haitsma & Kalker, "A
highly robust audio fingerprinting system", ISMIR 2002). Two clips share audio where, at one shift, few bits differ.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.data.audio import Sound, resample

RATE = 5500
WINDOW = 2048
HOP = 128
"""A frame every 23 ms of windows of 0.37 s: so much overlap that a shift of half a hop changes few bits."""
STRIDE = 4
"""Every so many frames are looked up; all are compared."""
BANDS = 33
SAME_BITS = 0.20
"""Largest share of differing bits between two recordings of the same audio; unrelated music has about one half."""
SHORTEST_SHARED = 3.0
"""Seconds that must agree."""
_VOTES = 6
_COMMON = 64


class Shared(NamedTuple):
    """Clips ``a`` and ``b`` have ``seconds`` of audio in common, ``share`` of the shorter one."""

    a: int
    b: int
    seconds: float
    share: float


def fingerprint(sound: Sound) -> np.ndarray:
    """One uint32 a frame; empty for clips shorter than a window."""
    from scipy.fft import rfft

    mono = resample(sound.samples.mean(axis=0, keepdims=True), sound.rate, RATE)[0]
    if len(mono) < WINDOW + HOP:
        return np.zeros(0, np.uint32)
    frames = np.lib.stride_tricks.sliding_window_view(mono, WINDOW)[::HOP]
    spectrum = rfft(frames * np.hanning(WINDOW).astype(np.float32), axis=1, overwrite_x=True)
    power = spectrum.real**2 + spectrum.imag**2
    edges = np.geomspace(300, 2000, BANDS + 1) * WINDOW / RATE
    energy = np.add.reduceat(power, edges.round().astype(int), axis=1)[:, :BANDS]
    slope = energy[:, :-1] - energy[:, 1:]
    # Differences over 8 frames: at a 23 ms hop neighbours are too alike for their signs to mean anything.
    bits = (slope[8:] - slope[:-8]) > 0
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint32)[:, 0]


def shared_audio(prints: list[np.ndarray]) -> list[Shared]:
    """Pairs of clips that have at least SHORTEST_SHARED seconds of audio in common."""
    best: dict[tuple[int, int], Shared] = {}
    for a, b, shift in _likely(prints):
        shared = _compare(prints, a, b, shift)
        # Repetitive music agrees with itself at several shifts: of a pair the longest agreement counts.
        if shared and ((a, b) not in best or shared.seconds > best[a, b].seconds):
            best[a, b] = shared
    return sorted(best.values())


def _likely(prints: list[np.ndarray]) -> list[tuple[int, int, int]]:
    """(a, b, shift) with a < b at which several frames are equal in all 32 bits."""
    owner = np.concatenate([np.full(len(p), n, np.int64) for n, p in enumerate(prints)] or [np.zeros(0, np.int64)])
    place = np.concatenate([np.arange(len(p), dtype=np.int64) for p in prints] or [np.zeros(0, np.int64)])
    codes = np.concatenate(prints or [np.zeros(0, np.uint32)])
    useful = codes != 0
    owner, place, codes = owner[useful], place[useful], codes[useful]
    order = np.argsort(codes, kind="stable")
    owner, place, codes = owner[order], place[order], codes[order]
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else np.zeros(0, np.int64)
    sizes = np.diff(np.r_[starts, len(codes)])
    pairs = []
    for distance in range(1, _COMMON):
        # Each entry with the one ``distance`` behind it in its group of equal codes; very common codes say nothing.
        group_size = np.repeat(sizes, sizes)
        group_end = np.repeat(starts + sizes, sizes)
        first = np.flatnonzero((np.arange(len(codes)) + distance < group_end) & (group_size <= _COMMON))
        if not len(first):
            break
        second = first + distance
        differ = (owner[first] != owner[second]) & (place[first] % STRIDE == 0)
        pairs.append((first[differ], second[differ]))
    if not pairs:
        return []
    first, second = (np.concatenate(side) for side in zip(*pairs, strict=True))
    swap = owner[first] > owner[second]
    first, second = np.where(swap, second, first), np.where(swap, first, second)
    keys = np.stack([owner[first], owner[second], place[second] - place[first]], axis=1)
    unique, counts = np.unique(keys, axis=0, return_counts=True)
    return [(int(a), int(b), int(shift)) for a, b, shift in unique[counts >= _VOTES]]


def _compare(prints: list[np.ndarray], a: int, b: int, shift: int) -> Shared | None:
    one, two = prints[a], prints[b]
    begin, end = max(0, -shift), min(len(one), len(two) - shift)
    seconds = (end - begin) * HOP / RATE
    if seconds < SHORTEST_SHARED:
        return None
    different = np.unpackbits((one[begin:end] ^ two[begin + shift : end + shift]).view(np.uint8)).mean()
    return Shared(a, b, seconds, seconds / (min(len(one), len(two)) * HOP / RATE)) if different <= SAME_BITS else None
