"""Audio from codes: EnCodec's decoder, in pieces that fit the memory, with the result of decoding in one go.

The recurrent layer runs over the whole clip, all clips of the batch together. The convolutions after it look a few
frames to either side only, so they run over pieces of the clip that overlap by more than that: a batch of eight clips
of 15 s would otherwise hold several tensors of 1 GB. On a CPU small pieces also stay in the caches, and ELU is computed
from exp, because torch's expm1 takes ten times as long; the difference is below 1e-6.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.encodec.modeling_encodec import EncodecLSTM, EncodecResnetBlock

MARGIN_FRAMES = 8
"""More than the convolutions see: the transposed ones reach one step of their input, the last one 3 samples."""

LARGEST_CPU_TENSOR = 16 * 2**20
LARGEST_GPU_TENSOR = 512 * 2**20
"""Bytes that the widest tensor of a piece may take. Past 32 MB, glibc maps fresh pages for every tensor."""


@torch.no_grad()
def to_audio(codec: Any, codes: Tensor, channels: int = 1) -> Tensor:
    """Audio (B, channels, samples) in fp32 for codes (B, K, frames); samples = frames x hop length.

    ``codec`` is an EncodecModel. In a stereo model the codes of left and right alternate.
    """
    # By default cuDNN may add up in another order every time, and in TF32: the same codes would give other samples.
    codes = codes.to(next(codec.parameters()).device)
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        return torch.cat([_decode(codec, codes[:, side::channels]) for side in range(channels)], dim=1)


def _decode(codec: Any, codes: Tensor) -> Tensor:
    recurrent = next(i for i, layer in enumerate(codec.decoder.layers) if isinstance(layer, EncodecLSTM))
    features = codec.quantizer.decode(codes.transpose(0, 1))
    for layer in codec.decoder.layers[: recurrent + 1]:
        features = layer(features)
    convolutions = codec.decoder.layers[recurrent + 1 :]

    clips, _, frames = features.shape
    hop = codec.config.hop_length
    on_cpu = features.device.type == "cpu"
    group = 1 if on_cpu else clips
    frame_bytes = group * codec.config.num_filters * hop * features.element_size()
    piece = max((LARGEST_CPU_TENSOR if on_cpu else LARGEST_GPU_TENSOR) // frame_bytes, 4 * MARGIN_FRAMES)
    audio = torch.empty(clips, codec.config.audio_channels, frames * hop, device=features.device)
    for first in range(0, clips, group):
        for start in range(0, frames, piece):
            end = min(start + piece, frames)
            left, right = max(start - MARGIN_FRAMES, 0), min(end + MARGIN_FRAMES, frames)
            part = features[first : first + group, :, left:right]
            for layer in convolutions:
                part = _apply(layer, part)
            skip = (start - left) * hop
            audio[first : first + group, :, start * hop : end * hop] = part[..., skip : skip + (end - start) * hop]
    return audio


def _apply(layer: Any, x: Tensor) -> Tensor:
    if isinstance(layer, nn.ELU):
        return _elu(x)
    if isinstance(layer, EncodecResnetBlock):
        inner = x
        for sub in layer.block:
            inner = _apply(sub, inner)
        return layer.shortcut(x) + inner
    return layer(x)


def _elu(x: Tensor) -> Tensor:
    if x.device.type != "cpu":
        return F.elu(x)
    return x.clamp(max=0).exp_().sub_(1).add_(x.clamp(min=0))
