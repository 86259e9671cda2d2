"""The model card of an adapter."""

from __future__ import annotations

from engine.contract import config
from engine.data.dataset import Dataset
from engine.train.checkpoint import Progress

_PUBLISHED = ("cc-by-nc-4.0", "MusicGen's own weights are published under CC-BY-NC 4.0; an adapter is bound by that.")
_EMBEDDED = ("mit", "the embedded demo model is this project's own work, under its MIT licence.")


def text(settings: config.Settings, data: Dataset, progress: Progress, which: str, versions: dict[str, str]) -> str:
    """README.md of best_model or final_model: what it is, on what it was trained, how it did, its licence."""
    step = progress.best_step if which == "best" else progress.step
    losses = {"base model": progress.base_loss, "best model": progress.best_loss}
    shown = "\n".join(f"- {name}: {loss:.4f}" for name, loss in losses.items() if loss is not None)
    licence, why = _EMBEDDED if settings.model.base == "demo" else _PUBLISHED
    return f"""---
library_name: peft
base_model: {settings.model.base}
license: {licence}
tags: [musicgen, lora, text-to-audio]
---
# LoRA adapter for {settings.model.base}, {which} of its run

Weights after optimizer step {step}.

Valid loss (mean cross-entropy per codebook, nats; {len(data.valid)} clips):
{shown}

{_start(settings)}Trained on {len(data.train)} clips of {settings.data.duration:g} s.
Data fingerprint: `{data.fingerprint}`.

Licence of the base weights: {why}

```python
from peft import PeftModel
from transformers import MusicgenForConditionalGeneration

model = MusicgenForConditionalGeneration.from_pretrained({settings.model.base!r})
model.decoder = PeftModel.from_pretrained(model.decoder, "this folder").merge_and_unload()
```

Versions: {", ".join(f"{name} {version}" for name, version in versions.items())}.

Settings:
```toml
{config.dumps(settings)}```
"""


def _start(settings: config.Settings) -> str:
    return f"Training went on from the adapter `{settings.lora.start_from}`.\n\n" if settings.lora.start_from else ""
