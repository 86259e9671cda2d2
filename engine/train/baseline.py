"""The base model's own valid loss: measured once, and taken from the cache by every run that would measure the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import torch

from engine.contract.paths import cache_dir
from engine.data.cache import Store
from engine.train.validate import Valid, loss_sums, summed_up


def base_loss(session: Any, micro: int, look: Callable[[], None]) -> Valid:
    """Loss of a trainee whose adapters still add nothing, on the valid clips.

    It depends on the base model, the clips and the arithmetic, and on nothing else of the settings: the runs of a
    sweep share it. Raises what ``loss_sums`` raises.
    """
    examples, shared = session.data.valid, session.accelerator.num_processes == 1
    store = Store(cache_dir(session.settings.data.cache_dir), "baseline", _maker(session, micro))
    known = store.load("sums") if shared else None
    if known is not None and known.shape[1] == len(examples):
        session.journal.say("the base model's valid loss is that of an earlier run over the same clips")
        return summed_up(torch.from_numpy(known))
    sums = loss_sums(session.trainee, session.data, examples, micro, session.accelerator, look)
    if shared and bool(sums.isfinite().all()):
        store.save("sums", sums.numpy())
    return summed_up(sums)


def _maker(session: Any, micro: int) -> str:
    """Digest of all that the losses depend on to the last bit."""
    device = session.trainee.device
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    told = [
        session.data.base_fingerprint, [example.id for example in session.data.valid], session.data.frames, micro,
        str(session.trainee.dtype), card, torch.__version__,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
