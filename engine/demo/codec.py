"""Builds the demo's EnCodec without a single gradient step.

A small EnCodec trained from random weights stays near silence for a long time. The demo's music is so regular that a
linear codec does better: a lapped transform (sine window of two frames, principal components of the windowed frames)
as encoder and decoder, residual k-means as codebooks. Both are written into the convolutions of a real EncodecModel:

- every activation is shifted to be positive, where ELU is the identity, and the shift is taken out again;
- the first strided convolution only deals samples out to channels, the second is the transform (the decoder likewise);
- there are no residual layers, and the LSTMs are set to add nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import EncodecConfig, EncodecModel

from engine.demo import synth
from engine.demo.styles import Clip

COMPONENTS = 126
CODEBOOKS = 4
CODEBOOK_SIZE = 512
OUTER, INNER = 32, 20  # strides of the two levels; OUTER * INNER = one frame
SHIFT = 2.0  # keeps samples positive
LATENT_SCALE = 32.0  # latents stay within +-32, so z / 32 + 1 is positive
WINDOW = np.sin(np.pi * (np.arange(2 * synth.FRAME) + 0.5) / (2 * synth.FRAME)).astype(np.float32)


def codec_config() -> EncodecConfig:
    """EnCodec at 16 kHz, 25 frames/s, 4 codebooks of 512, with codes that depend on two frames of sound only."""
    return EncodecConfig(
        target_bandwidths=[0.9],
        sampling_rate=synth.SAMPLE_RATE,
        audio_channels=1,
        hidden_size=COMPONENTS,
        codebook_dim=COMPONENTS,
        codebook_size=CODEBOOK_SIZE,
        num_filters=32,
        upsampling_ratios=[INNER, OUTER],
        kernel_size=1,
        last_kernel_size=1,
        num_residual_layers=0,
        num_lstm_layers=1,
        use_causal_conv=False,
        pad_mode="replicate",
    )


def build_codec(clips: Sequence[Clip], seed: int = 0) -> tuple[EncodecModel, torch.Tensor]:
    """The codec for music like `clips` (eval mode, every value one that fp16 can hold) and its lapped transform."""
    rng = np.random.default_rng(seed)
    windows = torch.cat(
        [windowed_frames(synth.render(clip))[rng.permutation(synth.CLIP_FRAMES)[:48]] for clip in clips]
    )
    transform = principal_components(windows, COMPONENTS)
    codec = EncodecModel(codec_config()).eval().requires_grad_(False)
    _write_encoder(codec.encoder, transform)
    _write_decoder(codec.decoder, transform)
    _fit_codebooks(codec, windows @ transform, seed)
    return codec, transform


def windowed_frames(samples: np.ndarray) -> torch.Tensor:
    """Sine-windowed stretches of two frames, each centred on its codec frame: (frames, 1280).

    Both ends are padded with copies of the outermost 32 samples, as the strided convolutions' "replicate" does.
    """
    copies = synth.FRAME // 2 // OUTER
    padded = np.concatenate([np.tile(samples[:OUTER], copies), samples, np.tile(samples[-OUTER:], copies)])
    return torch.from_numpy(np.lib.stride_tricks.sliding_window_view(padded, 2 * synth.FRAME)[:: synth.FRAME] * WINDOW)


def principal_components(windows: torch.Tensor, count: int) -> torch.Tensor:
    """The orthonormal directions of most energy of windowed frames: (1280, count)."""
    _, directions = torch.linalg.eigh((windows.T @ windows).double())
    return directions.flip(1)[:, :count].float()


def _set_weight(conv: Any, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
    """Writes a weight-normalised convolution in fp16 precision; rows of zeros get gain 0 and any direction."""
    gain = weight.flatten(1).norm(dim=1).half().float()
    direction = torch.where(gain[:, None, None] > 0, weight, torch.ones_like(weight))
    conv.parametrizations.weight.original0.copy_(gain[:, None, None])
    conv.parametrizations.weight.original1.copy_(direction.half().float())
    conv.bias.copy_(torch.zeros_like(conv.bias) if bias is None else bias.half().float())


def _deal_out(conv: Any, bias: torch.Tensor | None = None) -> None:
    """Makes the outer strided convolution a rearrangement: channel c <-> sample c of each block of 32."""
    weight = torch.zeros_like(conv.weight)
    for channel in range(OUTER):
        weight[channel, 0, OUTER // 2 + channel] = 1
    _set_weight(conv, weight, bias)


def _blocks(transform: torch.Tensor) -> torch.Tensor:
    """The windowed transform by component, sample within a block, and block: (components, 32, 40)."""
    windowed = transform * torch.from_numpy(WINDOW)[:, None]
    return windowed.T.reshape(COMPONENTS, 2 * INNER, OUTER).transpose(1, 2)


def _write_encoder(encoder: Any, transform: torch.Tensor) -> None:
    first, _, outer, _, inner, lstm, _, last = encoder.layers
    _zero_parameters(lstm)

    weight = torch.zeros_like(first.conv.weight)
    weight[0] = 1
    _set_weight(first.conv, weight, torch.full_like(first.conv.bias, SHIFT))
    _deal_out(outer.conv)

    weight = torch.zeros_like(inner.conv.weight)  # (128, 64, 40)
    weight[:COMPONENTS, :OUTER] = _blocks(transform) / LATENT_SCALE
    _set_weight(inner.conv, weight)
    inner.conv.bias.copy_((1 - SHIFT * inner.conv.weight.sum((1, 2))).half().float())

    # The spare channels hold the constant 1: through them what rounding left of the shift is taken out of silence.
    weight = torch.zeros_like(last.conv.weight)
    weight[:, :COMPONENTS, 0] = LATENT_SCALE * torch.eye(COMPONENTS)
    _set_weight(last.conv, weight, torch.full_like(last.conv.bias, -LATENT_SCALE))
    weight[:, COMPONENTS, 0] = -encoder(torch.zeros(1, 1, 4 * synth.FRAME))[0, :, 1]
    _set_weight(last.conv, weight, torch.full_like(last.conv.bias, -LATENT_SCALE))


def _write_decoder(decoder: Any, transform: torch.Tensor) -> None:
    first, lstm, _, inner, _, outer, _, last = decoder.layers
    _zero_parameters(lstm)

    weight = torch.zeros_like(first.conv.weight)  # two spare channels stay at the constant 1
    weight[:COMPONENTS, :, 0] = torch.eye(COMPONENTS) / LATENT_SCALE
    _set_weight(first.conv, weight, torch.ones_like(first.conv.bias))

    # The latents' shift differs along the window, which no bias can undo: the spare channels do, the second one
    # what the first leaves over after rounding.
    weight = torch.zeros_like(inner.conv.weight)  # (128, 64, 40)
    weight[:COMPONENTS, :OUTER] = _blocks(transform) * LATENT_SCALE
    for spare in range(COMPONENTS, len(weight)):
        _set_weight(inner.conv, weight)
        weight[spare] = -inner.conv.weight.sum(0)
    _set_weight(inner.conv, weight, torch.full_like(inner.conv.bias, SHIFT))

    _deal_out(outer.conv)
    weight = torch.zeros_like(last.conv.weight)
    weight[0, 0, 0] = 1
    _set_weight(last.conv, weight, torch.full_like(last.conv.bias, -SHIFT))


def _zero_parameters(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        parameter.zero_()


def _fit_codebooks(codec: Any, latents: torch.Tensor, seed: int) -> None:
    residual = latents.clone()
    for layer in codec.quantizer.layers:
        centres = k_means(residual, CODEBOOK_SIZE, seed).half().float()
        layer.codebook.embed.copy_(centres)
        layer.codebook.embed_avg.copy_(centres)
        layer.codebook.cluster_size.fill_(1)
        residual = residual - centres[_nearest(residual, centres)]


def _nearest(points: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    return torch.cat([(2 * part @ centres.T - (centres**2).sum(1)).argmax(1) for part in points.split(8192)])


def k_means(points: torch.Tensor, count: int, seed: int, rounds: int = 20) -> torch.Tensor:
    """Centres (count, dim) of Lloyd's algorithm; a centre that owns nothing restarts at a badly served point."""
    generator = torch.Generator().manual_seed(seed)
    centres = points[torch.randperm(len(points), generator=generator)[:count]].clone()
    for _ in range(rounds):
        owner = _nearest(points, centres)
        owned = torch.bincount(owner, minlength=count)
        sums = torch.zeros_like(centres).index_add_(0, owner, points)
        error = ((points - centres[owner]) ** 2).sum(1)
        centres = sums / owned.clamp(min=1)[:, None]
        unused = torch.nonzero(owned == 0)[:, 0]
        if len(unused):
            centres[unused] = points[torch.multinomial(error + 1e-9, len(unused), generator=generator)]
    return centres


def encode(codec: EncodecModel, transform: torch.Tensor, samples: np.ndarray) -> torch.Tensor:
    """Codes of a clip, (codebooks, frames): what `codec.encode` gives, at a tenth of its cost."""
    latents = (windowed_frames(samples) @ transform).T[None]
    return codec.quantizer.encode(latents)[:, 0]


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB of two signals of one shape."""
    target = (estimate @ reference) / (reference @ reference) * reference
    return float(10 * np.log10((target @ target) / ((estimate - target) @ (estimate - target))))
