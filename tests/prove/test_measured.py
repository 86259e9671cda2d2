"""What the proof measures, measured where values are right: verdicts must be good there, and bad elsewhere."""

from __future__ import annotations

import math

import pytest
import torch

from engine.model import untrained
from engine.prove import decoding, training, verdicts

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _short_clips(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(training, "FRAMES", 12)


def step(trained: training.Trained, whole: training.Trained) -> verdicts.Step:
    cosine = torch.nn.functional.cosine_similarity(trained.gradient.double(), whole.gradient.double(), dim=0)
    ratio = trained.gradient.norm() / whole.gradient.norm()
    return verdicts.Step(whole.loss, trained.loss, float(cosine), float(ratio), math.log(2048))


def test_bf16_is_found_to_follow_fp32_and_other_weights_are_not():
    batch = training.clips(1)
    whole = training.train_once(training.student(CPU, "fp32", layers=1), batch)
    half = training.student(CPU, "bf16", layers=1)
    assert verdicts.half("bf16", step(training.train_once(half, batch), whole)).verdict == "works"
    with torch.no_grad():
        for weight in half.decoder.parameters():
            weight.mul_(1.5)
    assert verdicts.half("bf16", step(training.train_once(half, batch), whole)).off == "bf16"


def test_scaler_and_adamw_of_a_cpu_are_found_to_work():
    assert verdicts.scaler(training.scaling(CPU)).verdict == "works"
    assert verdicts.adamw(*training.adamw(CPU)).verdict == "works"


def test_encodec_is_found_equal_to_itself_on_sounds_it_tells_apart():
    found = decoding.encodec(CPU, 0.4)
    assert verdicts.encodec(found).verdict == "works"
    assert found.equal_codes == 1.0


def test_encodec_in_rounded_arithmetic_is_found_out(monkeypatch):
    real = untrained.codec
    built = []

    def codec():
        model = real()
        move = model.to

        def to(device):
            with torch.no_grad():
                for weight in model.parameters():  # as TF32 would round them
                    weight.mul_(1 + 1e-3 * torch.randn_like(weight))
            return move(device)

        model.to = to
        built.append(model)
        return model

    monkeypatch.setattr(untrained, "codec", codec)
    assert verdicts.encodec(decoding.encodec(CPU, 0.4)).off == "encodec"
    assert built
