"""What can be measured about a clip without further models, and the distance of a set of clips to the training set.

All functions take audio as float arrays (channels, samples) or (samples,), full scale 1.0. Where a measure has no
value, such as the loudness of silence, it is None. Levels are in dB relative to full scale.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from engine.contract.loudness import integrated

Array = NDArray[np.floating]

SILENCE_DB = -60.0
"""A 100 ms block below this RMS level counts as silence."""
CLIPPED = 0.999
FADE_SECONDS = 2.0
FRAMES_PER_SECOND = 62.5
TEMPO_RANGE = (40.0, 240.0)
FLOOR_DB = -90.0


def of_clip(audio: Array, rate: int) -> dict[str, float | None]:
    """All measures of one clip, by name, each explained at its function below. Takes 0.1 s for 15 s at 32 kHz."""
    channels = np.atleast_2d(np.asarray(audio, dtype=np.float64))
    mono = channels.mean(axis=0)
    loudness = integrated(channels, rate)
    measured: dict[str, float | None] = {
        "lufs": loudness if math.isfinite(loudness) else None,
        "true_peak_db": true_peak_db(channels),
        "clipped_share": float(np.mean(np.abs(channels) >= CLIPPED)),
        "silence_share": silence_share(mono, rate),
        "fade_out_db": fade_out_db(mono, rate),
        "dc_offset": float(channels.mean(axis=1)[np.argmax(np.abs(channels.mean(axis=1)))]),
    }
    magnitude, frequencies = spectrogram(mono, rate)
    measured.update(spectral_shape(magnitude, frequencies))
    onsets = onset_strength(magnitude)
    tempo, confidence = tempo_of(onsets)
    measured.update(
        tempo_bpm=tempo,
        tempo_confidence=confidence,
        onset_rate=onset_rate(onsets),
        self_similarity=self_similarity(magnitude),
    )
    return {name: None if value is None else round(value, 5) for name, value in measured.items()}


def true_peak_db(channels: Array) -> float | None:
    """Peak of the signal between the samples too, in dBTP, from fourfold oversampling (BS.1770-4, annex 2)."""
    from scipy.signal import resample_poly

    peak = max(np.abs(channels).max(), np.abs(resample_poly(channels, 4, 1, axis=-1)).max())
    return _db(peak)


def silence_share(mono: Array, rate: int) -> float:
    """Share of 100 ms blocks whose RMS level is below SILENCE_DB."""
    block = max(1, round(0.1 * rate))
    count = max(1, len(mono) // block)
    blocks = mono[: count * block].reshape(count, -1)
    return float(np.mean((blocks**2).mean(axis=1) < 10 ** (SILENCE_DB / 10)))


def fade_out_db(mono: Array, rate: int) -> float | None:
    """Level of the last two seconds against that of the middle half, in dB; None where the middle is silent."""
    middle = _rms_db(mono[len(mono) // 4 : len(mono) * 3 // 4])
    end = _rms_db(mono[-round(FADE_SECONDS * rate) :])
    return None if middle <= SILENCE_DB else end - middle


def spectrogram(mono: Array, rate: int) -> tuple[Array, Array]:
    """Magnitudes (frames, bins) at FRAMES_PER_SECOND, from windows of 64 ms, and the bins' frequencies in Hz."""
    hop, window = round(rate / FRAMES_PER_SECOND), round(rate * 0.064)
    padded = np.pad(mono, (window // 2, window))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[: -window // 2 : hop]
    magnitude = np.abs(np.fft.rfft(frames * np.hanning(window).astype(np.float32), axis=1)) / window
    return magnitude, np.fft.rfftfreq(window, 1 / rate)


def spectral_shape(magnitude: Array, frequencies: Array) -> dict[str, float | None]:
    """Mean over the frames that sound: centroid and 85 % rolloff in Hz, and flatness (0 a tone, 0.56 white noise)."""
    power = magnitude**2
    energy = power.sum(axis=1)
    heard = energy > 10 ** (SILENCE_DB / 10) / 16
    if not heard.any():
        return {"spectral_centroid_hz": None, "spectral_rolloff_hz": None, "spectral_flatness": None}
    magnitude, power, energy = magnitude[heard], power[heard], energy[heard]
    cumulative = np.cumsum(power, axis=1)
    rolloff = frequencies[(cumulative >= 0.85 * cumulative[:, -1:]).argmax(axis=1)]
    floor = 1e-12 * energy.max()
    flatness = np.exp(np.log(power + floor).mean(axis=1)) / (power.mean(axis=1) + floor)
    return {
        "spectral_centroid_hz": float((magnitude @ frequencies / magnitude.sum(axis=1)).mean()),
        "spectral_rolloff_hz": float(rolloff.mean()),
        "spectral_flatness": float(flatness.mean()),
    }


def onset_strength(magnitude: Array) -> Array:
    """Spectral flux (frames,): how much the compressed spectrum rises from one frame to the next."""
    compressed = np.log1p(1000.0 * magnitude)
    rise = np.maximum(np.diff(compressed, axis=0, prepend=compressed[:1]), 0.0)
    return rise.sum(axis=1)


def onset_rate(strength: Array) -> float:
    """Onsets a second: peaks that stand out of their half second by more than its mean and are 50 ms apart."""
    from scipy.ndimage import uniform_filter1d
    from scipy.signal import find_peaks

    if strength.max(initial=0.0) <= 0:
        return 0.0
    local = uniform_filter1d(strength, round(0.5 * FRAMES_PER_SECOND), mode="nearest")
    threshold = np.maximum(1.5 * local, 0.1 * strength.max())
    peaks, _ = find_peaks(strength, height=threshold, distance=round(0.05 * FRAMES_PER_SECOND))
    return len(peaks) * FRAMES_PER_SECOND / len(strength)


def tempo_of(strength: Array) -> tuple[float | None, float | None]:
    """Tempo in beats a minute and how periodic the onsets are at it (0 to 1), from their autocorrelation.

    Among multiples of the beat the one nearest to 120 is preferred, by the usual log-normal weight of one octave.
    """
    centred = strength - strength.mean()
    total = float(centred @ centred)
    shortest, longest = (round(60 * FRAMES_PER_SECOND / bpm) for bpm in TEMPO_RANGE[::-1])
    if total <= 1e-9 or len(strength) <= 2 * longest:
        return None, None
    size = 1 << (2 * len(centred) - 1).bit_length()
    spectrum = np.fft.rfft(centred, size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, size)[: longest + 2]
    # Unbiased: long lags have fewer products.
    correlation *= len(centred) / (len(centred) - np.arange(longest + 2)) / total
    lags = np.arange(shortest, longest + 1)
    prior = np.exp(-0.5 * np.log2(60 * FRAMES_PER_SECOND / lags / 120.0) ** 2)
    lag = int(lags[np.argmax(correlation[lags] * prior)])
    left, centre, right = correlation[lag - 1 : lag + 2]
    curvature = left - 2 * centre + right
    exact = lag + (0.5 * (left - right) / curvature if curvature < 0 else 0.0)
    return float(60 * FRAMES_PER_SECOND / exact), float(np.clip(centre, 0.0, 1.0))


def self_similarity(magnitude: Array) -> float | None:
    """How exactly the clip repeats itself: the best mean correlation of its spectrum with itself 1 s or more later.

    Loops come near 1; music that goes somewhere stays well below.
    """
    step = round(FRAMES_PER_SECOND / 8)
    count = len(magnitude) // step
    if count < 24:
        return None
    edges = np.unique(np.geomspace(2, magnitude.shape[1] - 1, 33).astype(int))
    bands = np.log1p(1000.0 * np.add.reduceat(magnitude, edges, axis=1))
    coarse = bands[: count * step].reshape(count, step, -1).mean(axis=1)
    coarse = coarse - coarse.mean(axis=0)
    norm = np.linalg.norm(coarse, axis=1, keepdims=True)
    if norm.max() <= 1e-9:
        return None
    unit = coarse / np.maximum(norm, 1e-3 * norm.max())
    return max(float((unit[:-lag] * unit[lag:]).sum(axis=1).mean()) for lag in range(8, count // 2 + 1))


def frechet_distance(one: Array, other: Array) -> float | None:
    """Fréchet distance between Gaussians fitted to two sets of embeddings, (n, d) and (m, d).

    On embeddings of the codec (see ``evaluate``) this orders models against one training set; it is not the published
    FAD, whose embeddings come from a classifier, and its values compare with nothing else. None below d + 1 rows.
    """
    from scipy.linalg import sqrtm

    if min(len(one), len(other)) <= one.shape[1]:
        return None
    covariance, other_covariance = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    # Embeddings made of few code vectors may have no full rank; a small ridge keeps the root real.
    ridge = 1e-6 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    root = sqrtm((covariance + ridge) @ (other_covariance + ridge))
    apart = one.mean(axis=0) - other.mean(axis=0)
    distance = apart @ apart + np.trace(covariance + other_covariance - 2 * np.real(root))
    return max(0.0, float(distance))


def _rms_db(samples: Array) -> float:
    level = _db(math.sqrt(float(np.mean(samples**2)))) if len(samples) else None
    return FLOOR_DB if level is None else max(level, FLOOR_DB)


def _db(amplitude: float) -> float | None:
    return 20 * math.log10(amplitude) if amplitude > 1e-9 else None
