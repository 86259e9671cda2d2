"""The machine as it is seen while no engine tells, and the GPU that the queue waits for."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

from engine.contract import config
from engine.contract.cards import Facts
from engine.contract.rundir import RunDir, create
from tests import nvidia
from tui.commands.doctor import gpu_seen
from tui.runs import machine, queue


def torch_counts(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> list[Any]:
    """Have torch see these cards in this order; returns the times it was asked."""
    asked = []

    def run(command: list[str], **_: Any) -> Any:
        asked.append(command)
        return SimpleNamespace(stdout=json.dumps(asdict(Facts(cards=tuple(nvidia.card(n) for n in numbers)))))

    monkeypatch.setattr(subprocess, "run", run)
    machine._cards.cache_clear()
    return asked


@pytest.fixture(autouse=True)
def _all_cards_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_of_several_cards_the_one_is_shown_that_torch_counts_first(monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia.install(monkeypatch, nvidia.Driver(2))
    asked = torch_counts(monkeypatch, 1, 0)
    assert [machine.sample()["util"] for _ in range(3)] == [91, 91, 91]
    assert len(asked) == 1


def test_the_only_card_is_shown_without_asking_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia.install(monkeypatch, nvidia.Driver())
    asked = torch_counts(monkeypatch)
    assert machine.sample()["util"] == 90
    assert not asked


def test_a_card_that_is_hidden_is_neither_shown_nor_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = nvidia.install(monkeypatch, nvidia.Driver())
    driver.processes[0] = [SimpleNamespace(pid=7, usedGpuMemory=9 * 2**30)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    torch_counts(monkeypatch)
    assert machine.sample().util is None
    assert machine.busy(machine.slots()[0]) == ""


def test_the_gpu_is_busy_when_the_card_that_an_engine_would_use_is(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = nvidia.install(monkeypatch, nvidia.Driver(2))
    driver.processes = {0: [SimpleNamespace(pid=7, usedGpuMemory=9 * 2**30)], 1: []}
    torch_counts(monkeypatch, 1, 0)
    assert machine.busy(machine.slots()[0]) == ""
    torch_counts(monkeypatch, 0, 1)
    assert machine.busy(machine.slots()[0]) == "process 7 holds 9.0 GiB"


def test_memory_that_nobody_is_named_for_counts_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = nvidia.install(monkeypatch, nvidia.Driver(4))
    driver.processes[3] = [SimpleNamespace(pid=7, usedGpuMemory=None)]
    torch_counts(monkeypatch, 3)
    assert machine.busy(machine.slots()[0]) == "process 7 holds 3.0 GiB"


def test_one_value_that_is_not_supported_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = nvidia.install(monkeypatch, nvidia.Driver())
    driver.refused.add("nvmlDeviceGetUtilizationRates")
    sample = machine.sample()
    assert (sample["util"], sample["temperature"], sample["mem_total"]) == (None, 60, 24 * 2**30)


def test_a_run_for_the_cpu_does_not_wait_for_the_gpu(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia.install(monkeypatch, nvidia.Driver())
    monkeypatch.setattr(machine, "busy", lambda slot: "process 7 holds 9.0 GiB" if slot.handle is not None else "")
    monkeypatch.setattr(queue, "start", lambda runs_dir: False)

    def queued(name: str, *settings: str) -> RunDir:
        run = create(tmp_path / name, "run", config.override(config.Settings(), list(settings)))
        queue.add(run)
        return run

    assert "process 7" in queue.waits_for(queued("gpu").path.parent)
    assert queue.waits_for(queued("cpu", "train.device=cpu").path.parent) == ""


def test_doctor_blocks_on_a_card_that_torch_does_not_see() -> None:
    unseen = Facts(listed=("card 0",), driver="535.183.01", driver_cuda=12020, torch="2.14.1", built_for="13.0")
    found = gpu_seen(unseen)
    assert found["severity"] == "block"
    assert "535.183.01" in found["message"]
    assert "cu126" in found["fix"]
    assert gpu_seen(Facts(torch="2.14.1", cards=(nvidia.card(0),)))["severity"] == "ok"
    assert gpu_seen(Facts(torch="2.14.1"))["severity"] == "warn"
