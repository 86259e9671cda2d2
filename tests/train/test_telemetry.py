"""Samples of the machine, with and without a GPU."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from engine import telemetry
from engine.contract.cards import FIELDS
from engine.contract.events import EVENTS
from tests import nvidia

HOST = {"cpu", "ram_used", "ram_total", "engine_rss"}


class Log:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def write(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, **fields})


def test_a_run_without_gpu_gives_host_values_and_nulls(monkeypatch: pytest.MonkeyPatch) -> None:
    # A run on the CPU of a machine that has a card does not tell of the card.
    nvidia.install(monkeypatch, nvidia.Driver())
    (sample,) = telemetry.Sampler(Log()).sample()
    assert set(sample) == set(EVENTS["gpu"]) == {*FIELDS, *HOST}
    assert sample["util"] is sample["mem_total"] is sample["throttle"] is None
    assert 0 < sample["engine_rss"] < sample["ram_total"]


def test_the_cards_of_the_run_give_a_sample_each_whatever_their_number_is(monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia.install(monkeypatch, nvidia.Driver(3))
    samples = telemetry.Sampler(Log(), [nvidia.card(2), nvidia.card(0)]).sample()
    assert [(sample["index"], sample["name"], sample["util"]) for sample in samples] == [
        (2, "card 2", 92),
        (0, "card 0", 90),
    ]
    assert samples[0]["power"] == 318.0
    assert samples[0]["throttle"] == ["power", "thermal"]


def test_a_card_that_nvml_knows_by_another_uuid_is_found_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia.install(monkeypatch, nvidia.Driver(2))
    (sample,) = telemetry.Sampler(Log(), [nvidia.card(1, uuid="unknown")]).sample()
    assert sample["util"] == 91


@pytest.mark.parametrize("name", [name for name in vars(nvidia.Driver) if name.startswith("nvmlDeviceGet")])
def test_what_a_card_does_not_tell_is_null_and_the_rest_stands(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    driver = nvidia.install(monkeypatch, nvidia.Driver())
    driver.refused.add(name)
    (sample,) = telemetry.Sampler(Log(), [nvidia.card(0)]).sample()
    assert sum(sample[field] is None for field in FIELDS) <= 2
    assert sample["name"] == "card 0"


def test_a_card_that_falls_off_the_bus_is_nulls_and_sampling_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = nvidia.install(monkeypatch, nvidia.Driver(2))
    sampler = telemetry.Sampler(Log(), [nvidia.card(1)])
    driver.lost.add(1)
    (lost,) = sampler.sample()
    assert (lost["index"], lost["name"], lost["util"], lost["mem_used"]) == (1, "card 1", None, None)
    assert lost["cpu"] is not None
    driver.lost.clear()
    assert sampler.sample()[0]["util"] == 91


def test_a_slowdown_without_a_reason_is_the_hardwares(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = nvidia.install(monkeypatch, nvidia.Driver())
    sampler = telemetry.Sampler(Log(), [nvidia.card(0)])
    told = []
    for driver.throttle in (0x8, 0x8 | 0x40, 0x8 | 0x80, 0):
        told.append(sampler.sample()[0]["throttle"])
    assert told == [["hardware"], ["thermal"], ["power"], []]


def test_sampling_begins_at_once_and_ends_with_the_block() -> None:
    log = Log()
    with telemetry.Sampler(log) as sampler:
        pass
    assert not sampler._thread.is_alive()
    assert [event["event"] for event in log.events][:1] == ["gpu"]


def test_a_sample_that_cannot_be_written_does_not_end_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(Log):
        def write(self, event: str, **fields: Any) -> None:
            super().write(event, **fields)
            if len(self.events) == 1:
                raise OSError(errno.ENOSPC, "No space left on device")
            sampler._done.set()

    log = Full()
    monkeypatch.setattr(telemetry, "INTERVAL", 0.0)
    sampler = telemetry.Sampler(log)
    sampler._run()
    assert len(log.events) == 2
