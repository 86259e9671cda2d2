"""Loudness is that of the standard, and that of an independent implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchaudio
from scipy.signal import lfilter

from engine.contract.loudness import integrated


def sine(level_db: float, rate: int, seconds: float = 3.0) -> np.ndarray:
    t = np.arange(round(rate * seconds)) / rate
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * 997 * t)).astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 32000, 44100, 48000])
def test_a_full_scale_sine_of_997_hz_has_the_loudness_the_standard_gives(rate: int) -> None:
    assert integrated(sine(0.0, rate), rate) == pytest.approx(-3.01, abs=0.05)


def test_stereo_adds_three_decibels_and_twenty_less_are_twenty_less() -> None:
    mono = sine(-20.0, 48000)
    assert integrated(mono, 48000) == pytest.approx(-23.01, abs=0.02)
    assert integrated(np.stack([mono, mono]), 48000) == pytest.approx(-20.0, abs=0.02)


def test_the_relative_gate_leaves_the_quiet_half_out() -> None:
    x = np.concatenate([sine(-20.0, 32000, 6.0), sine(-50.0, 32000, 6.0)])
    assert integrated(x, 32000) == pytest.approx(-23.0, abs=0.2)


def test_silence_has_no_loudness_and_a_very_short_clip_has_one() -> None:
    assert integrated(np.zeros(32000, np.float32), 32000) == -math.inf
    assert math.isfinite(integrated(sine(-20.0, 32000, 0.05), 32000))


def programme(rate: int, seconds: float = 8.0) -> np.ndarray:
    """Two channels of noise that is coloured, swells, and stops for two seconds."""
    noise = np.random.default_rng(0).normal(size=(2, round(seconds * rate)))
    coloured = lfilter([1.0], [1.0, -0.9], noise, axis=1) * 0.02
    swell = np.linspace(0.2, 1.0, coloured.shape[1])
    swell[round(3 * rate) : round(5 * rate)] = 0.0
    return coloured * swell


@pytest.mark.parametrize("rate", [32000, 44100, 48000])
def test_torchaudio_measures_the_same_loudness(rate: int) -> None:
    sound = programme(rate)
    theirs = float(torchaudio.functional.loudness(torch.from_numpy(sound), rate))
    assert integrated(sound, rate) == pytest.approx(theirs, abs=0.1)


def test_filtering_in_the_frequency_domain_is_filtering_sample_by_sample() -> None:
    # The coefficients that the standard prints, for 48 kHz.
    sound = programme(48000, 2.0)
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285], [1.0, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621]
    weighted = lfilter(*high_pass, lfilter(*shelf, sound, axis=1), axis=1)
    blocks = np.lib.stride_tricks.sliding_window_view((weighted**2).sum(axis=0), 19200)[::4800].mean(axis=1)
    gated = blocks[blocks > blocks.mean() / 10]
    assert integrated(sound, 48000) == pytest.approx(-0.691 + 10 * math.log10(gated.mean()), abs=1e-3)
