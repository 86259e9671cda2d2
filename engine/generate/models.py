"""Which models are evaluated: base, best, final, a checkpoint, another run's model, or any adapter folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.contract.errors import UserError
from engine.contract.rundir import RunDir, open_run
from engine.data.cache import Digests
from engine.memory import ran_out
from engine.model import damage, load, lora

DEFAULT = ("base", "best", "final")
_PARTS = ("decoder.", "enc_to_dec_proj.", "text_encoder.", "audio_encoder.")


@dataclass(frozen=True)
class Model:
    """One column of an evaluation. Models of equal ``weights`` sound the same and are made once."""

    name: str
    base: Path
    adapter: Path | None
    weights: str
    """Digest of the base model and of the adapter."""

    @property
    def folder(self) -> str:
        """Folder of its clips inside the evaluation folder."""
        return f"{self.name.replace(':', '-')}_model"

    def decoder(self) -> tuple[Any, torch.nn.Module]:
        """Decoder in fp32 with the adapter merged in, and text projection. Raises UserError naming the model.

        On the CPU, so that a GPU never holds more of the model than what it decodes with.
        """
        decoder, projection = load.load_decoder(self.base, device="cpu", dtype=torch.float32)
        if self.adapter is not None:
            with _naming(self.name, self.adapter):
                lora.merge_into(decoder, self.adapter)
        return decoder, projection


def default_models(run: RunDir) -> tuple[str, ...]:
    """base, best and final; of a run that was stopped before its end, those that it has."""
    has_final, has_best = ((folder / "adapter_config.json").is_file() for folder in (run.final_model, run.best_model))
    return DEFAULT[:2] if has_best and not has_final else DEFAULT


def find(run: RunDir, base: Path, names: Sequence[str], digests: Digests) -> list[Model]:
    """The models of a request, each adapter read once so that a broken one is known before anything is made.

    A name is ``base``, ``best``, ``final``, a checkpoint such as ``step-000200``, ``RUN:best`` for a run beside this
    one (also ``RUN:final`` and ``RUN:step-000200``), or the path of an adapter folder, which is then called
    ``PARENT:FOLDER``. Raises UserError for a name that is none of these and for a model that cannot be read.
    """
    found = [_find(run, base, name, digests) for name in dict.fromkeys(names)]
    return list({model.name: model for model in found}.values())


def _find(run: RunDir, base: Path, name: str, digests: Digests) -> Model:
    if name == "base":
        return Model("base", base, None, base_digest(base, digests))
    if "/" in name:
        folder = Path(name).resolve()
        label = f"{folder.parent.name}:{folder.name}".lstrip(":")
    elif ":" in name:
        other, _, which = name.partition(":")
        sibling = open_run(run.path.parent / other)
        base = load.resolve_base(sibling.settings().model.base)
        folder, label = _folder_in(sibling, which), name
    else:
        folder, label = _folder_in(run, name), name
    with _naming(label, folder):
        weights = f"{base_digest(base, digests)}+{lora.fingerprint(folder)[:16]}"
    return Model(label, base, folder, weights)


def _folder_in(run: RunDir, which: str) -> Path:
    known = {"best": run.best_model, "final": run.final_model}
    checkpoint = run.checkpoints / which
    if which not in known and not checkpoint.is_dir():
        kept = sorted(path.name for path in run.checkpoints.glob("step-*"))
        raise UserError(
            f"The run {run.name} has no model {which!r}; it has base, best, final"
            f"{''.join(f', {name}' for name in kept)}. Another run's model is written RUN:best."
        )
    return known.get(which, checkpoint / "adapter")


def base_digest(base: Path, digests: Digests) -> str:
    """Digest of all weights in a model folder; quick where ``digests`` remembers the files."""
    files = sorted(base.glob("*.safetensors"))
    parts = [digests.of_tensors(file, part) for file in files for part in _PARTS]
    if not files:
        parts = [digests.of_file(file) for file in sorted(base.glob("pytorch_model*.bin"))]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


class _naming:
    """Turns whatever an unreadable adapter raises into one sentence that names the model."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, Exception) and not ran_out(error):
            raise UserError(
                f"The model {self.name} cannot be used: {damage.reason(error)} (in {self.folder})."
            ) from None
