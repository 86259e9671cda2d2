"""How much a decoder computes and reads: arithmetic on its sizes, as its configuration names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def training_operations(sizes: Mapping[str, Any], frames: int) -> float:
    """Operations of forward and backward pass for a clip of ``frames``, the decoder frozen.

    Its matrices count twice, attention three and a half times. Keys and values of cross attention are of a few text
    tokens only, and are left out.
    """
    width, layers = sizes["hidden_size"], sizes["num_hidden_layers"]
    matrices = (
        layers * (6 * width**2 + 2 * width * sizes["ffn_dim"]) + sizes["num_codebooks"] * width * sizes["vocab_size"]
    )
    attention = layers * 4 * width * frames**2 / 2
    return 2 * 2 * matrices * frames + 3.5 * attention


def decoding_bytes(sizes: Mapping[str, Any], rows: int, positions: float, element: int = 2) -> float:
    """Bytes that one decoding step reads at least: all matrices, and keys and values of ``positions`` in each row."""
    width, layers = sizes["hidden_size"], sizes["num_hidden_layers"]
    matrices = (
        layers * (6 * width**2 + 2 * width * sizes["ffn_dim"]) + sizes["num_codebooks"] * width * sizes["vocab_size"]
    )
    return element * (matrices + 2 * layers * width * rows * positions)
