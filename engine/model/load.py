"""Loading the base model: whole, or one of its parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.contract.errors import UserError
from engine.memory import ran_out
from engine.model import damage
from engine.model.base import resolve_base
from engine.prove import abilities

__all__ = [
    "complete",
    "encode_text",
    "load_audio_encoder",
    "load_base",
    "load_config",
    "load_decoder",
    "load_text_encoder",
    "load_tokenizer",
    "quiet",
    "refuse_incomplete",
    "resolve_base",
    "text_window",
]


NAMED = 3
"""Names that a message gives of many."""

MAY_BE_ABSENT = re.compile(r"(^|\.)embed_positions\.weights?$")
"""Weights that a file may lack: sinusoidal tables, which are computed. Of tied ones, such as T5's embedding that has
two names, one name is enough."""


def load_base(path: Path | str, *, device: torch.device | str, dtype: torch.dtype) -> Any:
    """The whole MusicgenForConditionalGeneration in eval mode; the decoder in ``dtype``, EnCodec and T5 in fp32."""
    from transformers import MusicgenForConditionalGeneration

    with quiet(), _named(path):
        model = complete(MusicgenForConditionalGeneration, path, dtype=torch.float32, local_files_only=True)
    model.decoder.to(dtype)
    _complete_config(model.config)
    return model.to(device).eval()


def complete(kind: Any, path: Path | str, prefix: str = "", **options: Any) -> Any:
    """What ``kind.from_pretrained`` loads from ``path``, all of it.

    transformers fills what the files lack with random numbers, and says so in a log alone. ``prefix`` stands before
    the names of a part. Raises UserError that names what is missing, or has another shape than the config says.
    """
    model, told = kind.from_pretrained(str(path), output_loading_info=True, ignore_mismatched_sizes=True, **options)
    missing = {prefix + name for name in told["missing_keys"] if not MAY_BE_ABSENT.search(name)}
    _refuse(path, missing, [(prefix + name, *shapes) for name, *shapes in told["mismatched_keys"]])
    return model


def _refuse(path: Path | str, missing: Iterable[str], shapes: Iterable[tuple[str, Any, Any]]) -> None:
    refuse_incomplete(f"The model in {path}", sorted(missing))
    odd = [
        f"{name} {_sizes(found)} instead of {_sizes(wanted)}"
        for name, found, wanted in sorted(shapes)
        if found != wanted
    ]
    if odd:
        raise UserError(f"The model in {path} does not fit its own config.json: {some(odd)}. Fetch or copy it again.")


def refuse_incomplete(what: str, missing: Sequence[str], cure: str = "Fetch or copy it again.") -> None:
    """Raises UserError that says of ``what`` which weights it lacks, if any are ``missing``."""
    if missing:
        raise UserError(f"{what} lacks {len(missing)} of its weights: {some(missing)}. {cure}")


def some(names: Sequence[str]) -> str:
    """The first few of ``names``, and how many more there are."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


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
        projection = _projection(Path(path), load_config(path))
    return decoder, projection.to(device).eval()


def load_audio_encoder(path: Path | str, *, device: torch.device | str) -> Any:
    """EnCodec alone, eval, fp32; on the CPU where this GPU is known to compute it wrongly."""
    from transformers import EncodecModel

    if not abilities.of(torch.device(device)).can("encodec"):
        device = "cpu"
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
        part = complete(
            kind,
            path,
            f"{name}.",
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


def text_window(tokenizer: Any) -> int:
    """Tokens of a text that are read; what comes after is cut off."""
    return min(tokenizer.model_max_length, 512)


@torch.no_grad()
def encode_text(
    model: Any, tokenizer: Any, texts: Sequence[str], device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """T5's states (B, L, d_text) in fp32, before the projection, and the mask (B, L) that is 1 at real tokens.

    ``model`` is a whole MusicGen or its text encoder.
    """
    encoder = getattr(model, "text_encoder", model)
    window = text_window(tokenizer)
    tokens = tokenizer(list(texts), padding=True, truncation=True, max_length=window, return_tensors="pt").to(device)
    # T5 overflows in fp16: autocast of the caller must not reach it.
    with torch.autocast(torch.device(device).type, enabled=False):
        states = encoder(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
    return states.float(), tokens.attention_mask


def _projection(path: Path, config: Any) -> nn.Module:
    from safetensors import safe_open

    inner, outer = config.text_encoder.hidden_size, config.decoder.hidden_size
    if inner == outer or config.decoder.cross_attention_hidden_size is not None:
        return nn.Identity()
    layer = nn.Linear(inner, outer)
    found: dict[str, torch.Tensor] = {}
    names = {f"enc_to_dec_proj.{name}": tensor.shape for name, tensor in layer.state_dict().items()}
    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            found |= {name: tensors.get_tensor(name).float() for name in names.keys() & set(tensors.keys())}
    _refuse(path, names.keys() - found.keys(), [(n, found[n].shape, names[n]) for n in found.keys() & names.keys()])
    layer.load_state_dict({name.rpartition(".")[2]: tensor for name, tensor in found.items()})
    return layer


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
        if isinstance(error, Exception) and not isinstance(error, UserError) and not ran_out(error):
            raise UserError(
                f"The model in {self.path} cannot be loaded: {damage.reason(error)}. Fetch or copy it again."
            ) from error


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
