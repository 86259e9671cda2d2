"""Which GPU is used, what it tells, and what is said when torch does not see it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.contract.cards import Card, Facts, trouble

CARD = Card("aa-bb", "00000000:01:00.0", "NVIDIA GeForce RTX 4090", (8, 9), 24 * 10**9)
UNSEEN = Facts(
    listed=("NVIDIA GeForce RTX 4090",), driver="535.183.01", driver_cuda=12020, torch="2.14.1+cu130", built_for="13.0"
)
BUILDS = ("sm_75", "sm_80", "sm_86", "sm_90", "compute_120")


def test_a_driver_older_than_torchs_cuda_is_named_with_both_versions_and_the_command_that_mends_it() -> None:
    found = trouble(UNSEEN)
    assert found
    for words in ("RTX 4090", "driver 535.183.01", "CUDA up to 12.2", "built for CUDA 13.0", "too old"):
        assert words in found.message
    assert "--torch-backend=cu126 'torch<2.15' torchaudio" in found.fix
    assert "driver to 580 or newer" in found.fix
    assert 'train.device = "cpu"' in str(found)
    assert "http" not in str(found)


def test_a_torch_for_the_cpu_beside_a_card_is_named_as_such() -> None:
    found = trouble(replace(UNSEEN, torch="2.14.1+cpu", built_for=None, driver_cuda=13000))
    assert found
    assert "built for the CPU alone" in found.message
    assert "cu130" in found.fix


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(UNSEEN, driver_cuda=13000, visible="7"), "CUDA_VISIBLE_DEVICES = '7' names no card"),
        (replace(UNSEEN, driver_cuda=13000, cuda_error="CUDA unknown error"), "does not see it (CUDA unknown error)"),
        (Facts(driver_error="Driver/library version mismatch"), "does not answer (Driver/library version mismatch)"),
        (replace(UNSEEN, torch="", cuda_error="OSError: libcudart"), "torch does not import (OSError: libcudart)"),
        (
            replace(UNSEEN, cards=(replace(CARD, name="TITAN V", capability=(7, 0)),), built_archs=BUILDS),
            "holds no kernels for TITAN V (compute capability 7.0)",
        ),
    ],
)
def test_whatever_keeps_torch_from_a_card_is_said(facts: Facts, words: str) -> None:
    found = trouble(facts)
    assert found
    assert words in found.message
    assert found.fix


@pytest.mark.parametrize(
    "facts",
    [
        Facts(torch="2.14.1+cpu"),
        replace(UNSEEN, cards=(CARD,), built_archs=BUILDS),
        replace(UNSEEN, cards=(replace(CARD, capability=(12, 1)),), built_archs=BUILDS),
        replace(UNSEEN, visible=""),
        replace(UNSEEN, visible="-1"),
    ],
    ids=["no card", "seen", "a newer card translates the code", "hidden", "hidden by a number that is none"],
)
def test_no_trouble_where_there_is_no_card_or_it_is_seen_or_hidden_on_purpose(facts: Facts) -> None:
    assert trouble(facts) is None
