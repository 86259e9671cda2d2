"""Training on the card: half precision against fp32, the loss scaler, AdamW, micro-batches, the compiler."""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from engine.contract import config
from engine.memory import Shortage
from engine.model import lora, untrained
from engine.model.fast_lora import speed_up
from engine.model.forward import body
from engine.prove.rates import fastest, now
from engine.prove.verdicts import Scaled
from engine.train.batches import Batch
from engine.train.setup import DTYPES, freeze
from engine.train.step import Trainee, accumulate, update

FRAMES = 750
"""Of a clip of 15 s."""
TEXT = 32
MICRO = (1, 2, 4, 8, 16)
COMPILED_LAYERS = 2
_SEED = 7


class Trained(NamedTuple):
    loss: float
    gradient: Tensor
    """Of all adapters, flat, on the CPU."""


def student(device: torch.device, precision: str, layers: int = 24, *, ours: bool = True) -> Trainee:
    """Musicgen-small's decoder with adapters, all of it random and the same in every precision."""
    decoder, projection = untrained.decoder(device, layers)
    adapted = lora.attach(freeze(decoder, DTYPES[precision], config.Train()), config.Lora(), _SEED)
    torch.manual_seed(_SEED)
    for name, weight in lora.trainable(adapted).items():
        if "lora_B" in name:  # which begins at zero, and then no gradient reaches the other half
            nn.init.normal_(weight, std=0.02)
    if ours:
        speed_up(adapted, config.Lora().dropout)
    return Trainee(adapted.train(), projection, device, DTYPES[precision])


def clips(count: int, codebooks: int = 4) -> Batch:
    """Random clips of 15 s."""
    generator = torch.Generator().manual_seed(_SEED)
    codes = torch.randint(0, 2048, (count, codebooks, FRAMES), generator=generator)
    return Batch(
        codes, codes.clone(), torch.randn(count, TEXT, 768, generator=generator),
        torch.ones(count, TEXT, dtype=torch.long),
    )  # fmt: skip


def scaler_of(trainee: Trainee) -> Any:
    return torch.amp.GradScaler(trainee.device.type, enabled=trainee.dtype == torch.float16)


def train_once(trainee: Trainee, batch: Batch) -> Trained:
    """Loss and gradient of a batch, all clips at once."""
    clear(trainee)
    scaler = scaler_of(trainee)
    loss = accumulate(trainee, batch, len(batch.inputs), scaler, seed=_SEED)
    parameters = list(lora.trainable(trainee.decoder).values())
    scaler.unscale_(torch.optim.AdamW(parameters))
    flat = torch.cat([parameter.grad.flatten().cpu() for parameter in parameters if parameter.grad is not None])
    clear(trainee)
    return Trained(float(loss), flat)


def clear(trainee: Trainee) -> None:
    for parameter in trainee.decoder.parameters():
        parameter.grad = None


def step_seconds(trainee: Trainee, count: int, rounds: int = 3) -> float:
    """Least seconds of a training step of ``count`` clips at once."""
    batch, scaler = clips(count).to(trainee.device), scaler_of(trainee)

    def step() -> None:
        accumulate(trainee, batch, count, scaler, seed=_SEED)
        clear(trainee)

    return fastest(step, trainee.device, rounds)


def scaling(device: torch.device) -> Scaled:
    """One step of our update with a finite gradient, one with an infinite one."""
    weights = nn.Parameter(torch.ones(1024, device=device))
    optimizer = torch.optim.AdamW([weights], lr=1e-3)
    scaler = torch.amp.GradScaler(device.type)
    moved = []
    for gradient in (1.0, math.inf):
        before, scale = weights.detach().clone(), scaler.get_scale()
        scaler.scale(torch.zeros((), device=device))
        weights.grad = torch.full_like(weights, gradient * scale)
        update(optimizer, [weights], scaler, 1.0)
        moved.append(float((weights.detach() - before).abs().max()))
    return Scaled(moved[0], moved[1], scale, scaler.get_scale())


def adamw(device: torch.device) -> tuple[float, float]:
    """Largest difference of fused and plain AdamW after three steps, in learning rates; fused's time over plain's."""
    rate, steps = 1e-3, 3
    generator = torch.Generator().manual_seed(_SEED)
    weights = [torch.randn(12, 1024, generator=generator) for _ in range(64)]
    gradients = [[torch.randn(12, 1024, generator=generator) for _ in weights] for _ in range(steps)]
    found, seconds = [], []
    for fused in (True, False):
        parameters = [nn.Parameter(weight.to(device, copy=True)) for weight in weights]
        optimizer = torch.optim.AdamW(parameters, lr=rate, fused=fused, foreach=False)
        for each in gradients:
            for parameter, gradient in zip(parameters, each, strict=True):
                parameter.grad = gradient.to(device)
            optimizer.step()
        found.append([parameter.detach().clone() for parameter in parameters])
        seconds.append(fastest(optimizer.step, device, 5))
    difference = max(float((a - b).abs().max()) for a, b in zip(*found, strict=True))
    return difference / rate, seconds[0] / seconds[1]


def micro_batches(trainee: Trainee) -> tuple[dict[int, float], dict[int, float]]:
    """Clips at once -> bytes at the peak, and seconds, of a training step, as far as the memory holds them."""
    peaks: dict[int, float] = {}
    seconds: dict[int, float] = {}
    for count in MICRO:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(trainee.device)
        with Shortage() as shortage:
            seconds[count] = step_seconds(trainee, count, 2)
        if shortage:
            break
        peaks[count] = float(torch.cuda.max_memory_allocated(trainee.device))
    clear(trainee)
    torch.cuda.empty_cache()
    return peaks, seconds


def compiled(device: torch.device, precision: str) -> tuple[float, float, float]:
    """Loss of a decoder of two layers compiled, and not, and the seconds that compiling took."""
    trainee, batch = student(device, precision, COMPILED_LAYERS, ours=False), clips(1)
    for module in trainee.decoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # drawn by other means once compiled
    plain = train_once(trainee, copy.copy(batch)).loss
    body(trainee.decoder).compile()
    before = now(device)
    loss = train_once(trainee, batch).loss
    return loss, plain, now(device) - before
