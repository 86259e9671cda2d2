"""Measures of a set of clips as a whole: how far it is from the training set."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from engine.contract import config
from engine.contract.errors import UserError
from engine.contract.rundir import write_atomically
from engine.data.dataset import prepare
from engine.generate.measures import frechet_distance
from engine.generate.results import codes_file, written
from engine.model import load

FILE = "set_measures.json"
ABOUT = (
    "frechet_distance: distance of the clips' EnCodec embeddings to those of the training clips, as Gaussians. It is "
    "not the published FAD: it orders models against one training set and compares with nothing else. With few clips "
    "it says more about which prompts there are than about the model."
)
Key = TypeVar("Key", bound=Hashable)


class _NotCached(Exception):
    """The training clips would have to be encoded first."""


def measure(
    settings: config.Settings, base: Path, folder: Path, clips: Mapping[Key, Sequence[str]], device: torch.device
) -> dict[Key, dict[str, Any]]:
    """Per model: Fréchet distance of its clips (files in ``folder``) to the training clips, and how many clips.

    The distance is None where the training clips are not encoded on this machine or there are too few frames.
    """
    codec: Any = load.load_audio_encoder(base, device=device)
    training = _training_codes(settings, base, device)
    channels = json.loads((base / "config.json").read_text())["decoder"].get("audio_channels", 1)
    target = embed(codec, training, channels) if training else None
    found: dict[Key, dict[str, Any]] = {}
    for key, files in clips.items():
        codes = [np.load(path) for file in files if (path := codes_file(folder, file)).is_file()]
        distance = None
        if target is not None and codes:
            distance = frechet_distance(embed(codec, codes, channels), target)
        found[key] = {"frechet_distance": None if distance is None else round(distance, 4), "clips": len(codes)}
    return found


def write(folder: Path, found: Mapping[str, dict[str, Any]]) -> None:
    """Store the measures beside the clips. Raises UserError when the disk is full."""
    text = json.dumps({"about": ABOUT, "models": found}, indent=1, ensure_ascii=False) + "\n"
    written(folder / FILE, lambda: write_atomically(folder / FILE, text))


@torch.no_grad()
def embed(codec: Any, clips: Sequence[np.ndarray], channels: int) -> np.ndarray:
    """What EnCodec's decoder reads, (frames of all clips and channels, d), for codes (K, frames) of each clip."""
    device = next(codec.parameters()).device
    rows = []
    for codes in clips:
        for side in range(channels):
            part = torch.from_numpy(codes[side::channels].astype(np.int64)).to(device)
            rows.append(codec.quantizer.decode(part[:, None])[0].T.cpu().numpy())
    return np.concatenate(rows)


def _training_codes(settings: config.Settings, base: Path, device: torch.device) -> list[np.ndarray]:
    def refuse(done: int, total: int) -> None:
        raise _NotCached

    try:
        return [example.codes for example in prepare(settings, base, device, refuse, refuse).train]
    except (_NotCached, UserError):
        return []
