"""What counts as memory that ran out, and that nothing of the failed attempt is kept."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from engine.memory import Shortage, ran_out


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    ],
)
def test_memory_that_ran_out_ends_the_attempt_and_not_the_program(error: Exception) -> None:
    with Shortage() as shortage:
        raise error
    assert shortage  # reached: the error ended with the attempt


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA error: an illegal memory access was encountered"), ValueError("out of memory"), None]
)
def test_any_other_error_passes(error: Exception | None) -> None:
    assert not ran_out(error)
    if error is not None:
        with pytest.raises(type(error)), Shortage():
            raise error


def test_what_the_failed_attempt_held_is_gone_before_the_next_one() -> None:
    held: list[weakref.ref] = []

    def inner() -> None:
        activation = torch.ones(3, requires_grad=True) * 2
        held.append(weakref.ref(activation))
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        except torch.OutOfMemoryError as error:
            raise RuntimeError("CUDA error: out of memory") from error

    def outer() -> None:
        graph = torch.ones(3, requires_grad=True) * 3
        held.append(weakref.ref(graph))
        inner()

    gc.disable()  # what only a collection would find is held too long
    try:
        with Shortage() as shortage:
            outer()
        assert shortage
        assert [ref() for ref in held] == [None, None]
    finally:
        gc.enable()
