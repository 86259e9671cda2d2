import math
from pathlib import Path

import numpy as np
import pytest

from tests.review.clips import make_evaluation, make_foreign_evaluation, write_clip
from tui.review import loudness
from tui.review.evaluation import open_evaluation


def sine(level_db: float, rate: int, seconds: float = 3.0) -> np.ndarray:
    t = np.arange(round(rate * seconds)) / rate
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * 997 * t)).astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 32000, 44100, 48000])
def test_a_full_scale_sine_of_997_hz_has_the_loudness_the_standard_gives(rate: int) -> None:
    assert loudness.integrated(sine(0.0, rate), rate) == pytest.approx(-3.01, abs=0.05)


def test_stereo_adds_three_decibels_and_twenty_less_are_twenty_less() -> None:
    mono = sine(-20.0, 48000)
    assert loudness.integrated(mono, 48000) == pytest.approx(-23.01, abs=0.02)
    assert loudness.integrated(np.stack([mono, mono], axis=1), 48000) == pytest.approx(-20.0, abs=0.02)


def test_the_relative_gate_leaves_the_quiet_half_out() -> None:
    x = np.concatenate([sine(-20.0, 32000, 6.0), sine(-50.0, 32000, 6.0)])
    assert loudness.integrated(x, 32000) == pytest.approx(-23.0, abs=0.2)


def test_silence_has_no_loudness_and_a_very_short_clip_has_one() -> None:
    assert loudness.integrated(np.zeros(32000, np.float32), 32000) == -math.inf
    assert math.isfinite(loudness.integrated(sine(-20.0, 32000, 0.05), 32000))


def test_gains_only_turn_down_to_the_quietest_that_is_not_silent() -> None:
    assert loudness.gains({"a": -20.0, "b": -26.0, "c": -math.inf}) == {"a": -6.0, "b": 0.0, "c": 0.0}
    assert loudness.gains({"a": -20.0, "b": None}) == {"a": 0.0, "b": 0.0}
    assert loudness.gains({}) == {}


def test_a_clip_that_fades_to_nearly_nothing_does_not_silence_the_others() -> None:
    assert loudness.gains({"a": -15.0, "b": -55.0})["a"] == -loudness.MOST


def test_stored_loudness_is_used_without_opening_the_file(tmp_path: Path) -> None:
    item = open_evaluation(make_evaluation(tmp_path / "evaluation", ["x"])).items[0]
    assert loudness.loudness_of(item) == {"base": -30.0, "best": -27.0, "final": -24.0}


def test_a_foreign_folder_is_measured_once_and_remembered_beside_the_clips(tmp_path: Path) -> None:
    folder = make_foreign_evaluation(tmp_path / "evaluation")
    item = open_evaluation(folder).items[0]
    first = loudness.loudness_of(item)
    assert first["base"] < first["best"] < first["final"]  # type: ignore[operator]
    assert (folder / "base_model" / loudness.CACHE).is_file()
    assert loudness.loudness_of(item) == first


def test_a_changed_file_is_measured_again(tmp_path: Path) -> None:
    folder = make_foreign_evaluation(tmp_path / "evaluation")
    item = open_evaluation(folder).items[0]
    before = loudness.loudness_of(item)["base"]
    path = item.clips["base"].path
    assert path
    assert before
    write_clip(path, tone=220, level=0.9, seconds=1.2, rate=32000)
    after = loudness.loudness_of(item)["base"]
    assert after
    assert after > before + 6
