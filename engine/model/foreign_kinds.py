"""Adapters of other kinds than plain LoRA: DoRA, patterns of ranks, LoHa, LoKr, (IA)3. PEFT itself merges them."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.contract.errors import UserError

_PLAIN: dict[str, Any] = {
    "peft_type": "LORA", "use_dora": False, "fan_in_fan_out": False, "bias": "none", "rank_pattern": {},
    "alpha_pattern": {}, "modules_to_save": None, "lora_bias": False, "use_qalora": False, "layer_replication": None,
    "trainable_token_indices": None, "target_parameters": None, "alora_invocation_tokens": None,
}  # fmt: skip
"""What an adapter's config says where its update is scale x B A, and nothing more; null says the same."""
_MERGED = {"use_dora", "bias", "rank_pattern", "alpha_pattern", "modules_to_save", "lora_bias"}
"""What PEFT merges exactly."""
_ASIDE = ("base_model_name_or_path", "inference_mode", "revision", "task_type", "auto_mapping", "peft_version")
KINDS = ("LORA", "LOHA", "LOKR", "IA3")


def names_of(settings: dict[str, Any]) -> list[str]:
    """The entries of an adapter's config that make it more than plain LoRA."""
    return [name for name, plain in _PLAIN.items() if settings.get(name, plain) not in (plain, None, {}, [])]


def identity(settings: dict[str, Any]) -> dict[str, Any]:
    """All that an adapter's config says of how it changes a model."""
    return {name: settings[name] for name in sorted(settings) if name not in _ASIDE}


def merge(
    decoder: nn.Module, folder: Path, settings: dict[str, Any], tensors: dict[str, torch.Tensor], strength: float
) -> None:
    """Add ``strength`` times what an adapter changes to the decoder's weights, in place.

    Raises UserError for a kind that cannot be merged exactly, and for an adapter that does not fit.
    """
    strange = [name for name in names_of(settings) if name not in (*_MERGED, "peft_type")]
    if settings.get("peft_type", "LORA") not in KINDS:
        strange.append(f"peft_type {settings['peft_type']}")
    if strange:
        raise UserError(f"The adapter {folder} uses {', '.join(strange)}, which is not merged here; use another kind.")
    before = {name: value.detach().clone() for name, value in decoder.state_dict().items()}
    after = _merged(decoder, folder, settings, tensors)
    if after.keys() != before.keys():
        raise UserError(f"The adapter {folder} adds layers to the model, which is not merged here; use another kind.")
    if all(torch.equal(before[name], value) for name, value in after.items()):
        raise UserError(f"The adapter {folder} changes nothing in this base model; use its own base.")
    with torch.no_grad():
        for name, value in decoder.state_dict().items():
            value.copy_(before[name] + strength * (after[name] - before[name]) if strength != 1 else after[name])


def _merged(
    decoder: nn.Module, folder: Path, settings: dict[str, Any], tensors: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The weights with all of the adapter in them, by PEFT's own merge; the decoder's modules are then its own again.

    The adapter is written anew beside, with the names that it has on the decoder.
    """
    from peft import PeftModel
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, Path(place, "adapter_model.safetensors")
        )
        Path(place, "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": None}))
        try:
            whole: Any = PeftModel.from_pretrained(decoder, place)
            merged = whole.merge_and_unload(safe_merge=True)
        except (ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"The adapter {folder} does not fit this base model ({reason}); use its own base."
            ) from None
    if missing := next((str(each.message) for each in told if "missing adapter keys" in str(each.message)), ""):
        raise UserError(f"The adapter {folder} lacks some of its weights ({missing[:160]}); fetch it again.")
    return {name: value.detach().clone() for name, value in merged.state_dict().items()}
