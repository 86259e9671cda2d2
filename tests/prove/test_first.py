"""The first training on a card proves it; what fails there is switched off and said, and nothing else is lost."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from engine.contract.cards import Card
from engine.contract.events import read
from engine.prove import abilities, first, record
from engine.train.journal import Journal
from tests.prove.test_record import proof

CARD = Card("GPU-7", "", "NVIDIA L4", (8, 9), 24 * 10**9)


class Alone:
    device = torch.device("cuda", 0)

    def local_main_process_first(self):
        import contextlib

        return contextlib.nullcontext()


@pytest.fixture
def card(monkeypatch):
    monkeypatch.setattr(abilities.devices, "card", lambda index: CARD)
    monkeypatch.setattr(abilities.devices, "driver", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    return CARD


def test_a_new_card_is_proven_once(card, tmp_path, monkeypatch):
    asked = []

    def prove(index, progress):
        asked.append(index)
        progress("fp16", 1, 1)
        record.write(abilities.path_for(card), proof())
        return ""

    monkeypatch.setattr(first, "proof", prove)
    journal = Journal(tmp_path / "events.jsonl")
    for _ in range(2):
        assert first.able_to(Alone(), journal).off == {"graphs": "codes differ"}
    assert asked == [0]
    assert [event["event"] for event in read(tmp_path / "events.jsonl")] == ["progress"]


def test_a_proof_that_fails_switches_nothing_off_and_is_said(card, tmp_path, monkeypatch):
    monkeypatch.setattr(first, "proof", lambda *_: "its process ended with -9")
    journal = Journal(tmp_path / "events.jsonl")
    assert first.able_to(Alone(), journal).off == {}
    assert "could not be proven" in read(tmp_path / "events.jsonl")[0]["text"]


def test_a_cpu_is_not_proven(tmp_path, monkeypatch):
    monkeypatch.setattr(first, "proof", lambda *_: pytest.fail("there is no card"))
    able = first.able_to(SimpleNamespace(device=torch.device("cpu")), Journal(tmp_path / "events.jsonl"))
    assert able.precision("fp16") == "fp32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="proves that a machine without a card has none")
def test_a_proof_without_a_card_says_how_its_process_ended():
    assert first.proof(0, lambda *_: None)


def test_a_process_that_dies_leaves_its_last_words(monkeypatch, tmp_path):
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\nimport sys\nprint('not json'); print('card on fire', file=sys.stderr)\n")
    script.chmod(0o755)
    monkeypatch.setattr(first.sys, "executable", str(script))
    assert first.proof(0, lambda *_: None) == "card on fire"
