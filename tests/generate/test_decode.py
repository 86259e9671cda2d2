"""Decoding gives the codes that transformers' generate gives, in the batch or alone, and samples from its law."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import (
    MusicgenForConditionalGeneration,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.generate import codec, noise, studio
from engine.generate.codec import to_audio
from engine.generate.decode import CACHE_BLOCK, Decoder, NotFinite, Sampling, Stopped, choose
from tests.generate.models import adapted, codes_of_generate, decoder_of, sharpened, texts
from tests.models import build_tiny

GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    parent = tmp_path_factory.mktemp("models")
    return {"mono": build_tiny(parent / "mono"), "stereo": build_tiny(parent / "stereo", channels=2)}


@pytest.fixture(scope="module")
def mono(folders) -> MusicgenForConditionalGeneration:
    return sharpened(MusicgenForConditionalGeneration.from_pretrained(folders["mono"]))


@pytest.fixture(scope="module", params=["mono", "stereo"])
def model(request, folders) -> MusicgenForConditionalGeneration:
    return sharpened(MusicgenForConditionalGeneration.from_pretrained(folders[request.param]))


@pytest.mark.parametrize("prompts", [1, 8])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("frames", [4, 37, 150])
def test_greedy_decoding_gives_the_codes_of_generate(model, prompts, guidance, frames):
    ids, mask, states = texts(model, prompts)
    sampling = Sampling(guidance_scale=guidance, temperature=0)
    codes = decoder_of(model).decode(states, mask, frames, sampling, [0] * prompts)
    assert torch.equal(codes, codes_of_generate(model, ids, mask, frames, guidance))
    assert codes.shape == (prompts, model.decoder.config.num_codebooks, frames)
    if frames > 100:
        assert codes.unique().numel() > 20  # a model that always says the same would prove little


def test_audio_in_pieces_is_the_audio_in_one_go(model, monkeypatch):
    codes = torch.randint(0, 64, (3, model.decoder.config.num_codebooks, 150))
    channels = model.decoder.config.audio_channels
    whole = to_audio(model.audio_encoder, codes, channels)
    monkeypatch.setattr(codec, "LARGEST_CPU_TENSOR", 1)
    pieces = to_audio(model.audio_encoder, codes, channels)
    with torch.no_grad():
        reference = [model.audio_encoder.decode(codes[None, :, side::channels], [None])[0] for side in range(channels)]
    assert whole.shape == (3, channels, 150 * 640)
    torch.testing.assert_close(pieces, torch.cat(reference, dim=1), atol=1e-6, rtol=0)
    torch.testing.assert_close(whole, pieces, atol=1e-6, rtol=0)


def test_decoding_over_whole_blocks_with_a_mask_gives_the_same_codes(mono, monkeypatch):
    # This is what the CUDA graphs record; only the recording itself needs a GPU.
    _, mask, states = texts(mono, 4)
    decoder = decoder_of(mono)
    exact = decoder.decode(states, mask, 40, GREEDY, [0] * 4)
    state = decoder._state
    assert state is not None
    monkeypatch.setattr(state, "advance", lambda step: state.step(state.positions, masked=True))
    assert torch.equal(decoder.decode(states, mask, 40, GREEDY, [0] * 4), exact)


def test_noise_drawn_for_whole_blocks_of_steps_gives_the_same_clip(mono):
    # As on a GPU, where the hash would be thirty kernels a step.
    _, mask, states = texts(mono, 2)
    decoder, keys = decoder_of(mono), [noise.key(0, "a"), noise.key(0, "b")]
    one_by_one = decoder.decode(states, mask, CACHE_BLOCK + 20, Sampling(), keys)
    decoder._state.noise = torch.zeros(CACHE_BLOCK, 2, decoder.codebooks, decoder.vocabulary)
    assert torch.equal(decoder.decode(states, mask, CACHE_BLOCK + 20, Sampling(), keys), one_by_one)


def test_a_capture_that_fails_is_said_once_and_costs_only_time(mono, monkeypatch, caplog):
    _, mask, states = texts(mono, 2)
    decoder = decoder_of(mono)
    exact = decoder.decode(states, mask, 20, GREEDY, [0] * 2)
    tried = []

    def fails(state):
        tried.append(state)
        raise RuntimeError("operation not permitted when stream is capturing\nmore about it")

    # What is recorded and where needs a GPU; what follows when it cannot be does not.
    monkeypatch.setattr(type(decoder._state), "_record", fails)
    monkeypatch.setattr(Decoder, "capture_failed", False)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    for _ in range(2):
        decoder._state.eager = False
        assert torch.equal(decoder.decode(states, mask, 20, GREEDY, [0] * 2), exact)
    assert len(tried) == 1
    assert "decoding without it: operation not permitted when stream is capturing" in caplog.text


def test_memory_that_runs_out_in_the_codec_keeps_the_codes_and_hears_fewer_clips_at_once(mono, monkeypatch):
    _, mask, states = texts(mono, 4)
    decoder, decoded, heard = decoder_of(mono), [], []
    decode, hear = decoder.decode, studio.to_audio
    monkeypatch.setattr(decoder, "decode", lambda *rest, **more: decoded.append(1) or decode(*rest, **more))

    def with_room_for_two(codec, codes, channels):
        heard.append(len(codes))
        if len(codes) > 2:
            raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
        return hear(codec, codes, channels)

    def sound():
        rows = [row[: int(kept.sum())] for row, kept in zip(states, mask, strict=True)]
        return studio.sound(
            decoder, mono.audio_encoder, rows, [0] * 4, 20 * 640, GREEDY, on_step=lambda *_: None,
            should_stop=lambda: False,
        )  # fmt: skip

    codes, audio = sound()
    monkeypatch.setattr(studio, "to_audio", with_room_for_two)
    again, audio_again = sound()
    assert (again == codes).all()
    torch.testing.assert_close(torch.from_numpy(audio_again), torch.from_numpy(audio), atol=1e-6, rtol=0)
    assert len(decoded) == 2
    assert heard == [4, 2, 2]


def test_logits_that_are_no_numbers_are_no_clip(mono):
    _, mask, states = texts(mono, 1)
    decoder = decoder_of(mono)
    decoder.decode(states, mask, 5, GREEDY, [0])
    whole = decoder.layers[1].fc2
    for broken in (float("nan"), float("inf")):
        decoder.layers[1].fc2 = whole.clone()
        decoder.layers[1].fc2[3, 3] = broken
        with pytest.raises(NotFinite, match="decoding in float32 gave logits that are not finite"):
            decoder.decode(states, mask, 5, Sampling(), [0])
    decoder.layers[1].fc2 = whole
    decoder.decode(states, mask, 5, Sampling(), [0])


def test_an_active_adapter_is_merged_into_the_decoder_and_the_model_is_left_alone(folders):
    model = adapted(MusicgenForConditionalGeneration.from_pretrained(folders["mono"]))
    _, mask, states = texts(model, 2)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    decoder = decoder_of(model)
    codes = decoder.decode(states, mask, 20, GREEDY, [0, 0])
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())

    state = decoder._state
    assert state is not None
    state.begin(noise.bits([0, 0], 23, 4), decoder._pads(20))
    start = torch.full((2, 4), 64)
    merged = decoder.logits(state, start, 1, masked=False)
    with torch.no_grad():
        unmerged = model(
            decoder_input_ids=start.repeat(2, 1).reshape(-1, 1),
            encoder_outputs=(torch.cat([states, torch.zeros_like(states)]),),
            attention_mask=torch.cat([mask, torch.zeros_like(mask)]),
        )
    torch.testing.assert_close(merged, unmerged.logits[:, -1].view(4, 4, -1), atol=1e-4, rtol=0)
    with model.decoder.disable_adapter():
        plain = decoder_of(model).decode(states, mask, 20, GREEDY, [0, 0])
    assert not torch.equal(plain, codes)


def test_a_row_does_not_depend_on_its_neighbours_or_its_place(mono):
    _, mask, states = texts(mono, 8)
    keys = [noise.key(0, f"prompt {row}") for row in range(8)]
    decoder = decoder_of(mono)
    batch = decoder.decode(states, mask, 60, Sampling(), keys)
    order = [3, 0, 7, 1, 2, 6, 5, 4]
    assert torch.equal(
        decoder.decode(states[order], mask[order], 60, Sampling(), [keys[i] for i in order]), batch[order]
    )
    alone = decoder.decode(states[[5] * 8], mask[[5] * 8], 60, Sampling(), [keys[5]] * 8)
    assert torch.equal(alone, batch[[5] * 8])


def test_the_same_key_gives_the_same_clip_and_another_key_another(mono):
    _, mask, states = texts(mono, 1)
    decoder = decoder_of(mono)
    first, again, other = (decoder.decode(states, mask, 30, Sampling(), [key]) for key in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_logits_near_those_of_fp32(mono, dtype):
    _, mask, states = texts(mono, 2)
    tokens = torch.full((2, 4), 64)
    logits = []
    for decoder in (decoder_of(mono), decoder_of(mono, dtype)):
        decoder.decode(states, mask, 4, GREEDY, [0, 0])
        assert decoder._state is not None
        decoder._state.position.zero_()
        logits.append(decoder.logits(decoder._state, tokens, 1, masked=False))
    assert logits[1].dtype == torch.float32
    torch.testing.assert_close(logits[1], logits[0], atol=0.05 * logits[0].abs().max().item(), rtol=0)


def test_decoding_stops_between_steps_and_reports_each_one(mono):
    _, mask, states = texts(mono, 1)
    seen: list[tuple[int, int]] = []
    with pytest.raises(Stopped):
        decoder_of(mono).decode(
            states, mask, 30, GREEDY, [0], on_step=lambda *at: seen.append(at), should_stop=lambda: len(seen) == 5
        )
    assert seen == [(done, 33) for done in range(1, 6)]


def test_top_p_keeps_the_smallest_set_that_holds_the_share():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(2000, 1, 4)
    gumbel = partial(noise.gumbel, noise.bits([7], 2000, 1)[0])
    drawn = choose(logits, Sampling(top_k=0, top_p=0.6), gumbel)
    assert set(drawn.unique().tolist()) == {0, 1}
    assert set(choose(logits, Sampling(top_k=1), gumbel).unique().tolist()) == {0}


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 0.0), (25, 0.0), (0, 0.8), (25, 0.9)])
def test_sampling_draws_from_what_transformers_would_draw_from(top_k, top_p):
    logits = torch.randn(1, 40, generator=torch.Generator().manual_seed(0)) * 1.5
    kept = TemperatureLogitsWarper(0.8)(None, logits)
    if top_k:
        kept = TopKLogitsWarper(top_k)(None, kept)
    if top_p:
        kept = TopPLogitsWarper(top_p)(None, kept)
    draws = 40000
    sampling = Sampling(temperature=0.8, top_k=top_k, top_p=top_p)
    drawn = choose(logits.expand(draws, 1, 40), sampling, partial(noise.gumbel, noise.bits([3], draws, 1)[0]))[:, 0]
    counts = torch.bincount(drawn, minlength=40).double()
    expected = kept[0].softmax(-1).double() * draws
    possible = expected > 0
    assert counts[~possible].sum() == 0
    chi_squared = ((counts[possible] - expected[possible]) ** 2 / expected[possible]).sum()
    freedom = int(possible.sum()) - 1
    assert chi_squared < freedom + 5 * (2 * freedom) ** 0.5


def test_noise_is_a_function_of_seed_prompt_and_repeat_and_longer_clips_begin_like_shorter_ones():
    assert noise.key(0, "a choir") == noise.key(0, "a choir")
    assert (
        len({noise.key(0, "a choir"), noise.key(1, "a choir"), noise.key(0, "a choir", 1), noise.key(0, "a cat")}) == 4
    )
    assert torch.equal(noise.bits([5, 6], 80, 4)[:, :50], noise.bits([5, 6], 50, 4))


def test_noise_is_gumbel_and_independent_between_codes_steps_and_codebooks():
    words = noise.bits([11], 500, 4)[0]
    drawn = noise.gumbel(words, torch.arange(64).expand(500, 4, 64)).double()
    assert drawn.mean().item() == pytest.approx(0.5772, abs=0.02)
    assert drawn.var().item() == pytest.approx(1.6449, abs=0.05)
    centred = drawn - drawn.mean()
    for one, other in (
        (centred[:, :, 1:], centred[:, :, :-1]), (centred[1:], centred[:-1]), (centred[:, 1:], centred[:, :-1]),
    ):  # fmt: skip
        assert abs((one * other).mean().item()) < 0.03


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_graphs_on_a_gpu_give_the_codes_of_generate(folders):
    model = sharpened(MusicgenForConditionalGeneration.from_pretrained(folders["mono"]))
    ids, mask, states = (tensor.cuda() for tensor in texts(model, 8))
    model.cuda()
    decoder = decoder_of(model)
    for _ in range(2):  # the second call replays the graphs of the first
        codes = decoder.decode(states, mask, 200, GREEDY, [0] * 8)
        assert torch.equal(codes, codes_of_generate(model, ids, mask, 200, 3.0))
    assert decoder._state is not None
    assert decoder._state.graphs is not None, "the graphs were not captured"
    assert len(decoder._state.graphs) == 2


def test_weights_reach_their_device_one_by_one_and_leave_the_model_where_it_was(mono):
    decoder = Decoder(adapted(copy.deepcopy(mono)).decoder, None, torch.float16, torch.device("meta"))
    held = [value for layer in decoder.layers for value in vars(layer).values()]
    weights = [value.weight if isinstance(value, torch.nn.Module) else value for value in held]
    weights += [decoder.embedding, decoder.offsets, decoder.output, decoder.final_norm.weight]
    assert {weight.device.type for weight in weights} == {"meta"}
    assert {weight.dtype for weight in weights} == {torch.float16, torch.int64}
    assert {weight.device.type for weight in mono.parameters()} == {"cpu"}
