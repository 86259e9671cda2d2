"""Measures of a set of clips as a whole: how far it is from the training set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.contract import config
from engine.contract.errors import UserError
from engine.contract.rundir import write_atomically
from engine.data.dataset import Report, prepare
from engine.generate.measures import frechet_distance
from engine.generate.results import codes_of, written
from engine.memory import Shortage
from engine.model import load

FILE = "set_measures.json"
ABOUT = (
    "frechet_distance: distance of the clips' EnCodec embeddings to those of the training clips, as Gaussians. It is "
    "not the published FAD: it orders models against one training set and compares with nothing else. With few clips "
    "it says more about which prompts there are than about the model."
)


def measure(
    settings: config.Settings,
    base: Path,
    folder: Path,
    clips: Mapping[str, Sequence[str]],
    device: torch.device,
    encoded: Report,
) -> dict[str, dict[str, Any]]:
    """Per model: Fréchet distance of its clips to the training clips, and how many clips.

    ``clips`` names the files in ``folder`` of each model, [] where another base made them. Training clips that are not
    encoded yet are, and ``encoded`` is told how far that is. Where there is no distance it is None, and
    ``frechet_distance_reason`` says why.
    """
    codec: Any = load.load_audio_encoder(base, device=device)
    channels = json.loads((base / "config.json").read_text())["decoder"].get("audio_channels", 1)
    target, missing = None, ""
    try:
        with Shortage() as shortage:
            training = prepare(settings, base, device, encoded, encoded).train
            target = embed(codec, [example.codes for example in training], channels)
        if shortage:
            missing = f"the memory of {device} does not hold the training clips"
    except (UserError, OSError) as error:
        missing = f"the training clips cannot be encoded: {str(error).splitlines()[0]}"
    found: dict[str, dict[str, Any]] = {}
    for name, files in clips.items():
        codes = [made for file in files if (made := codes_of(folder, file)) is not None]
        distance, reason = None, missing or "the codes of its clips are gone; delete the clips to make them again"
        if not files:
            reason = "another base model made its clips, with a codec of its own"
        if target is not None and codes:
            own = embed(codec, codes, channels)
            distance = frechet_distance(own, target)
            reason = f"{own.shape[1] + 1} frames are needed; there are {len(own)}, and {len(target)} of training"
        found[name] = {"frechet_distance": None if distance is None else round(distance, 4), "clips": len(codes)}
        if distance is None:
            found[name]["frechet_distance_reason"] = reason
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
