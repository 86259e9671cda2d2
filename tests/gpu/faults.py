"""What must not stand in a step on a GPU, each to be put into one, and what the watch says of it."""

from __future__ import annotations

import torch

from tests.gpu.paper import GPU


def waits_for_a_value(x: torch.Tensor) -> torch.Tensor:
    return x * x.sum().item()


def branches_on_a_value(x: torch.Tensor) -> torch.Tensor:
    return x if x.isfinite().all() else x.nan_to_num()


def chooses_by_value(x: torch.Tensor) -> torch.Tensor:
    return x + x[x > 0].sum()


def goes_to_the_host(x: torch.Tensor) -> torch.Tensor:
    return x.cpu().to(GPU)


def comes_from_the_host(x: torch.Tensor) -> torch.Tensor:
    return x + torch.ones(x.shape[-1], dtype=x.dtype).to(GPU)


def reads_a_tensor_of_the_host(x: torch.Tensor) -> torch.Tensor:
    return x + torch.ones(x.shape[-1], dtype=x.dtype)


def is_double(x: torch.Tensor) -> torch.Tensor:
    return x.double().to(x.dtype)


def launches_more(x: torch.Tensor) -> torch.Tensor:
    for _ in range(300):
        x = x + 1
    return x


FAULTS = {
    waits_for_a_value: "makes the host wait",
    branches_on_a_value: "makes the host wait",
    chooses_by_value: "makes the host wait",
    goes_to_the_host: "to the host, which waits",
    comes_from_the_host: "copies",
    reads_a_tensor_of_the_host: "reads a tensor of the host",
    is_double: "double precision",
    launches_more: "kernels",
}
