"""What is said of a damaged file of weights: our words, never a library's insides or its advice."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.model import damage


@pytest.fixture
def optimizer(tmp_path: Path) -> bytes:
    torch.save({"a": torch.zeros(1000)}, tmp_path / "o.pt")
    return (tmp_path / "o.pt").read_bytes()


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    save_file({"a": torch.zeros(1000)}, tmp_path / "w.safetensors")
    return (tmp_path / "w.safetensors").read_bytes()


def said(path: Path, content: bytes | None) -> str:
    if content is not None:
        path.write_bytes(content)
    load = load_file if path.suffix == ".safetensors" else partial(torch.load, weights_only=True)
    with pytest.raises(Exception) as caught:  # noqa: PT011  (whatever the library raises)
        load(path)
    return damage.reason(caught.value)


def test_a_file_that_is_not_whole_is_called_that(tmp_path: Path, optimizer: bytes, weights: bytes) -> None:
    zip_end, half = b"PK\3\4" + optimizer[4:200], len(optimizer) // 2
    for content in (b"", optimizer[:half], zip_end, bytes(len(optimizer)), b"\x80\x02" + b"\xff" * 50):
        assert "weights_only" not in said(tmp_path / "x.pt", content)
    for content in (optimizer[:half], bytes(len(optimizer)), b""):
        assert said(tmp_path / "x.pt", content) == "a file of it is not whole: cut off, or written over"
    for content in (b"", weights[:100], weights[:-10], b"some text, not weights", bytes(len(weights))):
        assert said(tmp_path / "x.safetensors", content) == "a file of it is not whole: cut off, or written over"


def test_nobody_is_advised_to_run_what_is_in_a_file(tmp_path: Path) -> None:
    sentence = said(tmp_path / "x.pt", pickle.dumps({"a": Path("x")}, protocol=2))
    assert sentence == "a file of it holds more than weights, and is not opened for safety"


def test_what_the_system_refuses_is_named_with_the_file(tmp_path: Path) -> None:
    assert said(tmp_path / "none.pt", None) == f"{tmp_path / 'none.pt'}: no such file or directory"
