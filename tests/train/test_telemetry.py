"""Samples of the machine, with and without a GPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine import telemetry
from engine.contract.events import EVENTS


class Log:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def write(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, **fields})


def test_a_machine_without_gpu_gives_host_values_and_nulls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_open_nvml", lambda: None)
    (sample,) = telemetry.Sampler(Log()).sample()
    assert set(sample) == set(EVENTS["gpu"].split())
    assert sample["util"] is sample["mem_total"] is sample["throttle"] is None
    assert 0 < sample["engine_rss"] < sample["ram_total"]


def test_each_gpu_gives_a_sample_and_what_a_card_does_not_tell_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise RuntimeError("not supported")

    nvml = SimpleNamespace(
        NVML_TEMPERATURE_GPU=0, NVML_CLOCK_SM=1, NVML_CLOCK_MEM=2,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: f"card {handle}",
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=97),
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=1, total=2),
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: 0x4 | 0x20,
        nvmlDeviceGetTemperature=lambda handle, kind: 61,
        nvmlDeviceGetPowerUsage=lambda handle: 318_000,
        nvmlDeviceGetEnforcedPowerLimit=lambda handle: 450_000,
        nvmlDeviceGetClockInfo=lambda handle, kind: 2520,
        nvmlDeviceGetFanSpeed=refuses,
    )  # fmt: skip
    monkeypatch.setattr(telemetry, "_open_nvml", lambda: nvml)
    samples = telemetry.Sampler(Log()).sample()
    assert [(sample["index"], sample["name"]) for sample in samples] == [(0, "card 0"), (1, "card 1")]
    assert samples[0]["power"] == 318.0
    assert samples[0]["throttle"] == ["power", "thermal"]
    assert samples[0]["fan"] is None


def test_sampling_begins_at_once_and_ends_with_the_block() -> None:
    log = Log()
    with telemetry.Sampler(log) as sampler:
        pass
    assert not sampler._thread.is_alive()
    assert [event["event"] for event in log.events][:1] == ["gpu"]
