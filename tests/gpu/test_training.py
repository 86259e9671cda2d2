"""A training step at the size of musicgen-small stays on the GPU, fits it, and launches no more than it has to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch

from engine.contract import config
from engine.model import fast_lora, lora
from engine.train import step
from engine.train.batches import Batch
from engine.train.setup import freeze
from tests.gpu.faults import FAULTS
from tests.gpu.paper import GPU, LAYERS, TEXT_WIDTH, Forbidden, Watch, model, text_projection

KERNELS_A_LAYER, KERNELS_OUTSIDE = 67, 60
"""Of a forward pass."""
COPIES = 6
"""The batch (inputs, labels, text, its mask), the counts of labels and the numbers of clips go over; nothing else."""
CONTEXT = 0.6e9
"""Bytes that CUDA and the libraries take for themselves."""


def trainee(layers: int) -> step.Trainee:
    adapted = lora.attach(freeze(model(layers), torch.float16, config.Train()), config.Lora())
    fast_lora.speed_up(adapted, config.Lora().dropout)
    return step.Trainee(adapted.train(), text_projection(), GPU, torch.float16)


def batch(clips: int) -> Batch:
    codes = torch.randint(0, 2048, (clips, 4, 753))
    return Batch(codes, codes, torch.randn(clips, 32, TEXT_WIDTH), torch.ones(clips, 32, dtype=torch.long))


def refuse_waste(trained: step.Trainee, clips: int, layers: int) -> Watch:
    """A step's gradient but for the backward pass. Raises AssertionError for what must not be; returns the watch."""
    scaler, host = torch.amp.GradScaler("cuda"), batch(clips)
    with Watch() as watch, mock.patch.object(torch.Tensor, "backward"):
        watch.count([*trained.decoder.parameters(), *trained.decoder.buffers(), *trained.projection.parameters()])
        # Adapters are copied to half precision as a pass begins; the copies stay until the next.
        weights = watch.held + 2 * sum(weights.numel() for weights in lora.trainable(trained.decoder).values())
        loss = step.accumulate(trained, host, clips, scaler, seed=1)
        assert loss.device == GPU
        assert watch.copies <= COPIES, f"{watch.copies} copies from the host"
        assert watch.kernels <= KERNELS_OUTSIDE + KERNELS_A_LAYER * layers, f"{watch.kernels} kernels"
        assert watch.held - weights < 1e6, "activations are still held when the step is over"
    return watch


@pytest.fixture(scope="module")
def small() -> step.Trainee:
    return trainee(LAYERS)


@pytest.mark.parametrize(("clips", "most"), [(2, 6e9), (8, 14e9)])
def test_a_step_stays_on_the_gpu_and_fits(small: step.Trainee, clips: int, most: float) -> None:
    watch = refuse_waste(small, clips, LAYERS)
    moments = 2 * 4 * sum(weights.numel() for weights in lora.trainable(small.decoder).values())
    # The backward pass frees what the forward pass kept, layer by layer: what that ends with is nearly the peak.
    assert watch.peak * 1.05 + moments + CONTEXT < most


def test_what_the_program_does_today_is_not_refused() -> None:
    refuse_waste(trainee(2), 2, 2)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_layer_is_refused_that(fault: Callable[[torch.Tensor], torch.Tensor]) -> None:
    trained = trainee(2)
    for layer in trained.decoder.get_base_model().model.decoder.layers:
        layer.fc1.register_forward_pre_hook(lambda _, inputs: (fault(inputs[0]),))
    with pytest.raises(AssertionError, match=FAULTS[fault]):
        refuse_waste(trained, 2, 2)


def test_a_step_is_refused_that_keeps_its_graph() -> None:
    trained, kept = trainee(2), []
    layers = trained.decoder.get_base_model().model
    layers.register_forward_hook(lambda _, inputs, output: kept.append(output.last_hidden_state))
    with pytest.raises(AssertionError, match="activations are still held"):
        refuse_waste(trained, 2, 2)


def test_a_loss_is_refused_that_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Any] = []
    real = step.loss_from_sums
    monkeypatch.setattr(step, "loss_from_sums", lambda *sums: looked.append(float(real(*sums).detach())) or real(*sums))
    with pytest.raises(Forbidden, match="makes the host wait"):
        refuse_waste(trainee(2), 2, 2)
