"""Several cards: one engine on each, and a person's own choice of them stays theirs."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.contract import config, events, liveness
from engine.contract.rundir import RunDir, create
from tests import nvidia
from tests.panel.test_machine import torch_counts
from tui.runs import cards, launch, machine, queue

GPU0, GPU1 = (f"GPU-{nvidia.card(number).uuid}" for number in (0, 1))


@pytest.fixture(autouse=True)
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> nvidia.Driver:
    """Two cards, which CUDA counts the other way round, and nobody's choice among them."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(queue, "start", lambda runs_dir: False)
    torch_counts(monkeypatch, 1, 0)
    return nvidia.install(monkeypatch, nvidia.Driver(2))


def made(folder: Path, *names: str, device: str = "auto") -> list[RunDir]:
    settings = config.override(config.Settings(), [f"train.device={device}"])
    return [create(folder, name, settings) for name in names]


def on_card(run: RunDir, visible: str | None) -> int:
    """A living engine of the run that was told to see these cards: an open file with its lock."""
    fd = os.open(run.lock, os.O_RDWR | os.O_CREAT)
    # flock looks at the open file, not at the process: this one counts as somebody else's.
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.write(fd, json.dumps({"pid": os.getpid(), "visible": visible}).encode())
    return fd


def test_without_a_choice_each_card_is_named_by_its_uuid_in_cudas_order() -> None:
    assert [(slot.visible, slot.handle) for slot in machine.slots()] == [(GPU1, 1), (GPU0, 0)]


@pytest.mark.parametrize("chosen", ["1,0", f"{GPU1},{GPU0}", "GPU-00000001, GPU-00000000"])
def test_a_persons_own_choice_is_kept_as_they_wrote_it(monkeypatch: pytest.MonkeyPatch, chosen: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert [slot.visible for slot in machine.slots()] == [name.strip() for name in chosen.split(",")]
    assert [slot.key for slot in machine.slots()] == [GPU1, GPU0]


def test_one_card_that_was_chosen_is_the_only_one_and_the_choice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    torch_counts(monkeypatch, 0)
    assert [(slot.key, slot.visible) for slot in machine.slots()] == [(GPU0, None)]


def test_parts_of_a_divided_card_are_taken_one_by_one(monkeypatch: pytest.MonkeyPatch, driver: nvidia.Driver) -> None:
    parts = {b"MIG-a": 0, b"MIG-b": 1}
    monkeypatch.setattr(driver, "nvmlDeviceGetHandleByUUID", parts.__getitem__, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a,MIG-gone,MIG-b")
    assert [slot.visible for slot in machine.slots()] == ["MIG-a", "MIG-b"]


def test_an_engine_takes_its_card_and_leaves_the_others(tmp_path: Path, driver: nvidia.Driver) -> None:
    one, two = made(tmp_path, "one", "two")
    first = on_card(one, GPU1)
    free = cards.free(tmp_path)
    assert free is not None
    assert free.visible == GPU0
    assert cards.in_the_way(tmp_path) == ""
    second = on_card(two, GPU0)
    assert cards.free(tmp_path) is None
    assert cards.in_the_way(tmp_path) == "one or two is running"
    os.close(first)
    driver.processes[1] = [SimpleNamespace(pid=7, usedGpuMemory=9 * 2**30)]
    assert cards.free(tmp_path) is None
    os.close(second)
    assert cards.free(tmp_path) == machine.slots()[1]


def test_an_engine_that_was_started_by_hand_is_on_the_card_that_cuda_counts_first(tmp_path: Path) -> None:
    fd = on_card(*made(tmp_path, "one"), None)
    free = cards.free(tmp_path)
    assert free is not None
    assert free.visible == GPU0
    os.close(fd)


def test_a_run_for_the_cpu_stands_in_no_cards_way(tmp_path: Path) -> None:
    fd = on_card(*made(tmp_path, "slow", device="cpu"), None)
    assert cards.free(tmp_path) == machine.slots()[0]
    assert cards.free(tmp_path, on_cpu=True) is None
    os.close(fd)


def test_a_card_belongs_to_the_engine_from_its_first_moment_to_its_last_in_every_folder(tmp_path: Path) -> None:
    slot = machine.slots()[0]
    claim = cards.claim(slot)
    assert claim is not None
    with open(tmp_path / "log", "ab") as log:
        pid = launch.detached(["sleep", "600"], log, keeps=[claim])
        os.close(claim)
        assert cards.claim(slot) is None
        free = cards.free(tmp_path / "elsewhere")
        assert free is not None
        assert free.key != slot.key
        os.kill(pid, 9)
    child = next(child for child in launch._children if child.pid == pid)
    child.wait()
    assert cards.free(tmp_path) == slot


def test_the_queue_starts_as_many_runs_as_there_are_free_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = made(tmp_path, "a", "b", "c")
    for run in runs:
        queue.add(run)
    begun: list[tuple[str, str | None]] = []
    open_locks: dict[str, int] = {}

    def start(run: RunDir, *, slot: machine.Slot, **_: Any) -> int:
        begun.append((run.name, slot.visible))
        open_locks[run.name] = on_card(run, slot.visible)
        return 1

    def wait(_: float) -> None:
        # Both cards are taken: the first one that came ends.
        assert begun[-1][0] == "b" or len(begun) == 3
        name = next(iter(open_locks))
        with events.EventLog(tmp_path / name / "events.jsonl") as log:
            log.write("state", state="done")
        os.close(open_locks.pop(name))

    monkeypatch.setattr(launch, "start", start)
    monkeypatch.setattr(queue, "_wait", wait)
    queue.work_off(tmp_path)
    assert begun == [("a", GPU1), ("b", GPU0), ("c", GPU1)]
    for fd in open_locks.values():
        os.close(fd)


def test_the_engine_is_told_its_card_and_its_lock_tells_it_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(launch, "detached", lambda command, log, **how: told.append(how["visible"]) or 1)
    one, two = made(tmp_path, "one", "two")
    launch.start(one)
    fd = on_card(one, GPU1)
    launch.start(two)
    assert told == [GPU1, GPU0]
    os.close(fd)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", GPU0)
    with liveness.hold(two):
        assert liveness.holder(two).visible == GPU0
