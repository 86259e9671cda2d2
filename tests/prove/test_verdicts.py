"""Verdicts follow from numbers alone: each works, falls back or fails, and says with what."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from engine.contract.cards import Card, Facts
from engine.prove import verdicts
from engine.prove.verdicts import Decoded, Scaled, Sound, Speeds, Step

CARD = Card("1-2", "", "NVIDIA GeForce RTX 4090", (8, 9), 24 * 10**9)
FACTS = Facts(
    listed=(CARD.name,), driver="580.65", driver_cuda=13000, torch="2.14.1", built_for="13.0", cards=(CARD,),
    built_archs=("sm_80", "sm_86", "sm_90"),
)  # fmt: skip
STEP = Step(loss_fp32=7.83, loss=7.831, cosine=0.9995, norm_ratio=1.001, blind_loss=math.log(2048), times_floor=1.9)
NAN = math.nan


def test_a_card_is_named_with_driver_and_torch():
    line = verdicts.card(FACTS)
    assert line.verdict == "works"
    for part in ("RTX 4090", "24.0 GB", "8.9", "580.65", "2.14.1", "13.0"):
        assert part in line.message


def test_a_card_without_kernels_in_torch_fails_with_what_mends_it():
    line = verdicts.card(replace(FACTS, built_archs=("sm_100",)))
    assert line.verdict == "fails"
    assert "cu126" in line.message


@pytest.mark.parametrize(
    ("sample", "known", "verdict"),
    [
        ({"util": 3, "fan": 30}, True, "works"),
        ({"util": 3, "fan": None}, True, "falls back"),
        ({}, False, "falls back"),
    ],
)
def test_telemetry_falls_back_on_what_is_told(sample, known, verdict):
    line = verdicts.nvml(sample, known)
    assert (line.verdict, line.off) == (verdict, None)
    assert "util" not in line.message
    assert "fan" in line.message or not (known and verdict == "falls back")


def test_speed_says_where_half_precision_is_no_faster():
    assert "no faster" not in verdicts.rates(Speeds(165e12, 40e12, 0.93e12)).message
    assert "no faster" in verdicts.rates(Speeds(10e12, 11e12, 0.3e12)).message
    assert "165 TFLOP/s" in verdicts.rates(Speeds(165e12, 40e12, 0.93e12)).message


def test_half_precision_that_follows_fp32_works_and_tells_its_distance_from_the_floor():
    line = verdicts.half("fp16", STEP)
    assert (line.verdict, line.off, line.times_floor) == ("works", None, 1.9)


@pytest.mark.parametrize(
    "change",
    [{"loss": 7.9}, {"loss": NAN}, {"cosine": 0.9}, {"cosine": NAN}, {"norm_ratio": 0.5}, {"norm_ratio": math.inf}],
)
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_that_does_not_is_switched_off(precision, change):
    line = verdicts.half(precision, STEP._replace(**change))
    assert (line.verdict, line.off) == ("falls back", precision)
    # On a card that only pretends, that it runs is all there is to say.
    assert verdicts.half(precision, STEP._replace(**change), values=False).verdict == "works"


@pytest.mark.parametrize("loss", [0.0, 12.0, NAN])
def test_where_fp32_itself_is_wrong_there_is_nothing_to_go_back_to(loss):
    line = verdicts.half("fp16", STEP._replace(loss_fp32=loss, loss=loss))
    assert (line.verdict, line.off) == ("fails", None)
    assert "fp32 itself" in line.message


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Scaled(1e-3, 0.0, 65536, 32768), "works"),
        (Scaled(0.0, 0.0, 65536, 32768), "falls back"),
        (Scaled(NAN, 0.0, 65536, 32768), "falls back"),
        (Scaled(1e-3, 1e-3, 65536, 32768), "falls back"),
        (Scaled(1e-3, NAN, 65536, 32768), "falls back"),
        (Scaled(1e-3, 0.0, 65536, 65536), "falls back"),
    ],
)
def test_a_scaler_must_step_skip_and_lower_its_scale(found, verdict):
    line = verdicts.scaler(found)
    assert line.verdict == verdict
    assert line.off == (None if verdict == "works" else "fp16")


@pytest.mark.parametrize(("difference", "off"), [(1e-4, None), (0.5, "fused_adamw"), (NAN, "fused_adamw")])
def test_fused_adamw_must_be_adamw(difference, off):
    assert verdicts.adamw(difference, 0.4).off == off


def test_micro_batches_tell_the_largest_that_fits_and_the_fastest():
    line = verdicts.micro({1: 2e9, 2: 4e9, 4: 6e9}, {1: 0.1, 2: 0.15, 4: 0.4}, 8e9)
    assert line.verdict == "works"
    assert "up to 4 clips" in line.message
    assert "13.33 clips a second with 2" in line.message
    none = verdicts.micro({}, {}, 2e9)
    assert (none.verdict, none.off) == ("falls back", None)
    assert "gradient_checkpointing" in none.message


@pytest.mark.parametrize(
    ("change", "off"),
    [({}, None), ({"equal": 23999}, "graphs"), ({"captured": False}, "graphs")],
)
def test_graphs_must_give_every_code(change, off):
    found = Decoded(24000, 24000, True, 0.002, 0.012, 1.8)._replace(**change)
    line = verdicts.graphs(found)
    assert line.off == off
    assert line.times_floor == (None if off else 1.8)


@pytest.mark.parametrize(("loss", "off"), [(7.831, None), (7.9, "compile"), (NAN, "compile")])
def test_a_compiled_decoder_must_have_the_loss_of_the_other(loss, off):
    assert verdicts.compiled(loss, 7.83, 20).off == off


@pytest.mark.parametrize(
    ("found", "off"),
    [
        (Sound(0.999, 1e-6, 80), None),
        (Sound(0.5, 1e-6, 80), "encodec"),
        (Sound(NAN, 1e-6, 80), "encodec"),
        (Sound(0.999, 0.1, 80), "encodec"),
        (Sound(0.999, NAN, 80), "encodec"),
    ],
)
def test_encodec_must_sound_as_on_a_cpu(found, off):
    assert verdicts.encodec(found).off == off


def test_what_raises_is_done_without_where_it_can_be():
    assert verdicts.broken("graphs", "boom").off == "graphs"
    assert verdicts.broken("micro-batches", "boom").verdict == "fails"
