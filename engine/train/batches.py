"""Which clips a step takes, in which order, which lose their caption: pure functions of seed and step.

Nothing here depends on what was drawn before, so a resumed run needs no random state to go on exactly, and validation
or sampling in between changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from engine.contract import config
from engine.contract.plan import Plan
from engine.data.dataset import Dataset, Example
from engine.model.loss import sequences

_ORDER, _TEXT, _DROPOUT = range(3)


class Batch(NamedTuple):
    """Clips ready for the decoder: inputs and labels (B, K, T), states (B, L, d_text), mask (B, L)."""

    inputs: torch.Tensor
    labels: torch.Tensor
    states: torch.Tensor
    mask: torch.Tensor

    def part(self, start: int, end: int) -> Batch:
        """Clips ``start`` to ``end``."""
        return Batch(*(tensor[start:end] for tensor in self))

    def to(self, device: torch.device) -> Batch:
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


def indices(clips: int, plan: Plan, seed: int, step: int) -> list[int]:
    """Clips of optimizer step ``step`` (from 1). Every epoch takes each clip once, in an order of its own."""
    epoch, place = divmod(step - 1, plan.steps_per_epoch)
    order = np.random.default_rng([seed, _ORDER, epoch]).permutation(clips)
    return order[place * plan.effective_batch : (place + 1) * plan.effective_batch].tolist()


def without_caption(count: int, train: config.Train, step: int) -> np.ndarray:
    """Which of a step's ``count`` clips are trained on the null condition (count,), bool."""
    return np.random.default_rng([train.seed, _TEXT, step]).random(count) < train.text_dropout


def dropout_seed(seed: int, step: int) -> int:
    """Seed of the dropout masks of a step."""
    return int(np.random.default_rng([seed, _DROPOUT, step]).integers(2**63))


def collate(data: Dataset, examples: list[Example], null: np.ndarray | None = None, text_length: int = 0) -> Batch:
    """Examples as one batch on the CPU; short ones are padded and their padding is masked out of the loss.

    ``null`` (B,) marks clips that get the null condition. Text is padded to the longest caption of the batch, or to
    ``text_length`` where the shape must not change from step to step.
    """
    pad = data.codebook_size
    codes = torch.full((len(examples), len(examples[0].codes), data.frames), pad, dtype=torch.long)
    for row, example in enumerate(examples):
        codes[row, :, : example.codes.shape[1]] = torch.from_numpy(example.codes.astype(np.int64))
    lengths = torch.tensor([example.codes.shape[1] for example in examples])
    texts = [data.states[example.caption] for example in examples]
    length = max([text_length, *(len(text) for text in texts)])
    states = torch.zeros(len(examples), length, texts[0].shape[1])
    mask = torch.zeros(len(examples), length, dtype=torch.long)
    for row, text in enumerate(texts):
        states[row, : len(text)] = text
        mask[row, : len(text)] = 0 if null is not None and null[row] else 1
    return Batch(*sequences(codes, lengths, pad, data.channels), states, mask)
