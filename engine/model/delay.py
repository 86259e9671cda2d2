"""MusicGen's delay pattern: codebook k runs k frames behind the first (Copet et al. 2023, section 2.2).

transformers' forward does not apply it to labels, so it is applied here, once, and trained against.
"""

from __future__ import annotations

import torch


def delays(codebooks: int, channels: int = 1) -> list[int]:
    """Frames each codebook lags. In stereo models left and right codes alternate and lag in pairs: 0 0 1 1 2 2 ..."""
    return [k // channels for k in range(codebooks)]


def apply_delay(codes: torch.Tensor, pad: int, channels: int = 1) -> torch.Tensor:
    """Codes (B, K, T) shifted by the pattern, still T columns: ``pad`` leads, late codebooks lose their last codes.

    The tail columns that would hold those last codes are left out because pretraining never saw them.
    """
    frames = codes.shape[-1]
    delayed = torch.full_like(codes, pad)
    for k, lag in enumerate(delays(codes.shape[1], channels)):
        delayed[:, k, lag:] = codes[:, k, : max(frames - lag, 0)]
    return delayed


def revert_delay(delayed: torch.Tensor, channels: int = 1) -> torch.Tensor:
    """Codes (B, K, T - D) of a delayed sequence (B, K, T); D is the largest lag, the frames that are not whole yet."""
    lags = delays(delayed.shape[1], channels)
    frames = delayed.shape[-1] - max(lags)
    return torch.stack([delayed[:, k, lag : lag + frames] for k, lag in enumerate(lags)], dim=1)
