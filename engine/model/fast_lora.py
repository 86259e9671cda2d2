"""The forward and backward pass of peft's LoRA layers, doing the same arithmetic with less work.

An adapted layer computes W x + s B A d(x) with dropout d. peft runs dropout, two products, a scaling and a sum for each
layer, and autograd adds up what comes back. Here layers that read the same x (queries, keys and values) are one
function: x is cast and dropped once for all of them, their A's are one product, and every sum, forward and backward,
happens inside a product. Masks are drawn 16 bits an element instead of a random number an element, and adapters are
cast to half precision all at once. Weights, saving and merging stay peft's.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.model.forward import body
from engine.model.products import products

_LEVELS = 1 << 16


class Dropout:
    """The masks of the adapters' dropout.

    Once ``begin`` has told the clips apart, a clip's mask follows from the seed, the block and the clip alone: it is
    the same in whatever micro-batch, and in whichever process, the clip is computed.
    """

    def __init__(self, rate: float) -> None:
        self.threshold = round(rate * _LEVELS) - _LEVELS // 2
        self.keep = 1 - round(rate * _LEVELS) / _LEVELS
        self._seed = 0
        self._clips: Tensor | None = None
        self._zero: Tensor | None = None

    def begin(self, seed: int, clips: Tensor) -> None:
        """The next passes are of ``clips`` (B,), an odd number of 64 bits each, in the step that ``seed`` is of."""
        self._seed, self._clips = seed, clips

    def forget(self) -> None:
        """The clips of the passes that follow are not known: masks are drawn from torch's own generator."""
        self._clips = None

    def zero(self, like: Tensor) -> Tensor:
        """What an element that does not stay becomes. A number would be brought to the device anew in every call."""
        if self._zero is None or (self._zero.device, self._zero.dtype) != (like.device, like.dtype):
            self._zero = like.new_zeros(())
        return self._zero

    def kept(self, x: Tensor, block: int) -> Tensor:
        """True where an element of ``x`` (B, ...) stays; what stays is to be divided by ``keep``."""
        if self._clips is None:
            bits = _words(x.numel(), x.device, None).view(torch.int16)[: x.numel()].view_as(x)
            return bits >= self.threshold
        # A generator of its own, seeded anew: recomputing the layer for gradient checkpointing gives the same bits.
        generator = torch.Generator(x.device).manual_seed(self._seed + block)
        # Multiplying random words by an odd number gives random words again: one drawing serves all clips.
        words = _words(x[0].numel(), x.device, generator) * self._clips[:, None]
        return words.view(torch.int16)[:, : x[0].numel()].reshape(x.shape) >= self.threshold


