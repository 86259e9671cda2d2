"""The forward pass of peft's LoRA layers, doing the same arithmetic with less work.

An adapted layer computes W x + s B A d(x) with dropout d. peft runs dropout, two products, a scaling and a sum for each
layer. Here layers that read the same x (queries, keys and values) share one dropout mask, masks are drawn 16 bits an
element instead of a random number an element, and scaling and sum happen inside the second product. Weights, saving
and merging stay peft's.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch.nn import functional

from engine.model.forward import body

_LEVELS = 1 << 16


class _SharedDropout:
    """Dropout that gives layers reading the very same tensor the very same result.

    Once ``begin`` has told the clips apart, a clip's mask follows from the seed, the layer and the clip alone: it is
    the same in whatever micro-batch, and in whichever process, the clip is computed.
    """

    def __init__(self, rate: float) -> None:
        self.threshold = round(rate * _LEVELS) - _LEVELS // 2
        self.keep = 1 - round(rate * _LEVELS) / _LEVELS
        self._seed = 0
        self._clips: torch.Tensor | None = None
        self._read: torch.Tensor | None = None
        self._dropped: torch.Tensor | None = None

    def begin(self, seed: int, clips: torch.Tensor) -> None:
        """The next passes are of ``clips`` (B,), an odd number of 64 bits each, in the step that ``seed`` is of."""
        self._seed, self._clips = seed, clips

    def __call__(self, x: torch.Tensor, layer: int = 0) -> torch.Tensor:
        """``x`` with elements zeroed, not rescaled: the caller divides by ``keep`` where that costs nothing."""
        if self._dropped is None or self._read is not x:
            self._read, self._dropped = x, self._drop(x, layer)
        return self._dropped

    def _drop(self, x: torch.Tensor, layer: int) -> torch.Tensor:
        # On a CPU `where` takes two thirds of the time of `masked_fill`.
        return torch.where(self._bits(x, layer) < self.threshold, 0.0, x)

    def _bits(self, x: torch.Tensor, layer: int) -> torch.Tensor:
        """16 random bits an element of ``x``."""
        if self._clips is None:
            return _words(x.numel(), x.device, None).view(torch.int16)[: x.numel()].view_as(x)
        # A generator of its own, seeded anew: recomputing the layer for gradient checkpointing gives the same bits.
        generator = torch.Generator(x.device).manual_seed(self._seed + layer)
        # Multiplying random words by an odd number gives random words again: one drawing serves all clips.
        words = _words(x[0].numel(), x.device, generator) * self._clips[:, None]
        return words.view(torch.int16)[:, : x[0].numel()].reshape(x.shape)

    def forget(self) -> None:
        """Let go of the activations of the last pass."""
        self._read = self._dropped = None


def _words(elements: int, device: torch.device, generator: torch.Generator | None) -> torch.Tensor:
    """Random words of 64 bits, 16 of them an element."""
    words = torch.empty((elements + 3) // 4, dtype=torch.int64, device=device)
    return words.random_(-(2**63), None, generator=generator)


def speed_up(adapted: Any, rate: float) -> None:
    """Give every LoRA layer of a PeftModel the forward pass described above; ``rate`` is the adapters' dropout.

    In eval mode, and with adapters disabled, layers go peft's own way.
    """
    from peft.tuners.lora import Linear

    shared = _SharedDropout(rate) if rate else None
    layers = [module for module in adapted.modules() if isinstance(module, Linear)]
    for number, module in enumerate(layers):
        setattr(module, "forward", MethodType(_forward(module.forward, shared, number), module))  # noqa: B010
    adapted.shared_dropout = shared
    if shared is not None:
        body(adapted).register_forward_hook(lambda *_: shared.forget())


def clip_numbers(count: int, seed: int) -> torch.Tensor:
    """Odd random numbers (count,) that tell the clips of a step apart."""
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(count, dtype=torch.int64).random_(-(2**63), None, generator=generator) | 1


def begin_clips(adapted: Any, seed: int, clips: torch.Tensor) -> None:
    """Give the clips of the next passes masks of their own, which do not depend on their company.

    A model that ``speed_up`` was not called on (a compiled one) draws its dropout as peft does.
    """
    shared = getattr(adapted, "shared_dropout", None)
    if shared is not None:
        shared.begin(seed, clips)


def _forward(original: Any, shared: _SharedDropout | None, layer: int) -> Any:
    def forward(self: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if not self.training or self.disable_adapters or self.merged:
            return original(x, *args, **kwargs)
        a, b = self.lora_A["default"].weight, self.lora_B["default"].weight
        scale = self.scaling["default"] / (shared.keep if shared else 1.0)
        inner = functional.linear((shared(x, layer) if shared else x).flatten(0, -2), a)
        result = self.base_layer(x.flatten(0, -2))
        # In place, and on a tensor that is no view: a linear layer's backward does not look at its own output.
        result.addmm_(inner.to(result.dtype), b.t().to(result.dtype), alpha=scale)
        return result.unflatten(0, x.shape[:-1])

    return forward
