"""Adapters: what is trained, PEFT's format, merging, equality by hash."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from engine.contract import config, rundir
from engine.contract.errors import UserError
from engine.model import load, lora

TARGETS = config.Lora().target_modules


def adapted(model: Path, seed: int = 0, noise: float = 0.0, **changes: Any) -> Any:
    """The tiny decoder with adapters; ``noise`` makes them do something."""
    decoder, _ = load.load_decoder(model, device="cpu", dtype=torch.float32)
    result = lora.attach(decoder.requires_grad_(False), config.Lora(rank=4, **changes), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in lora.trainable(result).values():
            parameter += noise * torch.randn(parameter.shape, generator=generator)
    return result.eval()


def said(decoder: Any) -> torch.Tensor:
    with torch.no_grad():
        ids = torch.arange(4 * 10).reshape(4, 10)
        states = torch.linspace(-1, 1, 3 * 32).reshape(1, 3, 32)
        return decoder(input_ids=ids, encoder_hidden_states=states, use_cache=False).logits


def test_only_adapters_are_trained_and_at_first_they_change_nothing(tiny_model: Path) -> None:
    decoder, _ = load.load_decoder(tiny_model, device="cpu", dtype=torch.float32)
    before = said(decoder)
    model = adapted(tiny_model)
    assert all("lora_" in name for name in lora.trainable(model))
    assert torch.allclose(said(model), before, atol=1e-6)


def test_the_seed_alone_decides_the_first_values(tiny_model: Path) -> None:
    torch.manual_seed(1)
    one = lora.weights_fingerprint(adapted(tiny_model, seed=3))
    torch.manual_seed(2)
    assert lora.weights_fingerprint(adapted(tiny_model, seed=3)) == one
    assert lora.weights_fingerprint(adapted(tiny_model, seed=4)) != one


def test_attaching_leaves_the_random_state_alone(tiny_model: Path) -> None:
    decoder, _ = load.load_decoder(tiny_model, device="cpu", dtype=torch.float32)
    state = torch.get_rng_state()
    lora.attach(decoder, config.Lora(rank=4), 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_small_decoder_gets_the_number_of_parameters_that_the_check_says() -> None:
    from engine.data.resources import SMALL_DECODER, lora_parameters

    assert lora_parameters(SMALL_DECODER, config.Lora()) == 7_667_712


def test_a_target_that_does_not_exist_is_named_with_those_that_do(tiny_model: Path) -> None:
    with pytest.raises(UserError, match=r"names query, which this decoder does not have; it has fc1, fc2, k_proj"):
        adapted(tiny_model, target_modules=["query", "fc1"])


@pytest.mark.parametrize("rslora", [False, True])
def test_saved_adapters_load_with_peft_and_merge_to_the_same_model(
    tiny_model: Path, tmp_path: Path, rslora: bool
) -> None:
    model = adapted(tiny_model, noise=0.1, rslora=rslora)
    lora.save(model, tmp_path / "adapter", base=str(tiny_model))
    whole = load.load_base(tiny_model, device="cpu", dtype=torch.float32)
    by_peft = PeftModel.from_pretrained(whole.decoder, tmp_path / "adapter").eval()
    assert torch.allclose(said(by_peft), said(model), atol=1e-6)
    merged = lora.merge_adapter(load.load_base(tiny_model, device="cpu", dtype=torch.float32), tmp_path / "adapter")
    assert torch.allclose(said(merged.decoder), said(model), atol=1e-5)


def test_the_saved_folder_names_its_base_and_can_be_read_by_others(tiny_model: Path, tmp_path: Path) -> None:
    lora.save(adapted(tiny_model), tmp_path / "adapter", base="facebook/musicgen-small", card="# A card\n")
    record = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert record["base_model_name_or_path"] == "facebook/musicgen-small"
    assert record["target_modules"] == sorted(TARGETS)
    assert (tmp_path / "adapter" / "README.md").read_text() == "# A card\n"
    assert all(file.stat().st_mode & 0o044 for file in (tmp_path / "adapter").iterdir())


def test_fingerprints_are_equal_when_and_only_when_weights_are(tiny_model: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        lora.save(adapted(tiny_model, seed=seed), tmp_path / name, base=name, card=name)
    lora.save(adapted(tiny_model, seed=1, alpha=48), tmp_path / "scaled", base="a")
    a, b, c, scaled = (lora.fingerprint(tmp_path / name) for name in ("a", "b", "c", "scaled"))
    assert a == b
    assert len({a, c, scaled}) == 3


def test_saving_over_an_adapter_replaces_it(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    lora.save(adapted(tiny_model, seed=1), folder, base="a")
    lora.save(adapted(tiny_model, seed=2), folder, base="a")
    lora.save(adapted(tiny_model, seed=2), tmp_path / "fresh", base="a")
    assert lora.fingerprint(folder) == lora.fingerprint(tmp_path / "fresh")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "fresh"]


def test_an_adapter_of_another_base_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    lora.save(adapted(tiny_model), tmp_path / "adapter", base="a")
    weights = load_file(tmp_path / "adapter" / lora.WEIGHTS)
    wider = {name: torch.cat([tensor, tensor], dim=1) for name, tensor in weights.items()}
    save_file(wider, tmp_path / "adapter" / lora.WEIGHTS)
    with pytest.raises(UserError, match="does not fit this base model"):
        lora.merge_adapter(load.load_base(tiny_model, device="cpu", dtype=torch.float32), tmp_path / "adapter")


@pytest.mark.parametrize("side", ["lora_A", "lora_B", "lora_"])
def test_an_adapter_that_lacks_weights_is_refused_and_changes_nothing(
    tiny_model: Path, tmp_path: Path, side: str
) -> None:
    folder = tmp_path / "adapter"
    lora.save(adapted(tiny_model), folder, base="a")
    weights = load_file(folder / lora.WEIGHTS)
    gone = [name for name in weights if f"layers.1.fc1.{side}" in name]
    save_file({name: tensor for name, tensor in weights.items() if name not in gone}, folder / lora.WEIGHTS)
    decoder, _ = load.load_decoder(tiny_model, device="cpu", dtype=torch.float32)
    before = [weight.clone() for weight in decoder.parameters()]
    with pytest.raises(UserError, match=rf"lacks {len(gone)} of its weights: model\.decoder\.layers\.1\.fc1\.{side}"):
        lora.merge_into(decoder, folder)
    assert all(torch.equal(a, b) for a, b in zip(before, decoder.parameters(), strict=True))


@pytest.mark.parametrize(("name", "value"), [("use_dora", True), ("alpha_pattern", {"fc1": 3}), ("bias", "all")])
def test_an_adapter_of_a_kind_that_is_not_merged_here_is_refused(
    tiny_model: Path, tmp_path: Path, name: str, value: object
) -> None:
    folder = tmp_path / "adapter"
    lora.save(adapted(tiny_model), folder, base="a")
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, name: value}))
    decoder, _ = load.load_decoder(tiny_model, device="cpu", dtype=torch.float32)
    with pytest.raises(UserError, match=f"uses {name}, which is not merged here"):
        lora.merge_into(decoder, folder)


def test_a_folder_that_is_no_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no adapter folder"):
        lora.fingerprint(tmp_path)


@pytest.mark.parametrize("record", ["[]", "{", "{}", '{"r": 0, "lora_alpha": 4}', '{"r": 2, "lora_alpha": "x"}'])
def test_a_record_that_tells_no_rank_or_scaling_is_one_sentence(tiny_model: Path, tmp_path: Path, record: str) -> None:
    lora.save(adapted(tiny_model), tmp_path / "adapter", base="a")
    (tmp_path / "adapter" / "adapter_config.json").write_text(record)
    with pytest.raises(UserError, match=r"is no adapter folder \(adapter_config.json .*\); train"):
        lora.fingerprint(tmp_path / "adapter")


@pytest.mark.parametrize("content", [None, b"", b"torn" * 10])
def test_an_adapter_whose_weights_are_damaged_is_named(tiny_model: Path, tmp_path: Path, content: bytes | None) -> None:
    lora.save(adapted(tiny_model), tmp_path / "adapter", base="a")
    (tmp_path / "adapter" / lora.WEIGHTS).unlink()
    if content is not None:
        (tmp_path / "adapter" / lora.WEIGHTS).write_bytes(content)
    with pytest.raises(UserError, match=r"The adapter .*adapter is damaged"):
        lora.fingerprint(tmp_path / "adapter")
    with pytest.raises(UserError, match=r"The adapter .*adapter is damaged"):
        lora.merge_adapter(load.load_base(tiny_model, device="cpu", dtype=torch.float32), tmp_path / "adapter")


def test_merge_writes_a_plain_model_that_transformers_loads(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoProcessor, MusicgenForConditionalGeneration

    settings = config.override(config.Settings(), [f'model.base="{tiny_model}"'])
    run = rundir.create(tmp_path, "run", settings)
    model = adapted(tiny_model, noise=0.1)
    lora.save(model, run.best_model, base=str(tiny_model))
    lora.merge(run, "best", tmp_path / "merged")
    plain = MusicgenForConditionalGeneration.from_pretrained(tmp_path / "merged")
    assert torch.allclose(said(plain.decoder.eval()), said(model), atol=1e-5)
    assert AutoProcessor.from_pretrained(tmp_path / "merged")
    with pytest.raises(UserError, match="is not empty"):
        lora.merge(run, "best", tmp_path / "merged")
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=r"file(/below)? cannot be written \(.*\); give a new folder"):
            lora.merge(run, "best", place)
    shutil.rmtree(run.best_model)
    with pytest.raises(UserError, match="train the run to its end"):
        lora.merge(run, "best", tmp_path / "other")
