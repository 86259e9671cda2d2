"""Valid loss: eval mode, every clip, the same clips in the same order every time, per codebook."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from engine.contract.errors import UserError
from engine.data.dataset import Dataset, Example
from engine.memory import Shortage
from engine.model.loss import clip_label_counts
from engine.train.batches import collate
from engine.train.step import NO_ROOM, Trainee


class Valid(NamedTuple):
    loss: float
    """Mean over the codebooks of ``per_codebook``."""
    per_codebook: list[float]
    """Mean over the targets of all clips."""
    per_clip: list[float]
    """Loss of each clip alone, in the order of the clips: what two runs are paired by."""


def evaluate_loss(
    trainee: Trainee, data: Dataset, examples: list[Example], micro: int, accelerator: Any, look: Callable[[], None]
) -> Valid:
    """Mean cross-entropy of ``examples``, in nats; ``loss_sums`` says how."""
    return summed_up(loss_sums(trainee, data, examples, micro, accelerator, look))


def summed_up(sums: torch.Tensor) -> Valid:
    """The losses that sums (2, clips, K) of ``loss_sums`` give."""
    per_codebook = _means(sums.sum(1)).tolist()
    return Valid(sum(per_codebook) / len(per_codebook), per_codebook, _means(sums).mean(-1).tolist())


@torch.no_grad()
def loss_sums(
    trainee: Trainee, data: Dataset, examples: list[Example], micro: int, accelerator: Any, look: Callable[[], None]
) -> torch.Tensor:
    """Sums of cross-entropy, and numbers of targets, of each example and codebook: (2, clips, K) in fp64.

    ``look`` is called between micro-batches and may raise.

    ``micro`` clips are on the device at once, fewer when its memory does not hold them.
    """
    was_training = trainee.decoder.training
    trainee.decoder.eval()
    try:
        mine = examples[accelerator.process_index :: accelerator.num_processes]
        # Sums of cross-entropy and numbers of targets: (2, clips, K).
        sums = torch.zeros(2, len(mine), len(examples[0].codes), dtype=torch.float64)
        start = 0
        while start < len(mine):
            look()
            batch = collate(data, mine[start : start + micro])
            with Shortage() as shortage:
                sums[0, start : start + len(batch.labels)] = trainee.clip_sums(batch).double().cpu()
            if shortage:
                if micro == 1:
                    raise UserError(NO_ROOM)
                micro = math.ceil(micro / 2)
                continue
            sums[1, start : start + len(batch.labels)] = clip_label_counts(batch.labels)
            start += len(batch.labels)
    finally:
        trainee.decoder.train(was_training)
    if accelerator.num_processes > 1:
        every = torch.zeros(2, len(examples), sums.shape[-1], dtype=sums.dtype)
        every[:, accelerator.process_index :: accelerator.num_processes] = sums
        sums = accelerator.reduce(every.to(trainee.device), "sum").cpu()
    return sums


def _means(sums: torch.Tensor) -> torch.Tensor:
    return sums[0] / sums[1].clamp(min=1)
