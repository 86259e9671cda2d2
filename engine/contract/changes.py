"""Which settings a run may change when it is resumed."""

from __future__ import annotations

from engine.contract import config
from engine.contract.errors import UserError

_MAY_CHANGE = (
    "train.micro_batch", "train.gradient_checkpointing", "train.compile", "train.validate_train_sample",
    "train.save_steps", "train.keep_checkpoints", "train.logging_steps", "train.early_stopping", "train.start_gate",
    "train.report_to", "train.device", "data.cache_dir", "data.dir", "data.metadata",
)  # fmt: skip
"""Settings of these sections that a resumed run may change without its curve telling a lie. The data themselves are
compared by fingerprint, so where they lie does not matter."""


def refuse_changes(old: config.Settings, new: config.Settings) -> list[str]:
    """Lines that name each changed setting. Raises UserError for a change with which going on would be a lie."""
    changes = [c for c in config.difference(old, new) if c.name.split(".")[0] in ("model", "data", "lora", "train")]
    lines = [f"{change.name}: {change.old} -> {change.new}" for change in changes]
    refused = [line for change, line in zip(changes, lines, strict=True) if change.name not in _MAY_CHANGE]
    if refused:
        raise UserError(
            f"The run cannot go on with other settings than it began with ({'; '.join(refused)}); "
            "set them back, or start a new run."
        )
    return lines
