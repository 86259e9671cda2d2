"""Adapters: what is trained, PEFT's format, merging, equality by hash."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import peft
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


def foreign(model: Path, folder: Path, kind: Any) -> Any:
    """A PEFT model of the decoder with an adapter of some kind that does something; it is saved into ``folder``."""
    from peft import get_peft_model

    decoder, _ = load.load_decoder(model, device="cpu", dtype=torch.float32)
    result = get_peft_model(decoder, kind)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in lora.trainable(result).values():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    result.save_pretrained(folder)
    return result.eval()


KINDS = {
    "DoRA": lambda: peft.LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, use_dora=True),
    "DoRA, rsLoRA": lambda: peft.LoraConfig(r=4, target_modules=["fc1"], use_dora=True, use_rslora=True),
    "patterns": lambda: peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=TARGETS, rank_pattern={"fc1": 2}, alpha_pattern={"q_proj": 32}
    ),
    "modules to save": lambda: peft.LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["fc2"]),
    "LoHa": lambda: peft.LoHaConfig(r=2, alpha=4, target_modules=["q_proj", "fc1"]),
    "LoKr": lambda: peft.LoKrConfig(r=2, alpha=4, target_modules=["q_proj", "fc1"]),
    "IA3": lambda: peft.IA3Config(target_modules=["k_proj", "fc2"], feedforward_modules=["fc2"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_of_other_kinds_are_merged_as_peft_computes_them(tiny_model: Path, tmp_path: Path, kind: str) -> None:
    wanted = said(foreign(tiny_model, tmp_path, KINDS[kind]()))
    decoder, _ = load.load_decoder(tiny_model, device="cpu", dtype=torch.float32)
    base = said(decoder)
    assert (wanted - base).abs().max() > 1e-4
    lora.merge_into(decoder, tmp_path)
    assert (said(decoder) - wanted).abs().max() < 0.01 * (wanted - base).abs().max()
    assert lora.fingerprint(tmp_path)


def test_half_of_another_kind_is_half_of_its_change(tiny_model: Path, tmp_path: Path) -> None:
    foreign(tiny_model, tmp_path, KINDS["DoRA"]())
    weights = []
    for strength in (0.0, 0.5, 1.0):
        decoder, _ = load.load_decoder(tiny_model, device="cpu", dtype=torch.float32)
        lora.merge_into(decoder, tmp_path, strength)
        weights.append(decoder.model.decoder.layers[0].fc1.weight.detach())
    assert torch.allclose(weights[1], (weights[0] + weights[2]) / 2, atol=1e-7)
    assert not torch.equal(weights[0], weights[2])


def test_fingerprints_tell_kinds_apart(tiny_model: Path, tmp_path: Path) -> None:
    foreign(tiny_model, tmp_path, KINDS["patterns"]())
    before = lora.fingerprint(tmp_path)
    rewrite(tmp_path, alpha_pattern={"q_proj": 16})
    assert lora.fingerprint(tmp_path) != before


def rewrite(folder: Path, **changes: Any) -> None:
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, **changes}))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("fan_in_fan_out", True, "fan_in_fan_out"),
        ("peft_type", "PREFIX_TUNING", "peft_type PREFIX_TUNING"),
        ("layer_replication", [[0, 2]], "layer_replication"),
    ],
)
def test_a_kind_that_is_not_merged_exactly_is_refused_by_name(
    tiny_model: Path, tmp_path: Path, name: str, value: object, told: str
) -> None:
    lora.save(adapted(tiny_model), tmp_path / "adapter", base="a")
    rewrite(tmp_path / "adapter", **{name: value})
    decoder, _ = load.load_decoder(tiny_model, device="cpu", dtype=torch.float32)
    with pytest.raises(UserError, match=f"uses {told}, which is not merged here"):
        lora.merge_into(decoder, tmp_path / "adapter")


def test_another_kind_that_does_not_fit_is_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    foreign(tiny_model, tmp_path, KINDS["DoRA"]())
    weights = load_file(tmp_path / lora.WEIGHTS)
    narrow = {name: tensor[:, :-1] if ".lora_A" in name else tensor for name, tensor in weights.items()}
    save_file({name: tensor.contiguous() for name, tensor in narrow.items()}, tmp_path / lora.WEIGHTS)
    decoder, _ = load.load_decoder(tiny_model, device="cpu", dtype=torch.float32)
    with pytest.raises(UserError, match="does not fit this base model") as caught:
        lora.merge_into(decoder, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["LoRA", "DoRA"])
def test_an_adapter_of_the_whole_model_in_a_bin_file_is_read(tiny_model: Path, tmp_path: Path, kind: str) -> None:
    from peft import get_peft_model

    model: Any = load.load_base(tiny_model, device="cpu", dtype=torch.float32)
    whole: Any = get_peft_model(model, peft.LoraConfig(r=4, target_modules=TARGETS, use_dora=kind == "DoRA"))
    with torch.no_grad():
        for parameter in lora.trainable(whole).values():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5))
    whole.save_pretrained(tmp_path, safe_serialization=False)
    assert (tmp_path / lora.OLD_WEIGHTS).is_file()
    decoder, _ = load.load_decoder(tiny_model, device="cpu", dtype=torch.float32)
    lora.merge_into(decoder, tmp_path)
    assert torch.allclose(said(decoder), said(whole.base_model.model.decoder.eval()), atol=1e-5)


def test_an_adapter_that_changes_more_than_the_decoder_is_refused_by_name(tiny_model: Path, tmp_path: Path) -> None:
    lora.save(adapted(tiny_model), tmp_path, base="a")
    weights = load_file(tmp_path / lora.WEIGHTS)
    outside = {
        name.replace("base_model.model.", "base_model.model.decoder.", 1): tensor for name, tensor in weights.items()
    }
    outside["base_model.model.text_encoder.block.0.q.lora_A.weight"] = torch.zeros(4, 4)
    save_file(outside, tmp_path / lora.WEIGHTS)
    with pytest.raises(UserError, match="also changes text_encoder"):
        lora.fingerprint(tmp_path)


def test_a_bin_file_that_would_run_code_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    import pickle

    lora.save(adapted(tiny_model), tmp_path, base="a")
    (tmp_path / lora.WEIGHTS).unlink()

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / lora.OLD_WEIGHTS).write_bytes(pickle.dumps({"a": Evil()}))
    with pytest.raises(UserError, match="is damaged"):
        lora.fingerprint(tmp_path)
    assert not (tmp_path / "ran").exists()


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
