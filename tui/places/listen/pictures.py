"""Envelopes and spectrograms of the clips of one prompt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.contract.errors import UserError
from tui.review import envelope

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Pictures(NamedTuple):
    """By letter: peaks from 0 to 1, two a cell; spectrograms as (bands, columns)."""

    peaks: dict[str, tuple[float, ...]]
    mels: dict[str, NDArray[np.float32]]


def pictures(
    paths: Mapping[str, Path], gains: Mapping[str, float], columns: int, rows: int, spectrogram: bool
) -> Pictures:
    """Envelopes and, when asked for, spectrograms of clips by letter. A file that cannot be read has none.

    One scale for all: the clips' loudness is matched, and the envelopes show it.
    """
    peaks, mels = {}, {}
    for letter, path in paths.items():
        factor = 10 ** (gains.get(letter, 0.0) / 20)
        try:
            peaks[letter] = tuple(peak * factor for peak in envelope.peaks(path, 2 * columns))
            if spectrogram:
                mels[letter] = envelope.mel(path, columns, 2 * rows)
        except (UserError, OSError):
            continue
    top = max((max(each) for each in peaks.values()), default=1.0) or 1.0
    return Pictures({letter: tuple(peak / top for peak in each) for letter, each in peaks.items()}, mels)
