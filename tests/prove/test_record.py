"""What was found of a card is kept for that card, driver and torch, and decides what runs may use."""

from __future__ import annotations

import json

import pytest
import torch

from engine.contract import config
from engine.contract.cards import Card
from engine.generate.studio import arithmetic
from engine.prove import abilities, record
from engine.prove.abilities import Abilities
from engine.prove.record import Line, Rates, Record

CARD = Card("GPU-1", "", "NVIDIA GeForce RTX 4090", (8, 9), 24 * 10**9)
GPU = torch.device("cuda", 0)


def proof(**changes) -> Record:
    off = [Line(check="graphs", verdict="falls back", message="codes differ", off="graphs")]
    fields = {"card": CARD.name, "uuid": CARD.uuid, "driver": "580.65", "torch": "2.14.1", "t": 1.0, "lines": off}
    return Record(**{**fields, **changes})


def test_a_proof_comes_back_as_it_was_kept(tmp_path):
    kept = proof(full=True, rates=Rates(products=165e12, peaks={"2": 3.5e9}))
    record.write(tmp_path / "cards" / "a.json", kept)
    assert record.read(tmp_path / "cards" / "a.json", values=True) == kept
    assert kept.off == {"graphs": "codes differ"}


def test_another_card_driver_or_torch_has_a_proof_of_its_own():
    files = {
        record.path_for(CARD, "580.65", "2.14.1"),
        record.path_for(CARD, "580.82", "2.14.1"),
        record.path_for(CARD, "580.65", "2.13.0"),
        record.path_for(Card("GPU-2", "", CARD.name, (8, 9), CARD.memory), "580.65", "2.14.1"),
    }
    assert len(files) == 4
    # Where the driver gives no UUID the name must do.
    unnamed = [Card("0000-00", "", name, (8, 9), CARD.memory) for name in ("A", "B")]
    assert len({record.path_for(card, None, "2.14.1") for card in unnamed}) == 2


@pytest.mark.parametrize("damage", ["", "{", '{"card": 3}', "[]"])
def test_a_damaged_proof_counts_as_none(tmp_path, damage):
    (tmp_path / "a.json").write_text(damage)
    assert record.read(tmp_path / "a.json", values=True) is None


def test_a_proof_with_a_word_that_is_none_counts_as_none(tmp_path):
    path = tmp_path / "a.json"
    record.write(path, proof())
    path.write_text(path.read_text().replace('"falls back"', '"perhaps"'))
    assert record.read(path, values=True) is None


def test_a_proof_without_values_holds_only_where_none_are_wanted(tmp_path):
    record.write(tmp_path / "a.json", proof(values=False))
    assert record.read(tmp_path / "a.json", values=False) is not None
    assert record.read(tmp_path / "a.json", values=True) is None


@pytest.mark.parametrize(
    ("full", "left_out", "for_training", "for_doctor"),
    [(False, False, True, False), (False, True, False, False), (True, False, True, True), (True, True, True, False)],
)
def test_a_proof_is_made_again_where_it_leaves_out_what_is_asked(full, left_out, for_training, for_doctor):
    left = [Line(check="graphs", verdict="not checked", message="memory ran out")] * left_out
    kept = proof(full=full, lines=left)
    assert (kept.answers(short=True), kept.answers(short=False)) == (for_training, for_doctor)


@pytest.mark.parametrize(
    ("wanted", "off", "taken"),
    [
        ("fp16", (), "fp16"),
        ("fp16", ("fp16",), "bf16"),
        ("fp16", ("fp16", "bf16"), "fp32"),
        ("bf16", ("bf16",), "fp32"),
        ("fp32", ("fp16", "bf16"), "fp32"),
    ],
)
def test_the_nearest_precision_that_works_is_taken(wanted, off, taken):
    able = Abilities(dict.fromkeys(off, "it is wrong"))
    assert able.precision(wanted) == taken
    told = able.told(config.Train(precision=wanted))
    assert told == ([] if taken == wanted else [f"{taken} instead of {wanted}: it is wrong"])


def test_what_is_switched_off_is_told_where_the_run_asks_for_it():
    able = Abilities({"compile": "no compiler", "graphs": "codes differ"})
    assert len(able.told(config.Train())) == 1
    assert [line.split(":")[0] for line in able.told(config.Train(compile=True))] == [
        "decoding goes step by step, without CUDA graphs",
        "train.compile is left off",
    ]


@pytest.fixture
def card(monkeypatch):
    monkeypatch.setattr(abilities.devices, "card", lambda index: CARD)
    monkeypatch.setattr(abilities.devices, "driver", lambda: "580.65")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    return CARD


def test_clips_and_training_ask_the_kept_proof(card):
    settings = config.Settings()
    assert abilities.of(GPU) == Abilities({})
    assert arithmetic(settings, GPU) == "fp16"
    bad = Line(check="fp16", verdict="falls back", message="loss differs", off="fp16")
    record.write(abilities.path_for(card), proof(lines=[bad]))
    assert abilities.of(GPU).off == {"fp16": "loss differs"}
    assert arithmetic(settings, GPU) == "bf16"
    assert arithmetic(settings, torch.device("cpu")) == "fp32"


def test_the_file_is_plain_json(card):
    record.write(abilities.path_for(card), proof())
    assert json.loads(abilities.path_for(card).read_text())["lines"][0]["off"] == "graphs"
