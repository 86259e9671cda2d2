"""The noise of sampling: a pure function of (seed, prompt, repeat, step, codebook, code).

Models can only be compared by ear when luck is the same for all of them. So no generator with a state is involved: a
row of the batch has a key, made from seed, prompt text and repeat; a counter-based generator (Philox, numpy) turns
the key into 64 bits for each step and codebook; and an integer hash turns these and the code's number into the draw
for that code, on the device, for the candidates only. Batch, model, device and order do not enter.
"""

import hashlib

import numpy as np
import torch
from torch import Tensor

MASK_32 = 0xFFFFFFFF


def key(seed: int, prompt: str, repeat: int = 0) -> int:
    """The 128-bit key of one clip's noise."""
    text = f"{seed}\n{repeat}\n{prompt}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:16], "little")


def bits(keys: list[int], steps: int, codebooks: int) -> Tensor:
    """(B, steps, K, 2) int64: two random 32-bit words for each row, step and codebook.

    A longer clip begins with the noise of a shorter one.
    """
    rows = []
    for row_key in keys:
        words = np.random.Philox(key=row_key).random_raw(steps * codebooks).reshape(steps, codebooks)
        rows.append(np.stack([words & MASK_32, words >> np.uint64(32)], axis=-1).astype(np.int64))
    return torch.from_numpy(np.stack(rows))


def gumbel(words: Tensor, codes: Tensor) -> Tensor:
    """Standard Gumbel noise (B, K, C) in fp32 for the codes (B, K, C) given the step's words (B, K, 2)."""
    mixed = _mix(codes + words[..., :1])
    mixed = _mix(mixed ^ words[..., 1:])
    # 23 bits and a half: every value is exact in fp32 and lies strictly between 0 and 1.
    uniform = ((mixed >> 9).float() + 0.5) * 2.0**-23
    return -(-uniform.log()).log()


def _mix(x: Tensor) -> Tensor:
    """Thomas Mueller's 32-bit integer hash, on int64 tensors: products stay below 2**63."""
    x = x & MASK_32
    x = ((x >> 16) ^ x) * 0x45D9F3B & MASK_32
    x = ((x >> 16) ^ x) * 0x45D9F3B & MASK_32
    return (x >> 16) ^ x
