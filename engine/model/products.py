"""Several frozen products of the same x, with or without adapters, as one differentiable function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def products(
    x: Tensor,
    weights: Sequence[Tensor],
    adapted: Sequence[bool] = (),
    copies: Sequence[Tensor] = (),
    parameters: Sequence[Tensor] = (),
    *,
    scale: float = 1.0,
    kept: Tensor | None = None,
    zero: Tensor | None = None,
) -> list[Tensor]:
    """``W x + scale B A d(x)`` for each W (out, in) of ``weights``, of which no gradient is wanted; x is (N, in).

    ``adapted`` says which have adapters. ``copies`` are all A's stacked, then each B, in the type of x;
    ``parameters`` each A, then each B, in fp32: what the gradient goes to. d zeroes what ``kept`` (N, in) does not
    name, and ``zero`` () is what it puts there. The results are separate tensors (N, out).
    """
    return list(_Products.apply(x, kept, zero, scale, weights, adapted, copies, *parameters))


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kept: Tensor | None, zero: Tensor | None, scale: float, weights: Sequence[Tensor],
        adapted: Sequence[bool], copies: Sequence[Tensor], *parameters: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        ctx.scale, ctx.zero, ctx.weights, ctx.adapted = scale, zero, weights, adapted
        said = [functional.linear(x, weight) for weight in weights]
        if not copies:
            return tuple(said)
        a, *bs = copies
        ranks = [b.shape[1] for b in bs]
        dropped = x if kept is None or zero is None else torch.where(kept, x, zero)
        inner = _scaled(dropped, a.t(), scale)
        for y, part, b in zip(_chosen(said, adapted), inner.split(ranks, 1), bs, strict=True):
            torch.addmm(y, part, b.t(), out=y)
        ctx.save_for_backward(dropped, kept, inner, a, *bs)
        return tuple(said)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        back: list[Tensor] = []
        dx = None
        saved = ctx.saved_tensors  # asked for once: gradient checkpointing computes them on demand
        if saved:
            dropped, kept, inner, a, *bs = saved
            ranks = [b.shape[1] for b in bs]
            inner_grad = torch.empty_like(inner)
            for grad, b, part in zip(_chosen(grads, ctx.adapted), bs, inner_grad.split(ranks, 1), strict=True):
                _scaled(grad, b, ctx.scale, out=part)
            back += _in_fp32(inner_grad.t(), dropped).split(ranks)
            parts = inner.split(ranks, 1)
            back += [_in_fp32(grad.t(), part) for grad, part in zip(_chosen(grads, ctx.adapted), parts, strict=True)]
            if ctx.needs_input_grad[0]:
                dx = inner_grad @ a
                dx = dx if kept is None else torch.where(kept, dx, ctx.zero)
        if ctx.needs_input_grad[0]:
            for grad, weight in zip(grads, ctx.weights, strict=True):
                dx = grad @ weight if dx is None else torch.addmm(dx, grad, weight, out=dx)
        return dx, None, None, None, None, None, None, *back


def _chosen(tensors: Sequence[Tensor], adapted: Sequence[bool]) -> list[Tensor]:
    return [tensor for tensor, has in zip(tensors, adapted, strict=True) if has]


def _scaled(a: Tensor, b: Tensor, scale: float, out: Tensor | None = None) -> Tensor:
    # With beta 0 what would be added is not read: the scaling happens inside the product.
    return torch.addmm(a.new_empty(()), a, b, beta=0, alpha=scale, out=out)


_ONE_STEP = hasattr(torch.ops.aten.mm, "dtype")


def _in_fp32(a: Tensor, b: Tensor) -> Tensor:
    """a @ b as it was added up, in fp32, where that can be had (torch 2.8, on a GPU); elsewhere rounded between."""
    if a.dtype != torch.float32 and _ONE_STEP and a.is_cuda:
        return torch.mm(a, b, out_dtype=torch.float32)
    return (a @ b).float()
