"""Memory that runs out: the one place that knows such an error, and lets go of what the failed attempt held."""

from __future__ import annotations

import re
import traceback
from types import TracebackType

import torch

_SAID = re.compile(
    "out of memory|can't allocate memory|ALLOC_FAILED|ALLOCATION_FAILED|CUBLAS_STATUS_NOT_INITIALIZED when calling"
)
"""What the driver, the CPU's allocator, cuBLAS, cuDNN and cuFFT say in a plain RuntimeError. cuBLAS is not initialized
when there was no memory for its handle."""


def ran_out(error: BaseException | None) -> bool:
    """Whether ``error`` says that a GPU or this machine has no memory left."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and _SAID.search(str(error)) is not None


class Shortage:
    """``with Shortage() as shortage:`` an attempt that may run out of memory; then ``if shortage:`` it did.

    The error ends there, and so does what it kept alive: an exception holds the frames that it went through, these
    hold activations, and one activation holds the whole graph. All other errors pass.
    """

    def __init__(self) -> None:
        self._happened = False

    def __bool__(self) -> bool:
        return self._happened

    def __enter__(self) -> Shortage:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> bool:
        self._happened = ran_out(error)
        if self._happened:
            _let_go(error)
            empty_cache()
        return self._happened


def _let_go(error: BaseException | None) -> None:
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def empty_cache() -> None:
    """Give the GPU memory that torch holds in reserve back to others."""
    if torch.cuda.is_available():
        try:
            torch.cuda.empty_cache()
        except RuntimeError:
            # After a capture that failed, some versions of torch take themselves to be capturing still.
            pass
