"""The course of a run in steps: how many, where the warm-up ends, which learning rate. Arithmetic on settings alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.contract import config
from engine.contract.errors import UserError

LONGEST_AUTO_WARMUP = 50
AUTO_WARMUP_SHARE = 0.08
AUTO_VALIDATIONS = 10


@dataclass(frozen=True)
class Plan:
    """The course of a run, in optimizer steps."""

    effective_batch: int
    """Clips of one optimizer step; the last step of an epoch takes what is left."""
    steps_per_epoch: int
    total_steps: int
    warmup_steps: int
    """Steps until the learning rate is at its peak; below total_steps."""
    validate_every: int
    checkpoints: int
    """Checkpoints that save_steps brings before the end; the last step is always saved."""


def plan(settings: config.Settings, train_clips: int) -> Plan:
    """The course of a run on ``train_clips`` clips.

    Raises UserError when there are no clips, or when the warm-up cannot end (with a number that would do).
    """
    train = settings.train
    if train_clips < 1:
        raise UserError("There is no training clip; the metadata names none in its train split.")
    effective = train.batch_size * train.gradient_accumulation_steps
    per_epoch = math.ceil(train_clips / effective)
    total = per_epoch * train.epochs
    return Plan(
        effective_batch=effective,
        steps_per_epoch=per_epoch,
        total_steps=total,
        warmup_steps=_warmup(train, total),
        validate_every=(
            max(1, round(total / AUTO_VALIDATIONS)) if train.validate_steps == "auto" else train.validate_steps
        ),
        checkpoints=(total - 1) // train.save_steps,
    )


def auto_warmup(total_steps: int) -> int:
    """50 steps, or 8 % of the steps if that is less; 0 for a run of a few steps."""
    return min(LONGEST_AUTO_WARMUP, int(total_steps * AUTO_WARMUP_SHARE))


def _warmup(train: config.Train, total: int) -> int:
    if train.warmup_steps == "auto":
        return auto_warmup(total)
    if train.warmup_steps >= total:
        raise UserError(
            f"train.warmup_steps = {train.warmup_steps} cannot end in a run of {total} "
            f"step{'s' if total > 1 else ''}: the learning rate would never get up. "
            f'Set it to {auto_warmup(total)}, or to "auto".'
        )
    return train.warmup_steps


def learning_rate(train: config.Train, plan: Plan, step: int) -> float:
    """Learning rate of optimizer step ``step``, from 1 to total_steps; the last warm-up step has the peak."""
    if step <= plan.warmup_steps:
        return train.learning_rate * step / plan.warmup_steps
    if train.schedule == "constant":
        return train.learning_rate
    # The step after the last would have 0, so that no step is spent on nothing.
    first = max(plan.warmup_steps, 1)
    progress = (step - first) / (plan.total_steps + 1 - first)
    fraction = 1 - progress if train.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * progress))
    return train.learning_rate * max(0.0, fraction)
