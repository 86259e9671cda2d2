"""A page to send to somebody: what it gives away, how it is used in a real browser, and what comes back."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.contract import liveness
from engine.contract.config import Review
from engine.contract.errors import UserError
from tests.audio.parts import Chromium, wait_for
from tests.review.clips import PROMPTS, make_evaluation, make_run, write_clip
from tests.review.many import a_run
from tui import cli, keys
from tui.commands.shares import page_keys
from tui.review import pooled, shared
from tui.review.evaluation import Evaluation, open_evaluation
from tui.review.results import load_results
from tui.review.share import Page, share

POINTS = {"base": 2, "best": 4, "final": 3}


def write(evaluation: Evaluation, folder: Path, *, listener: str = "anna", **review: Any) -> Page:
    return share(evaluation, Review(**review), folder / "page.html", listener=listener, keys=page_keys())


def data_of(page: Page) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.path.read_text())
    value: dict[str, Any] = json.loads(found)
    return value


def sound_of(uri: str) -> tuple[bytes, np.ndarray]:
    content = base64.b64decode(uri.split(",")[1])
    return content, soundfile.read(io.BytesIO(content))[0]


# What it gives away


def test_nothing_in_the_source_names_a_model_a_file_or_the_run(tmp_path: Path) -> None:
    for model in ("base", "best", "final"):
        (tmp_path / "rank16-run" / "evaluation" / f"{model}_model").mkdir(parents=True)
    evaluation = open_evaluation(make_evaluation(tmp_path / "rank16-run" / "evaluation"))
    for item in evaluation.items:
        for model, clip in item.clips.items():
            assert clip.path is not None
            with soundfile.SoundFile(clip.path, "r+") as file:
                file.title = f"{model} of rank16-run"
    page = write(evaluation, tmp_path)
    text = page.path.read_text()
    sounds = [sound_of(sound["uri"])[0] for sound in data_of(page)["sounds"]]
    prompts = "|".join(map(re.escape, PROMPTS))
    told = re.sub(rf"base64,[A-Za-z0-9+/=]*|base-uri|{prompts}", "", text)
    assert not re.search(r"rank16|best|final|\bbase\b|base_|\.wav\b|evaluation", told)
    for content in (text.encode(), *sounds):
        assert b"rank16" not in content
        assert b"_model" not in content
    heads = {content[:8] for content in sounds}
    assert len(heads) == 1, "all clips are encoded in one way"


def test_clips_lie_in_the_order_in_which_they_are_heard_and_at_one_level(
    tmp_path: Path, evaluation: Evaluation
) -> None:
    page = write(evaluation, tmp_path)
    data = data_of(page)
    assert len(data["sounds"]) == 24, "each clip once, though some prompts come twice"
    first = list(dict.fromkeys(at for trial in data["trials"] for at in trial["clips"]))
    assert first == list(range(24))
    orders = {tuple(trial.order) for trial in page.key.trials}
    assert len(orders) > 1
    for trial, real in zip(data["trials"], page.key.trials, strict=True):
        levels = [np.abs(sound_of(data["sounds"][at]["uri"])[1]).max() for at in trial["clips"]]
        # The clips are written at 0.1, 0.2 and 0.3 of full scale and said to be 3 dB apart.
        wanted = {"base": 0.1, "best": 0.2 * 10 ** (-3 / 20), "final": 0.3 * 10 ** (-6 / 20)}
        assert levels == pytest.approx([wanted[model] for model in real.order], abs=0.01)


def test_the_prompt_that_comes_again_is_not_marked(tmp_path: Path, evaluation: Evaluation) -> None:
    page = write(evaluation, tmp_path)
    trials = data_of(page)["trials"]
    assert [trial["number"] for trial in trials] == ["T", *map(str, range(1, 10))]
    assert {frozenset(trial) for trial in trials} == {frozenset({"number", "prompt", "clips"})}
    assert "again" not in json.dumps([trials, page.key.page])


def test_what_the_keys_do_is_what_the_table_of_keys_says(tmp_path: Path, evaluation: Evaluation) -> None:
    said = data_of(write(evaluation, tmp_path))["keys"]
    of_table = {keys.shown(key): a.meaning for a in keys.of("listen") for key in a.keys.split(",")}
    elsewhere = ("help", "go_on")  # of every place; and here no names are shown in the end
    assert {one["shown"]: one["meaning"] for one in said if one["does"] not in elsewhere}.items() <= of_table.items()
    assert {one["key"] for one in said} >= {" ", "a", "b", "c", "1", "5", "ArrowDown", "t", "i", "u", "?"}
    assert "d" not in {one["key"] for one in said}, "there is no clip D"
    assert "all_bad" in {one["does"] for one in data_of(write(evaluation, tmp_path, mode="ranking"))["keys"]}


# In a browser


@pytest.fixture
def four(tmp_path: Path) -> Evaluation:
    """Four prompts by two models, clips of half a second."""
    return open_evaluation(make_evaluation(tmp_path / "run" / "evaluation", PROMPTS[:4], ("base", "best"), seconds=0.5))


Opens = Callable[[Page], Chromium]


@pytest.fixture
def opened(chromium: Chromium, tmp_path: Path) -> Opens:
    """Opens a page from its file, and begins."""

    def open_(page: Page) -> Chromium:
        chromium.open(page.path.as_uri())
        wait_for(lambda: chromium.run("document.getElementById('start')?.hidden === false"), what="the page")
        chromium.click("#begin")
        return chromium

    return open_


def said(page: Chromium) -> str:
    return str(page.run("document.getElementById('say').textContent"))


def judge_by_keys(page: Chromium, key: shared.Key, points: dict[str, int]) -> None:
    """Every clip heard and scored with keys alone, as the page leads on."""
    for number, trial in key.numbered().items():
        for letter in trial.letters:
            wait_for(lambda n=number: page.run("session.trial.number") == n, what=f"prompt {number}")
            page.press(letter.lower())
            wait_for(
                lambda x=letter: page.run(
                    f"session.letter === '{x}' && (hear(), session.wasHeard(session.trial, '{x}'))"
                )
            )
            page.press(str(points[trial.model(letter)]))


@pytest.mark.browser
def test_a_whole_session_by_keys_comes_back_and_counts(
    opened: Opens, four: Evaluation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = write(four, tmp_path, min_listen=0.2)
    page = opened(written)
    judge_by_keys(page, written.key, POINTS)
    wait_for(lambda: page.run("!document.getElementById('end').hidden"), what="the end")
    page.downloads(tmp_path / "inbox")
    page.click("#save")
    (file,) = wait_for(lambda: list((tmp_path / "inbox").glob("*.json")), what="the file")
    assert file.name == f"listening-anna-{written.key.page[:4]}.json"
    assert json.loads(file.read_text()) == json.loads(page.run("document.getElementById('text').value"))
    assert cli.main(["collect", str(four.home), str(file)]) == 0
    assert capsys.readouterr().out.startswith("anna: 10 clips")
    results = load_results(four.home).finished()
    assert results.means() == {"base": 2.0, "best": 4.0}
    assert results.pair("best", "base").wins == 4
    assert results.consistency("anna") is not None
    assert all(judgement.heard > 0.15 for judgement in results.judgements)


@pytest.mark.browser
@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_key_begins_and_the_first_clip_plays(
    chromium: Chromium, evaluation: Evaluation, tmp_path: Path, key: str
) -> None:
    chromium.open(write(evaluation, tmp_path).path.as_uri())
    wait_for(lambda: chromium.run("document.getElementById('start')?.hidden === false"), what="the page")
    chromium.press(key)
    wait_for(lambda: chromium.run("player.playing"), what="the first clip")


@pytest.mark.browser
def test_a_key_on_a_clip_that_nobody_heard_says_so_and_scores_nothing(
    opened: Opens, evaluation: Evaluation, tmp_path: Path
) -> None:
    page = opened(write(evaluation, tmp_path))
    wait_for(lambda: page.run("player.playing"))
    page.press(" ")
    page.press("ArrowRight")
    for key in ("4", "t", "n"):
        page.press(key)
    assert "B was not heard yet, so nothing is noted" in said(page)
    page.press("i")
    assert page.run("document.activeElement.id") != "note"
    assert page.run("session.rating(session.trial, 'B')") == {"value": None, "tags": [], "note": "", "heard": 0}


@pytest.mark.browser
def test_a_switch_goes_on_where_the_other_clip_was(opened: Opens, evaluation: Evaluation, tmp_path: Path) -> None:
    page = opened(write(evaluation, tmp_path))
    wait_for(lambda: page.run("player.position") > 0.4, what="some sound")
    page.press("c")
    wait_for(lambda: page.run("session.letter === 'C' && player.index === 2"))
    assert page.run("player.position") > 0.4


@pytest.mark.browser
def test_tags_notes_and_scores_are_kept_over_a_reload_and_can_be_taken_back(
    opened: Opens, evaluation: Evaluation, tmp_path: Path
) -> None:
    written = write(evaluation, tmp_path)
    page = opened(written)
    wait_for(lambda: page.run("(hear(), session.wasHeard(session.trial, 'A'))"))
    page.press(" ")
    for key in ("t", "n", "i"):
        page.press(key)
    page.type("hum <b>at</b> 3 s")
    page.press("Enter")
    page.press("2")
    wait_for(lambda: page.run("session.letter") == "B")
    page = opened(written)
    first = "session.rating(data.trials[0], 'A')"
    wait_for(lambda: page.run(f"{first}.value") == 2)
    assert page.run(f"{first}.tags") == ["noise"]
    assert page.run(f"{first}.note") == "hum <b>at</b> 3 s"
    page.press("u")
    assert said(page) == "Taken back: score of A"
    page.press("u")
    page.press("u")
    assert page.run(f"[{first}.value, {first}.tags, {first}.note]") == [None, [], ""]


@pytest.mark.browser
def test_a_browser_that_keeps_nothing_is_told_and_nothing_is_lost_while_the_page_is_open(
    opened: Opens, four: Evaluation, tmp_path: Path, chromium: Chromium
) -> None:
    written = write(four, tmp_path, min_listen=0.2)
    chromium.before("Object.defineProperty(window, 'localStorage', {get() { throw new Error('no') }})")
    page = opened(written)
    assert "This browser keeps nothing" in page.run("document.getElementById('keeps').textContent")
    judge_by_keys(page, written.key, POINTS)
    wait_for(lambda: page.run("!document.getElementById('end').hidden"), what="the end")


@pytest.mark.browser
def test_on_a_phone_nothing_is_wider_than_the_screen_and_a_touch_plays_switches_and_scores(
    opened: Opens, evaluation: Evaluation, tmp_path: Path, chromium: Chromium
) -> None:
    chromium.size(360, 740)
    page = opened(write(evaluation, tmp_path))
    wait_for(lambda: page.run("player.playing"))
    assert page.run("document.documentElement.scrollWidth") <= 360
    small = "[...document.querySelectorAll('#session button')].filter(b => b.offsetHeight < 40).map(b => b.textContent)"
    assert page.run(small) == []
    page.click(".lane:nth-child(2)")
    wait_for(lambda: page.run("(hear(), session.letter === 'B' && session.wasHeard(session.trial, 'B'))"))
    page.click("#scores button:nth-child(4)")
    assert page.run("session.rating(data.trials[0], 'B').value") == 4
    chromium.size(1280, 800)


@pytest.mark.browser
def test_equal_clips_are_not_told_apart_by_their_pictures(opened: Opens, tmp_path: Path) -> None:
    twins = make_evaluation(tmp_path / "run" / "evaluation", PROMPTS[:2], same_weights=("best", "final"))
    page = opened(write(open_evaluation(twins), tmp_path, min_listen=0.2))
    wait_for(lambda: page.run("(hear(), session.wasHeard(session.trial, 'A'))"))
    assert page.run("seen.size") == 0


@pytest.mark.browser
def test_capitals_name_the_clips_that_get_a_tag_and_enter_goes_on(
    opened: Opens, evaluation: Evaluation, tmp_path: Path
) -> None:
    page = opened(write(evaluation, tmp_path, min_listen=0.1, advance="enter"))
    for letter in "ABC":
        page.press(letter.lower())
        wait_for(lambda x=letter: page.run(f"(hear(), session.wasHeard(session.trial, '{x}'))"))
    for key in ("t", "A", "B", "n"):
        page.press(key)
    tags = "['A', 'B', 'C'].map(x => session.rating(session.trial, x).tags.join())"
    assert page.run(tags) == ["noise", "noise", ""]
    page.press("u")
    assert page.run(tags) == ["noise", "", ""]
    page.press("c")
    page.press("2")
    assert page.run("session.letter") == "C", "a score alone goes nowhere"
    page.press("Enter")
    wait_for(lambda: page.run("session.letter") == "A")


# Several runs


def test_a_page_over_several_runs_is_one_session_and_is_collected_by_its_name_or_a_run_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    for number, name in enumerate(("rank12", "rank16")):
        a_run(runs, name, 300 + 100 * number)
    out = tmp_path / "page.html"
    command = ["--runs", str(runs)]
    assert cli.main([*command, "share", "rank12", "rank16", "-o", str(out), "--listener", "anna"]) == 0
    said = capsys.readouterr().out
    assert "mgl-tui collect rank12+rank16 FILE" in said
    assert "rank1" not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", out.read_text())
    session = open_evaluation(runs / "sessions" / "rank12+rank16")
    (key,) = [shared.key_for(session, Review(), "anna")]
    for listener, run in (("anna", "rank12+rank16"), ("ben", "rank16")):
        points = {"base": 2, "rank12": 3, "rank16": 5}
        trials = {
            number: {x: {"score": points[trial.model(x)], "heard": 2.0} for x in trial.letters}
            for number, trial in key.numbered().items()
        }
        file = tmp_path / f"{listener}.json"
        file.write_text(
            json.dumps(
                {"format": "mgl-tui answers", "version": 1, "page": key.page, "listener": listener, "trials": trials}
            )
        )
        assert cli.main([*command, "collect", run, str(file)]) == 0
    assert load_results(session.home).means() == {"base": 2.0, "rank12": 3.0, "rank16": 5.0}
    of_run = load_results(runs / "rank16")
    assert of_run.means() == {"base": 2.0, "best": 5.0}
    assert pooled.sentences(of_run)[0].startswith("anna and ben together")


def test_pairs_of_a_tournament_are_level_with_one_another(tmp_path: Path) -> None:
    models = ["base", *(f"run{n}" for n in range(5))]
    evaluation = open_evaluation(make_evaluation(tmp_path / "run" / "evaluation", PROMPTS[:2], models))
    page = write(evaluation, tmp_path)
    assert {len(trial.order) for trial in page.key.trials} == {2}
    turned: dict[str, list[float]] = {}
    for trial in data_of(page)["trials"]:
        order = next(t for n, t in page.key.numbered().items() if n == trial["number"]).order
        for model, at in zip(order, trial["clips"], strict=True):
            # Written at 0.1, 0.2 ... of full scale and said to be 3 dB apart: a level that only the item's gains give.
            written, said = 0.1 * (models.index(model) + 1), 10 ** (-3 * models.index(model) / 20)
            heard = np.abs(sound_of(data_of(page)["sounds"][at]["uri"])[1]).max()
            turned.setdefault(trial["prompt"], []).append(heard / written / said)
    for prompt, gains in turned.items():
        assert gains == pytest.approx([gains[0]] * len(gains), rel=0.05), prompt


# Bad input


def test_a_page_of_clips_that_are_gone_is_one_sentence_and_leaves_no_key(
    tmp_path: Path, evaluation: Evaluation
) -> None:
    for item in evaluation.items:
        for clip in item.clips.values():
            assert clip.path is not None
            clip.path.unlink()
    with pytest.raises(UserError, match="none of its clips can be found"):
        write(open_evaluation(evaluation.home), tmp_path)
    assert not (evaluation.home / "review").exists()
    assert not (tmp_path / "page.html").exists()


def test_a_clip_that_cannot_be_read_is_missing_on_the_page_and_said_without_its_model(
    tmp_path: Path, evaluation: Evaluation
) -> None:
    clip = evaluation.items[0].clips["best"].path
    assert clip is not None
    clip.write_text("no sound")
    page = write(evaluation, tmp_path)
    assert len(page.left_out) == 1
    assert re.fullmatch(r"prompt [T1], [ABC]: .*", page.left_out[0])
    assert sum(at is None for trial in data_of(page)["trials"] for at in trial["clips"]) >= 1


def test_a_page_that_cannot_be_written_leaves_no_key(tmp_path: Path, evaluation: Evaluation) -> None:
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(UserError, match="was not written by this command"):
        write(evaluation, tmp_path)
    with pytest.raises(UserError, match="is a folder"):
        share(evaluation, Review(), tmp_path)
    assert not (evaluation.home / "review").exists()


def test_a_page_is_written_again_for_the_same_listener_until_the_clips_change(
    tmp_path: Path, evaluation: Evaluation
) -> None:
    first = write(evaluation, tmp_path)
    assert write(evaluation, tmp_path).key == first.key
    clip = evaluation.items[0].clips["best"].path
    assert clip is not None
    write_clip(clip, tone=999)
    assert write(evaluation, tmp_path).key.page != first.key.page


def test_clips_that_are_still_being_made_are_not_shared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "runs")
    next(run.evaluation().rglob("*.wav")).unlink()
    command = ["--runs", str(tmp_path / "runs"), "share", "first", "-o", str(tmp_path / "page.html")]
    with liveness.hold(run):
        assert cli.main(command) == 1
    assert "are being made" in capsys.readouterr().err
    assert cli.main(command) == 0


def test_share_without_clips_or_with_a_name_that_is_none_is_one_line(
    tmp_path: Path, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for words in (["empty"], ["nowhere"], [str(evaluation.home), "--listener", "../x"]):
        assert cli.main(["share", *words]) == 1
        assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["share", str(evaluation.home), "--listener", "anna"]) == 0
    assert "listen-run-anna.html: 8 prompts, 1 of them comes again, hidden" in capsys.readouterr().out
    assert (tmp_path / "listen-run-anna.html").is_file()
