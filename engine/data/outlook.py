"""What a run will take on this machine's card, reckoned from what was measured of the card. Imports no torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from typing import Any

from engine.contract import config
from engine.contract.cards import Facts
from engine.model.work import decoding_bytes, training_operations
from engine.prove import record
from engine.prove.record import Rates

FRAMES = 750
"""Of the clips of 15 s that were measured."""
MODELS = 3
AT_ONCE = 8
RECOMPUTED = 4 / 3
"""Time of a step with gradient checkpointing: the forward pass, a third of it, runs twice."""


def rates_of(seen: Facts) -> Rates | None:
    """What was measured of the card that torch takes first; None where nothing was."""
    if not seen.cards:
        return None
    path = record.path_for(seen.cards[0], seen.driver, seen.torch)
    known = record.read(path, values=record.values_count())
    return known.rates if known else None


def memory_scale(rates: Rates | None, reckoned: Callable[[int], float]) -> float:
    """Measured over reckoned bytes of musicgen-small's steps, at the sizes that were measured; 1 where none was.

    ``reckoned`` gives the bytes for a number of clips at once, without what CUDA itself takes.
    """
    peaks = rates.peaks if rates else {}
    found = [peak / reckoned(int(count)) for count, peak in peaks.items() if count.isdecimal()]
    return statistics.median(found or [1.0])


def training_seconds(
    settings: config.Settings, clips: int, sizes: Mapping[str, Any], small: Mapping[str, Any],
    frames: int, rates: Rates,
) -> float | None:  # fmt: skip
    """Of training on ``clips`` clips of ``frames``, each epoch counted.

    The model's decoder is of ``sizes``, musicgen-small's of ``small``.
    """
    if rates.clip_seconds is None:
        return None
    each = rates.clip_seconds * training_operations(sizes, frames) / training_operations(small, FRAMES)
    if settings.train.precision == "fp32" and rates.products and rates.products_fp32:
        each *= max(1.0, rates.products / rates.products_fp32)
    return each * clips * (RECOMPUTED if settings.train.gradient_checkpointing else 1)


def clips_seconds(
    settings: config.Settings, prompts: int, sizes: Mapping[str, Any], small: Mapping[str, Any], frames: int,
    rates: Rates,
) -> float | None:  # fmt: skip
    """Of decoding ``frames`` of every prompt by base, best and final."""
    if rates.step_seconds is None or not prompts:
        return None
    batches = math.ceil(prompts * settings.evaluate.repeats / AT_ONCE) * MODELS
    step = rates.step_seconds * decoding_bytes(sizes, 2 * AT_ONCE, frames / 2)
    return batches * frames * step / decoding_bytes(small, 2 * AT_ONCE, FRAMES / 2)
