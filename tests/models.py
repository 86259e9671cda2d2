"""A MusicGen of the real classes at a size that tests can afford; its weights are random."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    EncodecConfig,
    EncodecFeatureExtractor,
    EncodecModel,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    MusicgenProcessor,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)
from transformers.models.musicgen.modeling_musicgen import MusicgenForCausalLM

CODEBOOK_SIZE = 64


def build_tiny(folder: Path, *, channels: int = 1, seed: int = 0) -> Path:
    """Save a model that ``from_pretrained`` loads: 16 kHz, 25 frames a second, 4 codebooks of 64 a channel."""
    torch.manual_seed(seed)
    codec = EncodecModel(
        EncodecConfig(
            sampling_rate=16000, audio_channels=1, normalize=False, target_bandwidths=[0.6], upsampling_ratios=[32, 20],
            num_filters=4, hidden_size=16, codebook_dim=16, codebook_size=CODEBOOK_SIZE, num_lstm_layers=1,
        )
    )  # fmt: skip
    for quantizer in codec.quantizer.layers:
        torch.nn.init.normal_(quantizer.codebook.embed, std=0.1)
    text = T5EncoderModel(T5Config(vocab_size=64, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2))
    decoder = MusicgenForCausalLM(
        MusicgenDecoderConfig(
            vocab_size=CODEBOOK_SIZE, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=2,
            num_codebooks=4 * channels, audio_channels=channels, max_position_embeddings=2048, dropout=0.1,
            pad_token_id=CODEBOOK_SIZE, bos_token_id=CODEBOOK_SIZE,
        )
    )  # fmt: skip
    config = MusicgenConfig(
        text_encoder=text.config.to_dict(), audio_encoder=codec.config.to_dict(), decoder=decoder.config.to_dict()
    )
    model = MusicgenForConditionalGeneration(config, text_encoder=text, audio_encoder=codec, decoder=decoder)
    model.generation_config.update(
        do_sample=True, guidance_scale=3.0, max_length=1500, decoder_start_token_id=CODEBOOK_SIZE,
        pad_token_id=CODEBOOK_SIZE, bos_token_id=CODEBOOK_SIZE,
    )  # fmt: skip
    model.save_pretrained(folder)
    MusicgenProcessor(EncodecFeatureExtractor(feature_size=1, sampling_rate=16000), _tokenizer()).save_pretrained(
        folder
    )
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    characters = "abcdefghijklmnopqrstuvwxyz0123456789 ,.-'&/"
    vocabulary = {token: index for index, token in enumerate(["<pad>", "</s>", "<unk>", *characters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    )
