"""Trains the demo's decoder and text encoder together on cached codes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import EncodecModel

from engine.demo.corpus import TARGET_SHARE, base_clips, generic_target_clips, held_out_clips, random_caption
from engine.demo.styles import Clip
from engine.model import forward, loss


@dataclass(frozen=True)
class Training:
    """The settings of pretraining."""

    steps: int = 2200
    whole_clips: int = 5
    """Clips of a batch that are trained in full."""
    openings: int = 24
    """Clips of a batch of which only the beginning is trained. Once music plays, it tells its style and tempo itself;
    only at the beginning must the decoder read the caption, and among whole clips it never learns to."""
    opening_frames: int = 48
    learning_rate: float = 2e-3
    warmup_steps: int = 60
    weight_decay: float = 0.01
    text_dropout: float = 0.2
    corrupted_clips: float = 0.5
    """Share of clips whose input codes are partly replaced by random ones, so that a wrong sample does not derail."""
    corruption: float = 0.03
    """Share of replaced codes in such a clip."""
    valid_steps: int = 100
    checkpoint_steps: int = 50
    seed: int = 0


class Corpus:
    """Clips and their codes, and the batches drawn from them."""

    def __init__(self, encode: Callable[[Clip], torch.Tensor]) -> None:
        self.base, self.target, self.valid = base_clips(), generic_target_clips(), held_out_clips()[::5]
        self.codes = {clip: encode(clip) for clip in [*self.base, *self.target, *self.valid]}

    def batch(self, size: int, rng: np.random.Generator) -> tuple[torch.Tensor, list[str]]:
        """Codes (size, K, T) and captions; the target's share is 4 %."""
        clips = []
        for _ in range(size):
            pool = self.target if rng.random() < TARGET_SHARE else self.base
            clips.append(pool[rng.integers(len(pool))])
        return self.stack(clips, rng)

    def stack(self, clips: list[Clip], rng: np.random.Generator) -> tuple[torch.Tensor, list[str]]:
        return torch.stack([self.codes[clip] for clip in clips]).long(), [random_caption(clip, rng) for clip in clips]


def train(
    model: Any,
    tokenizer: Any,
    corpus: Corpus,
    folder: Path,
    settings: Training,
    device: str = "cpu",
) -> None:
    """Trains everything but EnCodec in place; `folder` gets a checkpoint to resume from and log.jsonl."""
    model.to(device)
    parameters = [p for name, p in model.named_parameters() if not name.startswith("audio_encoder")]
    optimizer = torch.optim.AdamW(
        parameters, lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    checkpoint = folder / "checkpoint.pt"
    first = _resume(checkpoint, model, optimizer) if checkpoint.exists() else 0
    started = time.monotonic()
    for step in range(first, settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _schedule(step, settings)
        rng = np.random.default_rng([settings.seed, step])  # by step, so that a resumed run sees the same batches
        means = []
        for clips, frames in ((settings.whole_clips, None), (settings.openings, settings.opening_frames)):
            codes, captions = corpus.batch(clips, rng)
            sums, counts = _losses(model, tokenizer, codes[..., :frames].to(device), captions, rng, settings)
            means.append(loss.loss_from_sums(sums, counts))
            means[-1].backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

        done = step + 1
        record: dict[str, Any] = {
            "step": done,
            "loss": means[0].item(),
            "openings": means[1].item(),
            "grad_norm": norm.item(),
        }
        if done % settings.valid_steps == 0 or done == settings.steps:
            record["valid"] = validate(model, tokenizer, corpus, device).tolist()
        if done % settings.checkpoint_steps == 0 or done == settings.steps:
            _save(checkpoint, model, optimizer, done)
        if done % 10 == 0 or done == settings.steps:
            _report(folder / "log.jsonl", record, (time.monotonic() - started) / (done - first), settings.steps)


def _schedule(step: int, settings: Training) -> float:
    """Share of the learning rate: linear warm-up, then half a cosine down to 2 %."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))


def _losses(
    model: Any,
    tokenizer: Any,
    codes: torch.Tensor,
    captions: list[str],
    rng: np.random.Generator,
    settings: Training | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy sums and label counts per codebook; without settings nothing is dropped or corrupted."""
    pad = model.config.decoder.pad_token_id
    lengths = torch.full((len(codes),), codes.shape[-1], device=codes.device)
    inputs, labels = loss.sequences(codes, lengths, pad)
    tokens = tokenizer(captions, padding=True, return_tensors="pt").to(codes.device)
    mask = tokens.attention_mask
    if settings is not None:
        mask = mask * torch.from_numpy(rng.random((len(codes), 1)) >= settings.text_dropout).to(mask)
        share = settings.corruption * (rng.random((len(codes), 1, 1)) < settings.corrupted_clips)
        wrong = torch.from_numpy(rng.random(inputs.shape) < share).to(codes.device) & (inputs != pad)
        inputs = torch.where(wrong, torch.from_numpy(rng.integers(0, pad, inputs.shape)).to(inputs), inputs)
    with torch.autocast(codes.device.type, torch.bfloat16):
        states = model.text_encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state
        hidden, attended = forward.condition(model.enc_to_dec_proj, states, mask)
        logits = forward.logits(model.decoder, inputs, hidden, attended)
    return loss.cross_entropy_sums(logits, labels), loss.label_counts(labels)


@torch.no_grad()
def validate(model: Any, tokenizer: Any, corpus: Corpus, device: str) -> torch.Tensor:
    """Loss per codebook (K,) on clips in tempo and key pairs that were held out."""
    rng = np.random.default_rng(0)
    sums, counts = torch.zeros(4, device=device), torch.zeros(4, device=device)
    for start in range(0, len(corpus.valid), 16):
        codes, captions = corpus.stack(corpus.valid[start : start + 16], rng)
        part_sums, part_counts = _losses(model, tokenizer, codes.to(device), captions, rng)
        sums, counts = sums + part_sums, counts + part_counts
    return sums / counts


def _save(file: Path, model: Any, optimizer: torch.optim.Optimizer, step: int) -> None:
    temporary = file.with_suffix(".tmp")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, temporary)
    temporary.replace(file)


def _resume(file: Path, model: Any, optimizer: torch.optim.Optimizer) -> int:
    saved = torch.load(file, map_location=next(model.parameters()).device)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["step"]


def _report(log: Path, record: dict[str, Any], seconds_per_step: float, steps: int) -> None:
    record["seconds_per_step"] = round(seconds_per_step, 3)
    with log.open("a") as file:
        file.write(json.dumps(record) + "\n")
    left = (steps - record["step"]) * seconds_per_step / 60
    losses = f"loss {record['loss']:.3f}  openings {record['openings']:.3f}"
    if "valid" in record:
        losses += f"  valid {sum(record['valid']) / len(record['valid']):.3f}"
    print(
        f"step {record['step']}/{steps}  {losses}  {left:.0f} min left",
        flush=True,
    )


def codec_encoder(codec: EncodecModel, transform: torch.Tensor, frames: int) -> Callable[[Clip], torch.Tensor]:
    """Encodes clips of `frames` codec frames to int16 codes (K, frames)."""
    from engine.demo import codec as demo_codec
    from engine.demo import synth

    return lambda clip: demo_codec.encode(codec, transform, synth.render(clip, frames)).to(torch.int16)
