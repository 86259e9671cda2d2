"""Where tracks are cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from engine.data.prepare.cut import SLACK, Cut, Way, cut, levels

RATE = 8000


def noise(seconds: float, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, (round(seconds * RATE), channels)).astype(np.float32)


def cut_whole(samples: np.ndarray, way: Way) -> Cut:
    return cut(levels(samples, RATE), len(samples), RATE, way)


def test_as_many_clips_come_out_as_fit_each_as_long_as_asked_or_a_tenth_longer() -> None:
    for seconds in (15.0, 30.0, 31.0, 61.7, 100.0, 179.9):
        found = cut_whole(noise(seconds), Way(15))
        lengths = [(end - begin) / RATE for begin, end in found.pieces]
        assert len(lengths) == int(seconds // 15)
        assert all(15 <= length <= 15 * (1 + SLACK) for length in lengths)
        assert all(a[1] == b[0] for a, b in pairwise(found.pieces))


def test_a_clip_ends_in_the_quiet_moment_near_its_end() -> None:
    samples = noise(40)
    samples[round(15.8 * RATE) : round(15.9 * RATE)] *= 0.01
    assert cut_whole(samples, Way(15)).pieces[0][1] / RATE == pytest.approx(15.85, abs=0.05)


def test_silence_at_both_ends_and_in_a_long_gap_is_left_out_and_counted() -> None:
    samples = noise(60)
    for begin, end in ((0, 3), (20, 24), (55, 60)):
        samples[begin * RATE : end * RATE] = 0
    found = cut_whole(samples, Way(10))
    assert found.silence / RATE == pytest.approx(12, abs=0.05)
    assert found.pieces[0][0] / RATE == pytest.approx(3, abs=0.02)
    assert not any(begin < 22 * RATE < end for begin, end in found.pieces)
    assert max(end for _, end in found.pieces) <= 55.02 * RATE


def test_a_pause_of_the_music_divides_nothing() -> None:
    samples = noise(30)
    samples[20 * RATE : round(21.5 * RATE)] = 0
    assert len(cut_whole(samples, Way(15, exact=True)).pieces) == 2


def test_what_is_too_short_for_a_clip_is_told() -> None:
    found = cut_whole(noise(50), Way(15, exact=True))
    assert [(end - begin) / RATE for begin, end in found.pieces] == [15, 15, 15]
    assert found.ends == [(45 * RATE, 50 * RATE)]


def test_a_track_shorter_than_a_clip_is_one_clip_unless_it_lasts_less_than_a_second() -> None:
    assert cut_whole(noise(8), Way(15)).pieces == [(0, 8 * RATE)]
    assert cut_whole(noise(0.9), Way(15)).pieces == []
    assert cut_whole(np.zeros((20 * RATE, 2), np.float32), Way(15)).pieces == []


def test_clips_that_overlap_begin_so_many_seconds_before_the_last_one_ends() -> None:
    found = cut_whole(noise(60), Way(15, exact=True, overlap=5))
    assert [begin / RATE for begin, _ in found.pieces] == [0, 10, 20, 30, 40]
    quiet = cut_whole(noise(60), Way(15, overlap=5))
    assert all(b[0] == a[1] - 5 * RATE for a, b in pairwise(quiet.pieces))


@pytest.mark.parametrize("way", [Way(15), Way(15, exact=True), Way(15, overlap=4)])
def test_a_long_track_read_in_chunks_loses_nothing_between_them(way: Way) -> None:
    samples = noise(200)
    samples[90 * RATE : 94 * RATE] = 0
    pieces, rest, offset, ends, silence = [], samples[:0], 0, 0, 0
    for second in range(0, 200, 40):
        rest = np.concatenate([rest, samples[second * RATE : (second + 40) * RATE]])
        last = second == 160
        found = cut(levels(rest, RATE), len(rest), RATE, way, last=last, first=not pieces)
        pieces += [(begin + offset, end + offset) for begin, end in found.pieces]
        ends, silence = ends + sum(b - a for a, b in found.ends), silence + found.silence
        rest, offset = rest[found.rest :], offset + found.rest
    shared = 0 if not way.overlap else sum(a[1] - b[0] for a, b in pairwise(pieces) if b[0] < a[1])
    assert sum(end - begin for begin, end in pieces) - shared + ends + silence == len(samples)
    assert silence / RATE == pytest.approx(4, abs=0.05)
    assert all(15 * RATE <= end - begin <= 16.5 * RATE for begin, end in pieces)
