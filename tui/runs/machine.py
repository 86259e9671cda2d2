"""A look at this machine while no engine tells: GPU by NVML, else processor and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from engine.contract import typed
from engine.contract.cards import Card, Nvml, read
from engine.contract.events import Gpu


@dataclass(frozen=True)
class Slot:
    """A place for one engine: a card, a part of one under MIG, or the processor."""

    key: str
    """The card's UUID as NVML writes it, where it tells one."""
    visible: str | None = None
    """What CUDA_VISIBLE_DEVICES must be for an engine to use it; None: as it is."""
    handle: Any = None
    """NVML's, None without one."""


CPU = Slot("cpu")


def slots() -> list[Slot]:
    """Where engines started now could compute, the one they would take by themselves first.

    A person's own CUDA_VISIBLE_DEVICES stays the choice: of the cards that it names, by number, UUID or MIG name.
    """
    nvml = Nvml()
    handles, visible = nvml.handles(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if not handles:
        return [CPU]
    if len(handles) == 1 and visible is None and not nvml.is_divided(handles[0]):
        return [_slot(nvml, handles[0], None, "card")]
    names = [name.strip() for name in (visible or "").split(",") if name.strip()]
    if len(names) > 1 and names[0].startswith("MIG-"):
        # A process sees one part of a divided card only: torch counts one, whatever the list holds.
        parts = [(name, nvml.ask("nvmlDeviceGetHandleByUUID", name.encode())) for name in names]
        return [_slot(nvml, handle, name, name) for name, handle in parts if handle is not None] or [CPU]
    cards = _cards(visible)
    if len(cards) < 2:
        return [_slot(nvml, nvml.handle(card), None, card.uuid) for card in cards] or [CPU]
    # Without a choice a card is named by its UUID: numbers depend on CUDA's order, which this process does not know.
    named = names if len(names) >= len(cards) else [f"GPU-{card.uuid}" for card in cards]
    return [_slot(nvml, nvml.handle(card), name, card.uuid) for card, name in zip(cards, named, strict=False)]


def _slot(nvml: Nvml, handle: Any, visible: str | None, otherwise: str) -> Slot:
    uuid = None if handle is None else nvml.ask("nvmlDeviceGetUUID", handle)
    return Slot(str(uuid or otherwise), visible, handle)


def first_key(visible: str | None) -> str:
    """Key of the card that an engine uses which was started with this CUDA_VISIBLE_DEVICES; empty for none."""
    cards, nvml = _cards(visible), Nvml()
    return _slot(nvml, nvml.handle(cards[0]), None, cards[0].uuid).key if cards else ""


def sample() -> Gpu:
    """The GPU that an engine would use, if there is one, and the processor."""
    first = slots()[0]
    told = {"t": time.time(), **_processor(), **({} if first.handle is None else Nvml().sample(first.handle))}
    return typed.convert(told, Gpu).value


def busy(slot: Slot) -> str:
    """Why a card is not free; empty when it is free, or is none."""
    return "" if slot.handle is None else Nvml().busy(slot.handle)


def has_gpu() -> bool:
    """Whether an engine started now would use a GPU."""
    return slots() != [CPU]


@cache
def _cards(visible: str | None) -> tuple[Card, ...]:
    # How CUDA counts them nobody but CUDA knows, so torch is asked, once, in a process of its own.
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run(
        [sys.executable, "-m", "engine.device"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        cwd=Path(__file__).resolve().parents[2],
        env=environment if visible is None else {**environment, "CUDA_VISIBLE_DEVICES": visible},
    )  # fmt: skip
    try:
        return read(done.stdout).cards
    except ValueError:
        return ()


def _processor() -> dict[str, Any]:
    import psutil

    memory = psutil.virtual_memory()
    return {"cpu": psutil.cpu_percent(), "ram_used": memory.total - memory.available, "ram_total": memory.total}
