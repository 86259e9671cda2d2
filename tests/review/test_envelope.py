from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.contract.errors import UserError
from tui.review import envelope


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two seconds: silence, then a rising tone at half scale, in stereo."""
    rate = 32000
    t = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * (200 * t + 3000 * t**2))
    mono = np.concatenate([np.zeros(rate), tone])
    soundfile.write(tmp_path / "sweep.wav", np.stack([mono, mono], axis=1), rate)
    return tmp_path / "sweep.wav"


def test_peaks_follow_the_signal(sweep: Path) -> None:
    found = envelope.peaks(sweep, 40)
    assert len(found) == 40
    assert max(found[:20]) == 0.0
    assert found[20:] == pytest.approx([0.5] * 20, abs=0.01)


def test_the_spectrogram_rises_with_the_tone_and_is_dark_in_silence(sweep: Path) -> None:
    found = envelope.mel(sweep, 40, 16)
    assert found.shape == (16, 40)
    assert found.min() >= 0.0
    assert found.max() == pytest.approx(1.0)
    assert found[:, 2:18].max() == 0.0
    loudest = found[:, 21:].argmax(axis=0)
    assert loudest[0] < loudest[-1]
    assert all(np.diff(loudest) >= 0)


def test_a_silent_clip_is_drawn_as_nothing(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    assert set(envelope.peaks(tmp_path / "silent.wav", 10)) == {0.0}
    assert envelope.mel(tmp_path / "silent.wav", 10, 8).max() == 0.0


def test_a_clip_shorter_than_the_columns_is_drawn_all_the_same(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.ones(5), 16000)
    assert len(envelope.peaks(tmp_path / "short.wav", 60)) == 60
    assert envelope.mel(tmp_path / "short.wav", 60, 8).shape == (8, 60)


def test_a_file_that_was_made_again_is_read_again(sweep: Path) -> None:
    assert max(envelope.peaks(sweep, 4)) == pytest.approx(0.5, abs=0.01)
    soundfile.write(sweep, np.full(32000, 0.25), 32000)
    assert envelope.peaks(sweep, 4) == pytest.approx([0.25] * 4, abs=0.01)


def test_a_file_that_is_no_audio_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("no audio")
    with pytest.raises(UserError, match="cannot be read as audio"):
        envelope.peaks(tmp_path / "x.wav", 10)
