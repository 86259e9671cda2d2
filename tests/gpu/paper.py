"""A GPU made of paper: torch's fake tensors that say they are on `cuda`, and a watch over what is done with them.

Nothing is computed; devices, types, shapes and bytes are those of the real thing, so a step of musicgen-small's size
takes seconds here. Autograd's engine would ask the driver for a stream: backward passes are out of reach.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import MusicgenDecoderConfig
from transformers.models.musicgen.modeling_musicgen import MusicgenForCausalLM

GPU = torch.device("cuda", 0)
LAYERS = 24
TEXT_WIDTH = 768
ALLOCATIONS = (
    "empty",
    "new_empty",
    "empty_like",
    "empty_strided",
    "new_empty_strided",
    "detach",
    "alias",
    "resize_",
    "set_",
)
BLOCK = 512
"""torch gives out GPU memory in multiples of so many bytes."""


class Forbidden(AssertionError):
    """Something that a step on a GPU must not do."""


class Watch(TorchDispatchMode):
    """What happens on the GPU while it is entered: kernels, copies from the host, bytes held now and at most.

    Raises Forbidden for what makes the host wait for the GPU, for double precision there, and, while ``capturing``,
    for copies from the host.
    """

    def __init__(self) -> None:
        super().__init__()
        self.capturing = False
        self.kernels = self.copies = self.held = self.peak = 0
        self._storages: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = _tensors((args, kwargs))
        name = func.overloadpacket.__name__
        if _on_gpu(before):
            self._refuse_waits(func, name, before)
        out = func(*args, **(kwargs or {}))
        after = _tensors(out)
        if _on_gpu(after):
            if any(tensor.device.type == "cpu" and tensor.dim() for tensor in before):
                self._copied(func)
            if any(tensor.dtype in (torch.float64, torch.complex128) for tensor in _on_gpu(after)):
                raise Forbidden(f"{func} computes in double precision on the GPU")
            self.kernels += not func.is_view and func.namespace == "aten" and name not in ALLOCATIONS
            self.count([*before, *after])
        elif _on_gpu(before) and after:
            raise Forbidden(f"{func} brings a tensor from the GPU to the host, which waits for it")
        return out

    def _refuse_waits(self, func: Any, name: str, tensors: Sequence[torch.Tensor]) -> None:
        indexes = name.startswith("index")
        chosen = indexes and any(tensor.dtype == torch.bool for tensor in tensors[1:])
        dynamic = torch.Tag.dynamic_output_shape in func.tags and not indexes
        if torch.Tag.data_dependent_output in func.tags or chosen or dynamic:
            raise Forbidden(f"{func} makes the host wait for the GPU")
        if "copy" not in name and any(tensor.device.type == "cpu" and tensor.dim() for tensor in tensors):
            raise Forbidden(f"{func} reads a tensor of the host")

    def _copied(self, func: Any) -> None:
        self.copies += 1
        if self.capturing:
            raise Forbidden(f"{func} copies from the host while a graph is captured")

    def count(self, tensors: Iterable[torch.Tensor]) -> None:
        """Take the memory of these into account, until nobody holds it any more."""
        for storage in (tensor.untyped_storage() for tensor in _on_gpu(list(tensors))):
            if storage._cdata not in self._storages:
                self._storages[storage._cdata] = size = -(-storage.nbytes() // BLOCK) * BLOCK
                self.held, self.peak = self.held + size, max(self.peak, self.held + size)
                weakref.finalize(storage, self._release, storage._cdata)

    def _release(self, key: int) -> None:
        self.held -= self._storages.pop(key)


def _on_gpu(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [tensor for tensor in tensors if tensor.device.type == "cuda"]


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, attn_mask: torch.Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, **_: Any,
) -> torch.Tensor:  # fmt: skip
    """The kernels of scaled dot product attention on a GPU; for fake tensors torch would take plain products."""
    if attn_mask is None:
        return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, dropout_p, is_causal, scale=scale)[0]
    if attn_mask.dtype == torch.bool:
        none, all_ = (torch.full((), value, device=q.device, dtype=q.dtype) for value in (0.0, -torch.inf))
        attn_mask = torch.where(attn_mask, none, all_)
    bias = attn_mask.to(q.dtype).expand(*q.shape[:3], k.shape[2])
    return torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, bias, True, dropout_p, scale=scale)[0]


class _Paper(FakeTensorMode):
    """One for all its tensors: a module that is copied takes its weights' mode along."""

    def __deepcopy__(self, _: Any) -> _Paper:
        return self


@contextmanager
def gpu() -> Iterator[None]:
    """Tensors made in the block are fake ones."""
    with ExitStack() as stack:
        for name, stand_in in (
            ("torch.cuda.amp.common.amp_definitely_not_available", lambda: False),
            # Its seed does not matter here, and a generator of a GPU there is none.
            ("engine.model.fast_lora.torch.Generator", lambda *_: torch._C.Generator()),
            # Fake parameters have some, and `.to()` minds.
            ("weakref.getweakrefs", lambda _: []),
            ("torch.nn.functional.scaled_dot_product_attention", attention),
        ):
            stack.enter_context(mock.patch(name, stand_in))
        stack.enter_context(_Paper())
        yield


def model(layers: int = LAYERS) -> MusicgenForCausalLM:
    """musicgen-small's decoder, on the GPU."""
    with torch.device(GPU):
        return MusicgenForCausalLM(MusicgenDecoderConfig(num_hidden_layers=layers)).eval()


def text_projection() -> torch.nn.Linear:
    return torch.nn.Linear(TEXT_WIDTH, 1024, device=GPU).requires_grad_(False)
