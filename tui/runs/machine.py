"""A look at this machine while no engine tells: GPU by NVML, else processor and memory."""

from __future__ import annotations

from typing import Any


def sample() -> dict[str, Any]:
    """Fields as in a ``gpu`` event: util, mem_used, mem_total, temperature of GPU 0; cpu, ram_used, ram_total."""
    return {**_processor(), **_gpu()}


def _gpu() -> dict[str, Any]:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # No package, no driver, or a driver that does not answer: then there is no GPU to tell of.
        return {}
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        return {
            "util": pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,
            "mem_used": memory.used,
            "mem_total": memory.total,
            "temperature": pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
        }
    except pynvml.NVMLError:
        return {}


def _processor() -> dict[str, Any]:
    import psutil

    memory = psutil.virtual_memory()
    return {"cpu": psutil.cpu_percent(), "ram_used": memory.total - memory.available, "ram_total": memory.total}


def gpu_busy() -> str:
    """Why the GPU is not free: the process that holds most of its memory; empty when it is free or there is none."""
    try:
        import pynvml

        pynvml.nvmlInit()
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(pynvml.nvmlDeviceGetHandleByIndex(0))
    except Exception:  # As above: without a driver nothing can be busy.
        return ""
    used = max(((p.usedGpuMemory or 0, p.pid) for p in processes), default=(0, 0))
    return f"process {used[1]} holds {used[0] / 2**30:.1f} GiB" if used[0] > 2**30 else ""
