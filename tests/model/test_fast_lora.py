"""The quicker LoRA forward says what peft's says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.contract import config
from engine.model import load, lora
from engine.model.fast_lora import Dropout, clip_numbers, speed_up


def adapted(model: Path, rate: float, *, fast: bool, rslora: bool = False) -> Any:
    decoder, _ = load.load_decoder(model, device="cpu", dtype=torch.float32)
    result = lora.attach(decoder.requires_grad_(False), config.Lora(rank=4, dropout=rate, rslora=rslora), 0)
    for module in decoder.modules():
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    with torch.no_grad():
        for number, parameter in enumerate(lora.trainable(result).values()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    if fast:
        speed_up(result, rate)
    return result.train()


def said(model: Any, clips: int = 1) -> torch.Tensor:
    ids = torch.arange(4 * clips * 10).reshape(4 * clips, 10) % 64
    states = torch.linspace(-1, 1, clips * 3 * 32).reshape(clips, 3, 32)
    return model(input_ids=ids, encoder_hidden_states=states, use_cache=False).logits


@pytest.mark.parametrize("rslora", [False, True])
def test_without_dropout_output_and_gradient_are_pefts(tiny_model: Path, rslora: bool) -> None:
    plain, fast = (adapted(tiny_model, 0.0, fast=fast, rslora=rslora) for fast in (False, True))
    weights = torch.randn(8, 10, 64, generator=torch.Generator().manual_seed(0))
    for model in (plain, fast):
        (said(model, clips=2) * weights).sum().backward()
    assert torch.allclose(said(fast), said(plain), atol=1e-5)
    pairs = zip(lora.trainable(plain).values(), lora.trainable(fast).values(), strict=True)
    assert all(torch.allclose(a.grad, b.grad, atol=1e-4, rtol=1e-4) for a, b in pairs)


@pytest.mark.parametrize("fused", [False, True])
def test_every_pass_is_of_the_weights_as_the_optimizer_left_them(tiny_model: Path, fused: bool) -> None:
    plain, fast = (adapted(tiny_model, 0.0, fast=fast) for fast in (False, True))
    before = said(fast).detach()
    for model in (plain, fast):
        optimizer = torch.optim.AdamW(lora.trainable(model).values(), lr=0.1, fused=fused)
        said(model).square().sum().backward()
        optimizer.step()
    assert torch.allclose(said(fast), said(plain), atol=1e-3)
    assert not torch.allclose(said(fast), before, atol=0.1)


def test_in_eval_mode_it_is_peft_itself(tiny_model: Path) -> None:
    plain, fast = (adapted(tiny_model, 0.3, fast=fast).eval() for fast in (False, True))
    assert torch.equal(said(fast), said(plain))
    with fast.disable_adapter(), plain.disable_adapter():
        assert torch.equal(said(fast), said(plain))


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float) -> None:
    dropout = Dropout(rate)
    kept = dropout.kept(torch.ones(1000, 501), 0)
    assert (~kept).float().mean().item() == pytest.approx(rate, abs=0.003)
    assert kept.float().mean().item() / dropout.keep == pytest.approx(1.0, abs=0.01)
    assert not torch.equal(dropout.kept(torch.ones(1000, 501), 0), kept)


def test_a_clips_mask_is_its_own_in_every_block_and_step_and_the_same_in_any_company() -> None:
    dropout, clips = Dropout(0.25), clip_numbers(4, seed=1)

    def masks(seed: int, block: int, of: torch.Tensor) -> torch.Tensor:
        dropout.begin(seed, of)
        return ~dropout.kept(torch.ones(len(of), 1000, 50), block)

    together = masks(1, 0, clips)
    assert together.float().mean(dim=(1, 2)).tolist() == pytest.approx([0.25] * 4, abs=0.01)
    assert torch.equal(torch.cat([masks(1, 0, clips[:1]), masks(1, 0, clips[1:])]), together)
    others = [*together[1:], masks(1, 1, clips)[0], masks(2, 0, clips)[0]]
    for other in others:
        # Two masks that know nothing of each other agree to drop 1 element in 16.
        assert (together[0] & other).float().mean().item() == pytest.approx(1 / 16, abs=0.01)


def test_a_layers_average_over_masks_is_its_output_without_dropout(tiny_model: Path) -> None:
    model = adapted(tiny_model, 0.2, fast=True)
    layer = model.base_model.model.model.decoder.layers[0].fc1
    x = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    with torch.no_grad():
        mean = torch.stack([layer(x.clone()) for _ in range(3000)]).mean(dim=0)
        exact = layer.eval()(x)
    assert (mean - exact).abs().max() < 0.03 * exact.abs().max()


def test_the_same_seed_gives_the_same_masks(tiny_model: Path) -> None:
    model = adapted(tiny_model, 0.3, fast=True)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(said(model))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
