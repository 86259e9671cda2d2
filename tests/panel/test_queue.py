"""The queue: order, and the process that works it off without a panel."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from engine.contract import config, events, liveness
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir, create
from tui.runs import cards, launch, machine, queue


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[RunDir]:
    """Three runs that wait; nothing is started by itself, and the GPU is free."""
    monkeypatch.setattr(queue, "start", lambda runs_dir: False)
    monkeypatch.setattr(machine, "busy", lambda slot: "")
    return [create(tmp_path / "runs", name, config.Settings()) for name in ("one", "two", "three")]


def names(runs: list[RunDir]) -> list[str]:
    return [run.name for run in queue.entries(runs[0].path.parent)]


def test_runs_wait_in_the_order_they_came(runs: list[RunDir]) -> None:
    assert [queue.add(run) for run in runs] == [1, 2, 3]
    assert queue.add(runs[0]) == 1
    assert names(runs) == ["one", "two", "three"]


def test_the_order_can_be_changed_and_the_ends_hold(runs: list[RunDir]) -> None:
    for run in runs:
        queue.add(run)
    queue.move(runs[2], -1)
    assert names(runs) == ["one", "three", "two"]
    queue.move(runs[0], -1)
    queue.move(runs[1], 5)
    assert names(runs) == ["one", "three", "two"]
    queue.remove(runs[2])
    assert names(runs) == ["one", "two"]
    assert queue.empty(runs[0].path.parent) == 2
    assert names(runs) == []


def test_a_run_that_is_done_is_not_queued(runs: list[RunDir]) -> None:
    with events.EventLog(runs[0].events) as log:
        log.write("state", state="done")
    with pytest.raises(UserError, match="one is done"):
        queue.add(runs[0])


def test_a_queue_file_that_is_broken_or_names_what_is_gone_is_an_empty_place(runs: list[RunDir]) -> None:
    folder = runs[0].path.parent
    (folder / "queue.json").write_text('["one", "vanished", 3]')
    assert names(runs) == ["one"]
    (folder / "queue.json").write_text("{")
    assert names(runs) == []


def test_two_that_change_the_queue_at_once_lose_nothing(runs: list[RunDir], tmp_path: Path) -> None:
    more = [create(tmp_path / "runs", f"r{n}", config.Settings()) for n in range(20)]
    threads = [threading.Thread(target=queue.add, args=(run,)) for run in more]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names(runs)) == sorted(run.name for run in more)


def test_the_first_run_waits_for_the_one_that_trains_and_then_starts(
    runs: list[RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = runs[0].path.parent
    started: list[str] = []

    def start(run: RunDir, **_: Any) -> int:
        started.append(run.name)
        with events.EventLog(run.events) as log:
            log.write("state", state="done")
        return 1

    looked, free = threading.Semaphore(0), cards.free

    def look(*what: Any, **how: Any) -> Any:
        try:
            return free(*what, **how)
        finally:
            looked.release()

    monkeypatch.setattr(launch, "start", start)
    queue.add(runs[0])
    queue.add(runs[1])
    with liveness.hold(runs[2]):
        assert queue.waits_for(folder) == "three is running"
        monkeypatch.setattr(cards, "free", look)
        worker = threading.Thread(target=queue.work_off, args=(folder,), kwargs={"look_every": 0.05})
        worker.start()
        for _ in range(2):
            assert looked.acquire(timeout=10)
        assert started == []
        assert queue.runs(folder)
    worker.join(timeout=10)
    assert started == ["one", "two"]
    assert not queue.runs(folder)


def test_only_one_process_works_the_queue_off(runs: list[RunDir]) -> None:
    folder = runs[0].path.parent
    queue.add(runs[0])
    with liveness.hold(runs[2]):
        first = threading.Thread(target=queue.work_off, args=(folder,), kwargs={"look_every": 0.05}, daemon=True)
        first.start()
        end = time.monotonic() + 10
        while not queue.runs(folder):
            assert time.monotonic() < end
        queue.work_off(folder, look_every=0.05)
        queue.empty(folder)
    first.join(timeout=10)
    assert not first.is_alive()


def test_the_queue_starts_a_run_without_any_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create(tmp_path / "runs", "alone", config.override(config.Settings(), ["model.base=/nowhere"]))
    monkeypatch.setattr(machine, "busy", lambda slot: "")
    queue.add(run)
    end = time.monotonic() + 60
    while liveness.state_of(run).state == "waiting" or queue.runs(tmp_path / "runs"):
        assert time.monotonic() < end, (tmp_path / "runs" / "queue.log").read_text()
        time.sleep(0.2)
    # There is no such model: what matters is that an engine came and said so.
    assert liveness.state_of(run).state == "failed"
    assert names([run]) == []


@pytest.mark.parametrize("text", ["[" * 100_000, '["a"', '{"a": 1}', "\xff"])
def test_a_queue_that_cannot_be_read_is_kept_beside_the_new_one(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "start", lambda runs_dir: False)
    run = create(tmp_path, "a", config.Settings())
    (tmp_path / "queue.json").write_text(text, encoding="latin-1")
    assert queue.entries(tmp_path) == []
    queue.remove(run)
    assert queue.empty(tmp_path) == 0
    assert (tmp_path / "queue.json").read_text(encoding="latin-1") == text
    assert queue.add(run) == 1
    assert [run.name for run in queue.entries(tmp_path)] == ["a"]
    assert (tmp_path / "queue.json.kept-1").read_text(encoding="latin-1") == text


def test_names_that_are_no_run_of_the_folder_are_left_out_of_the_queue(tmp_path: Path) -> None:
    create(tmp_path / "runs", "a", config.Settings())
    create(tmp_path, "b", config.Settings())
    names = ["a" * 5000, "..", "../b", "/", "", ".", "a\0b", "a", 3]
    (tmp_path / "runs" / "queue.json").write_text(json.dumps(names))
    assert [run.name for run in queue.entries(tmp_path / "runs")] == ["a"]


def test_what_a_hand_left_in_the_queue_is_said_and_kept_when_the_queue_changes(runs_dir: Path) -> None:
    names = ["full", 5, "../full", "x" * 500, "fix"]
    (runs_dir / "queue.json").write_text(json.dumps(names))
    assert [run.name for run in queue.entries(runs_dir)] == ["full", "fix"]
    assert any("[1]" in problem for problem in queue.problems(runs_dir))
    queue.remove(RunDir(runs_dir / "full"))
    assert json.loads((runs_dir / "queue.json.kept-1").read_text()) == names
    assert [run.name for run in queue.entries(runs_dir)] == ["fix"]


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b"[" * 5000])
def test_a_queue_that_is_none_is_said_and_takes_nothing_with_it(runs_dir: Path, content: bytes) -> None:
    (runs_dir / "queue.json").write_bytes(content)
    assert queue.entries(runs_dir) == []
    assert len(queue.problems(runs_dir)) == 1
