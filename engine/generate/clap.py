"""How well a clip fits its prompt, by a CLAP model of the user's choice (setting evaluate.clap_model)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.contract.errors import UserError
from engine.data.audio import resample
from engine.model import damage, load


class Scorer:
    """Cosine similarity of a clip's and a text's CLAP embeddings, -1 to 1."""

    def __init__(self, name: str) -> None:
        """Load the model ``name`` (hub name or folder) on the CPU. Raises UserError when that is not possible."""
        from transformers import ClapModel, ClapProcessor

        try:
            self.model: Any = load.complete(ClapModel, name).eval()
            self.processor: Any = ClapProcessor.from_pretrained(name)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"evaluate.clap_model = {name!r} cannot be loaded ({damage.reason(error)}); name a CLAP model, or "
                "leave it empty."
            ) from None
        self.rate: int = self.processor.feature_extractor.sampling_rate

    @torch.no_grad()
    def score(self, audio: np.ndarray, rate: int, text: str) -> float:
        """Of audio (channels, samples) and its prompt. The clip's middle counts where it is longer than the model's."""
        mono = resample(audio.mean(axis=0, keepdims=True).astype(np.float32), rate, self.rate)[0]
        longest = self.processor.feature_extractor.nb_max_samples
        start = max(0, (len(mono) - longest) // 2)
        inputs = self.processor(
            text=[text],
            audio=[mono[start : start + longest]],
            sampling_rate=self.rate,
            return_tensors="pt",
            padding=True,
        )
        outputs = self.model(**inputs)
        return round(float(torch.cosine_similarity(outputs.audio_embeds, outputs.text_embeds)), 4)
