"""Loudness of clips, and the fixed gains that match the clips of a prompt.

Clips are turned *down* to the quietest of their prompt: the loudest of several clips is preferred whatever it plays,
and turning up would clip. The engine stores ``lufs`` with each clip; for folders made by other scripts it is measured
here and kept in a small file beside the clips.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from engine.contract import sound, typed
from engine.contract.loudness import integrated
from engine.contract.rundir import write_atomically
from tui.review.evaluation import Clip, Item

CACHE = ".loudness.json"
SILENT = -60.0
"""LUFS below which a clip is taken for silent: it does not set the level of the others."""
MOST = 20.0
"""dB a clip is turned down at most, so that one that fades to nearly nothing does not silence its prompt."""


def loudness_of(item: Item) -> dict[str, float | None]:
    """LUFS by model for the clips on disk, as stored with the clip or else measured; None when it cannot be known."""
    return {m: clip_loudness(clip) for m, clip in item.clips.items() if clip.path is not None}


def gains(loudness: Mapping[str, float | None]) -> dict[str, float]:
    """dB by model, never above 0, that bring every clip down to the quietest one that is not silent."""
    heard = [value for value in loudness.values() if value is not None and value > SILENT]
    target = min(heard, default=0.0)
    return {
        model: 0.0 if value is None or value <= SILENT else round(max(-MOST, target - value), 2)
        for model, value in loudness.items()
    }


def target(loudness: Mapping[str, float | None]) -> float | None:
    """The level in LUFS that the clips of a prompt are matched to; None when none is known."""
    return min((value for value in loudness.values() if value is not None and value > SILENT), default=None)


def clip_loudness(clip: Clip) -> float | None:
    """LUFS of a clip that is on disk: as stored with it, else measured; -inf for silence, None if unreadable."""
    if "lufs" in clip.measures:
        # The engine writes null for silence, whose loudness is minus infinity.
        stored = clip.measures["lufs"]
        return -math.inf if stored is None else stored
    assert clip.path is not None
    return _measured(clip.path)


def _measured(path: Path) -> float | None:
    """Loudness of a file, from the cache beside it when the file has not changed since."""
    status = path.stat()
    cache_path = path.parent / CACHE
    key = f"{path.name} {status.st_size} {status.st_mtime_ns}"
    try:
        cache = typed.load(cache_path, dict[str, float | None]).value
    except typed.Unreadable:
        cache = {}  # none yet, or a damaged one: measured again
    if key not in cache:
        value = measure(path)
        if value is None:
            return None
        cache[key] = round(value, 2) if math.isfinite(value) else None
        try:
            write_atomically(cache_path, json.dumps(cache, indent=1))
        except OSError:
            pass  # A folder that may not be written to is measured again next time.
    stored = cache[key]
    return -math.inf if stored is None else float(stored)


def measure(path: Path) -> float | None:
    """Integrated loudness of a file in LUFS; None when it cannot be read as audio."""
    try:
        samples, rate = sound.read(path)
    except sound.BadSound:
        return None
    return integrated(samples.T, rate)
