"""Each measure on sounds whose value is known."""

from __future__ import annotations

import numpy as np
import pytest

from engine.generate import measures

RATE = 32000
SECONDS = 15


def tone(frequency: float = 997.0, level: float = 0.1, seconds: float = SECONDS) -> np.ndarray:
    return level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)


def clicks(bpm: float) -> np.ndarray:
    """A short noise burst on every beat."""
    generator = np.random.default_rng(0)
    sound = np.zeros(SECONDS * RATE)
    for beat in np.arange(0.1, SECONDS - 0.2, 60 / bpm):
        start = round(beat * RATE)
        sound[start : start + 1600] += generator.normal(size=1600) * np.exp(-np.arange(1600) / 300) * 0.2
    return sound


def test_loudness_is_that_of_the_standard():
    # BS.1770: a 997 Hz sine at full scale in one channel reads -3.01 LUFS.
    assert measures.of_clip(tone()[None], RATE)["lufs"] == pytest.approx(-23.01, abs=0.05)


def test_silence_has_no_loudness_no_tempo_and_no_spectrum():
    found = measures.of_clip(np.zeros((1, SECONDS * RATE)), RATE)
    assert found["silence_share"] == 1.0
    assert found["clipped_share"] == 0.0
    assert found["onset_rate"] == 0.0
    for name in ("lufs", "true_peak_db", "fade_out_db", "tempo_bpm", "spectral_centroid_hz", "self_similarity"):
        assert found[name] is None


def test_the_true_peak_lies_between_the_samples():
    # A sine at a quarter of the rate, sampled at 45 degrees: its samples reach 0.707 of its peak.
    sine = np.sin(np.pi / 2 * np.arange(RATE) + np.pi / 4)[None] * 0.5
    assert measures.true_peak_db(sine) == pytest.approx(-6.02, abs=0.3)


def test_clipping_and_offset_are_seen():
    found = measures.of_clip(np.clip(tone(level=2.0), -1, 1), RATE)
    assert found["clipped_share"] == pytest.approx(2 / 3, abs=0.01)
    assert measures.of_clip(tone() + 0.05, RATE)["dc_offset"] == pytest.approx(0.05, abs=1e-4)


def test_a_fade_is_the_drop_of_the_last_two_seconds():
    fading = tone() * np.concatenate([np.ones(12 * RATE), np.full(3 * RATE, 0.1)])
    assert measures.of_clip(fading, RATE)["fade_out_db"] == pytest.approx(-20, abs=0.1)
    assert measures.of_clip(tone(), RATE)["fade_out_db"] == pytest.approx(0, abs=0.1)


def test_a_tone_and_noise_have_their_spectra():
    pure = measures.of_clip(tone(2000), RATE)
    assert pure["spectral_centroid_hz"] == pytest.approx(2000, rel=0.05)
    assert pure["spectral_rolloff_hz"] == pytest.approx(2000, rel=0.02)
    assert pure["spectral_flatness"] < 0.01
    noise = measures.of_clip(np.random.default_rng(0).normal(size=SECONDS * RATE) * 0.1, RATE)
    assert noise["spectral_flatness"] == pytest.approx(0.56, abs=0.05)
    assert noise["spectral_centroid_hz"] == pytest.approx(8000, rel=0.05)


@pytest.mark.parametrize("bpm", [90, 120, 143])
def test_the_tempo_of_clicks_is_found_with_confidence(bpm):
    found = measures.of_clip(clicks(bpm), RATE)
    assert found["tempo_bpm"] == pytest.approx(bpm, rel=0.02)
    assert found["tempo_confidence"] > 0.6
    assert found["onset_rate"] == pytest.approx(bpm / 60, rel=0.1)


def test_noise_has_no_confident_tempo():
    assert measures.of_clip(np.random.default_rng(0).normal(size=SECONDS * RATE) * 0.1, RATE)["tempo_confidence"] < 0.3


def test_a_loop_resembles_itself_and_a_sweep_does_not():
    generator = np.random.default_rng(0)
    notes = generator.uniform(100, 4000, size=60)
    melody = np.concatenate([tone(frequency, seconds=0.25) for frequency in notes])
    loop = np.tile(melody[: 2 * RATE], 8)[: SECONDS * RATE]
    looped, wandering = (measures.of_clip(sound, RATE)["self_similarity"] for sound in (loop, melody))
    assert looped > 0.95
    assert wandering < 0.6


def test_the_frechet_distance_is_zero_to_itself_and_grows_with_the_difference():
    generator = np.random.default_rng(0)
    one = generator.normal(size=(4000, 8))
    assert measures.frechet_distance(one, one) == pytest.approx(0, abs=1e-4)
    moved = measures.frechet_distance(one, one + 1.0)
    assert moved == pytest.approx(8.0, abs=0.1)
    wider = measures.frechet_distance(one, 2 * one)
    assert wider == pytest.approx(8.0, rel=0.1)
    assert measures.frechet_distance(one[:5], one) is None
