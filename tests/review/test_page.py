"""What pages in one file share: encoded clips, the document around them, and the player, in a real browser."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.audio.conftest import noise
from tests.audio.parts import Chromium, Pulse, switch_error, wait_for
from tui.review.page import sounds
from tui.review.page.document import document, escaped

CLIP_RATE = 32_000


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two different clips of 4 s, the second twice as loud."""
    paths = [tmp_path / f"{seed}.wav" for seed in range(2)]
    for seed, path in enumerate(paths):
        soundfile.write(path, noise(4.0, seed) * (1 + seed) / 2, CLIP_RATE)
    return paths


def decoded(clip: sounds.Sound | None) -> tuple[np.ndarray, int]:
    assert clip is not None
    return soundfile.read(io.BytesIO(base64.b64decode(clip.uri.split(",")[1])))


def test_clips_are_kept_without_loss_and_turned_down_by_their_gain(files: list[Path]) -> None:
    made = sounds.encode([(files[0], 0.0), (files[1], -6.0206)])
    assert (made.codec, made.left_out) == ("FLAC", {})
    (one, rate), (two, _) = map(decoded, made.clips)
    assert rate == CLIP_RATE
    np.testing.assert_array_equal(one, soundfile.read(files[0])[0])
    np.testing.assert_allclose(two, soundfile.read(files[1])[0] / 2, atol=2e-5)


