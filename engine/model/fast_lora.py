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

_LEVELS = 1 << 16


class _SharedDropout:
    """Dropout that gives layers reading the very same tensor the very same result."""

    def __init__(self, rate: float) -> None:
        self.threshold = round(rate * _LEVELS) - _LEVELS // 2
        self.keep = 1 - round(rate * _LEVELS) / _LEVELS
        self._read: torch.Tensor | None = None
        self._dropped: torch.Tensor | None = None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` with elements zeroed, not rescaled: the caller divides by ``keep`` where that costs nothing."""
        if self._dropped is None or self._read is not x:
            count = x.numel()
            words = torch.empty((count + 3) // 4, dtype=torch.int64, device=x.device).random_(-(2**63), None)
            gone = words.view(torch.int16)[:count].view_as(x) < self.threshold
            self._read, self._dropped = x, x.masked_fill(gone, 0)
        return self._dropped

    def forget(self) -> None:
        """Let go of the activations of the last pass."""
        self._read = self._dropped = None


def speed_up(adapted: Any, rate: float) -> None:
    """Give every LoRA layer of a PeftModel the forward pass described above; ``rate`` is the adapters' dropout.

    In eval mode, and with adapters disabled, layers go peft's own way.
    """
    from peft.tuners.lora import Linear

    shared = _SharedDropout(rate) if rate else None
    for module in adapted.modules():
        if isinstance(module, Linear):
            setattr(module, "forward", MethodType(_forward(module.forward, shared), module))  # noqa: B010
    if shared is not None:
        adapted.register_forward_hook(lambda *_: shared.forget())


def _forward(original: Any, shared: _SharedDropout | None) -> Any:
    def forward(self: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if not self.training or self.disable_adapters or self.merged:
            return original(x, *args, **kwargs)
        a, b = self.lora_A["default"].weight, self.lora_B["default"].weight
        scale = self.scaling["default"] / (shared.keep if shared else 1.0)
        inner = functional.linear((shared(x) if shared else x).flatten(0, -2), a)
        result = self.base_layer(x.flatten(0, -2))
        # In place, and on a tensor that is no view: a linear layer's backward does not look at its own output.
        result.addmm_(inner.to(result.dtype), b.t().to(result.dtype), alpha=scale)
        return result.unflatten(0, x.shape[:-1])

    return forward
