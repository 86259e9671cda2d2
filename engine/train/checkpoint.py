"""Checkpoints: everything a run needs to go on exactly, in a folder that is there whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch

from engine.contract import config
from engine.contract.changes import refuse_changes
from engine.contract.errors import UserError
from engine.contract.typed import Count, Int
from engine.model import lora
from engine.model.load import some

_NAME = re.compile(r"step-(\d{6,})")


@dataclass
class Progress:
    """Where a run is. Learning rate, order and random numbers follow from ``step`` and the settings."""

    step: Count = 0
    clips_seen: Count = 0
    skipped: Count = 0
    """fp16 steps without an update because the loss scale was too high."""
    bad_in_row: Count = 0
    """Steps in a row whose loss or gradient was not finite."""
    validated: Int = -1
    """Last step that was validated."""
    saved: Count = 0
    best_loss: float | None = None
    best_step: Count = 0
    base_loss: float | None = None
    without_best: Count = 0
    """Validations since the best one."""
    unlogged: list[float] = field(default_factory=list)
    """Losses since the last train event."""


def save(
    folder: Path,
    adapted: Any,
    optimizer: torch.optim.Optimizer,
    scaler: Any,
    progress: Progress,
    settings: config.Settings,
    identity: dict[str, str],
) -> Path:
    """Write step-NNNNNN in ``folder``. Raises OSError when the disk is full; no part of it then remains."""
    final = folder / f"step-{progress.step:06d}"
    part = folder / f".{final.name}.{os.getpid()}.part"
    try:
        part.mkdir(parents=True)
        lora.save(adapted, part / "adapter", base=settings.model.base)
        torch.save({"optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()}, part / "optimizer.pt")
        record = {"progress": asdict(progress), "settings": settings.model_dump(), "identity": identity}
        (part / "state.json").write_text(json.dumps(record, indent=1) + "\n")
        lora.flush(part)
        _remove(final)
        os.replace(part, final)
    except Exception as error:
        raise OSError(f"{final} could not be saved ({getattr(error, 'strerror', None) or error})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return final


def listed(folder: Path) -> list[Path]:
    """Whole checkpoints of a run, oldest first."""
    try:
        entries = [entry for entry in folder.iterdir() if _NAME.fullmatch(entry.name)]
    except OSError:
        return []
    return sorted(entries, key=lambda entry: int(entry.name[5:]))


def prune(folder: Path, keep: int) -> None:
    """Remove all but the last ``keep`` checkpoints, and what a killed engine left half written."""
    for old in [*listed(folder)[:-keep], *folder.glob(".step-*")]:
        _remove(old)


def _remove(checkpoint: Path) -> None:
    # Renamed first: a half-removed folder must not look like a checkpoint.
    gone = checkpoint.with_name(f".{checkpoint.name.lstrip('.')}.gone")
    if checkpoint.exists():
        os.replace(checkpoint, gone)
    shutil.rmtree(gone, ignore_errors=True)


def read_state(checkpoint: Path) -> tuple[Progress, config.Settings, dict[str, str]]:
    """Progress, settings and identity (data, base) of a checkpoint. Raises UserError when it is damaged."""
    try:
        # Whole or not at all: half a state would go on as another run. Losses in it may be NaN.
        record = msgspec.convert(json.loads((checkpoint / "state.json").read_bytes()), _State)
        return record.progress, config.parse(record.settings), record.identity
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(checkpoint, f"state.json: {error}") from None


class _State(msgspec.Struct):
    progress: Progress
    settings: dict[str, Any]
    identity: dict[str, str]


def _damaged(checkpoint: Path, why: str) -> UserError:
    return UserError(f"The checkpoint {checkpoint} is damaged ({why}); remove it to resume from the one before.")


class Last(NamedTuple):
    """The checkpoint that a run goes on from."""

    path: Path
    progress: Progress
    identity: dict[str, str]
    """Digests of the data and the base model that it was trained with."""
    changes: list[str]
    """Settings that differ since, as lines."""


def last(folder: Path, settings: config.Settings) -> Last | None:
    """The newest checkpoint of a run, None if there is none.

    Raises UserError when it is damaged, or was trained with settings that a run cannot go on without.
    """
    found = listed(folder)
    if not found:
        return None
    progress, before, identity = read_state(found[-1])
    return Last(found[-1], progress, identity, refuse_changes(before, settings))


def refuse_other_data(then: dict[str, str], now: dict[str, str]) -> None:
    """Raise UserError when the data or the base model are not those of the checkpoint."""
    for what, name in (("data", "training data"), ("base", "base model's weights")):
        if then.get(what) != now.get(what):
            raise UserError(f"The {name} changed since the checkpoint; bring the old ones back, or start a new run.")


def restore(checkpoint: Path, adapted: Any, optimizer: torch.optim.Optimizer, scaler: Any) -> None:
    """Load weights and optimizer state in place. Raises UserError when the checkpoint is damaged."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    # The libraries raise what they like, in words for programmers.
    try:
        weights = load_file(checkpoint / "adapter" / lora.WEIGHTS)
    except Exception:
        raise _damaged(checkpoint, f"adapter/{lora.WEIGHTS} cannot be read") from None
    try:
        state = torch.load(checkpoint / "optimizer.pt", map_location="cpu", weights_only=True)
    except Exception:
        raise _damaged(checkpoint, "optimizer.pt cannot be read") from None
    try:
        told: Any = set_peft_model_state_dict(adapted, weights)
        missing = [name for name in told.missing_keys if ".lora_" in name]
        if missing:
            raise _damaged(checkpoint, f"it lacks {len(missing)} of the adapters' weights: {some(missing)}")
        optimizer.load_state_dict(state["optimizer"])
        scaler.load_state_dict(state["scaler"])
    except UserError:
        raise
    except Exception:
        raise _damaged(checkpoint, "what it holds is of another model") from None
