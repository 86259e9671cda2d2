"""One optimizer step: the gradient of an effective batch in micro-batches, and the update."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from engine.contract.errors import UserError
from engine.model.forward import condition, logits
from engine.model.loss import cross_entropy_sums, label_counts, loss_from_sums
from engine.train.batches import Batch


@dataclass
class Trainee:
    """What is trained and where: the adapted decoder, the text projection, device and arithmetic."""

    decoder: Any
    projection: nn.Module
    device: torch.device
    dtype: torch.dtype
    """Of the forward pass: fp16 or bf16 by autocast on a GPU, fp32 on a CPU."""

    def autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def sums(self, batch: Batch) -> torch.Tensor:
        """Cross-entropy sums per codebook (K,) of a batch, in fp32."""
        batch = batch.to(self.device)
        hidden, attended = condition(self.projection, batch.states, batch.mask)
        with self.autocast():
            predicted = logits(self.decoder, batch.inputs, hidden, attended)
        return cross_entropy_sums(predicted, batch.labels)


def accumulate(trainee: Trainee, batch: Batch, micro: int, scaler: Any, rank: int = 0, world: int = 1) -> torch.Tensor:
    """Add the gradient of ``batch``'s loss to the parameters, ``micro`` clips at a time; returns this process's share.

    The loss is normalised by the targets of the whole batch, so the gradient is the same for every ``micro``. In a
    distributed run each process takes every ``world``-th clip, and the shares of loss and gradient add up.
    """
    counts = label_counts(batch.labels).to(trainee.device)
    mine = Batch(*(tensor[rank::world] for tensor in batch))
    total = torch.zeros((), device=trainee.device)
    for start in range(0, len(mine.inputs), micro):
        loss = loss_from_sums(trainee.sums(mine.part(start, start + micro)), counts)
        scaler.scale(loss).backward()
        total += loss.detach()
    return total


def fitting_gradient(
    trainee: Trainee,
    batch: Batch,
    micro: int,
    scaler: Any,
    rank: int,
    world: int,
    *,
    seed: int,
    note: Callable[[str], None],
) -> tuple[torch.Tensor, int]:
    """``accumulate`` with the largest micro-batch that fits, from ``micro`` down; returns the loss and that size.

    Running out of GPU memory halves the micro-batch, says so, and repeats the step with the same numbers. Raises
    UserError when a single clip does not fit.
    """
    while True:
        torch.manual_seed(seed)
        try:
            return accumulate(trainee, batch, micro, scaler, rank, world), micro
        except torch.OutOfMemoryError:
            if micro == 1:
                raise UserError(
                    "The GPU's memory does not hold a single clip; set train.gradient_checkpointing = true, "
                    "or shorten data.duration."
                ) from None
        for parameter in trainee.decoder.parameters():
            parameter.grad = None
        torch.cuda.empty_cache()
        micro = math.ceil(micro / 2)
        note(f"GPU memory ran out: going on with micro-batches of {micro}; the effective batch stays the same")


def update(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], scaler: Any, max_norm: float) -> float:
    """Clip and step; returns the gradient norm before clipping.

    With a norm that is not finite no weight changes: under fp16 the scaler lowers its scale, otherwise the caller
    counts it.
    """
    scaler.unscale_(optimizer)
    norm = float(nn.utils.clip_grad_norm_(parameters, max_norm))
    if math.isfinite(norm) or scaler.is_enabled():
        scaler.step(optimizer)
        scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return norm


def reduce_gradients(parameters: list[nn.Parameter], accelerator: Any) -> None:
    """Sum the gradients over all processes in one exchange."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([parameter.grad.flatten() for parameter in parameters if parameter.grad is not None])
    flat = accelerator.reduce(flat, "sum")
    offset = 0
    for parameter in parameters:
        parameter.grad = flat[offset : offset + parameter.numel()].view_as(parameter)
        offset += parameter.numel()
