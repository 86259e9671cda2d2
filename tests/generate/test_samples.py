"""Samples while training: clips of the weights as they are, and training goes on as if they had not been made."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from engine.contract import config, events
from engine.generate import samples
from engine.generate.evaluate import evaluate
from engine.model import load, lora
from engine.train.journal import Journal
from engine.train.loop import train
from engine.train.step import Trainee
from tests.generate.conftest import PROMPTS, lines_of
from tests.train.conftest import new_run, write_clips


@pytest.fixture
def trainee(tiny_model) -> Trainee:
    decoder, projection = load.load_decoder(tiny_model, device="cpu", dtype=torch.float32)
    adapted = lora.attach(decoder, config.override(config.Settings(), ["lora.rank=2"]).lora, seed=4)
    with torch.no_grad():
        for name, weight in lora.trainable(adapted).items():
            if "lora_B" in name:
                weight.normal_()
    return Trainee(adapted.train(), projection, torch.device("cpu"), torch.float32)


def generators() -> tuple:
    return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()


def test_samples_leave_random_numbers_weights_and_modes_as_they_were(make_run, trainee):
    run = make_run()
    before = generators()
    weights = {name: tensor.clone() for name, tensor in trainee.decoder.state_dict().items()}
    samples.make(trainee, run.settings(), 20, run, Journal(run.events))
    assert generators() == before
    assert all(torch.equal(tensor, weights[name]) for name, tensor in trainee.decoder.state_dict().items())
    assert trainee.decoder.training


def test_each_sampled_step_is_a_model_of_the_set_samples(make_run, trainee):
    run = make_run()
    journal = Journal(run.events)
    for step in (20, 40):
        samples.make(trainee, run.settings(), step, run, journal)
        with torch.no_grad():
            for weight in lora.trainable(trainee.decoder).values():
                weight.add_(0.1)
    lines = lines_of(run.path / "evaluation_samples")
    assert [line["text_prompt"] for line in lines] == PROMPTS
    assert list(lines[0]["models"]) == ["step-000020", "step-000040"]
    assert (run.path / "evaluation_samples" / lines[0]["models"]["step-000040"]).is_file()
    states = [event["state"] for event in events.read(run.events) if event["event"] == "state"]
    assert states == ["done", "evaluating", "training", "evaluating", "training"]


def test_a_sample_is_the_clip_that_evaluation_makes_of_the_same_weights(make_run, trainee, tiny_model):
    run = make_run()
    samples.make(trainee, run.settings(), 20, run, Journal(run.events))
    lora.save(trainee.decoder, run.checkpoints / "step-000020" / "adapter", base=str(tiny_model))
    evaluate(run, run.settings(), models=["step-000020"])
    for line in lines_of(run.evaluation()):
        file = line["models"]["step-000020"]
        assert (run.path / "evaluation_samples" / file).read_bytes() == (run.evaluation() / file).read_bytes()


def test_a_run_with_samples_ends_with_the_weights_of_one_without(tmp_path, tiny_model):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a tone\n")
    clips = write_clips(tmp_path / "clips", train=4, valid=1)
    ended = []
    for name, every in (("with", 1), ("without", 0)):
        run = new_run(
            tmp_path / "runs", name, clips, tiny_model, train__epochs=3, evaluate__every=every,
            evaluate__duration=1.0, evaluate__prompts_file=str(prompts),
        )  # fmt: skip
        assert train(run, run.settings()) == "done"
        ended.append(lora.fingerprint(run.final_model))
    assert ended[0] == ended[1]
    (line,) = lines_of(tmp_path / "runs" / "with" / "evaluation_samples")
    assert list(line["models"]) == ["step-000001", "step-000002"]


def test_samples_that_cannot_be_made_are_a_note_and_not_the_end_of_training(make_run, trainee):
    run = make_run()
    settings = config.override(run.settings(), ['evaluate.prompts_file="/nowhere.json"'])
    samples.make(trainee, settings, 20, run, Journal(run.events))
    notes = [event["text"] for event in events.read(run.events) if event["event"] == "note"]
    assert notes[-1].startswith("no samples at step 20: The prompts file /nowhere.json cannot be read")
