"""Decoding gives the codes that transformers' generate gives, in the batch or alone, and samples from its law."""

from __future__ import annotations

import pytest
import torch
from transformers import MusicgenForConditionalGeneration

from engine.generate.decode import Decoder, Sampling, to_audio
from tests.models import build_tiny


@pytest.fixture(scope="module", params=["mono", "stereo"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MusicgenForConditionalGeneration:
    torch.set_num_threads(1)
    folder = build_tiny(tmp_path_factory.mktemp("models") / request.param, channels=1 + (request.param == "stereo"))
    return sharpened(MusicgenForConditionalGeneration.from_pretrained(folder))


def sharpened(model: MusicgenForConditionalGeneration) -> MusicgenForConditionalGeneration:
    """The same random model with large weights: its codes vary, and text and past matter to them."""
    with torch.no_grad():
        for name, weight in model.decoder.named_parameters():
            if weight.dim() == 2:
                weight.mul_(20 if "embed" in name else 8)
    return model.eval()


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


def reference(model: MusicgenForConditionalGeneration, ids, mask, frames: int, guidance: float) -> torch.Tensor:
    delay = 3
    return model.generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=frames + delay, do_sample=False, guidance_scale=guidance
    )


@pytest.mark.parametrize("prompts", [1, 8])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("frames", [4, 37, 150])
def test_greedy_decoding_gives_the_audio_of_generate(model, prompts, guidance, frames):
    ids, mask, states = texts(model, prompts)
    sampling = Sampling(guidance_scale=guidance, temperature=0)
    codes = Decoder(model).decode(states, mask, frames, sampling, [0] * prompts)
    audio = reference(model, ids, mask, frames, guidance)
    assert codes.shape == (prompts, model.decoder.config.num_codebooks, frames)
    assert torch.equal(to_audio(model, codes), audio)
    if frames > 100:
        assert codes.unique().numel() > 20  # a model that always says the same would prove little
