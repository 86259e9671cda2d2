"""Adapters: attach, save, merge, compare. PEFT's format, on the decoder alone."""

from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from msgspec import Meta
from torch import nn

from engine.contract import config, typed
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir, open_run, write_atomically
from engine.model import foreign_kinds
from engine.model.load import load_base, load_tokenizer, quiet, refuse_incomplete, resolve_base
from engine.model.targets import refuse_strangers

WEIGHTS = "adapter_model.safetensors"
OLD_WEIGHTS = "adapter_model.bin"
_OUTSIDE = "base_model.model."
"""What PEFT puts before the names of the decoder's modules."""
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")


def attach(decoder: nn.Module, lora: config.Lora, seed: int = 0) -> Any:
    """The decoder as a PeftModel with new adapters in fp32; only they require gradients.

    ``seed`` alone decides their first values. Raises UserError when a target module does not exist.
    """
    from peft import LoraConfig, get_peft_model

    known = {name.rsplit(".", 1)[-1] for name, module in decoder.named_modules() if isinstance(module, nn.Linear)}
    refuse_strangers(lora.target_modules, {name for name in known if not name.isdigit()})
    settings = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        use_rslora=lora.rslora,
        bias="none",
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft asks transformers by a name that transformers has deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(seed)
        adapted = get_peft_model(decoder, settings, autocast_adapter_dtype=True)
    return adapted


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name -> parameter of all that is trained, in a fixed order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def save(adapted: Any, folder: Path, *, base: str, card: str = "") -> None:
    """Write an adapter folder that PeftModel.from_pretrained loads, whole or not at all.

    ``base`` is recorded as base_model_name_or_path; ``card`` is the text of README.md. Raises OSError when the disk
    is full; what was in ``folder`` before is then still there.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder = Path(folder)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        weights = get_peft_model_state_dict(adapted, save_embedding_layers=False)
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, part / WEIGHTS, {"format": "pt"})
        record = adapted.peft_config["default"].to_dict()
        record |= {"base_model_name_or_path": base, "inference_mode": True}
        record["target_modules"] = sorted(record["target_modules"])
        (part / "adapter_config.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
        (part / "README.md").write_text(card or f"LoRA adapter for the decoder of {base}.\n", encoding="utf-8")
        _publish(part, folder)
    except Exception as error:
        raise OSError(f"{folder} could not be saved ({getattr(error, 'strerror', None) or error})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def starting_point(run: RunDir, name: str) -> Path | None:
    """Folder of the adapter that ``lora.start_from`` names; None for an empty name.

    Raises UserError for a run or a folder that is not there.
    """
    if not name:
        return None
    sibling, colon, which = name.rpartition(":")
    if colon and which in ("best", "final") and "/" not in name:
        other = open_run(run.path.parent / sibling)
        folder = other.best_model if which == "best" else other.final_model
    else:
        folder = Path(name)
    _adapter_config(folder)
    return folder


def refuse_other_shape(folder: Path, wanted: config.Lora) -> None:
    """Raises UserError when an adapter's rank, scale or layers are not those of the settings."""
    there = _adapter_config(folder)
    targets = there.get("target_modules")
    found = {
        "rank": there.get("r"), "alpha": there.get("lora_alpha"), "rslora": bool(there.get("use_rslora")),
        "target_modules": sorted(targets) if isinstance(targets, list) else targets,
    }  # fmt: skip
    asked = {
        "rank": wanted.rank, "alpha": wanted.alpha, "rslora": wanted.rslora,
        "target_modules": sorted(wanted.target_modules),
    }  # fmt: skip
    for name, value in asked.items():
        if found[name] != value:
            raise UserError(
                f"lora.{name} is {value} and the adapter {folder} has {found[name]}; "
                "set it to that, or leave lora.start_from empty."
            )


