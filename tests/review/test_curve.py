"""The picture of a run's curve, and the lines of its log that matter."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.contract.events import EventLog
from engine.contract.rundir import RunDir
from tests.review.clips import make_run, write_events
from tui.review import course, curve
from tui.review.report import report
from tui.runs.history import History

SVG = "{http://www.w3.org/2000/svg}"


def drawn(history: History, spiked: Sequence[int] = (), size: tuple[int, int] = curve.WIDE) -> ET.Element:
    return ET.fromstring(curve.svg(history, spiked, size))


def classes(picture: ET.Element) -> list[str]:
    return [element.get("class", "") for element in picture.iter() if element.get("class")]


def words(picture: ET.Element) -> list[str]:
    return [element.text or "" for element in picture.iter(f"{SVG}text")]


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """40 steps with a spike at step 30."""
    run = make_run(tmp_path / "runs", clips=False)
    run.events.unlink()
    losses = [4.4 - step / 80 for step in range(1, 41)]
    losses[29] = 9.0
    write_events(run, [(0, 4.5), (10, 4.3), (20, 4.1), (30, 4.0), (40, 4.2)], losses=losses)
    return run


@pytest.mark.parametrize("size", [curve.WIDE, curve.NARROW])
def test_the_picture_shows_train_valid_base_best_and_spikes(run: RunDir, size: tuple[int, int]) -> None:
    found = report(run)
    assert found.spiked == (30,)
    picture = drawn(found.history, found.spiked, size)
    shown = classes(picture)
    for name in ("raw", "smooth", "valid", "base", "best", "spike"):
        assert shown.count(name) == 2, f"{name}: in the plot and in the legend"
    assert {"train", "smoothed", "valid", "base model 4.500", "best 4.000, step 30", "spikes: 1"} <= set(words(picture))
    width, height = size
    for element in picture.iter(f"{SVG}text"):
        assert 0 <= float(element.get("x", 0)) <= width
        assert 0 <= float(element.get("y", 0)) <= height


def test_the_picture_can_be_read_on_a_light_and_on_a_dark_page(run: RunDir) -> None:
    picture = drawn(History.of(run.events))
    style = picture.find(f"{SVG}style")
    assert style is not None
    light, dark = (style.text or "").split("@media (prefers-color-scheme: dark)")
    for name in (".ground", ".raw", ".valid", ".base", ".best", ".spike", ".nan", "text"):
        assert name in light
        assert name in dark


def test_one_spike_does_not_flatten_the_rest(run: RunDir) -> None:
    labels = [float(text) for text in words(drawn(History.of(run.events))) if text.replace(".", "").isdigit()]
    assert max(label for label in labels if label < 10) < 6


def test_the_line_of_blind_guessing_is_drawn_where_the_losses_come_near_it(run: RunDir) -> None:
    assert "blind" not in classes(drawn(History.of(run.events)))
    for start in (7.0, 8.2):
        run.events.unlink()
        write_events(run, [(0, start), (40, start - 0.1)], losses=[start] * 40)
        picture = drawn(History.of(run.events))
        assert classes(picture).count("blind") == 2, "in the plot and in the legend"
        assert "blind guessing 7.62" in words(picture)


def test_losses_that_are_no_number_are_marked_and_drawn_over(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", clips=False)
    with EventLog(run.events) as log:
        log.write("train", step=41, loss=float("nan"), lr=1e-4)
        log.write("train", step=42, loss=float("inf"), lr=1e-4)
    picture = drawn(History.of(run.events))
    assert classes(picture).count("nan") == 3
    assert "not finite: 2" in words(picture)


def test_a_log_without_losses_gives_no_picture(tmp_path: Path) -> None:
    assert curve.svg(History()) == ""
    run = make_run(tmp_path / "runs", clips=False)
    run.events.write_text('{"t": 1, "event": "valid", "step": 0, "loss": 4.5}\n')
    assert "base model 4.500" in words(drawn(History.of(run.events)))
    run.events.write_text('{"t": 1, "event": "valid", "step": 0, "loss": null}\n')
    assert curve.svg(History.of(run.events)) == ""


def test_the_log_is_told_in_the_lines_that_matter(run: RunDir) -> None:
    with EventLog(run.events) as log:
        log.write("gpu", index=0, name="NVIDIA L4", util=97.0, mem_used=5 * 2**30, mem_total=24 * 2**30)
        log.write("train", step=41, loss=float("nan"), lr=1e-4, skipped=2, scale=1024.0)
        log.write("state", state="failed", error="CUDA out of memory")
    found = report(run)
    lines = course.snapshot(found.history, found.spiked)
    for line in (
        "baseline    valid 4.5000",
        "step 30     valid 4.0000, best",
        "step 30     train 9.0000, far above the steps before",
        "step 41     loss not finite: nan",
        "not finite  1 step",
        "skipped     2 fp16 steps of 41",
        "GPU         NVIDIA L4, 5.0 of 24.0 GiB at most",
    ):
        assert line in lines, line
    assert lines[-1].endswith("failed at step 41: CUDA out of memory")
    assert len(lines) < 20


def test_of_many_validations_the_first_the_best_the_last_and_some_between_are_told(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", clips=False)
    run.events.unlink()
    write_events(run, [(step, 4.0 + (step - 331) ** 2 / 1e6) for step in range(0, 1000)])
    with EventLog(run.events) as log:
        log.write("best", step=331, loss=4.0)
    lines = course.snapshot(History.of(run.events))
    assert len(lines) < 25
    assert any(line.startswith("baseline") for line in lines)
    assert "step 331    valid 4.0000, best" in lines
    assert any(line.startswith("step 999 ") for line in lines)
    assert "            987 more validations" in lines
