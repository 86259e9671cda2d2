"""The training loss, after audiocraft's definition: the mean over codebooks of the mean cross-entropy of a codebook."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from engine.model.delay import apply_delay

IGNORED = -100


def sequences(
    codes: torch.Tensor, lengths: torch.Tensor, pad: int, channels: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the decoder reads and what it must say next, both (B, K, T).

    ``codes`` (B, K, T) hold ``lengths`` (B,) real frames each; what lies beyond is padding. Inputs are the delayed
    codes moved one step right behind a start column; labels are the delayed codes with every pad set to IGNORED.
    """
    frames = torch.arange(codes.shape[-1], device=codes.device)
    padded = codes.masked_fill(frames >= lengths[:, None, None], pad)
    delayed = apply_delay(padded, pad, channels)
    start = torch.full_like(delayed[..., :1], pad)
    return torch.cat([start, delayed[..., :-1]], dim=-1), delayed.masked_fill(delayed == pad, IGNORED)


def label_counts(labels: torch.Tensor) -> torch.Tensor:
    """Targets per codebook (K,), as floats."""
    return clip_label_counts(labels).sum(0)


def clip_label_counts(labels: torch.Tensor) -> torch.Tensor:
    """Targets per clip and codebook (B, K), as floats."""
    return (labels != IGNORED).sum(dim=2).to(torch.float32)


def cross_entropy_sums(logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """Sum of cross-entropy per codebook (K,) in nats, in fp32, from K logits (B, T, V) and labels (B, K, T)."""
    return torch.stack([_nll(*pair, "sum") for pair in zip(logits, labels.unbind(1), strict=True)])


def clip_cross_entropy_sums(logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """The same per clip and codebook (B, K)."""
    pairs = zip(logits, labels.unbind(1), strict=True)
    return torch.stack([_nll(*pair, "none").view_as(pair[1]).sum(-1) for pair in pairs], dim=1)


def _nll(logits: torch.Tensor, wanted: torch.Tensor, reduction: str) -> torch.Tensor:
    # log_softmax reads half precision and writes fp32: cross_entropy would want a copy of the logits in fp32.
    said = functional.log_softmax(logits.flatten(0, 1), dim=-1, dtype=torch.float32)
    return functional.nll_loss(said, wanted.flatten(), ignore_index=IGNORED, reduction=reduction)


def loss_from_sums(sums: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """The loss of all clips behind ``sums`` and ``counts`` (K,): exact for any split into micro-batches."""
    return (sums / counts.clamp(min=1)).mean()
