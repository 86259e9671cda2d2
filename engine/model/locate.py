"""Where the base model is: in a folder or in the hub's cache. Imports no torch."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from engine.contract.errors import UserError

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all; may raise to interrupt, what was fetched is kept."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_PARTS = {"text_encoder": "t5", "audio_encoder": "encodec", "decoder": "musicgen_decoder"}
"""The kind of each part, as config.json has to tell it."""


def is_hub_name(base: str) -> bool:
    """Whether ``base`` has the form owner/name."""
    return _HUB_NAME.fullmatch(base) is not None


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids asking the hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")


def checked_folder(folder: Path) -> Path:
    """``folder`` if it holds a MusicGen model. Raises UserError otherwise, without loading anything."""
    refuse_foreign(folder / "config.json", str(folder))
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise UserError(f"{folder} holds no weights (model.safetensors); fetch or copy the model again.")
    return folder


def refuse_foreign(file: Path, model: str) -> None:
    """Raises UserError when ``file``, the config.json of ``model``, is not that of a MusicGen that can be trained."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{model} is no model folder: its config.json cannot be read "
            f"({getattr(error, 'strerror', None) or error}); point model.base at a folder made by save_pretrained."
        ) from None
    config = config if isinstance(config, dict) else {}
    kind = config.get("model_type")
    if kind != "musicgen":
        raise UserError(f"{model} holds a {kind or 'foreign'} model, not MusicGen; choose another model.base.")
    for part, wanted in _PARTS.items():
        found = config.get(part)
        if not isinstance(found, dict) or found.get("model_type", wanted) != wanted:
            kind = (isinstance(found, dict) and found.get("model_type")) or "no"
            raise UserError(
                f"{model} is a MusicGen with {kind} {part.replace('_', ' ')}, and only {wanted} can be trained with; "
                "choose another model.base."
            )


def cached(base: str) -> Path | None:
    """Folder of a hub model in the local cache, or None; asks nobody."""
    from huggingface_hub import try_to_load_from_cache

    for name in WEIGHTS:
        weights, config = (try_to_load_from_cache(base, file) for file in (name, "config.json"))
        if isinstance(weights, str) and isinstance(config, str) and _shards_are_there(Path(weights)):
            return Path(config).parent
    return None


def _shards_are_there(weights: Path) -> bool:
    if weights.suffix != ".json":
        return True
    shards = set(json.loads(weights.read_text())["weight_map"].values())
    return all((weights.parent / shard).is_file() for shard in shards)
