import json
import math
import os
from pathlib import Path

import pytest

from engine.contract import events
from engine.contract.events import EventLog, EventTail
from engine.contract.tail import LONGEST_LINE


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
    tail = EventTail(log_path)
    log_path.write_text('{"t": 1, "event": "note", "text": "a"}\n{"t": 2, "ev')
    assert len(tail.events()) == 1
    with open(log_path, "a") as file:
        file.write('ent": "note", "text": "b"}\n')
    assert [e["text"] for e in tail.events()] == ["b"]
    assert tail.events() == []


def test_a_new_writer_ends_the_torn_line_of_a_killed_one(log_path: Path) -> None:
    log_path.write_text('{"t": 1, "event": "note", "text": "a"}\n{"t": 2, "ev')
    with EventLog(log_path) as log:
        log.write("note", text="c")
    assert [e["text"] for e in events.read(log_path)] == ["a", "c"]


def test_a_log_that_shrank_or_was_replaced_is_read_anew(log_path: Path) -> None:
    tail = EventTail(log_path)
    log_path.write_text('{"t": 1, "event": "note", "text": "long enough"}\n')
    tail.events()
    log_path.write_text('{"t": 2, "event": "note"}\n')
    assert [e["t"] for e in tail.events()] == [2]
    log_path.unlink()
    assert tail.events() == []


def test_foreign_lines_are_skipped_and_unknown_events_kept(log_path: Path) -> None:
    log_path.write_text('not json\n[]\n{"event": "x"}\n{"t": 1, "event": "from-the-future"}\n')
    assert [e["event"] for e in events.read(log_path)] == ["from-the-future"]


def test_a_field_of_another_kind_is_left_out_and_counted(log_path: Path) -> None:
    log_path.write_text(
        '{"t": 1, "event": "train", "step": 1, "loss": "low", "lr": 1e-4}\n'
        '{"t": 2, "event": "train", "step": 2, "loss": 2.5, "scale": ' + "9" * 400 + "}\n"
    )
    tail = EventTail(log_path)
    first, second = tail.events()
    assert (first["loss"], first["lr"], second["loss"], second["scale"]) == (None, 1e-4, 2.5, None)
    assert (tail.unreadable, tail.left_out) == (0, 2)
    assert tail.problems() == [
        "2 values of events.jsonl could not be read (scale is a number that is not finite or too large; it is left out)"
    ]


@pytest.mark.parametrize(
    "line",
    [
        b'{"t": 1, "event": "train", "loss": 2.5}',
        b'{"t": 1, "event": "train", "step": "many"}',
        b'{"t": 1, "event": "train", "step": -1}',
        b'{"t": "noon", "event": "train", "step": 1}',
        b'{"t": 1e300, "event": "train", "step": 1}',
        b'{"t": 1, "event": "valid", "step": ' + b"9" * 5000 + b"}",
        b'{"t": 1, "event": ["train"], "step": 1}',
        b"[" * 100_000,
        b"\xff\xfe\x00",
        b"\0\0\0\0",
    ],
)
def test_a_line_that_no_event_can_be_made_of_costs_itself(log_path: Path, line: bytes) -> None:
    log_path.write_bytes(b'{"t": 1, "event": "note", "text": "a"}\n' + line + b'\n{"t": 2, "event": "note"}\n')
    tail = EventTail(log_path)
    assert [event.t for event in tail.events()] == [1, 2]
    assert tail.problems() == ["1 lines of events.jsonl could not be read"]


def test_text_that_is_no_utf8_is_read_with_what_cannot_be_replaced(log_path: Path) -> None:
    log_path.write_bytes(b'{"t": 1, "event": "note", "text": "caf\xe9"}\n{"t": 2, "event": "state", "state": "done"}\n')
    note, state = events.read(log_path)
    assert (note["text"], state["state"]) == ("caf\ufffd", "done")


def test_a_separator_of_lines_inside_a_text_ends_no_event(log_path: Path) -> None:
    with EventLog(log_path) as log:
        log.write("note", text="one\u2028two\x85three")
    log_path.write_bytes(log_path.read_bytes() + '{"t": 1, "event": "note", "text": "a\u2028b"}\n'.encode())
    assert [event["text"] for event in events.read(log_path)] == ["one\u2028two\x85three", "a\u2028b"]


def test_a_line_without_an_end_costs_neither_the_memory_nor_the_events_after_it(log_path: Path) -> None:
    log_path.write_bytes(b"x" * (LONGEST_LINE * 2) + b'\n{"t": 2, "event": "note", "text": "after"}\n')
    assert [event["text"] for event in events.read(log_path)] == ["after"]


def test_a_pipe_in_the_place_of_a_log_keeps_nobody_waiting(log_path: Path) -> None:
    os.mkfifo(log_path)
    assert events.read(log_path) == []


def test_every_event_that_is_written_is_read_back_as_its_own_kind(log_path: Path) -> None:
    needed = {"step": 3, "state": "training", "name": "spikes"}
    with EventLog(log_path) as log:
        for name, fields in events.EVENTS.items():
            log.write(name, **{field: value for field, value in needed.items() if field in fields})
    tail = EventTail(log_path)
    assert [event.event for event in tail.events()] == list(events.EVENTS)
    assert tail.problems() == []
