import json
import math
from pathlib import Path

import pytest

from engine.contract import events
from engine.contract.events import EventLog, Tail


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_what_is_written_is_read(log_path: Path) -> None:
    with EventLog(log_path) as log:
        log.write("train", step=1, loss=2.5)
        log.write("valid", step=1, loss=2.4, per_codebook=[2.0, 2.8])
    assert [e["event"] for e in events.read(log_path)] == ["train", "valid"]
    assert events.read(log_path)[1]["per_codebook"] == [2.0, 2.8]


def test_a_number_that_is_not_finite_is_null_with_a_reason(log_path: Path) -> None:
    with EventLog(log_path) as log:
        log.write("train", step=1, loss=math.nan, grad_norm=math.inf)
    (event,) = map(json.loads, log_path.read_text().splitlines())
    assert (event["loss"], event["loss_reason"]) == (None, "nan")
    assert (event["grad_norm"], event["grad_norm_reason"]) == (None, "inf")


def test_the_writer_knows_only_the_events_of_the_table(log_path: Path) -> None:
    with EventLog(log_path) as log:
        with pytest.raises(KeyError):
            log.write("tarin", step=1)
        with pytest.raises(KeyError):
            log.write("train", stepp=1)


def test_a_torn_last_line_waits_for_its_end(log_path: Path) -> None:
    tail = Tail(log_path)
    log_path.write_text('{"t": 1, "event": "note", "text": "a"}\n{"t": 2, "ev')
    assert len(tail.poll()) == 1
    with open(log_path, "a") as file:
        file.write('ent": "note", "text": "b"}\n')
    assert [e["text"] for e in tail.poll()] == ["b"]
    assert tail.poll() == []


def test_a_new_writer_ends_the_torn_line_of_a_killed_one(log_path: Path) -> None:
    log_path.write_text('{"t": 1, "event": "note", "text": "a"}\n{"t": 2, "ev')
    with EventLog(log_path) as log:
        log.write("note", text="c")
    assert [e["text"] for e in events.read(log_path)] == ["a", "c"]


def test_a_log_that_shrank_or_was_replaced_is_read_anew(log_path: Path) -> None:
    tail = Tail(log_path)
    log_path.write_text('{"t": 1, "event": "note", "text": "long enough"}\n')
    tail.poll()
    log_path.write_text('{"t": 2, "event": "note"}\n')
    assert [e["t"] for e in tail.poll()] == [2]
    log_path.unlink()
    assert tail.poll() == []


def test_foreign_lines_are_skipped_and_unknown_events_kept(log_path: Path) -> None:
    log_path.write_text('not json\n[]\n{"event": "x"}\n{"t": 1, "event": "from-the-future"}\n')
    assert [e["event"] for e in events.read(log_path)] == ["from-the-future"]
