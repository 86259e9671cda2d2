"""What is wrong with how the clips sound."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import PurePath

import numpy as np

from engine.contract.data.metadata import Clip
from engine.contract.sound import FORMATS
from engine.data.audio import SHORTEST
from engine.data.findings import Case, Finding, found, joined
from engine.data.scan import FLOATS, Measured

TOLERANCE = 0.1
SILENT_SHARE = 0.20
CLIPPED_SHARE = 0.001
OFFSET = 0.01
CANCELLED = 0.5
"""Share of the power of unrelated channels: in stereo the mix is 6 dB below a channel."""
NOTHING = 1e-6
FULL_SCALE = 1.0001
LOSSY_OVERSHOOT = 2.0


def sound_findings(
    clips: list[Clip], measured: list[Measured], duration: float, rate: int, channels: int
) -> list[Finding]:
    """How the clips sound to a model that hears ``channels`` at ``rate`` Hz."""
    heard = [(clip.name, m) for clip, m in zip(clips, measured, strict=True) if not m.error]

    def cases(bad: Callable[[Measured], bool], tell: Callable[[Measured], str]) -> list[Case]:
        return [Case(f"{name}: {tell(m)}", (name,)) for name, m in heard if bad(m)]

    return [
        _durations(heard, duration),
        found(
            "silence", "warn", cases(lambda m: m.silent > SILENT_SHARE, lambda m: f"{m.silent:.0%} silent"),
            "{n} clip{s} {are} silent for more than a fifth (below -60 dBFS); the model would learn the silence",
            "Cut the silence off, or take the clips out.", fine="no clip is silent for more than a fifth",
        ),
        found(
            "mono-cancellation", "warn", cases(lambda m: m.kept < CANCELLED, _lost),
            "{n} clip{s} {have} channels that cancel when they are mixed to mono, as the model hears them",
            "Export one side only, such as `sox IN.wav OUT.wav remix 1`.", fine="no clip cancels in mono",
        ),
        found(
            "extra-channels", "info",
            cases(lambda m: m.channels > 2 and channels == 2, lambda m: f"{m.channels} channels"),
            "{n} clip{s} {have} more than two channels, of which the first two are trained on",
            "Mix them to stereo.", fine="no channel is left out",
        ),
        found(
            "clipping", "warn", cases(lambda m: m.clipped > CLIPPED_SHARE, lambda m: f"{m.clipped:.1%} of samples"),
            "{n} clip{s} {are} clipped; the model would learn the distortion",
            "Export them again some dB lower.", fine="no clip is clipped",
        ),
        found(
            "beyond-full-scale", "warn", cases(_is_beyond, lambda m: f"peak {_decibels(m.peak):+.1f} dBFS"),
            "{n} clip{s} {have} values beyond full scale; the model would learn a level that no clip can have",
            "Export them again below 0 dBFS, such as `sox IN.wav -b 24 OUT.wav norm -1`.",
            fine="no value is beyond full scale",
        ),
        found(
            "non-finite", "warn", cases(lambda m: m.not_finite > 0, lambda m: f"{m.not_finite} samples"),
            "{n} clip{s} {have} samples that are no numbers (NaN or infinite); silence is trained on in their place",
            "Export them again, or take them out.", fine="every sample is a number",
        ),
        found(
            "low-sample-rate", "warn", cases(lambda m: m.rate < rate, lambda m: f"{m.rate} Hz"),
            f"{{n}} clip{{s}} {{have}} a sample rate below the model's {rate} Hz; the model would learn to sound dull",
            "Export them from the originals at a higher rate; resampling brings nothing back.",
            fine=f"every sample rate reaches the model's {rate} Hz",
        ),
        found(
            "format-mismatch", "warn", _misnamed(heard),
            "{n} file{s} {have} a name that says another format than the content, which is what is read",
            "Name them for what they are; an MP3 stays one under any name.", fine="every name says what is inside",
        ),
        found(
            "cut-short", "warn", cases(lambda m: bool(m.shortfall), lambda m: m.shortfall),
            "{n} file{s} {do} not give all the sound that {they} promise{verb_s} or hold{verb_s}",
            "Copy or download cut files again; write the others anew, such as with `ffmpeg -i IN.mp3 OUT.flac`.",
            fine="every file is whole",
        ),
        found(
            "dc-offset", "warn", cases(lambda m: m.offset > OFFSET, lambda m: f"mean {m.offset:.3f} of full scale"),
            "{n} clip{s} {have} a DC offset", "Filter them with a high-pass at 20 Hz.", fine="no clip has a DC offset",
        ),
    ]  # fmt: skip


def _is_beyond(m: Measured) -> bool:
    # Of a loud master every MP3 and OGG overshoots a little; no other format but floats can.
    return m.peak > (FULL_SCALE if m.subtype in FLOATS else LOSSY_OVERSHOOT)


def _misnamed(heard: list[tuple[str, Measured]]) -> list[Case]:
    return [
        Case(f"{name}: holds {m.format}", (name,))
        for name, m in heard
        if m.format not in FORMATS.get(PurePath(name).suffix.lower(), (m.format,))
    ]


def _lost(m: Measured) -> str:
    return "nothing is left" if m.kept < NOTHING else f"{-_decibels(math.sqrt(m.kept / m.channels)):.0f} dB are lost"


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude)


def _durations(heard: list[tuple[str, Measured]], duration: float) -> Finding:
    def cases(least: float, below: float, digits: int) -> list[Case]:
        return [Case(f"{name}: {m.seconds:.{digits}f} s", (name,)) for name, m in heard if least <= m.seconds < below]

    tiny, short = cases(0, SHORTEST, 2), cases(SHORTEST, duration - TOLERANCE, 1)
    long = cases(duration + TOLERANCE, math.inf, 1)
    # One clip is no reason to shorten all others: the length proposed is one that nine in ten have.
    usual = np.quantile([m.seconds for _, m in heard], 0.1) if heard else duration
    shorter = f"set data.duration = {max(1, int(usual * 10) / 10):g}" if usual < duration - TOLERANCE else ""
    kinds = [
        found(
            "wrong-duration", "block", tiny,
            "{n} clip{s} {are} shorter than a second; nothing can be learned from {them}", "Take them out.", fine="",
        ),
        found(
            "wrong-duration", "warn", short,
            f"{{n}} clip{{s}} {{are}} shorter than data.duration = {duration:g} s; {{they}} {{are}} padded, "
            "the padding masked",
            f"Take longer clips{', or ' if shorter else ''}{shorter}.", fine="",
        ),
        found(
            "wrong-duration", "info", long,
            f"{{n}} clip{{s}} {{are}} longer than data.duration = {duration:g} s; each gives floor(length / duration) "
            "windows",
            "Nothing need be done.", fine="",
        ),
    ]  # fmt: skip
    return joined(kinds, fine=f"every clip lasts {duration:g} s")