def test_a_page_that_grew_too_large_takes_opus_for_all_of_them(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sounds, "LOSSLESS", 1)
    made = sounds.encode([(path, 0.0) for path in files])
    assert made.codec == "Opus"
    for clip, path in zip(made.clips, files, strict=True):
        heard, rate = decoded(clip)
        assert (len(heard) / rate, clip and clip.seconds) == (4.0, 4.0)
        wanted = soundfile.read(path)[0]
        assert np.corrcoef(heard[::3][: len(wanted) // 2], wanted[::2][: len(wanted) // 2])[0, 1] > 0.99


def test_twenty_four_clips_of_fifteen_seconds_stay_under_twenty_megabytes_even_of_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sounds.LOSSLESS < 19_000_000
    monkeypatch.setattr(sounds, "LOSSLESS", 1)
    soundfile.write(tmp_path / "loud.wav", np.random.default_rng(0).uniform(-0.9, 0.9, 15 * CLIP_RATE), CLIP_RATE)
    (clip,) = sounds.encode([(tmp_path / "loud.wav", 0.0)]).clips
    assert clip is not None
    assert 24 * len(clip.uri + clip.wave) < 19_000_000


def test_what_cannot_be_read_or_has_no_room_is_left_out_with_the_reason(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sounds, "LOSSLESS", 1)
    monkeypatch.setattr(sounds, "MOST", 150_000)
    files[0].with_name("text.wav").write_text("no sound")
    made = sounds.encode([(path, 0.0) for path in (files[0].with_name("text.wav"), *files)])
    assert [clip is None for clip in made.clips] == [True, False, True]
    assert made.left_out == {0: "it is no WAV, FLAC, MP3 or OGG", 2: "no room in a page of 0 MB"}


@pytest.mark.parametrize("codec", ["FLAC", "Opus"])
def test_strange_clips_of_other_scripts_are_in_the_page_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    if codec == "Opus":
        monkeypatch.setattr(sounds, "LOSSLESS", 1)
    strange = [(192_000, 1), (44_100, 2), (12_345, 1), (48_000, 10), (700_001, 1)]
    for rate, channels in strange:
        soundfile.write(tmp_path / f"{rate}.wav", np.zeros((rate // 10, channels)), rate)
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 1)), 32_000)
    soundfile.write(tmp_path / "record.wav", np.zeros((1000 * 700, 1), np.int16), 1000)
    names = [*(f"{rate}.wav" for rate, _ in strange), "empty.wav", "record.wav"]
    made = sounds.encode([(tmp_path / name, 0.0) for name in names])
    assert made.left_out == {5: "it holds no sound", 6: "12 min are too long for a page"}
    assert [clip and round(clip.seconds, 2) for clip in made.clips] == [0.1, 0.1, 0.1, 0.1, 0.1, None, None]


def test_a_waveform_is_as_high_as_its_clip_is_loud_there() -> None:
    samples = np.concatenate([np.zeros(1600), 0.5 * np.ones(1600)]).astype(np.float32)[:, None]
    spans = [float(b) - float(a) for a, b in re.findall(r" ([\d.]+)V([\d.]+)", sounds.wave(samples))]
    assert len(spans) == sounds.COLUMNS
    assert max(spans[:79]) < 1 < 37 < min(spans[81:])
    assert max(float(b) - float(a) for a, b in re.findall(r" ([\d.]+)V([\d.]+)", sounds.wave(samples[:0]))) < 1


HOSTILE = "</script><script>alert(1)</script><!-- <b>\"'& \x1b\u202e\ud800"


def test_no_text_in_a_page_is_obeyed(chromium: Chromium, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        document(HOSTILE, f'<p title="{escaped(HOSTILE)}">{escaped(HOSTILE)}</p>', scripts=[], styles=["page.css"],
                 data={"said": HOSTILE})
    )  # fmt: skip
    chromium.open(page.as_uri())
    wait_for(lambda: chromium.run("document.readyState") == "complete", what="the page")
    assert chromium.run("document.querySelectorAll('b, body script:not([type])').length") == 1
    assert chromium.run('JSON.parse(document.getElementById("data").textContent).said.length') == len(HOSTILE)
    assert "</script><script>alert(1)" in chromium.run("document.querySelector('p').textContent")
    assert chromium.run("document.querySelector('p').title") == chromium.run("document.querySelector('p').textContent")
    assert chromium.run("getComputedStyle(document.querySelector('main') ?? document.body).color") != "rgb(0, 0, 0)"


def test_a_page_reaches_nothing_outside(chromium: Chromium, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(document("page", "<p>", scripts=[], styles=[]))
    chromium.open(page.as_uri())
    wait_for(lambda: chromium.run("document.readyState") == "complete", what="the page")
    assert chromium.run("fetch('page.html').then(() => 'came', () => 'forbidden')") == "forbidden"
    assert chromium.run("new Promise(r => addEventListener('securitypolicyviolation', e => r(e.violatedDirective)),"
                        " document.head.append(Object.assign(document.createElement('script'), {src: 'x.js'})))") == (
        "script-src-elem"
    )  # fmt: skip


# The player


def opened(chromium: Chromium, files: list[Path], folder: Path) -> Chromium:
    """A page of these clips, opened from its file, with its first key pressed."""
    clips = [clip and clip._asdict() for clip in sounds.encode([(path, 0.0) for path in files]).clips]
    path = folder / "page.html"
    path.write_text(document("page", "<p>clips", scripts=["player.js"], styles=["page.css"], data=clips))
    chromium.open(path.as_uri())
    wait_for(lambda: chromium.run("document.readyState") == "complete", what="the page")
    chromium.run(
        "window.clips = JSON.parse(document.getElementById('data').textContent); window.told = 0; "
        "window.player = new Player(() => window.told++); player.load(clips)"
    )
    chromium.press("x")
    return chromium


@pytest.fixture
def page(chromium: Chromium, files: list[Path], tmp_path: Path) -> Chromium:
    return opened(chromium, files, tmp_path)


@pytest.mark.browser
@pytest.mark.audio
@pytest.mark.parametrize("codec", ["FLAC", "Opus"])
def test_a_switch_keeps_the_position_and_what_sounds_is_the_clip(
    chromium: Chromium, speaker: Pulse, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    if codec == "Opus":
        monkeypatch.setattr(sounds, "LOSSLESS", 1)
    page = opened(chromium, files, tmp_path)
    assert page.run("clips[0].uri").startswith("data:audio/ogg" if codec == "Opus" else "data:audio/flac")
    errors = []
    for old, new in ((0, 1), (1, 0), (0, 1)):
        start = speaker.mark()
        page.run(f"player.load(clips), player.play({old}, 0)")
        wait_for(lambda old=old: page.run(f"player.heard[{old}]") > 0.6)
        page.run(f"player.switchTo({new})")
        wait_for(lambda new=new: page.run(f"player.heard[{new}]") > 0.7)
        page.run("player.pause()")
        errors.append(abs(switch_error(speaker.recording(start), files[old], files[new])))
        if errors[-1] < 0.005:
            return
    # A machine too busy for its sound shifts some of what is heard; a mistake of the player shifts all.
    raise AssertionError(errors)


@pytest.mark.browser
def test_the_player_counts_what_was_heard_and_stops_at_the_end(page: Chromium) -> None:
    assert page.run("player.heard") == [0, 0]
    page.run("player.play(1, 3.5)")
    wait_for(lambda: not page.run("player.playing") and page.run("player.heard[1]") > 0, what="the end of the clip")
    assert page.run("player.position") == pytest.approx(4.0, abs=0.01)
    assert page.run("player.heard") == pytest.approx([0, 0.5], abs=0.02)
    page.run("player.toggle()")
    wait_for(lambda: page.run("player.playing"))
    assert page.run("player.position") < 2.0, "from its start again"


@pytest.mark.browser
def test_a_loop_goes_round_and_a_pause_stays_where_it_is(page: Chromium) -> None:
    page.run("player.play(0, 0)")
    wait_for(lambda: page.run("player.playing"))
    page.run("player.loop([1, 1.6])")
    wait_for(lambda: page.run("player.heard[0]") > 2.0)
    assert 1.0 <= page.run("player.position") < 1.6
    page.run("player.pause()")
    where = page.run("player.position")
    page.run("player.switchTo(1)")
    assert (page.run("player.position"), page.run("player.playing"), page.run("player.index")) == (where, False, 1)
    page.run("player.seek(3)")
    assert page.run("player.position") == 3
    assert page.run("told") > 3


@pytest.mark.browser
def test_a_clip_that_is_missing_or_damaged_is_said_and_the_others_play(page: Chromium) -> None:
    page.run("player.load([null, {...clips[1], uri: 'data:audio/ogg;base64,AAAA'}, clips[0]])")
    assert page.run("player.index") == 1
    page.run("player.play(0)")
    assert not page.run("player.playing")
    page.run("player.play(1)")
    wait_for(lambda: "cannot play Opus" in page.run("player.problem"))
    page.run("player.play(2)")
    wait_for(lambda: page.run("player.playing") and page.run("player.problem") == "")
