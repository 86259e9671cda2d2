"""An NVIDIA driver made up for tests: what its management library (NVML) answers, card by card."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from engine.contract.cards import Card


def card(number: int, **fields: Any) -> Card:
    """The card of that number as torch tells of it."""
    told = {"uuid": f"{number:08x}-0000", "pci": f"00000000:{number + 1:02X}:00.0", "name": f"card {number}"}
    return Card(**{**told, "capability": (8, 9), "memory": 24 * 10**9, **fields})


class Driver:
    """Cards by number; ``refused`` are functions that no card supports, ``lost`` cards that fell off the bus."""

    NVML_TEMPERATURE_GPU, NVML_CLOCK_SM, NVML_CLOCK_MEM = 0, 1, 2
    NVML_ERROR_LIBRARY_NOT_FOUND, NVML_ERROR_DRIVER_NOT_LOADED = 12, 9
    NVMLError = pynvml.NVMLError

    def __init__(self, count: int = 1, *, cuda: int = 13000, fails: int = 0) -> None:
        self.count, self.cuda, self.fails = count, cuda, fails
        self.refused: set[str] = set()
        self.lost: set[int] = set()
        self.processes: dict[int, list[Any]] = {}
        self.throttle = 0x4 | 0x20

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("nvml") and name in self.refused:
            raise pynvml.NVMLError_NotSupported()
        return object.__getattribute__(self, name)

    def nvmlInit(self) -> None:
        if self.fails:
            raise pynvml.NVMLError(self.fails)

    def _found(self, number: int) -> int:
        if number in self.lost:
            raise pynvml.NVMLError_GpuIsLost()
        return number

    def nvmlSystemGetDriverVersion(self) -> str:
        return "535.183.01"

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        return self.cuda

    def nvmlDeviceGetCount(self) -> int:
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return self._found(index)

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes) -> int:
        names = {f"GPU-{card(number).uuid}": number for number in range(self.count)}
        if uuid.decode() not in names:
            raise pynvml.NVMLError_NotFound()
        return self._found(names[uuid.decode()])

    def nvmlDeviceGetHandleByPciBusId(self, pci: bytes) -> int:
        return self._found(int(pci.decode().split(":")[1], 16) - 1)

    def nvmlDeviceGetIndex(self, handle: int) -> int:
        return self._found(handle)

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{card(self._found(handle)).uuid}"

    def nvmlDeviceGetName(self, handle: int) -> str:
        return f"card {self._found(handle)}"

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:
        return [0, 0]

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return SimpleNamespace(gpu=90 + self._found(handle))

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(used=self._found(handle) * 2**30 + 1, total=24 * 2**30)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:
        return self.throttle

    def nvmlDeviceGetTemperature(self, handle: int, kind: int) -> int:
        return 60 + self._found(handle)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        return 318_000

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:
        return 450_000

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> int:
        return 2520

    def nvmlDeviceGetFanSpeed(self, handle: int) -> int:
        return 40

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        return self.processes.get(self._found(handle), [])


def install(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> Driver:
    """Have this process see ``driver``."""
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    return driver
