"""Loading the base model: whole, or one of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.contract.errors import UserError
from engine.model.locate import resolve_base

__all__ = [
    "encode_text",
    "load_audio_encoder",
    "load_base",
    "load_config",
    "load_decoder",
    "load_text_encoder",
    "load_tokenizer",
    "quiet",
    "resolve_base",
]


def load_base(path: Path | str, *, device: torch.device | str, dtype: torch.dtype) -> Any:
    """The whole MusicgenForConditionalGeneration in eval mode; the decoder in ``dtype``, EnCodec and T5 in fp32."""
    from transformers import MusicgenForConditionalGeneration

    model: Any
    with quiet(), _named(path):
        model = MusicgenForConditionalGeneration.from_pretrained(str(path), dtype=torch.float32, local_files_only=True)
    model.decoder.to(dtype)
    _complete_config(model.config)
    return model.to(device).eval()


def load_decoder(path: Path | str, *, device: torch.device | str, dtype: torch.dtype) -> tuple[Any, nn.Module]:
    """Decoder (MusicgenForCausalLM, eval, in ``dtype``) and text projection (fp32) alone: no T5, no EnCodec in memory.

    The projection maps text states (..., d_text) to (..., d_decoder); an Identity where the sizes agree.
    """
    from transformers import MusicgenForCausalLM

    if not list(Path(path).glob("*.safetensors")):
        # A pickled file is read whole in any case.
        model = load_base(path, device=device, dtype=dtype)
        return model.decoder, getattr(model, "enc_to_dec_proj", nn.Identity())
    decoder = _part("decoder", MusicgenForCausalLM, path, device, dtype)
    with _named(path):
        projection = _projection(Path(path))
    return decoder, projection.to(device).eval()


def load_audio_encoder(path: Path | str, *, device: torch.device | str) -> Any:
    """EnCodec alone, eval, fp32."""
    from transformers import EncodecModel

    return _part("audio_encoder", EncodecModel, path, device, torch.float32)


def load_text_encoder(path: Path | str, *, device: torch.device | str) -> Any:
    """T5's encoder alone, eval, fp32."""
    from transformers import T5EncoderModel

    return _part("text_encoder", T5EncoderModel, path, device, torch.float32)


def _part(name: str, kind: Any, path: Path | str, device: torch.device | str, dtype: torch.dtype) -> Any:
    if not list(Path(path).glob("*.safetensors")):
        return getattr(load_base(path, device=device, dtype=dtype), name)
    config = load_config(path)
    with quiet(), _named(path):
        part = kind.from_pretrained(
            str(path),
            config=getattr(config, name),
            key_mapping={rf"^{name}\.": ""},
            dtype=dtype,
            local_files_only=True,
        )
    return part.to(device).eval()


def load_config(path: Path | str) -> Any:
    """The MusicgenConfig of a model folder, with the token ids that hub configs leave out."""
    from transformers import MusicgenConfig

    with quiet(), _named(path):
        config = MusicgenConfig.from_pretrained(str(path), local_files_only=True)
    _complete_config(config)
    return config


def load_tokenizer(path: Path | str) -> Any:
    """The text tokenizer of a model folder."""
    from transformers import AutoTokenizer

    with quiet(), _named(path):
        return AutoTokenizer.from_pretrained(str(path), local_files_only=True)


@torch.no_grad()
def encode_text(
    model: Any, tokenizer: Any, texts: Sequence[str], device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """T5's states (B, L, d_text) in fp32, before the projection, and the mask (B, L) that is 1 at real tokens.

    ``model`` is a whole MusicGen or its text encoder.
    """
    encoder = getattr(model, "text_encoder", model)
    window = min(tokenizer.model_max_length, 512)
    tokens = tokenizer(list(texts), padding=True, truncation=True, max_length=window, return_tensors="pt").to(device)
    # T5 overflows in fp16: autocast of the caller must not reach it.
    with torch.autocast(torch.device(device).type, enabled=False):
        states = encoder(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
    return states.float(), tokens.attention_mask


def _projection(path: Path) -> nn.Module:
    from safetensors import safe_open

    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            if "enc_to_dec_proj.weight" in set(tensors.keys()):
                weight = tensors.get_tensor("enc_to_dec_proj.weight").float()
                layer = nn.Linear(weight.shape[1], weight.shape[0])
                layer.load_state_dict({"weight": weight, "bias": tensors.get_tensor("enc_to_dec_proj.bias").float()})
                return layer
    return nn.Identity()


def _complete_config(config: Any) -> None:
    # Hub configs leave these null, and forward and generate then fail; the pad id starts every sequence.
    for part in (config, config.decoder):
        for name in ("pad_token_id", "bos_token_id", "decoder_start_token_id"):
            if getattr(part, name, None) is None:
                setattr(part, name, config.decoder.vocab_size)


class _named:
    """Turns what from_pretrained raises for a damaged folder into one sentence."""

    def __init__(self, path: Path | str) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, (UserError, torch.OutOfMemoryError)):
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(f"The model in {self.path} cannot be loaded: {reason}. Fetch or copy it again.") from error


class quiet:
    """Keeps transformers' load report and bars off the log: what is unexpected here is expected by us."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        self.logging, self.verbosity = logging, logging.get_verbosity()
        self.bars = logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        self.logging.set_verbosity(self.verbosity)
        if self.bars:
            self.logging.enable_progress_bar()
