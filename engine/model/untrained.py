"""MusicGen of the real classes and sizes with random weights: for measuring, where no model need be fetched."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import (
    EncodecConfig,
    EncodecModel,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5Config,
    T5EncoderModel,
)
from transformers.models.musicgen.modeling_musicgen import MusicgenForCausalLM

SIZES: dict[str, dict[str, Any]] = {
    "mid": {
        "text": (512, 4, 8),
        "decoder": {"hidden_size": 512, "ffn_dim": 2048, "num_hidden_layers": 8, "num_attention_heads": 8},
    },
    "small": {"text": (768, 12, 12), "decoder": {}},
}
"""T5's width, layers and heads, and what the decoder's configuration changes from that of musicgen-small."""


def whole(size: str) -> Any:
    """A model of the size in fp32 and eval mode, on the CPU; the same weights at every call."""
    torch.manual_seed(0)
    width, layers, heads = SIZES[size]["text"]
    text = T5EncoderModel(T5Config(d_model=width, num_layers=layers, num_heads=heads, d_ff=4 * width))
    audio = EncodecModel(codec_config())
    causal = MusicgenForCausalLM(MusicgenDecoderConfig(**SIZES[size]["decoder"]))
    config = MusicgenConfig(
        text_encoder=text.config.to_dict(), audio_encoder=audio.config.to_dict(), decoder=causal.config.to_dict()
    )
    model = MusicgenForConditionalGeneration(config, text_encoder=text, audio_encoder=audio, decoder=causal)
    pad = causal.config.pad_token_id
    model.generation_config.update(pad_token_id=pad, bos_token_id=pad, decoder_start_token_id=pad)
    return model.eval()


def decoder(device: torch.device, layers: int = 24) -> tuple[Any, nn.Module]:
    """Decoder of musicgen-small in fp32, drawn on ``device``, and its text projection."""
    torch.manual_seed(0)
    with torch.device(device):
        causal = MusicgenForCausalLM(MusicgenDecoderConfig(num_hidden_layers=layers)).eval()
        projection = nn.Linear(SIZES["small"]["text"][0], causal.config.hidden_size)
    # Tables that are computed, and not drawn, must not stay behind on the CPU.
    return causal.to(device), projection.requires_grad_(False)


def codec_config() -> EncodecConfig:
    """EnCodec of all MusicGens: 32 kHz, 50 frames a second, four codebooks of 2048."""
    return EncodecConfig(
        sampling_rate=32000, upsampling_ratios=[8, 5, 4, 4], num_filters=64, codebook_size=2048, normalize=False,
        hidden_size=128, codebook_dim=128, target_bandwidths=[2.2],
    )  # fmt: skip


def codec() -> Any:
    """EnCodec in fp32 and eval mode, on the CPU, with codebooks that tell its sounds apart.

    Their class leaves them at zero. Here they spread as what the encoder says of noise, and of what is left of it.
    """
    torch.manual_seed(0)
    model = EncodecModel(codec_config()).eval()
    with torch.no_grad():
        left = model.encoder(0.1 * torch.randn(1, 1, model.config.sampling_rate))
        for quantizer in model.quantizer.layers:
            codebook = quantizer.codebook.embed
            codebook.copy_(left.mean(2) + left.std(2) * torch.randn_like(codebook))
            left = left - quantizer.decode(quantizer.encode(left))
    return model


def decoder_sizes() -> dict[str, Any]:
    """Of musicgen-small's decoder."""
    return MusicgenDecoderConfig().to_dict()
