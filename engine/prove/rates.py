"""What the card reaches at best: products and copies, by themselves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

ROUNDS = 20
_COPIED = 2**28


def now(device: torch.device) -> float:
    """Seconds, when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def fastest(call: Callable[[], object], device: torch.device, rounds: int = ROUNDS) -> float:
    """Least seconds of a call, after one that warms up."""
    call()
    best = math.inf
    for _ in range(rounds):
        before = now(device)
        call()
        best = min(best, now(device) - before)
    return best


def products(device: torch.device, dtype: torch.dtype, width: int = 1024) -> float:
    """Operations a second on a product of the decoder's own shape: (clips x frames, width) by (width, 4 width)."""
    rows = 1500 if device.type == "cpu" else 12000
    a = torch.randn(rows, width, device=device, dtype=dtype)
    b = torch.randn(width, 4 * width, device=device, dtype=dtype)
    return 2 * rows * width * 4 * width / fastest(lambda: a @ b, device)


def copies(device: torch.device) -> float:
    """Bytes a second, read and written, of a copy that no cache holds."""
    block = torch.empty(_COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(block)
    return 2 * _COPIED / fastest(lambda: target.copy_(block), device)
