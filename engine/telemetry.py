"""Samples GPU (NVML) and host (psutil) from a thread of the engine, as `gpu` events."""

from __future__ import annotations

import threading
from typing import Any, Protocol

INTERVAL = 2.0
"""Seconds between two samples."""

_THROTTLE = {0x8: "power", 0x20: "thermal", 0x40: "thermal", 0x80: "power", 0x4: "power"}
"""NVML's clock event reasons that cost speed: power cap, hardware slowdown, thermal (both kinds), power brake."""

_GPU_FIELDS = (
    "index", "name", "util", "mem_used", "mem_total", "temperature", "power", "power_limit", "clock_sm", "clock_mem",
    "fan", "throttle",
)  # fmt: skip


class Writer(Protocol):
    def write(self, event: str, **fields: Any) -> None: ...


class Sampler:
    """Writes a `gpu` event a GPU (one with nulls where there is none) every INTERVAL seconds while it is entered.

    Memory in bytes, temperature in degrees Celsius, power in watts, clocks in MHz, util, fan and cpu in percent.
    """

    def __init__(self, writer: Writer, *, enabled: bool = True) -> None:
        import psutil

        self._writer, self._enabled = writer, enabled
        self._process = psutil.Process()
        self._nvml = _open_nvml()
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
            for sample in self.sample():
                self._writer.write("gpu", **sample)
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
        gpus = [_gpu(self._nvml, index) for index in _indices(self._nvml)] or [dict.fromkeys(_GPU_FIELDS)]
        return [{**gpu, **host} for gpu in gpus]


def _open_nvml() -> Any:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:
        # No driver, no GPU, or a driver without NVML (as on some embedded boards): there is nothing to sample.
        return None
    return pynvml


def _indices(nvml: Any) -> range:
    return range(nvml.nvmlDeviceGetCount()) if nvml else range(0)


def _gpu(nvml: Any, index: int) -> dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def ask(name: str, *arguments: Any) -> Any:
        # Cards differ in what they tell; what one does not tell is null.
        try:
            return getattr(nvml, name)(handle, *arguments)
        except Exception:
            return None

    def watts(milliwatts: int | None) -> float | None:
        return None if milliwatts is None else milliwatts / 1000

    name, util = ask("nvmlDeviceGetName"), ask("nvmlDeviceGetUtilizationRates")
    memory, reasons = ask("nvmlDeviceGetMemoryInfo"), ask("nvmlDeviceGetCurrentClocksThrottleReasons")
    return {
        "index": index,
        "name": name.decode() if isinstance(name, bytes) else name,
        "util": getattr(util, "gpu", None),
        "mem_used": getattr(memory, "used", None),
        "mem_total": getattr(memory, "total", None),
        "temperature": ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
        "power": watts(ask("nvmlDeviceGetPowerUsage")),
        "power_limit": watts(ask("nvmlDeviceGetEnforcedPowerLimit")),
        "clock_sm": ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
        "clock_mem": ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
        "fan": ask("nvmlDeviceGetFanSpeed"),
        "throttle": None if reasons is None else sorted({word for bit, word in _THROTTLE.items() if reasons & bit}),
    }