def take_up(adapted: Any, folder: Path) -> None:
    """Load an adapter's weights into a model that has adapters of the same shape. Raises UserError when they differ."""
    from peft import set_peft_model_state_dict

    told: Any = set_peft_model_state_dict(adapted, _tensors(folder))
    missing = [name for name in told.missing_keys if ".lora_" in name]
    if missing:
        raise UserError(f"The adapter {folder} lacks {len(missing)} of this model's layers, such as {missing[0]}.")


def flush(folder: Path) -> None:
    """Bring all files of a new folder to disk, so that a rename never makes an empty file public."""
    for path in folder.rglob("*"):
        if path.is_file():
            # save_pretrained keeps weights private to the user; a run folder is meant to be shared.
            path.chmod(0o644)
            with open(path, "rb+") as file:
                os.fsync(file.fileno())


def _publish(part: Path, folder: Path) -> None:
    flush(part)
    if not folder.exists():
        os.replace(part, folder)
        return
    # File by file, the weights last: at no moment is there no adapter, or half a one.
    for path in sorted(part.iterdir(), key=lambda path: path.name == WEIGHTS):
        os.replace(path, folder / path.name)


def fingerprint(folder: Path) -> str:
    """Hash of an adapter folder's weights and scaling: equal when and only when two adapters change a model alike."""
    settings = _adapter_config(folder)
    tensors = _tensors(folder)
    scaling: list[Any] = [settings.get(name) for name in ("r", "lora_alpha", "use_rslora")]
    if foreign_kinds.names_of(settings):
        scaling.append(foreign_kinds.identity(settings))
    return _digest(tensors.items(), json.dumps(scaling))


def weights_fingerprint(model: nn.Module) -> str:
    """Hash of the trained weights of a model in memory."""
    return _digest(((name, parameter.detach()) for name, parameter in trainable(model).items()), "")


def merge_adapter(model: Any, folder: Path) -> Any:
    """Add the adapter in ``folder`` to the decoder of a MusicgenForConditionalGeneration, in place; returns the model.

    Raises UserError for a folder that is no adapter or does not fit the model.
    """
    merge_into(model.decoder, folder)
    return model


def merge_into(decoder: nn.Module, folder: Path, strength: float = 1.0) -> None:
    """Add ``strength`` times the adapter in ``folder`` to the weights of a MusicgenForCausalLM, in place.

    The sum is formed in fp32 and rounded once to the weights' own type. Raises UserError for a folder that is no
    adapter or does not fit the model.
    """
    settings, tensors = _adapter_config(folder), _tensors(folder)
    if foreign_kinds.names_of(settings):
        foreign_kinds.merge(decoder, folder, settings, tensors, strength)
        return
    rank, alpha = settings["r"], settings["lora_alpha"]
    scale = alpha / math.sqrt(rank) if settings.get("use_rslora") else alpha / rank
    modules = {name: module for name, module in decoder.named_modules() if isinstance(module, nn.Linear)}
    pairs: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        target, lora, side = name.removeprefix(_OUTSIDE).partition(".lora_")
        if lora:
            pairs.setdefault(target, {})[side[0]] = tensor.float()
    wanted = {*pairs, *_targets(settings, modules)}
    missing = [f"{name}.lora_{side}" for name in sorted(wanted) for side in "AB" if side not in pairs.get(name, {})]
    refuse_incomplete(f"The adapter {folder}", missing, "Take another model of the run, or this adapter's own base.")
    for target, pair in pairs.items():
        layer, shapes = modules.get(target), (pair["B"].shape, pair["A"].shape)
        if layer is None or shapes != ((layer.out_features, rank), (rank, layer.in_features)):
            raise UserError(f"The adapter {folder} does not fit this base model (at {target}); use its own base.")
    with torch.no_grad():
        for target, pair in pairs.items():
            weight = modules[target].weight
            weight.copy_(weight.float() + (pair["B"] @ pair["A"]).to(weight.device) * (scale * strength))


