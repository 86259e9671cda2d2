import stat

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, MusicgenForConditionalGeneration

from engine.demo import codec as demo_codec
from engine.demo import corpus, model_path, synth
from engine.model import forward, load, loss


@pytest.fixture(scope="module")
def model():
    return load.load_base(model_path(), device="cpu", dtype=torch.float32)


def test_the_folder_is_small_readable_and_tells_what_it_is():
    files = list(model_path().iterdir())
    assert sum(file.stat().st_size for file in files if file.suffix != ".png") <= 12_000_000
    assert all(file.stat().st_mode & stat.S_IROTH for file in files)
    card = (model_path() / "README.md").read_text(encoding="utf-8")
    assert "MIT" in card


def test_plain_transformers_makes_sound_of_a_prompt():
    model = MusicgenForConditionalGeneration.from_pretrained(model_path(), dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(model_path())
    inputs = processor(text=["slow solo piano"], padding=True, return_tensors="pt")
    torch.manual_seed(0)
    audio = model.generate(**inputs, max_new_tokens=53)
    assert audio.shape == (1, 1, 50 * synth.FRAME)
    assert 0.01 < audio.std() < 0.5


@torch.no_grad()
def test_the_shipped_codec_reconstructs_every_style(model):
    for clip in corpus.codec_clips()[::80]:
        samples = synth.render(clip, frames=100)
        codes = model.audio_encoder.encode(torch.from_numpy(samples)[None, None]).audio_codes
        copy = model.audio_encoder.decode(codes, [None]).audio_values[0, 0].numpy()
        assert demo_codec.si_sdr(samples, copy) > 10, clip


def opening_loss(model, tokenizer, codes, captions):
    inputs, labels = loss.sequences(codes, torch.full((len(codes),), codes.shape[-1]), pad=512)
    states, mask = load.encode_text(model, tokenizer, captions, "cpu")
    logits = forward.logits(model.decoder, inputs, *forward.condition(model.enc_to_dec_proj, states, mask))
    return loss.loss_from_sums(loss.cross_entropy_sums(logits, labels), loss.label_counts(labels)).item()


@torch.no_grad()
def test_the_caption_decides_how_a_clip_begins(model):
    asked = corpus.held_out_prompts()[::4]
    samples = np.stack([synth.render(clip, frames=16) for clip, _ in asked])
    codes = model.audio_encoder.encode(torch.from_numpy(samples)[:, None]).audio_codes[0]
    tokenizer = load.load_tokenizer(model_path())
    captions = [text for _, text in asked]
    right = opening_loss(model, tokenizer, codes, captions)
    wrong = opening_loss(model, tokenizer, codes, captions[1:] + captions[:1])
    assert right < wrong - 0.2
