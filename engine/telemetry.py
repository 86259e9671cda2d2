"""Samples GPU (NVML) and host (psutil) from a thread of the engine, as `gpu` events."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

from engine.contract.cards import FIELDS, Card, Nvml

INTERVAL = 2.0
"""Seconds between two samples."""


class Writer(Protocol):
    def write(self, event: str, **fields: Any) -> None: ...


class Sampler:
    """Writes a `gpu` event for each of ``cards`` (one with nulls where there are none) while it is entered.

    Every INTERVAL seconds. Memory in bytes, temperature in degrees Celsius, power in watts, clocks in MHz, util, fan
    and cpu in percent.
    """

    def __init__(self, writer: Writer, cards: Sequence[Card] = (), *, enabled: bool = True) -> None:
        import psutil

        self._writer, self._enabled = writer, enabled
        self._process = psutil.Process()
        self._nvml = Nvml()
        # Asked once: a card that fell off the bus tells no number any more, and stays the card that it was.
        numbers = [self._nvml.ask("nvmlDeviceGetIndex", self._nvml.handle(card)) for card in cards]
        self._cards = [
            (card, at if number is None else number)
            for at, (card, number) in enumerate(zip(cards, numbers, strict=True))
        ]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    def __enter__(self) -> Sampler:
        if self._enabled:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._enabled:
            self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                for sample in self.sample():
                    self._writer.write("gpu", **sample)
            except OSError:
                # A full disk ends the run where it matters; the next sample may find room.
                pass
            if self._done.wait(INTERVAL):
                return

    def sample(self) -> list[dict[str, Any]]:
        """One dict a GPU, with the host's values in each."""
        import psutil

        memory = psutil.virtual_memory()
        host = {
            "cpu": psutil.cpu_percent(),
            "ram_used": memory.total - memory.available,
            "ram_total": memory.total,
            "engine_rss": self._process.memory_info().rss,
        }
        gpus = [
            {**self._nvml.sample(self._nvml.handle(card)), "index": number, "name": card.name}
            for card, number in self._cards
        ]
        return [{**gpu, **host} for gpu in gpus or [dict.fromkeys(FIELDS)]]
