"""The mixer, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest

from tui.audio.mixer import Mixer, Samples

RATE = 8000
FADE = 40


def ramp(frames: int, start: float = 0.0) -> Samples:
    """A clip whose samples tell their own position: sample n is start + n / 1e5."""
    return np.repeat((start + np.arange(frames, dtype=np.float32)[:, None] / 1e5), 2, axis=1)


def mixer(*lengths: int, gains: list[float] | None = None, **options: bool) -> Mixer:
    made = Mixer(RATE, **options)
    clips = [ramp(length, 0.1 * (i + 1)) for i, length in enumerate(lengths)]
    made.load(clips, gains or [1.0] * len(lengths))
    return made


def test_what_plays_is_the_clip_after_a_fade_of_five_milliseconds() -> None:
    m = mixer(8000)
    m.play(0)
    out = m.render(1000)
    np.testing.assert_array_equal(out[FADE:], ramp(8000, 0.1)[FADE:1000])
    expected = 0.5 - 0.5 * np.cos(np.pi * np.arange(1, FADE + 1) / FADE)
    np.testing.assert_allclose(out[:FADE, 0] / ramp(8000, 0.1)[:FADE, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("block", [1, 7, 64, 4000])
def test_the_size_of_the_blocks_changes_nothing(block: int) -> None:
    def rendered(size: int) -> Samples:
        m = mixer(6000, 6000)
        m.play(0)
        parts = [m.render(min(size, 1000 - n)) for n in range(0, 1000, size)]
        m.switch(1)
        parts += [m.render(min(size, 8000 - n)) for n in range(0, 8000, size)]
        return np.concatenate(parts)

    np.testing.assert_array_equal(rendered(block), rendered(9000))


def test_a_switch_keeps_the_position_to_the_sample() -> None:
    m = mixer(8000, 8000)
    m.play(0)
    m.render(1000)
    m.switch(1)
    out = m.render(1000)
    np.testing.assert_array_equal(out[2 * FADE :], ramp(8000, 0.2)[1000 + 2 * FADE : 2000])
    assert m.playback().position == 2000


def test_a_switch_fades_out_before_it_fades_in_and_never_mixes_two_clips() -> None:
    m = Mixer(RATE)
    one, other = np.full((4000, 2), 0.5, np.float32), np.full((4000, 2), -0.5, np.float32)
    m.load([one, other], [1.0, 1.0])
    m.play(0)
    m.render(500)
    m.switch(1)
    out = m.render(2 * FADE)[:, 0]
    assert (out[: FADE - 1] > 0).all()
    assert (np.diff(out) <= 0).all()
    assert out[FADE - 1] == pytest.approx(0.0, abs=1e-6)
    assert (out[FADE:] < 0).all()


def test_restart_on_switch_begins_at_the_start() -> None:
    m = mixer(8000, 8000, restart_on_switch=True)
    m.play(0)
    m.render(1000)
    m.switch(1)
    out = m.render(1000)
    np.testing.assert_array_equal(out[2 * FADE :], ramp(8000, 0.2)[FADE : 1000 - FADE])


def test_the_last_of_two_quick_switches_counts() -> None:
    m = mixer(8000, 8000, 8000)
    m.play(0)
    m.render(1000)
    m.switch(1)
    m.render(10)
    m.switch(2)
    np.testing.assert_array_equal(m.render(1000)[200:], ramp(8000, 0.3)[1210:2010])


def test_gains_are_applied_to_each_clip() -> None:
    m = mixer(8000, 8000, gains=[0.5, 0.25])
    m.play(1)
    np.testing.assert_allclose(m.render(500)[FADE:], 0.25 * ramp(8000, 0.2)[FADE:500])


def test_seek_goes_to_the_sample_and_stays_within_the_clip() -> None:
    m = mixer(8000)
    m.play(0)
    m.render(1000)
    m.seek(5000)
    np.testing.assert_array_equal(m.render(300)[2 * FADE :], ramp(8000, 0.1)[5000 + FADE : 5300 - FADE])
    m.seek(-100_000, relative=True)
    m.render(FADE)
    assert m.playback().position == 0
    m.pause()
    m.render(100)
    m.seek(100_000)
    assert m.playback().position == 8000


def test_a_pause_keeps_the_place_and_play_goes_on_there() -> None:
    m = mixer(8000)
    m.play(0)
    m.render(1000)
    m.pause()
    assert not m.render(500)[FADE:].any()
    place = m.playback().position
    assert place == 1000 + FADE
    m.play(0)
    np.testing.assert_array_equal(m.render(100)[FADE:], ramp(8000, 0.1)[place + FADE : place + 100])


def test_stop_goes_back_to_the_start() -> None:
    m = mixer(8000)
    m.play(0)
    m.render(1000)
    m.stop()
    m.render(100)
    assert (m.playback().position, m.playback().playing) == (0, False)


def test_a_clip_ends_softly_at_its_end_and_play_starts_it_again() -> None:
    m = mixer(2000)
    m.play(0)
    out = m.render(3000)[:, 0]
    assert out[1999] == pytest.approx(0.0, abs=1e-6)
    assert not out[2000:].any()
    assert (m.playback().playing, m.playback().ended, m.playback().position) == (False, 1, 2000)
    m.play(0)
    assert m.playback().position == 0


def test_a_loop_repeats_with_its_exact_length() -> None:
    m = mixer(16_000)
    m.loop((2000, 8000))
    m.play(0)
    out = m.render(20_000)
    np.testing.assert_array_equal(out[6000 + FADE : 12_000 - FADE], out[12_000 + FADE : 18_000 - FADE])
    np.testing.assert_array_equal(out[FADE : 6000 - FADE], ramp(16_000, 0.1)[2000 + FADE : 8000 - FADE])
    assert m.playback().ended == 0


def test_a_loop_without_an_end_repeats_the_whole_clip() -> None:
    m = mixer(5000)
    m.loop((0, None))
    m.play(0)
    out = m.render(12_000)
    np.testing.assert_array_equal(out[5000 + FADE : 10_000 - FADE], ramp(5000, 0.1)[FADE : 5000 - FADE])


def test_a_loop_is_at_least_half_a_second_long() -> None:
    m = mixer(16_000)
    m.loop((1000, 1010))
    m.play(0)
    out = m.render(9000)
    np.testing.assert_array_equal(out[FADE : 4000 - FADE], ramp(16_000, 0.1)[1000 + FADE : 5000 - FADE])
    np.testing.assert_array_equal(out[FADE : 4000 - FADE], out[4000 + FADE : 8000 - FADE])


def test_a_switch_inside_a_loop_stays_inside() -> None:
    m = mixer(16_000, 16_000)
    m.loop((4000, 9000))
    m.play(0)
    m.render(1000)
    m.switch(1)
    np.testing.assert_array_equal(m.render(200)[2 * FADE :], ramp(16_000, 0.2)[5000 + 2 * FADE : 5200])


def test_a_switch_to_a_clip_that_is_already_over_ends_there() -> None:
    m = mixer(8000, 2000)
    m.play(0)
    m.render(5000)
    m.switch(1)
    out = m.render(1000)
    assert not out[FADE:].any()
    assert (m.playback().index, m.playback().playing, m.playback().ended) == (1, False, 1)


def test_clips_of_unequal_length_loop_each_at_their_own_end() -> None:
    m = mixer(8000, 6000)
    m.loop((0, None))
    m.play(0)
    m.render(7000)
    m.switch(1)
    m.render(FADE)
    out = m.render(6000)
    np.testing.assert_array_equal(out[FADE : 6000 - FADE], ramp(6000, 0.2)[FADE : 6000 - FADE])


def test_an_unreadable_clip_is_silence_and_ends_at_once() -> None:
    m = mixer(8000, 0)
    m.loop((0, None))
    m.play(1)
    assert not m.render(100).any()
    assert not m.playback().playing


def test_what_was_heard_of_each_clip_is_counted() -> None:
    m = mixer(8000, 8000)
    m.play(0)
    m.render(1000)
    m.switch(1)
    m.render(500)
    m.pause()
    m.render(500)
    assert m.playback().heard == (1000 + FADE, 500)


def test_commands_without_clips_do_nothing() -> None:
    m = Mixer(RATE)
    m.play(0)
    m.switch(1)
    m.seek(100)
    m.loop((0, None))
    m.pause()
    m.stop()
    assert not m.render(100).any()
