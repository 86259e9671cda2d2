"""Integrated loudness after ITU-R BS.1770-4, as the engine writes it and the panel matches levels by it.

With numpy alone: the panel measures clips of other scripts, and imports neither torch nor scipy.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def integrated(samples: NDArray[np.floating], rate: int) -> float:
    """Integrated loudness in LUFS of ``samples`` (channels, n) or (n,), full scale 1.0; -inf for silence.

    K-weighting, 400 ms blocks with 75 % overlap, absolute gate at -70 LUFS, relative gate 10 LU below (annex 1). A
    clip shorter than one block counts as one block. Channels weigh the same (mono, stereo).
    """
    import numpy as np

    x = np.atleast_2d(np.asarray(samples, dtype=np.float64))
    if x.size == 0:
        return -math.inf
    power = np.sum(_k_weighted(x, rate) ** 2, axis=0)
    block, hop = min(round(0.4 * rate), power.size), max(1, round(0.1 * rate))
    total = np.concatenate(([0.0], np.cumsum(power)))
    starts = np.arange(0, power.size - block + 1, hop)
    blocks = (total[starts + block] - total[starts]) / block
    kept = blocks[blocks > 10 ** ((-70.0 + 0.691) / 10)]
    if kept.size:
        kept = kept[kept > kept.mean() / 10]
    return -0.691 + 10 * math.log10(float(kept.mean())) if kept.size else -math.inf


def _k_weighted(x: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """``x`` (channels, n) through the two filters of the standard, in the frequency domain.

    Its coefficients are for 48 kHz; these formulas give the same filters at any rate (De Man 2014). A second of zeros
    at the end holds the filters' decay, so that the circular convolution is the linear one.
    """
    import numpy as np

    count = x.shape[1]
    size = 1 << (count + rate - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(x, size) * _response(size, rate), size)[:, :count]


@lru_cache(maxsize=2)  # the clips of a data set are of one length, and this takes as long as the two transforms
def _response(size: int, rate: int) -> NDArray[np.complex128]:
    """The filters' frequency response at the size // 2 + 1 frequencies of a real transform."""
    import numpy as np

    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response = np.ones_like(z)
    for b, a in (_high_shelf(rate), _high_pass(rate)):
        response *= (b[0] + b[1] * z + b[2] * z**2) / (a[0] + a[1] * z + a[2] * z**2)
    return response


def _high_shelf(rate: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    k, q = math.tan(math.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    middle = high**0.4996667741545416
    b = (high + middle * k / q + k * k, 2 * (k * k - high), high - middle * k / q + k * k)
    return b, (1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k)


def _high_pass(rate: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    k, q = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
    a0 = 1 + k / q + k * k
    # The standard's numerator is 1, -2, 1 and not scaled by a0.
    return (a0, -2 * a0, a0), (a0, 2 * (k * k - 1), 1 - k / q + k * k)
