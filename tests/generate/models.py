"""Random models whose output means something, and texts for them."""

from __future__ import annotations

from types import SimpleNamespace
from unittest import mock

import torch
from transformers import MusicgenForConditionalGeneration

from engine.generate.decode import Decoder


def sharpened(model: MusicgenForConditionalGeneration) -> MusicgenForConditionalGeneration:
    """The same random model with large weights: its codes vary, and text and past matter to them."""
    with torch.no_grad():
        for name, weight in model.decoder.named_parameters():
            if weight.dim() == 2:
                weight.mul_(20 if "embed" in name else 8)
    return model.eval()


def decoder_of(model: MusicgenForConditionalGeneration, dtype: torch.dtype | None = None) -> Decoder:
    """Our decoder over the weights of a whole model."""
    return Decoder(model.decoder, model.enc_to_dec_proj, dtype)


def texts(model: MusicgenForConditionalGeneration, prompts: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids, mask and T5 states of random texts of unequal length."""
    generator = torch.Generator().manual_seed(prompts)
    ids = torch.randint(1, 60, (prompts, 9), generator=generator)
    mask = torch.ones_like(ids)
    for row in range(1, prompts):
        mask[row, 9 - row :] = 0
    with torch.no_grad():
        states = model.text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    return ids, mask, states


def adapted(model: MusicgenForConditionalGeneration) -> MusicgenForConditionalGeneration:
    """The model with an unmerged LoRA on its decoder whose update is not zero."""
    from peft import LoraConfig, get_peft_model

    targets = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
    model.decoder = get_peft_model(model.decoder, LoraConfig(r=4, lora_alpha=8, target_modules=targets))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.decoder.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
    return model.eval()


def codes_of_generate(model, ids: torch.Tensor, mask: torch.Tensor, frames: int, guidance: float) -> torch.Tensor:
    """Codes (B, K, frames) that transformers' greedy generate() hands to EnCodec."""
    heard: list[torch.Tensor] = []

    def record(codes: torch.Tensor, audio_scales: object) -> SimpleNamespace:
        heard.append(codes[0])
        return SimpleNamespace(audio_values=torch.zeros(codes.shape[1], 1, 1))

    with mock.patch.object(model.audio_encoder, "decode", record):
        model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=frames + 3, do_sample=False, guidance_scale=guidance
        )
    # In stereo, left and right come one after the other and alternate in the model.
    return torch.stack(heard, dim=2).flatten(1, 2)
