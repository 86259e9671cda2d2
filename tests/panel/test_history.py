"""What a run's events add up to, whatever order and shape they come in."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from engine.contract.events import AnyEvent, EventTail, of, parse
from tests.panel import recording
from tui.runs.history import History, smoothing_for
from tui.runs.series import Series, Smoothed, envelope
from tui.runs.tail import TextTail, log_line


def train(step: int, t: float = 0.0, **fields: Any) -> AnyEvent:
    return of("train", t=t or float(step), step=step, **{"loss": 3.0, **fields})


def read(folder: Path) -> History:
    return History.of(folder / "events.jsonl")


def test_the_recorded_run_reads_as_it_was(tmp_path: Path) -> None:
    history = read(recording.recorded(tmp_path / "run"))
    assert history.step == history.total_steps == 248
    assert list(history.steps) == list(range(1, 249))
    assert [mark.step for mark in history.marks] == [97]
    assert history.base_valid == pytest.approx(3.312)
    assert history.best == (225, history.best_valid)
    assert history.resumed == [100]
    assert history.phase == "done"
    assert history.problems() == []
    assert history.phase_seconds["evaluating"] == pytest.approx(50)


def test_the_gap_between_a_lost_engine_and_its_successor_is_no_working_time(tmp_path: Path) -> None:
    history = read(recording.recorded(tmp_path / "run"))
    assert history.elapsed < 1800
    assert history.seconds_per_step() == pytest.approx(2.8, abs=0.1)


def test_steps_that_a_resumed_engine_repeats_differently_replace_the_old_ones() -> None:
    history = History()
    history.add([train(step) for step in range(1, 11)])
    history.add([of("start", t=20.0, resumed_from=5)])
    assert history.step == 5
    history.add([train(7, t=21.0, loss=9.0), train(11, t=22.0)])
    assert list(history.steps) == list(range(1, 12))
    assert history.columns["loss"][6] == 9.0
    assert history.step == 11


def test_a_step_that_goes_back_without_a_resume_is_passed_over_and_said() -> None:
    history = History()
    history.add([train(1), train(5), train(3), train(6)])
    assert list(history.steps) == [1, 5, 6]
    assert "1 train events out of order" in history.problems()[0]


def test_a_clock_that_jumps_back_adds_no_time_and_is_said() -> None:
    history = History()
    history.add([train(1, t=1000.0), train(2, t=1002.0), train(3, t=500.0), train(4, t=502.0)])
    assert list(history.seconds) == [0.0, 2.0, 2.0, 4.0]
    assert "the clock went back" in history.problems()[0]


def test_a_loss_that_is_no_number_becomes_a_mark_and_not_a_point() -> None:
    history = History()
    history.add([train(1), train(2, loss=None, loss_reason="inf"), train(3)])
    assert [(m.step, m.reason) for m in history.marks] == [(2, "inf")]
    assert math.isnan(history.columns["loss"][1])
    assert history.smooth.values[2] == pytest.approx(3.0)


def test_unknown_events_are_counted_and_do_no_harm() -> None:
    history = History()
    history.add([of("telepathy", t=1.0, step="x"), train(1)])
    assert history.step == 1
    assert "telepathy" in history.problems()[0]


def test_no_event_whatever_its_fields_breaks_the_history() -> None:
    rng = random.Random(0)
    odd = [None, "x", -1, 1e308, [], {}, True, 0.5, [None], {"a": 1}]
    names = ["start", "state", "progress", "train", "valid", "best", "checkpoint", "gpu", "health", "clip", "note", "?"]
    fields = (
        "step epoch loss lr state error phase done total per_codebook index mem_used name verdict text resumed_from"
    )
    history = History()
    for _ in range(3000):
        event = {name: rng.choice(odd) for name in fields.split() if rng.random() < 0.5}
        line = json.dumps({**event, "t": rng.uniform(0, 10), "event": rng.choice(names)})
        history.add(parse([line.encode()]).events)
    history.problems()
    history.eta()
    history.phase_progress()


def test_the_eta_comes_from_the_engines_times() -> None:
    history = History()
    history.add([of("start", t=0.0, total_steps=100), of("state", t=0.0, state="training")])
    history.add([train(step, t=2.0 * step) for step in range(1, 51)])
    assert history.eta() == pytest.approx(100)


def test_a_phase_that_counts_tells_how_far_it_is() -> None:
    history = History()
    history.add([of("state", t=0.0, state="encoding")])
    for done in (0, 10, 20):
        history.add([of("progress", t=done / 2, phase="encoding", done=done, total=100)])
    assert history.phase_progress() == (20, 100)
    assert history.eta() == pytest.approx(40)


def test_what_a_phase_counts_may_have_a_name_of_its_own() -> None:
    history = History()
    history.add([of("state", t=0.0, state="encoding")])
    history.add([of("progress", t=float(t), phase="audio", done=t, total=8) for t in range(8)])
    history.add([of("progress", t=9.0 + t, phase="text", done=t, total=4) for t in range(3)])
    assert history.phase_progress() == (2, 4)
    assert history.eta() == pytest.approx(2)
    history.add([of("state", t=12.0, state="baseline")])
    assert history.phase_progress() == (0, 0)


def test_extremes_of_any_range_are_those_of_its_points() -> None:
    rng = random.Random(1)
    values = [rng.choice([math.nan, rng.uniform(-5, 5)]) for _ in range(1000)]
    series = Series(values[:700])
    series.extend(values[700:])
    series.replace(100, 77.0)
    values[100] = 77.0
    for _ in range(200):
        start, end = sorted((rng.randrange(1000), rng.randrange(1000)))
        finite = [v for v in values[start:end] if v == v]
        low, high = series.extremes(start, end)
        assert (low, high) == (min(finite), max(finite)) if finite else math.isnan(low)


def test_an_envelope_misses_no_spike() -> None:
    series = Series([1.0] * 5000)
    series.replace(3210, 9.0)
    from array import array

    columns = envelope(array("d", range(5000)), series, 0, 4999, 80)
    assert len(columns) == 80
    assert max(high for _, _, high in columns) == 9.0


@pytest.mark.parametrize(
    ("steps", "factor"), [(0, 0.0), (30, 0.5), (120, 0.8), (248, 0.9), (1000, 0.98), (10**6, 0.98)]
)
def test_a_short_run_is_smoothed_less(steps: int, factor: float) -> None:
    assert smoothing_for(steps) == factor


def test_the_smoothing_that_was_chosen_stays_as_the_run_goes_on() -> None:
    history = History()
    history.add([train(step) for step in range(1, 121)])
    assert history.smooth.factor == 0.8
    assert history.smoothing(1) == 0.9
    history.add([train(step) for step in range(121, 2000)])
    assert history.smooth.factor == 0.9
    assert len(history.smooth.values) == 1999


def test_smoothing_does_not_depend_on_how_the_values_came() -> None:
    values = [float(i % 7) for i in range(100)]
    whole, parts = Smoothed(0.9), Smoothed(0.9)
    whole.extend(values)
    for value in values:
        parts.extend([value])
    assert list(whole.values.values) == pytest.approx(list(parts.values.values))


def test_a_torn_last_line_is_not_an_event_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"t": 1, "event": "note", "text": "a"}\n{"t": 2, "ev')
    tail = EventTail(path)
    assert [e["t"] for e in tail.events()] == [1]
    with path.open("a") as file:
        file.write('ent": "note"}\n')
    assert [e["t"] for e in tail.events()] == [2]
    assert tail.unreadable == 0


def test_lines_that_are_no_events_are_counted_and_the_others_read() -> None:
    good = b'{"t": 1.5, "event": "note"}'
    found = parse([good, b"garbage", b"[1, 2]", b"\xff\xfe", b'{"event": "note"}', b"", good])
    assert (len(found.events), found.unreadable) == (2, 4)


def test_a_log_that_was_cut_or_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"t": 1, "event": "note"}\n' * 5)
    tail = EventTail(path)
    assert len(tail.events()) == 5
    path.write_text('{"t": 9, "event": "note"}\n')
    assert [e["t"] for e in tail.events()] == [9]
    assert tail.restarted
    path.unlink()
    assert tail.events() == []
    assert tail.gone


def test_text_of_the_log_cannot_move_the_cursor_of_the_terminal() -> None:
    assert log_line("\x1b[2J\x1b]0;owned\x07step\t1 \x1b[31mred\x1b[0m\x9b\n") == "step    1 red\ufffd"
    assert log_line(" 10%|#  \r 50%|## \r100%|###\n") == "100%|###"


def test_a_long_text_log_is_read_from_near_its_end(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    path.write_text("".join(f"line {n}\n" for n in range(10_000)))
    lines = TextTail(path, last_bytes=1000).lines()
    assert lines[-1] == "line 9999"
    assert 80 < len(lines) < 120
    assert all(line.startswith("line ") for line in lines)
