"""Which attention kernels are allowed, and the masks that they are given."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import scaled_dot_product_attention

from engine.generate.decode import Decoder
from engine.model import load
from engine.model.attention import additive_mask
from engine.train.step import Trainee


def test_training_and_decoding_leave_out_the_kernels_that_plan_for_every_shape(tiny_model: Path) -> None:
    decoder, projection = load.load_decoder(tiny_model, device="cpu", dtype=torch.float32)
    for make in (lambda: Trainee(decoder, projection, torch.device("cpu"), torch.float32), lambda: Decoder(decoder)):
        torch.backends.cuda.enable_cudnn_sdp(True)
        make()
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.backends.cuda.flash_sdp_enabled()
        assert torch.backends.cuda.mem_efficient_sdp_enabled()


def test_the_additive_mask_says_what_the_boolean_one_says_in_rows_that_need_no_copy() -> None:
    generator = torch.Generator().manual_seed(0)
    query, keys, values = (torch.randn(3, 2, length, 8, generator=generator) for length in (5, 13, 13))
    seen = torch.arange(13) < torch.tensor([13, 4, 1])[:, None]
    mask = additive_mask(seen, torch.float32)
    found = scaled_dot_product_attention(query, keys, values, attn_mask=mask)
    expected = scaled_dot_product_attention(query, keys, values, attn_mask=seen[:, None, None])
    torch.testing.assert_close(found, expected)
    assert mask.shape == (3, 1, 1, 13)
    assert all(stride % 16 == 0 for stride in mask.stride()[:-1])
