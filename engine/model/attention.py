"""Which of torch's attention kernels are used: chosen here, for training, validation and decoding alike."""

from __future__ import annotations

import torch


def choose_kernels() -> None:
    """Leave attention on a GPU to flash attention where there is no mask, and to the memory-efficient one where there
    is; plain products are for fp32 on cards that have neither.

    From compute capability 9.0 on torch would take cuDNN's for half precision. It makes a plan for every shape, and a
    text has any length: each new one would cost a pause, in the middle of a capture too; and its results are not
    those of the cards below. On a CPU torch has one kernel, and nothing is chosen.
    """
    torch.backends.cuda.enable_flash_sdp(True)
    torch.backends.cuda.enable_mem_efficient_sdp(True)
    torch.backends.cuda.enable_math_sdp(True)
    torch.backends.cuda.enable_cudnn_sdp(False)


_ALIGNED = 16
"""Values between the rows of a mask: torch copies any other mask for the memory-efficient kernel, in every call."""


def additive_mask(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """0 where ``seen`` (B, L) is true and -inf where not, (B, 1, 1, L): what attention adds to its scores.

    Made once where many layers read it; a boolean mask is made into this one anew in every call.
    """
    rows, length = seen.shape
    held = torch.zeros(rows, 1, 1, -(-length // _ALIGNED) * _ALIGNED, dtype=dtype, device=seen.device)
    return held[..., :length].masked_fill_(~seen.bool()[:, None, None], float("-inf"))
