"""Where the base model is, and loading it: whole, or only the decoder and the projection that training needs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.contract.errors import UserError

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all; may raise to interrupt, what was fetched is kept."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_EXTRAS = (
    "config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "spiece.model",
)  # fmt: skip


def resolve_base(base: str, progress: Progress | None = None) -> Path:
    """Folder of the base model: ``base`` is "demo", a folder, or a hub name, which is fetched when it is not cached.

    Honours HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE. Raises UserError with the reason and the command that helps.
    """
    if base == "demo":
        from engine.demo import model_path

        return checked_folder(model_path())
    if Path(base).is_dir():
        return checked_folder(Path(base))
    if not _HUB_NAME.fullmatch(base):
        raise UserError(
            f"model.base = {base!r} is no folder and no hub name; give a folder that holds config.json and the weights,"
            ' a name such as facebook/musicgen-small, or "demo".'
        )
    return checked_folder(_cached(base) or _fetch(base, progress))


def checked_folder(folder: Path) -> Path:
    """``folder`` if it holds a MusicGen model. Raises UserError otherwise, without loading anything."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder} is no model folder: its config.json cannot be read "
            f"({getattr(error, 'strerror', None) or error}); point model.base at a folder made by save_pretrained."
        ) from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != "musicgen":
        raise UserError(f"{folder} holds a {kind or 'foreign'} model, not MusicGen; choose another model.base.")
    if not any((folder / name).is_file() for name in _WEIGHTS):
        raise UserError(f"{folder} holds no weights (model.safetensors); fetch or copy the model again.")
    return folder


def load_base(path: Path | str, *, device: torch.device | str, dtype: torch.dtype) -> Any:
    """The whole MusicgenForConditionalGeneration in eval mode; the decoder in ``dtype``, EnCodec and T5 in fp32."""
    from transformers import MusicgenForConditionalGeneration

    model: Any
    with _quiet(), _named(path):
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
    from transformers import MusicgenConfig

    if not list(Path(path).glob("*.safetensors")):
        return getattr(load_base(path, device=device, dtype=dtype), name)
    with _quiet(), _named(path):
        config = MusicgenConfig.from_pretrained(str(path), local_files_only=True)
        _complete_config(config)
        part = kind.from_pretrained(
            str(path),
            config=getattr(config, name),
            key_mapping={rf"^{name}\.": ""},
            dtype=dtype,
            local_files_only=True,
        )
    return part.to(device).eval()


def load_tokenizer(path: Path | str) -> Any:
    """The text tokenizer of a model folder."""
    from transformers import AutoTokenizer

    with _quiet(), _named(path):
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


def _cached(base: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for name in _WEIGHTS:
        weights, config = (try_to_load_from_cache(base, file) for file in (name, "config.json"))
        if isinstance(weights, str) and isinstance(config, str) and _shards_are_there(Path(weights)):
            return Path(config).parent
    return None


def _shards_are_there(weights: Path) -> bool:
    if weights.suffix != ".json":
        return True
    shards = set(json.loads(weights.read_text())["weight_map"].values())
    return all((weights.parent / shard).is_file() for shard in shards)


def _fetch(base: str, progress: Progress | None) -> Path:
    from huggingface_hub import HfApi, hf_hub_download

    command = f"hf download {base}"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        raise UserError(
            f"The base model {base} is not in the local cache and HF_HUB_OFFLINE is set; "
            f"unset it, or run `{command}` where there is a network."
        )
    try:
        listed = HfApi().model_info(base, files_metadata=True, timeout=20).siblings or []
        sizes = {file.rfilename: file.size or 0 for file in listed}
        names = _wanted(sizes)
        total, done, folder = sum(sizes[name] for name in names), 0, ""
        for name in names:
            folder = hf_hub_download(base, name, tqdm_class=_reporter(progress, done, total))
            done += sizes[name]
            if progress:
                progress(done, total)
    except UserError:
        raise
    except Exception as error:
        raise _fetch_error(base, command, error) from None
    # The configuration lies at the snapshot's root whatever file came last.
    return Path(folder).parent


def _wanted(sizes: dict[str, int]) -> list[str]:
    """Files to fetch: settings, tokenizer and one form of the weights, small ones first."""
    names = [name for name in _EXTRAS if name in sizes]
    for index in _WEIGHTS:
        if index in sizes:
            pattern = re.compile(r"(pytorch_)?model-\d+-of-\d+" + (r"\.safetensors" if "safe" in index else r"\.bin"))
            shards = [name for name in sizes if pattern.fullmatch(name)] if index.endswith(".json") else []
            return [*names, index, *shards]
    raise UserError("the repository holds no weights that transformers loads")


def _reporter(progress: Progress | None, before: int, total: int) -> type:
    from huggingface_hub.utils import tqdm

    class Reporter(tqdm):  # type: ignore[misc]
        """Passes the bytes of one file on instead of drawing a bar."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})
            self.fetched = kwargs.get("initial") or 0

        def update(self, n: float | None = 1) -> bool | None:
            self.fetched += n or 0
            if progress:
                progress(min(before + int(self.fetched), total), total)
            return None

    return Reporter


def _fetch_error(base: str, command: str, error: Exception) -> UserError:
    name = type(error).__name__
    if isinstance(error, UserError):
        reason = str(error)
    elif "Gated" in name:
        reason = "its licence must be accepted first and a token given (`hf auth login`)"
    elif "RepositoryNotFound" in name:
        reason = "there is no such model, or it is private"
    elif any(word in name for word in ("Connect", "Timeout", "Offline", "Network", "LocalEntryNotFound")):
        reason = "the hub cannot be reached; HF_ENDPOINT may name a mirror"
    else:
        reason = (str(error).strip().splitlines() or [name])[0].rstrip(".")
    return UserError(f"The base model {base} could not be fetched: {reason}. Run `{command}`, then start again.")


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


class _quiet:
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
