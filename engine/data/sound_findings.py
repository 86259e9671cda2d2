"""What is wrong with the files and how they sound."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from engine.contract.data.metadata import Clip
from engine.data.audio import SHORTEST
from engine.data.findings import Case, Finding, found, joined
from engine.data.scan import Measured

TOLERANCE = 0.1
SILENT_SHARE = 0.20
CLIPPED_SHARE = 0.001
OFFSET = 0.01


def file_findings(clips: list[Clip], measured: list[Measured]) -> list[Finding]:
    pairs = list(zip(clips, measured, strict=True))
    missing = [Case(clip.name, (clip.name,)) for clip, _ in pairs if not clip.audio.is_file()]
    broken = [Case(m.error, (clip.name,)) for clip, m in pairs if m.error and clip.audio.is_file()]
    return [
        found(
            "missing-file", "block", missing, "{n} file{s} that the metadata names {do} not exist",
            "Bring back what is missing, or take it out of the metadata.", fine=f"all {len(clips)} files exist",
        ),
        found(
            "unreadable-audio", "block", broken, "{n} file{s} cannot be read as audio",
            "Convert to WAV or FLAC, or take out of the metadata what is no audio.", fine="every file can be read",
        ),
    ]  # fmt: skip


def sound_findings(clips: list[Clip], measured: list[Measured], duration: float) -> list[Finding]:
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
            "clipping", "warn", cases(lambda m: m.clipped > CLIPPED_SHARE, lambda m: f"{m.clipped:.1%} of samples"),
            "{n} clip{s} {are} clipped; the model would learn the distortion",
            "Export them again some dB lower.", fine="no clip is clipped",
        ),
        found(
            "dc-offset", "warn", cases(lambda m: m.offset > OFFSET, lambda m: f"mean {m.offset:.3f} of full scale"),
            "{n} clip{s} {have} a DC offset", "Filter them with a high-pass at 20 Hz.", fine="no clip has a DC offset",
        ),
    ]  # fmt: skip


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
