"""Folders laid out as the hub's older ones load to the very model that is saved today."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.model import load

Tensors = dict[str, torch.Tensor]
TOKENS = ("pad_token_id", "bos_token_id", "decoder_start_token_id")
TABLE = "decoder.model.decoder.embed_positions.weights"


def old_weight_norm(tensors: Tensors) -> Tensors:
    """EnCodec's weight norm under the names that it had before torch's parametrizations."""
    for new, old in (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
    ):
        tensors = {name.replace(new, old): tensor for name, tensor in tensors.items()}
    assert any(name.endswith("weight_g") for name in tensors)
    return tensors


def table_in_the_file(tensors: Tensors) -> Tensors:
    """The sinusoidal table saved as a weight; what it holds must not matter, it is computed."""
    return {**tensors, TABLE: torch.zeros(2050, tensors["decoder.model.decoder.embed_tokens.0.weight"].shape[1])}


def embedding_by_its_other_name(tensors: Tensors) -> Tensors:
    """T5's tied embedding under the name of the encoder alone."""
    kept = {name: tensor for name, tensor in tensors.items() if name != "text_encoder.shared.weight"}
    return {**kept, "text_encoder.encoder.embed_tokens.weight": tensors["text_encoder.shared.weight"]}


def both_names_of_the_embedding(tensors: Tensors) -> Tensors:
    return {**tensors, "text_encoder.encoder.embed_tokens.weight": tensors["text_encoder.shared.weight"].clone()}


def in_one_file(folder: Path, tensors: Tensors) -> None:
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def pickled(folder: Path, tensors: Tensors) -> None:
    torch.save(tensors, folder / "pytorch_model.bin")


def sharded(folder: Path, tensors: Tensors) -> None:
    _shards(
        folder, tensors, "model-{}-of-00003.safetensors", lambda part, file: save_file(part, file, {"format": "pt"})
    )


def sharded_and_pickled(folder: Path, tensors: Tensors) -> None:
    _shards(folder, tensors, "pytorch_model-{}-of-00003.bin", torch.save)


def _shards(folder: Path, tensors: Tensors, pattern: str, write: Callable[[Tensors, Path], Any]) -> None:
    names = sorted(tensors)
    files = {name: pattern.format(f"{1 + at % 3:05}") for at, name in enumerate(names)}
    for file in set(files.values()):
        write({name: tensors[name] for name in names if files[name] == file}, folder / file)
    index = "model.safetensors.index.json" if pattern.endswith("safetensors") else "pytorch_model.bin.index.json"
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": files}))


def tokens_are_null(config: dict[str, Any]) -> None:
    for part in (config, config["decoder"]):
        part.update(dict.fromkeys(TOKENS))


LAYOUTS: dict[str, tuple[tuple[Callable[[Tensors], Tensors], ...], Callable[[Path, Tensors], None], bool]] = {
    "old names of weight norm": ((old_weight_norm,), in_one_file, False),
    "the sinusoidal table in the file": ((table_in_the_file,), in_one_file, False),
    "the embedding by its other name": ((embedding_by_its_other_name,), in_one_file, False),
    "the embedding twice": ((both_names_of_the_embedding,), in_one_file, False),
    "pickled": ((), pickled, False),
    "sharded": ((), sharded, False),
    "sharded and pickled": ((), sharded_and_pickled, False),
    "token ids null": ((), in_one_file, True),
    "musicgen-small's": ((old_weight_norm, table_in_the_file, both_names_of_the_embedding), in_one_file, True),
    "musicgen-small's, pickled": ((old_weight_norm, table_in_the_file, both_names_of_the_embedding), pickled, True),
    "musicgen-large's": ((old_weight_norm, table_in_the_file, both_names_of_the_embedding), sharded, True),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_the_model_that_is_saved_today(tiny_model: Path, tmp_path: Path, layout: str) -> None:
    changes, write, null = LAYOUTS[layout]
    folder = shutil.copytree(tiny_model, tmp_path / "hub")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for change in changes:
        tensors = change(tensors)
    write(folder, tensors)
    if null:
        config = json.loads((folder / "config.json").read_text())
        tokens_are_null(config)
        (folder / "config.json").write_text(json.dumps(config))

    today = load.load_base(tiny_model, device="cpu", dtype=torch.float32)
    found = load.load_base(load.resolve_base(str(folder)), device="cpu", dtype=torch.float32)
    decoder, projection = load.load_decoder(folder, device="cpu", dtype=torch.float32)
    parts = {
        "decoder": decoder,
        "enc_to_dec_proj": projection,
        "text_encoder": load.load_text_encoder(folder, device="cpu"),
        "audio_encoder": load.load_audio_encoder(folder, device="cpu"),
    }
    for name, part in parts.items():
        same(part, getattr(today, name))
        same(getattr(found, name), getattr(today, name))
    for name in TOKENS:
        assert getattr(decoder.config, name) == getattr(today.config.decoder, name)


def same(a: torch.nn.Module, b: torch.nn.Module) -> None:
    """Every weight and every buffer, saved or computed, bit for bit."""
    for ours, theirs in (
        (dict(a.named_parameters()), dict(b.named_parameters())),
        (dict(a.named_buffers()), dict(b.named_buffers())),
    ):
        assert ours.keys() == theirs.keys()
        assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
