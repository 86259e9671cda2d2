"""The notes as one file, opened from the disk in a real browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tests.audio.conftest import noise
from tests.audio.parts import Chromium, Pulse, switch_error, wait_for
from tests.review.clips import judge, make_run
from tui.review import notes
from tui.review.evaluation import open_evaluation

CLIP_RATE = 32_000
HOSTILE = "<img src=x onerror=alert(1)> | <b>bold</b> <!-- mgl-tui end --> \x1b]0;t\x07\u202e"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A judged run of two prompts, whose clips of 4 s are told apart by their noise; one caption is hostile."""
    run = make_run(tmp_path / "runs", prompts=["slow piano", HOSTILE])
    lines = [json.loads(line) for line in (run.evaluation() / "comparison_results.jsonl").read_text().splitlines()]
    for place, line in enumerate(lines):
        for seed, name in enumerate(line["models"].values()):
            soundfile.write(run.evaluation() / name, noise(4.0, 3 * place + seed), CLIP_RATE)
        line["measures"] = {model: {"lufs": -20.0} for model in line["models"]}
    (run.evaluation() / "comparison_results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    session = judge(open_evaluation(run.path), "anna", [{"base": 2, "best": 4, "final": 3}])
    session.go(0, "A")
    session.write_note(HOSTILE)
    return run


@pytest.fixture
def page(run: RunDir, chromium: Chromium) -> Chromium:
    (written,) = notes.export(run, formats=["html"])
    chromium.open(written.as_uri())
    wait_for(lambda: chromium.run("document.readyState") == "complete", what="the page")
    return chromium


@pytest.mark.browser
@pytest.mark.audio
def test_keys_play_a_prompt_and_switch_its_clips_at_the_same_position(
    page: Chromium, run: RunDir, speaker: Pulse
) -> None:
    clips = [path for model in ("base", "best") for path in (run.evaluation() / f"{model}_model").glob("01-*")]
    errors = []
    for _ in range(3):
        page.press("a")
        page.press("0")
        start = speaker.mark()
        wait_for(lambda: page.run("player.playing && player.index === 0 && player.position > 0.7"))
        page.press("b")
        wait_for(lambda: page.run("player.index === 1 && player.position > 1.6"))
        page.press(" ")
        assert not page.run("player.playing")
        errors.append(abs(switch_error(speaker.recording(start), *clips)))
        if errors[-1] < 0.005:
            return
    # A machine too busy for its sound shifts some of what is heard; a mistake of the player shifts all.
    raise AssertionError(errors)


@pytest.mark.browser
def test_a_click_plays_a_clip_and_the_next_prompt_begins_anew(page: Chromium) -> None:
    page.click(".prompt:nth-of-type(2) .lane:nth-of-type(2)")
    wait_for(lambda: page.run("player.playing"))
    assert page.run("[current, player.index]") == [1, 1]
    assert page.run("document.querySelectorAll('.lane')[4].className") == "lane here sounds"
    page.press("ArrowUp")
    wait_for(lambda: page.run("current === 0 && player.playing"))
    assert page.run("document.querySelectorAll('.lane.here').length") == 1
    wait_for(lambda: "inset(0" in page.run("document.querySelectorAll('.played')[0].style.clipPath"))


@pytest.mark.browser
def test_the_page_tells_what_the_notes_tell_and_obeys_none_of_it(page: Chromium) -> None:
    said = page.run("document.body.innerText")
    for words in (
        "anna judged 2 prompts blind: best 4.0 of 5 on average",
        "2 of 2 for best over base",
        "The clips in this page are FLAC, without loss.",
        "baseline    valid 4.5000",
        "<img src=x onerror=alert(1)> | <b>bold</b> <!-- mgl-tui end -->",
    ):
        assert words in said, words
    assert page.run("document.querySelectorAll('b').length") == 6, "the six names of models"
    assert page.run("[...document.images].map(i => i.src.slice(0, 14))") == ["data:image/svg"]
    assert page.run("document.images[0].naturalWidth") > 300
    page.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert "learning_rate = 0.0001" in page.run("document.body.innerText")


@pytest.mark.browser
def test_a_phone_shows_all_of_it_without_scrolling_sideways(page: Chromium) -> None:
    page.size(375, 700)
    assert page.run("document.documentElement.scrollWidth") <= 375


def test_the_page_goes_where_it_is_told_and_over_nothing_that_is_not_its_own(run: RunDir, tmp_path: Path) -> None:
    for name, written in (("mail.htm", "mail.htm"), ("notes.md", "notes.html"), ("plain", "plain.html")):
        for _ in range(2):
            assert notes.export(run, out=tmp_path / "out" / name, formats=["html"]) == [tmp_path / "out" / written]
    (tmp_path / "theirs.html").write_text("<p>theirs")
    with pytest.raises(UserError, match="exists and was not written by this command"):
        notes.export(run, out=tmp_path / "theirs.html", formats=["html"])
    assert not run.notes.exists()


def test_a_clip_that_is_missing_or_damaged_is_named_in_its_place(run: RunDir) -> None:
    next((run.evaluation() / "base_model").glob("01-*")).unlink()
    next((run.evaluation() / "best_model").glob("01-*")).write_bytes(b"RIFF")
    (written,) = notes.export(run, formats=["html"])
    text = written.read_text()
    assert text.count(' disabled><span class="who">') == 2
    assert "file missing: base_model/01-slow-piano.wav" in text
    assert '<span class="missing">it is no WAV, FLAC, MP3 or OGG</span>' in text


def test_more_models_than_there_are_letters_are_all_in_the_page(tmp_path: Path) -> None:
    models = [f"m{number}" for number in range(10)]
    run = make_run(tmp_path / "runs", prompts=["slow piano"], models=models)
    (written,) = notes.export(run, formats=["html"])
    text = written.read_text()
    assert [text.count(f"<b>{model}</b>") for model in models] == [1] * 10
    assert text.count("data:audio/flac") == 10
