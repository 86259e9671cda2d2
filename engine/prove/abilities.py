"""What runs may use of a device: the one object that engine parts ask instead of deciding by themselves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from engine import device as devices
from engine.contract import config
from engine.contract.cards import Card
from engine.prove import record

_INSTEAD = {"fp16": ("fp16", "bf16", "fp32"), "bf16": ("bf16", "fp32"), "fp32": ("fp32",)}
"""Precision -> what is taken in its place, in this order."""
_DONE_WITHOUT = {
    "graphs": "decoding goes step by step, without CUDA graphs",
    "compile": "train.compile is left off",
    "fused_adamw": "AdamW is the plain one",
    "encodec": "EnCodec runs on the CPU",
}


@dataclass(frozen=True)
class Abilities:
    """What a device has, and what of it does not work."""

    off: Mapping[str, str] = field(default_factory=dict)
    """Names of what does not work (see ``record.Ability``), each with the reason."""
    precisions: tuple[str, ...] = ("fp16", "bf16", "fp32")

    def can(self, ability: str) -> bool:
        return ability not in self.off

    def precision(self, wanted: str) -> str:
        """``wanted``, or the nearest that works; fp32 always does."""
        return next(name for name in _INSTEAD[wanted] if name in self.precisions and self.can(name))

    def told(self, train: config.Train) -> list[str]:
        """A sentence for each thing that a run with these settings does without."""
        taken = self.precision(train.precision)
        lines = []
        if taken != train.precision and train.precision in self.off:
            lines.append(f"{taken} instead of {train.precision}: {self.off[train.precision]}")
        missed = [name for name in _DONE_WITHOUT if not self.can(name) and (name != "compile" or train.compile)]
        return lines + [f"{_DONE_WITHOUT[name]}: {self.off[name]}" for name in missed]


CPU = Abilities({"compile": "on a CPU compiling takes longer than it saves"}, ("fp32",))


def of(device: torch.device) -> Abilities:
    """What was found of the cards that this run computes on; all of it where nothing was found yet."""
    if device.type != "cuda":
        return CPU
    off: dict[str, str] = {}
    for card in cards(device):
        known = record.read(path_for(card), values=record.values_count())
        off |= known.off if known else {}
    return Abilities(off)


def cards(device: torch.device) -> list[Card]:
    """Of all processes of this machine: they must compute alike. The first is that of ``device`` where it is alone."""
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    first = device.index or 0 if processes == 1 else 0
    return [devices.card(index) for index in range(first, min(first + processes, torch.cuda.device_count()))]


def path_for(card: Card) -> Path:
    return record.path_for(card, devices.driver(), torch.__version__)