def _targets(settings: dict[str, Any], modules: Iterable[str]) -> list[str]:
    """The modules that an adapter's config says it is on, where it says so by their names alone."""
    names = settings.get("target_modules")
    if not isinstance(names, list) or settings.get("layers_to_transform") or settings.get("exclude_modules"):
        return []
    return [module for module in modules if any(f".{module}".endswith(f".{name}") for name in names)]


def merge(run: RunDir, which: str, out_dir: Path) -> None:
    """Write a plain MusicGen folder: the run's base with its best or final adapter merged in, in fp32.

    Raises UserError when there is no such adapter, or when ``out_dir`` cannot be written or is not empty.
    """
    folder = {"best": run.best_model, "final": run.final_model}.get(which)
    if folder is None:
        raise UserError(f"There is no model {which!r} to merge; take best or final.")
    out_dir = Path(out_dir)
    _adapter_config(folder)
    try:
        # At once: the model is loaded in vain when there is no place to put it.
        out_dir.mkdir(parents=True, exist_ok=True)
        if any(out_dir.iterdir()):
            raise UserError(f"{out_dir} exists and is not empty; give a new folder.")
        _write_merged(run, folder, out_dir)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"{out_dir} cannot be written ({reason}); give a new folder on a disk with room.") from None


def _write_merged(run: RunDir, folder: Path, out_dir: Path) -> None:
    base = resolve_base(run.settings().model.base)
    model: Any = merge_adapter(load_base(base, device="cpu", dtype=torch.float32), folder)
    with quiet():
        model.save_pretrained(out_dir)
        load_tokenizer(base).save_pretrained(out_dir)
    for name in PROCESSOR_FILES:
        if (base / name).is_file():
            write_atomically(out_dir / name, (base / name).read_bytes())
    flush(out_dir)


def _adapter_config(folder: Path) -> dict[str, Any]:
    file = Path(folder) / "adapter_config.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found.get("peft_type", "LORA") == "LORA":
            typed.convert(found, AdapterConfig)
    except typed.Unreadable as error:
        why = f"{file.name} {error.complaint.what}"
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or f"{file.name} is no JSON"
    else:
        # As it stands, not as the model has it: the fingerprint tells 24 from 24.0.
        return dict(found)
    raise UserError(f"{folder} is no adapter folder ({why}); train the run to its end first.")


class AdapterConfig(msgspec.Struct, kw_only=True):
    """What every adapter must tell; the rest is looked at by who needs it."""

    r: Annotated[int, Meta(ge=1, le=1 << 20)]
    lora_alpha: Annotated[float, Meta(gt=0, le=1e9)]


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    """An adapter's weights by the names they have on the decoder. Raises UserError.

    Adapters of the whole model have them with ``decoder.`` in front; what they change outside the decoder is refused.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        if not (folder / WEIGHTS).exists() and (folder / OLD_WEIGHTS).is_file():
            found = torch.load(folder / OLD_WEIGHTS, map_location="cpu", weights_only=True)
        else:
            found = load_file(folder / WEIGHTS)
        if not isinstance(found, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
            raise ValueError("it holds no weights by name")
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise UserError(
            f"The adapter {folder} is damaged ({reason}); take another model of the run, or train it again."
        ) from None
    if not any(name.startswith(f"{_OUTSIDE}decoder.") for name in found):
        return found
    outside = sorted({name.removeprefix(_OUTSIDE).partition(".")[0] for name in found} - {"decoder"})
    if outside:
        raise UserError(
            f"The adapter {folder} also changes {', '.join(outside)}, and only adapters of the decoder are merged here."
        )
    return {_OUTSIDE + name.removeprefix(f"{_OUTSIDE}decoder."): tensor for name, tensor in found.items()}


def _digest(tensors: Iterable[tuple[str, torch.Tensor]], extra: str) -> str:
    digest = hashlib.sha256(extra.encode())
    for name, tensor in sorted(tensors):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
