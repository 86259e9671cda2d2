"""A decoding step at the size of musicgen-small can be captured as a CUDA graph, and is no longer than it has to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from unittest import mock

import pytest
import torch

from engine.generate import decode
from engine.generate.decode import Decoder, Sampling
from tests.gpu.faults import FAULTS
from tests.gpu.paper import LAYERS, TEXT_WIDTH, Watch, model, text_projection

pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")  # when a norm is copied

KERNELS_A_LAYER, KERNELS_OUTSIDE = 13, 25
"""Of a step, with guidance."""
PROMPTS, TEXT = 8, 64
FRAMES = 750


@contextmanager
def capturing(watch: Watch) -> Iterator[None]:
    """CUDA's graphs on paper: what is recorded is watched as such, and each begins with no kernel counted."""

    @contextmanager
    def graph(*_: object, **__: object) -> Iterator[None]:
        watch.capturing, watch.kernels = True, 0
        yield
        watch.capturing = False

    with mock.patch.multiple(
        torch.cuda, stream=lambda _: nullcontext(), graph=graph, Stream=mock.Mock(), CUDAGraph=mock.Mock(),
        current_stream=mock.Mock(), graph_pool_handle=mock.Mock(), synchronize=mock.Mock(), empty_cache=mock.Mock(),
    ):  # fmt: skip
        yield


def record(layers: int, frames: int) -> tuple[Watch, int]:
    """Prepare a batch of prompts as decoding does, graphs included; returns the watch and the number of graphs.

    Raises AssertionError for what a graph cannot hold.
    """
    decoder = Decoder(model(layers), text_projection(), torch.float16)
    states, mask = torch.zeros(PROMPTS, TEXT, TEXT_WIDTH), torch.ones(PROMPTS, TEXT, dtype=torch.long)
    decode._capture_stream.cache_clear()
    with torch.no_grad(), Watch() as watch, capturing(watch):
        state = decoder._prepare(states, mask, frames + decoder.delays[-1], Sampling())
        assert not Decoder.capture_failed
        assert state.graphs
        # Of the last graph, and a batch begins with the same program for all of them.
        assert watch.kernels <= KERNELS_OUTSIDE + KERNELS_A_LAYER * layers, f"{watch.kernels} kernels"
        watch.count(weight for layer in decoder.layers for weight in vars(layer).values() if torch.is_tensor(weight))
    decode._capture_stream.cache_clear()
    return watch, len(state.graphs)


@pytest.fixture(autouse=True)
def _nothing_failed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Decoder, "capture_failed", False)


def test_steps_of_a_whole_clip_can_be_captured_and_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, graphs = record(LAYERS, FRAMES)
    assert graphs == 6
    assert watch.peak < 3e9


def test_a_short_clip_is_one_graph() -> None:
    assert record(2, 100)[1] == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_step_is_refused_that(fault: Callable[[torch.Tensor], torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    real = decode.choose
    monkeypatch.setattr(decode, "choose", lambda logits, *rest: real(fault(logits), *rest))
    with pytest.raises(AssertionError, match=FAULTS[fault]):
        record(2, 100)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_layer_is_refused_that(
    fault: Callable[[torch.Tensor], torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Decoder.__init__

    def init(self: Decoder, *args: object, **kwargs: object) -> None:
        real(self, *args, **kwargs)
        activation = self.activation
        self.activation = lambda x: fault(activation(x))

    monkeypatch.setattr(Decoder, "__init__", init)
    with pytest.raises(AssertionError, match=FAULTS[fault]):
        record(2, 100)
