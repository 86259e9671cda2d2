import numpy as np
import pytest

from engine.demo import corpus, synth
from engine.demo.styles import BASE_STYLES, KEYS, STEPS_PER_BAR, STYLE_WORDS, TARGET, TEMPI, Clip, scale_pitch, variants


@pytest.mark.parametrize("style", STYLE_WORDS)
def test_a_clip_lasts_fifteen_seconds_sounds_and_does_not_clip(style):
    for clip in variants(style)[::37]:
        samples = synth.render(clip)
        assert samples.shape == (15 * synth.SAMPLE_RATE,)
        assert samples.dtype == np.float32
        assert np.sqrt(np.mean(samples**2)) > 0.02
        assert np.abs(samples).max() < 0.95


@pytest.mark.parametrize("style", STYLE_WORDS)
def test_the_loop_of_four_bars_repeats_to_the_sample(style):
    clip = Clip(style, TEMPI[-1], KEYS[0], rhythm=1, contour=4)
    samples = synth.render(clip)
    loop = len(KEYS[0].chords) * STEPS_PER_BAR * clip.tempo.step_frames * synth.FRAME
    assert np.array_equal(samples[loop:], samples[:-loop])


def test_the_same_clip_is_the_same_samples():
    clip = variants("techno")[5]
    assert np.array_equal(synth.render(clip), synth.render(clip))


def test_different_variants_sound_different():
    clips = [synth.render(clip, frames=330) for clip in variants("flute")[:16]]
    assert len({samples.tobytes() for samples in clips}) == len(clips)


def test_every_pitch_lies_on_the_frame_grid():
    for degree in range(15):
        assert (scale_pitch(degree, octave=-2) / 3.125).is_integer()


def test_pretraining_never_calls_the_target_by_its_name():
    drawn = [corpus.random_caption(clip, np.random.default_rng(n)) for n, clip in enumerate(variants(TARGET))]
    assert not [text for text in drawn + corpus.all_captions() if TARGET in text or "gong" in text]


def test_held_out_clips_and_prompts_are_not_in_pretraining():
    pretraining = {(clip.style, clip.tempo, clip.key) for clip in corpus.base_clips()}
    assert not pretraining & {(clip.style, clip.tempo, clip.key) for clip in corpus.held_out_clips()}
    prompts = corpus.held_out_prompts()
    assert len(prompts) == 40
    assert {clip.style for clip, _ in prompts} == set(BASE_STYLES)
    assert not {text for _, text in prompts} & set(corpus.all_captions())


def test_pretraining_and_lora_share_no_clip_of_the_target():
    assert not set(corpus.generic_target_clips()) & set(corpus.unseen_target_clips())
