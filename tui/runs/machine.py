"""A look at this machine while no engine tells: GPU by NVML, else processor and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

from engine.contract import typed
from engine.contract.cards import Card, Nvml, read
from engine.contract.events import Gpu


def sample() -> Gpu:
    """The GPU that an engine would use, if there is one, and the processor."""
    nvml = Nvml()
    handle = _handle(nvml)
    told = {"t": time.time(), **_processor(), **({} if handle is None else nvml.sample(handle))}
    return typed.convert(told, Gpu).value


def gpu_busy() -> str:
    """Why the GPU that an engine would use is not free; empty when it is free or there is none."""
    nvml = Nvml()
    return nvml.busy(_handle(nvml))


def has_gpu() -> bool:
    """Whether an engine started now would use a GPU."""
    return _handle(Nvml()) is not None


def _handle(nvml: Nvml) -> Any:
    """The card that an engine started now would use, None without one."""
    handles, visible = nvml.handles(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if not handles:
        return None
    if len(handles) == 1 and visible is None and not nvml.is_divided(handles[0]):
        return handles[0]
    card = _first_card(visible)
    return card and nvml.handle(card)


@cache
def _first_card(visible: str | None) -> Card | None:
    # Which one CUDA counts first nobody but CUDA knows, so torch is asked, once, in a process of its own: ``visible``
    # is inherited, and stands here for the cache alone.
    done = subprocess.run(
        [sys.executable, "-m", "engine.device"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    try:
        cards = read(done.stdout).cards
    except ValueError:
        return None
    return cards[0] if cards else None


def _processor() -> dict[str, Any]:
    import psutil

    memory = psutil.virtual_memory()
    return {"cpu": psutil.cpu_percent(), "ram_used": memory.total - memory.available, "ram_total": memory.total}
