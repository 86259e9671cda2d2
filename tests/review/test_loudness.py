import math
from pathlib import Path

from tests.review.clips import make_evaluation, make_foreign_evaluation, write_clip
from tui.review import loudness
from tui.review.evaluation import open_evaluation


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
