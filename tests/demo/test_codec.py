import numpy as np
import pytest
import torch
from transformers import EncodecModel

from engine.demo import codec as demo_codec
from engine.demo import synth
from engine.demo.styles import variants

CLIPS = [clip for style in ("piano", "marimba", "guitar") for clip in variants(style)[::5]]


@pytest.fixture(scope="module")
def built():
    with torch.no_grad():
        return demo_codec.build_codec(CLIPS)


def round_trip(codec, samples):
    with torch.no_grad():
        codes = codec.encode(torch.from_numpy(samples)[None, None]).audio_codes
        return codes[0, 0], codec.decode(codes, [None]).audio_values[0, 0].numpy()


def test_a_codec_written_without_training_reconstructs_its_music(built):
    for clip in CLIPS[::5]:
        samples = synth.render(clip)
        codes, copy = round_trip(built[0], samples)
        assert codes.shape == (4, 375)
        assert copy.shape == samples.shape
        assert demo_codec.si_sdr(samples, copy) > 12


def test_the_quick_encoder_does_what_the_real_one_does(built):
    codec, transform = built
    samples = synth.render(CLIPS[3])
    codes, copy = round_trip(codec, samples)
    quick = demo_codec.encode(codec, transform, samples)
    assert (quick == codes).float().mean() > 0.95
    again = codec.decode(quick[None, None], [None]).audio_values[0, 0].numpy()
    assert demo_codec.si_sdr(copy, again) > 25


def test_silence_stays_silent(built):
    with torch.no_grad():
        rest = built[0].decoder(built[0].encoder(torch.zeros(1, 1, 8 * synth.FRAME)))
    assert rest.abs().max() < 1e-3


def test_half_precision_on_disk_loses_nothing(built, tmp_path):
    codec, _ = built
    samples = synth.render(CLIPS[0])
    copy = EncodecModel(codec.config)
    copy.load_state_dict(codec.state_dict())
    copy.half().save_pretrained(tmp_path)
    loaded = EncodecModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert torch.equal(round_trip(codec, samples)[0], round_trip(loaded, samples)[0])


def test_si_sdr_knows_ten_decibels_of_noise_and_ignores_level():
    rng = np.random.default_rng(0)
    signal = rng.standard_normal(100_000)
    noisy = signal + rng.standard_normal(100_000) * 10 ** (-10 / 20)
    assert demo_codec.si_sdr(signal, 3 * noisy) == pytest.approx(10, abs=0.1)
