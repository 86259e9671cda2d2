"""One optimizer step: the gradient of an effective batch in micro-batches, and the update."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from engine.contract.errors import UserError
from engine.memory import Shortage, empty_cache
from engine.model.attention import choose_kernels
from engine.model.fast_lora import begin_clips, clip_numbers, end_clips
from engine.model.forward import condition, logits
from engine.model.loss import clip_cross_entropy_sums, cross_entropy_sums, label_counts, loss_from_sums
from engine.train.batches import Batch

NO_ROOM = (
    "The GPU's memory does not hold a single clip; set train.gradient_checkpointing = true, or shorten data.duration."
)


@dataclass
class Trainee:
    """What is trained and where: the adapted decoder, the text projection, device and arithmetic."""

    decoder: Any
    projection: nn.Module
    device: torch.device
    dtype: torch.dtype
    """Of the forward pass: fp16 or bf16 by autocast on a GPU, fp32 on a CPU."""
    without_compiler: Callable[[Exception], None] | None = None
    """Of a compiled decoder: makes it do without, told why."""

    def __post_init__(self) -> None:
        choose_kernels()

    def autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def sums(self, batch: Batch) -> torch.Tensor:
        """Cross-entropy sums per codebook (K,) of a batch, in fp32."""
        batch = batch.to(self.device)
        return cross_entropy_sums(self._logits(batch), batch.labels)

    def clip_sums(self, batch: Batch) -> torch.Tensor:
        """Cross-entropy sums per clip and codebook (B, K) of a batch, in fp32."""
        batch = batch.to(self.device)
        return clip_cross_entropy_sums(self._logits(batch), batch.labels)

    def _logits(self, batch: Batch) -> Sequence[torch.Tensor]:
        hidden, attended = condition(self.projection, batch.states, batch.mask)
        try:
            with self.autocast():
                return logits(self.decoder, batch.inputs, hidden, attended)
        except RuntimeError as error:
            if self.without_compiler is None or not _of_the_compiler(error):
                raise
            self.without_compiler(error)
            self.without_compiler = None
            return self._logits(batch)


def _of_the_compiler(error: Exception) -> bool:
    # Imported where a compiler is in use: it takes a second.
    from torch._dynamo.exc import TorchDynamoException

    return isinstance(error, TorchDynamoException)


def accumulate(
    trainee: Trainee,
    batch: Batch,
    micro: int,
    scaler: Any,
    rank: int = 0,
    world: int = 1,
    *,
    seed: int | None = None,
) -> torch.Tensor:
    """Add the gradient of ``batch``'s loss to the parameters, ``micro`` clips at a time; returns this process's share.

    The loss is normalised by the targets of the whole batch, and the adapters' dropout follows from ``seed`` (drawn
    when None) and a clip's place in the batch, so the gradient is the same for every ``micro``. In a distributed run
    each process takes every ``world``-th clip, and the shares of loss and gradient add up.
    """
    if seed is None:
        seed = int(torch.randint(2**63 - 1, ()))
    clips = clip_numbers(len(batch.inputs), seed)[rank::world].to(trainee.device)
    counts = label_counts(batch.labels).to(trainee.device)
    mine = Batch(*(tensor[rank::world] for tensor in batch))
    total = torch.zeros((), device=trainee.device)
    for start in range(0, len(mine.inputs), micro):
        begin_clips(trainee.decoder, seed, clips[start : start + micro])
        loss = loss_from_sums(trainee.sums(mine.part(start, start + micro)), counts)
        scaler.scale(loss).backward()
        total += loss.detach()
    end_clips(trainee.decoder)
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
        # For the decoder's own dropout, where it is set; the adapters' has its seed from the step alone.
        torch.manual_seed(seed + rank)
        with Shortage() as shortage:
            return accumulate(trainee, batch, micro, scaler, rank, world, seed=seed), micro
        if shortage and micro == 1:
            raise UserError(NO_ROOM)
        for parameter in trainee.decoder.parameters():
            parameter.grad = None
        empty_cache()
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
