"""The optional text-audio score, with a CLAP of the real classes and random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor, PreTrainedTokenizerFast

from engine.contract.errors import UserError
from engine.generate.clap import Scorer
from engine.generate.evaluate import evaluate
from tests.generate.conftest import lines_of


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> str:
    folder = tmp_path_factory.mktemp("models") / "clap"
    text = {
        "vocab_size": 64,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "pad_token_id": 0,
    }
    audio = {
        "patch_embeds_hidden_size": 16,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "hidden_size": 32,
        "num_hidden_layers": 2,
    }
    ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=16)).save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_model)
    ClapProcessor(ClapFeatureExtractor(truncation="rand_trunc"), tokenizer).save_pretrained(folder)
    return str(folder)


def test_a_score_is_a_similarity_of_sound_and_text(clap):
    scorer = Scorer(clap)
    noise = np.random.default_rng(0).normal(size=(1, 16000 * 15)).astype(np.float32) * 0.1
    score = scorer.score(noise, 16000, "noise")
    assert -1 <= score <= 1
    assert score == scorer.score(noise, 16000, "noise")


def test_scores_stand_among_the_measures_when_a_model_is_configured(clap, make_run):
    run, other = make_run(), make_run("r2", clap_model=f'"{clap}"')
    evaluate(run, run.settings(), models=["base"])  # these base clips are shared, and have no score yet
    run = other
    evaluate(run, run.settings(), models=["base"])
    assert all(-1 <= line["measures"]["base"]["clap_score"] <= 1 for line in lines_of(run.evaluation()))


def test_a_clap_model_that_is_none_is_named(make_run):
    with pytest.raises(UserError, match=r"evaluate\.clap_model = .*nowhere.* cannot be loaded"):
        Scorer("/nowhere/clap")
