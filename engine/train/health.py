"""Judgement of a run's course: pure functions over its events, each verdict with its evidence in numbers."""

from __future__ import annotations

import math
from typing import NamedTuple


class Verdict(NamedTuple):
    """``verdict`` is ok, warn or bad; ``evidence`` says why in numbers."""

    name: str
    verdict: str
    evidence: str


WARN_SHARE = 6.5 / math.log(2048)
"""Start above this share of blind guessing's loss: suspicious (6.5 of 7.625 for MusicGen's 2048 codes)."""


def start(loss: float, codebook_size: int) -> Verdict:
    """Whether the base model knows this kind of audio at all."""
    blind = math.log(codebook_size)
    evidence = f"{loss:.3f}, blind guessing is {blind:.3f}"
    if not loss < blind:
        return Verdict("start", "bad", evidence)
    return Verdict("start", "warn" if loss >= WARN_SHARE * blind else "ok", evidence)


def report(journal, ended=False):  # type: ignore
    pass
