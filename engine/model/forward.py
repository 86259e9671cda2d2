"""One pass of the decoder: text condition in, logits out."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from engine.model.attention import additive_mask
from engine.model.products import products


def condition(projection: nn.Module, states: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the decoder attends to (B, L, d) and where (B, L), from T5's states (B, L, d_text) and their mask.

    A row whose mask is all zero is the null condition of classifier-free guidance: all-zero states after the
    projection. One of its zero vectors stays attended, because a fully masked row gives NaN in attention.
    """
    hidden = projection(states) * mask[..., None].to(states.dtype)
    attended = mask.clone()
    attended[:, 0] = 1
    return hidden, attended


def body(decoder: Any) -> Any:
    """The layers of a MusicgenForCausalLM, with or without adapters on it: all of it but the heads."""
    causal = decoder.get_base_model() if hasattr(decoder, "get_base_model") else decoder
    return causal.model


def logits(decoder: Any, inputs: torch.Tensor, hidden: torch.Tensor, attended: torch.Tensor) -> list[torch.Tensor]:
    """Logits (B, T, V) of each of the K codebooks for inputs (B, K, T)."""
    heads = [head.weight for head in decoder.lm_heads]
    dtype = heads[0].dtype
    states = body(decoder)(
        input_ids=inputs.flatten(0, 1),
        # Cast once: every layer reads them.
        encoder_hidden_states=hidden.to(dtype),
        encoder_attention_mask=additive_mask(attended, dtype),
        use_cache=False,
    ).last_hidden_state
    if any(head.requires_grad for head in heads):
        # Whoever trains the whole model wants the heads' gradient too.
        return [head(states) for head in decoder.lm_heads]
    # Head by head: MusicgenForCausalLM's forward copies all logits into one tensor, and back in the backward pass.
    return [said.unflatten(0, states.shape[:-1]) for said in products(states.flatten(0, -2).to(dtype), heads)]