def _words(elements: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Random words of 64 bits, 16 of them an element."""
    words = torch.empty((elements + 3) // 4, dtype=torch.int64, device=device)
    return words.random_(-(2**63), None, generator=generator)


class Block:
    """Linear layers that read the same x, some or all of them with adapters."""

    def __init__(self, layers: Sequence[Any], dropout: Dropout | None, number: int) -> None:
        self.layers, self.dropout, self.number = layers, dropout, number
        self.adapted = [layer for layer in layers if hasattr(layer, "lora_A")]
        self.frozen = [getattr(layer, "base_layer", layer) for layer in layers]
        self._copies: list[Tensor] = []

    def ours(self) -> bool:
        """Whether the layers are in training; otherwise, and with adapters disabled, they go peft's own way."""
        return all(
            layer.training and not layer.disable_adapters and not layer.merged for layer in self.adapted
        ) and bool(self.adapted)

    def __call__(self, x: Tensor) -> list[Tensor]:
        """What each layer says of ``x`` (B, ..., in)."""
        if not self.ours():
            return [layer(x) for layer in self.layers]
        weights = [layer.weight for layer in self.frozen]
        flat = x.flatten(0, -2).to(weights[0].dtype)
        kept = self.dropout.kept(x, self.number).flatten(0, -2) if self.dropout else None
        scale = self.adapted[0].scaling["default"] / (self.dropout.keep if self.dropout else 1.0)
        has = [layer in self.adapted for layer in self.layers]
        said = products(
            flat, weights, has, self.copies(), self.parameters(),
            scale=scale, kept=kept, zero=self.dropout.zero(flat) if self.dropout else None,
        )  # fmt: skip
        said = [y if layer.bias is None else y + layer.bias for y, layer in zip(said, self.frozen, strict=True)]
        return [y.unflatten(0, x.shape[:-1]) for y in said]

    def parameters(self) -> list[nn.Parameter]:
        """Every A (rank, in), then every B (out, rank), in fp32."""
        return [getattr(layer, part)["default"].weight for part in ("lora_A", "lora_B") for layer in self.adapted]

    def copies(self) -> list[Tensor]:
        """All A's as one (sum of ranks, in), then every B, as they were when the decoder's pass began."""
        if not self._copies:
            renew([self])
        return self._copies


@torch.no_grad()
def renew(blocks: Sequence[Block]) -> None:
    """Copy the adapters of ``blocks`` to the arithmetic of the products, as every pass of the decoder begins.

    Two kernels for all of them; a cast for each would be hundreds. Not only where they have changed: a fused optimizer
    changes weights and leaves their version as it was.
    """
    sources: list[Tensor] = []
    targets: list[Tensor] = []
    for block in blocks:
        parameters = block.parameters()
        a, b = parameters[: len(block.adapted)], parameters[len(block.adapted) :]
        like = block.frozen[0].weight
        # New ones: a graph that is still alive keeps those that it was made with.
        stacked = like.new_empty(sum(len(each) for each in a), a[0].shape[1])
        block._copies = [stacked, *(torch.empty_like(each, dtype=like.dtype) for each in b)]
        sources += parameters
        targets += [*stacked.split([len(each) for each in a]), *block._copies[1:]]
    torch._foreach_copy_(targets, sources)


def speed_up(adapted: Any, rate: float) -> None:
    """Give every LoRA layer of a PeftModel the passes described above; ``rate`` is the adapters' dropout.

    In eval mode, and with adapters disabled, layers go peft's own way.
    """
    from peft.tuners.lora import Linear
    from transformers.models.musicgen.modeling_musicgen import MusicgenAttention

    dropout = Dropout(rate) if rate else None
    blocks: list[Block] = []

    def block(*layers: Any) -> Block:
        blocks.append(Block(layers, dropout, len(blocks)))
        return blocks[-1]

    inside: set[Any] = set()
    for attention in [module for module in adapted.modules() if isinstance(module, MusicgenAttention)]:
        layers = (attention.q_proj, attention.k_proj, attention.v_proj)
        if any(isinstance(layer, Linear) for layer in layers):
            inside.update(layers)
            read = [block(*layers)] if attention.is_causal else [block(layers[0]), block(*layers[1:])]
            setattr(attention, "forward", MethodType(_attention(attention.forward, read), attention))  # noqa: B010
    for module in adapted.modules():
        if isinstance(module, Linear) and module not in inside:
            setattr(module, "forward", MethodType(_linear(module.forward, block(module)), module))  # noqa: B010
    adapted.shared_dropout = dropout
    with_adapters = [each for each in blocks if each.adapted]
    body(adapted).register_forward_pre_hook(lambda *_: renew(with_adapters))


def clip_numbers(count: int, seed: int) -> Tensor:
    """Odd random numbers (count,) that tell the clips of a step apart."""
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(count, dtype=torch.int64).random_(-(2**63), None, generator=generator) | 1


def begin_clips(adapted: Any, seed: int, clips: Tensor) -> None:
    """Give the clips of the next passes masks of their own, which do not depend on their company.

    A model that ``speed_up`` was not called on (a compiled one) draws its dropout as peft does.
    """
    dropout = getattr(adapted, "shared_dropout", None)
    if dropout is not None:
        dropout.begin(seed, clips)


def end_clips(adapted: Any) -> None:
    """The passes that ``begin_clips`` told of are over."""
    dropout = getattr(adapted, "shared_dropout", None)
    if isinstance(dropout, Dropout):
        dropout.forget()


def _linear(original: Any, block: Block) -> Any:
    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return block(x)[0] if block.ours() else original(x, *args, **kwargs)

    return forward


def _attention(original: Any, read: list[Block]) -> Any:
    """MusicgenAttention's forward without a cache. ``read``: the block of q, k and v, or those of q and of k and v."""

    def forward(
        self: Any,
        hidden_states: Tensor,
        key_value_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        if not self.training:
            return original(hidden_states, key_value_states=key_value_states, attention_mask=attention_mask, **kwargs)
        first, *second = read[0](hidden_states)
        keys, values = second or read[1](hidden_states if key_value_states is None else key_value_states)
        query, keys, values = (
            part.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for part in (first, keys, values)
        )
        seen = functional.scaled_dot_product_attention(
            query, keys, values, attn_mask=attention_mask, dropout_p=self.dropout, scale=self.scaling,
            is_causal=self.is_causal and attention_mask is None,
        )  # fmt: skip
        return self.out_proj(seen.transpose(1, 2).flatten(2)), None

    return forward
