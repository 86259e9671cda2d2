"""The device that a run computes on: what torch and the driver say of it, and the choice of ``train.device``.

``python -m engine.device`` prints the facts as JSON, for who must not import torch.
"""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import asdict
from typing import Any

import torch

from engine.contract.cards import ON_CPU, Card, Facts, Nvml, trouble
from engine.contract.errors import UserError


def card(device: torch.device | int | str = 0) -> Card:
    """What torch knows of a GPU: UUID, PCI address, name, compute capability, bytes of memory."""
    told: Any = torch.cuda.get_device_properties(device)
    pci = ""
    if hasattr(told, "pci_bus_id"):  # not before torch 2.8
        pci = f"{told.pci_domain_id:08X}:{told.pci_bus_id:02X}:{told.pci_device_id:02X}.0"
    return Card(str(told.uuid), pci, told.name, (told.major, told.minor), told.total_memory)


def driver() -> str | None:
    """Version of the NVIDIA driver, None without one."""
    return Nvml().driver()


def facts() -> Facts:
    """What torch and the driver say of this machine's GPUs."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Facts(
        **Nvml().facts(),
        torch=torch.__version__,
        built_for=torch.version.cuda,
        cuda_error=" ".join(str(said[-1].message).split()) if said else "",
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
        cards=tuple(card(index) for index in range(count)),
        built_archs=tuple(torch.cuda.get_arch_list()) if count else (),
    )


def used(device: torch.device) -> list[Card]:
    """The cards that the processes of this run compute on, on this machine: from ``device`` on; none on a CPU."""
    if device.type != "cuda":
        return []
    first, processes = device.index or 0, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return [card(index) for index in range(first, min(first + processes, torch.cuda.device_count()))]


def on_cpu(wanted: str) -> bool:
    """Whether ``train.device`` = ``wanted`` means the CPU here.

    Raises UserError when the GPU that is there, or that is asked for, cannot be used.
    """
    if wanted == "cpu":
        return True
    seen = facts()
    found = trouble(seen)
    if found:
        raise UserError(str(found))
    if seen.cards:
        return False
    if wanted == "cuda":
        raise UserError(f'train.device = "cuda" and torch sees no GPU here; {ON_CPU}, "auto" takes what is there.')
    return True


if __name__ == "__main__":
    print(json.dumps(asdict(facts())))
