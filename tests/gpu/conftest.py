"""Every test here runs on the GPU made of paper."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gpu import paper


@pytest.fixture(scope="module", autouse=True)
def _on_paper() -> Iterator[None]:
    with paper.gpu():
        yield
