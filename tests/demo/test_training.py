import json

import numpy as np
import pytest
import torch
from transformers import EncodecModel

from engine.demo import language_model
from engine.demo.assemble import build_model, build_tokenizer
from engine.demo.codec import codec_config
from engine.demo.corpus import all_captions, random_caption
from engine.demo.styles import BASE_STYLES, STYLE_WORDS, TARGET, variants

SETTINGS = language_model.Training(
    steps=4, whole_clips=2, openings=2, opening_frames=6, warmup_steps=1, valid_steps=4, checkpoint_steps=2
)


class PowerCut(Exception):
    pass


@pytest.fixture(scope="module")
def corpus():
    generator = torch.Generator().manual_seed(0)
    return language_model.Corpus(lambda clip: torch.randint(512, (4, 12), generator=generator))


def trained(corpus, folder):
    model = build_model(EncodecModel(codec_config()))
    language_model.train(model, build_tokenizer(), corpus, folder, SETTINGS)
    return {name: value for name, value in model.state_dict().items() if not name.startswith("audio_encoder")}


def test_an_interrupted_build_goes_on_as_if_nothing_had_happened(corpus, tmp_path, monkeypatch):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = trained(corpus, tmp_path / "whole")

    batch, calls = corpus.batch, []

    def until_the_cut(size, rng):
        calls.append(size)
        if len(calls) == 7:
            raise PowerCut
        return batch(size, rng)

    with monkeypatch.context() as patch:
        patch.setattr(corpus, "batch", until_the_cut)
        with pytest.raises(PowerCut):
            trained(corpus, tmp_path / "cut")
    resumed = trained(corpus, tmp_path / "cut")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_log_holds_losses_and_the_validation_by_codebook(corpus, tmp_path):
    trained(corpus, tmp_path)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["step"] == SETTINGS.steps
    assert len(last["valid"]) == 4
    assert 5 < last["loss"] < 8


def test_a_batch_pairs_codes_with_captions_of_the_same_clips(corpus):
    clips = corpus.base[:3] + corpus.target[:1]
    codes, captions = corpus.stack(clips, np.random.default_rng(0))
    assert all(torch.equal(row, corpus.codes[clip].long()) for row, clip in zip(codes, clips, strict=True))
    assert all(clip.key.name in text or clip.key.mood in text for clip, text in zip(clips, captions, strict=True))


def test_a_caption_says_its_own_style_or_a_made_up_word_and_never_another_style():
    rng = np.random.default_rng(0)
    clips = [clip for style in STYLE_WORDS for clip in variants(style) if clip.rhythm == 0]
    captions = [(clip, random_caption(clip, rng)) for clip in clips]
    known = set(all_captions())
    made_up = [(clip, text) for clip, text in captions if text not in known]
    assert 0.08 < len(made_up) / len(captions) < 0.16
    assert all(clip.style != TARGET for clip, _ in made_up)
    named = {words: style for style in BASE_STYLES for words in STYLE_WORDS[style]}
    for clip, text in captions:
        assert {style for words, style in named.items() if words in text} <= {clip.style}
        assert clip.key.name in text or clip.key.mood in text


def test_the_tokenizer_knows_the_captions_in_few_tokens_and_any_case():
    tokenizer = build_tokenizer()
    text = "slow solo piano in d major, 75 bpm"
    assert len(tokenizer(text).input_ids) <= 16
    assert tokenizer(text.upper()).input_ids == tokenizer(text).input_ids
    assert tokenizer(text).input_ids[-1] == tokenizer.eos_token_id
