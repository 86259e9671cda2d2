"""Puts the parts together: tokenizer, an untrained MusicGen around the codec, and the folder that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    EncodecFeatureExtractor,
    EncodecModel,
    GenerationConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    MusicgenProcessor,
    PreTrainedTokenizerFast,
    T5Config,
)

from engine.demo import synth
from engine.demo.codec import CODEBOOK_SIZE, CODEBOOKS
from engine.demo.corpus import all_captions

VOCABULARY = 512


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE of 512 tokens, lower case, trained on the captions; ends every text with </s>."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(all_captions(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=128
    )


def build_model(codec: EncodecModel, seed: int = 0) -> MusicgenForConditionalGeneration:
    """MusicGen around the codec with random text encoder and decoder, without dropout anywhere."""
    torch.manual_seed(seed)
    text = T5Config(
        vocab_size=VOCABULARY,
        d_model=128,
        d_kv=32,
        d_ff=512,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
    )
    decoder = MusicgenDecoderConfig(
        vocab_size=CODEBOOK_SIZE,
        hidden_size=192,
        ffn_dim=768,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_codebooks=CODEBOOKS,
        dropout=0.0,
        initializer_factor=0.06,
        pad_token_id=CODEBOOK_SIZE,
        bos_token_id=CODEBOOK_SIZE,
    )
    config: Any = MusicgenConfig(text_encoder=text, audio_encoder=codec.config, decoder=decoder)
    for part in (config, config.decoder):
        part.decoder_start_token_id = part.pad_token_id = part.bos_token_id = CODEBOOK_SIZE
    model = MusicgenForConditionalGeneration(config)
    for embedding in model.decoder.model.decoder.embed_tokens:
        # As loud as the position embeddings, or the decoder hears only where it is for the first hundreds of steps.
        torch.nn.init.normal_(embedding.weight, std=0.4)
    torch.nn.init.normal_(model.enc_to_dec_proj.weight, std=text.d_model**-0.5)
    model.audio_encoder = codec
    model.audio_encoder.requires_grad_(False)
    model.generation_config = GenerationConfig(
        do_sample=True,
        guidance_scale=2.0,
        top_k=50,
        temperature=0.5,
        max_new_tokens=synth.CLIP_FRAMES + CODEBOOKS - 1,
        decoder_start_token_id=CODEBOOK_SIZE,
        bos_token_id=CODEBOOK_SIZE,
        pad_token_id=CODEBOOK_SIZE,
    )
    return model


def save_folder(model: MusicgenForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes model (fp16), tokenizer and processor for `from_pretrained`, readable by everyone."""
    folder.mkdir(parents=True, exist_ok=True)
    # A copy: the caller goes on in fp32.
    half = MusicgenForConditionalGeneration(model.config)
    half.load_state_dict(model.state_dict())
    half.generation_config = model.generation_config
    half.half().save_pretrained(folder)
    extractor = EncodecFeatureExtractor(feature_size=1, sampling_rate=synth.SAMPLE_RATE, padding_side="left")
    MusicgenProcessor(extractor, tokenizer).save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)
