"""Time and memory of a run follow from what was measured of the card."""

from __future__ import annotations

import pytest

from engine.contract import config
from engine.contract.cards import Card, Facts
from engine.contract.plan import plan
from engine.data import outlook, resources
from engine.data.resources import SMALL_DECODER, gpu_finding, time_findings
from engine.prove import record
from engine.prove.record import Rates, Record

CARD = Card("GPU-3", "", "NVIDIA GeForce RTX 4090", (8, 9), 24 * 10**9)
SEEN = Facts(driver="580.65", torch="2.14.1", cards=(CARD,))
RATES = Rates(products=160e12, products_fp32=40e12, clip_seconds=0.1, step_seconds=0.002)
LARGE = {**SMALL_DECODER, "hidden_size": 2048, "ffn_dim": 8192, "num_hidden_layers": 48}


def keep(rates: Rates) -> None:
    path = record.path_for(CARD, SEEN.driver, SEEN.torch)
    record.write(path, Record(card=CARD.name, uuid=CARD.uuid, driver="580.65", torch="2.14.1", t=1.0, rates=rates))


def seconds(*changes: str, sizes=SMALL_DECODER, frames: int = 750, rates: Rates = RATES) -> float | None:
    settings = config.override(config.Settings(), list(changes))
    return outlook.training_seconds(settings, 100, sizes, SMALL_DECODER, frames, rates)


def test_training_takes_what_its_clips_took_on_the_card():
    assert seconds() == pytest.approx(10.0)
    assert seconds("train.gradient_checkpointing=true") == pytest.approx(10 * 4 / 3)
    assert seconds('train.precision="fp32"') == pytest.approx(40.0)
    assert 4.5 < seconds(frames=375) < 5.0
    assert 6 < seconds(sizes=LARGE) / 10 < 9
    assert seconds(rates=Rates()) is None


def test_clips_take_their_batches_of_eight_for_three_models():
    def took(prompts: int) -> float | None:
        return outlook.clips_seconds(config.Settings(), prompts, SMALL_DECODER, SMALL_DECODER, 750, RATES)

    assert took(8) == pytest.approx(3 * 750 * 0.002)
    assert took(9) == pytest.approx(2 * took(8))
    assert took(0) is None


def test_the_check_tells_the_time_where_the_card_was_measured():
    settings = config.Settings()
    course = plan(settings, 100)
    assert time_findings(settings, course, 8, lambda: SEEN) == []
    keep(RATES)
    assert time_findings(settings, course, 8, lambda: SEEN)[0].message == (
        "about 10 s of training and 4 s of clips at this card's measured rates"
    )
    assert time_findings(settings, None, 8, lambda: SEEN) == []
    assert time_findings(config.override(settings, ['train.device="cpu"']), course, 8, pytest.fail) == []


def test_memory_is_scaled_by_what_was_measured():
    def told() -> str:
        return gpu_finding(config.Settings(), lambda: SEEN).message

    reckoned = told()
    own = resources.gpu_bytes(SMALL_DECODER, config.Settings(), 2, 750) - resources.CUDA_CONTEXT
    keep(Rates(peaks={"2": own}))
    assert told() == reckoned
    keep(Rates(peaks={"2": 2 * own}))
    assert told() != reckoned
    keep(Rates(peaks={"two": own}))
    assert told() == reckoned
