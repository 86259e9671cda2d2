"""The warm process that makes the clips of single prompts, at small size and for real."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.contract import studios, tries
from engine.contract.rundir import RunDir
from engine.contract.tries import Cancel, Done, Failed, Leave, Made, Progress, Ready, Try, Warned
from engine.generate.decode import Decoder, Sampling
from engine.generate.models import Model
from engine.generate.warm import Base
from tests.generate.conftest import save_adapter
from tests.generate.studio_process import StudioProcess

PROMPT = "slow piano, rain"


@pytest.fixture(scope="module")
def made_run(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> RunDir:
    """A run with adapters and no clips; tests write into its tries/."""
    from engine.contract import config, rundir

    settings = config.override(config.Settings(), [f'model.base="{tiny_model}"', "lora.rank=2"])
    run = rundir.create(tmp_path_factory.mktemp("tries") / "runs", "r1", settings)
    save_adapter(run.best_model, tiny_model, settings, 1)
    save_adapter(run.final_model, tiny_model, settings, 2)
    return run


@pytest.fixture(scope="module")
def studio(made_run: RunDir) -> Iterator[StudioProcess]:
    """One warm process for the tests that only ask."""
    with StudioProcess(made_run.path.parent) as process:
        process.until(Ready)
        yield process


@pytest.fixture
def ask(made_run: RunDir, studio: StudioProcess, tmp_path: Path) -> Callable[..., list[Made]]:
    """Make clips of a second, into a folder of the test's own."""

    def make(prompt: str = PROMPT, **fields: object) -> list[Made]:
        fields = {"id": 1, "run": str(made_run.path), "seconds": 1.0, "out": str(tmp_path / "out"), **fields}
        return studio.made(prompt=prompt, **fields)

    return make


def samples(made: Made) -> np.ndarray:
    return soundfile.read(made.path, dtype="int16")[0]


def test_each_model_gets_the_same_noise_and_its_settings_stand_in_the_tags_and_in_the_list(ask, made_run, tmp_path):
    base, best = ask(seed=7, top_k=20)
    assert (base.clip.model, best.clip.model) == ("base", "best")
    assert len(samples(base)) == len(samples(best)) == 16000
    assert not np.array_equal(samples(base), samples(best))
    with soundfile.SoundFile(best.path) as file:
        assert (file.format, file.title) == ("FLAC", PROMPT)
        tags = json.loads(file.comment)
    assert {**tags, "t": 0} | {"seed": 7, "top_k": 20, "strength": 1.0, "run": "r1"} == {**tags, "t": 0}
    listed = tries.read(tmp_path / "out")
    assert [clip.file for clip in listed.value] == [Path(best.path).name, Path(base.path).name]
    assert not listed.complaints


def test_strength_0_is_the_base_model_and_1_the_best_sample_for_sample(ask, tmp_path):
    base, best = ask()
    (nought,) = ask(models=["best"], strength=0.0, out=str(tmp_path / "nought"))
    (one,) = ask(models=["best"], strength=1.0, out=str(tmp_path / "one"))
    (half,) = ask(models=["best"], strength=0.5, out=str(tmp_path / "half"))
    assert np.array_equal(samples(nought), samples(base))
    assert np.array_equal(samples(one), samples(best))
    assert not any(np.array_equal(samples(half), samples(other)) for other in (base, best))


def test_half_the_strength_lies_between_base_and_best_in_logits(made_run, tiny_model):
    base, device = Base(tiny_model, torch.device("cpu")), torch.device("cpu")
    best = Model("best", tiny_model, made_run.best_model, "w")
    nought, half, one = (
        _first_logits(base.model(best, strength, torch.float32), device) for strength in (0.0, 0.5, 1.0)
    )
    whole = torch.dist(nought, one)
    assert 0 < torch.dist(nought, half) < whole
    assert 0 < torch.dist(half, one) < whole


def _first_logits(decoder: Decoder, device: torch.device) -> torch.Tensor:
    states = torch.randn(1, 4, 16, generator=torch.Generator().manual_seed(0))
    state = decoder._prepare(states, torch.ones(1, 4), 4, Sampling())
    tokens = torch.full((1, decoder.codebooks), decoder.pad, device=device)
    with torch.no_grad():
        return decoder.logits(state, tokens, 1, masked=False)


def test_a_clip_alone_is_the_clip_it_is_among_four_variations(ask, tmp_path):
    four = ask(models=["best"], seed=3, variations=4)
    (alone,) = ask(models=["best"], seed=5, out=str(tmp_path / "alone"))
    assert [made.clip.seed for made in four] == [3, 4, 5, 6]
    assert np.array_equal(samples(alone), samples(four[2]))
    assert len({samples(made).tobytes() for made in four}) == 4


def test_what_was_made_before_is_not_made_again(ask):
    first, again = ask(seed=9), ask(seed=9)
    assert [made.before for made in first + again] == [False, False, True, True]
    assert [made.path for made in again] == [made.path for made in first]
    Path(first[1].path).unlink()
    assert [made.before for made in ask(seed=9)] == [True, False]


def test_progress_is_told_step_by_step_and_a_cancel_ends_it_between_two_steps(studio, made_run, tmp_path):
    out = str(tmp_path / "out")
    studio.ask(id=4, run=str(made_run.path), prompt=PROMPT, models=["best"], seconds=30.0, out=out)
    while not any(isinstance(answer, Progress) and answer.done for answer in studio.until(Progress)):
        pass
    studio.send(tries.line(Cancel(id=4)))
    answers = studio.until(Done)
    assert answers[-1].cancelled
    steps = [answer.done for answer in answers if isinstance(answer, Progress)]
    assert steps == sorted(steps)
    assert max(steps, default=0) < 753
    assert tries.read(tmp_path / "out").value == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": "  "}, "prompt is empty"),
        ({"seconds": 31.0}, "trained on 30 s"),
        ({"strength": 2.0}, "0 to 1.5"),
        ({"models": []}, "name 1 to"),
        ({"models": ["step-000009"]}, "has no model 'step-000009'"),
        ({"run": "/nowhere"}, "is no folder"),
    ],
)
def test_what_no_model_can_make_is_refused_in_one_sentence(studio, made_run, fields, words):
    said = studio.refused(**{"id": 5, "run": str(made_run.path), "prompt": PROMPT, **fields})
    assert words in said
    assert "\n" not in said


def test_a_run_without_a_best_model_says_when_there_will_be_one(studio, make_run):
    run = make_run("young")
    shutil.rmtree(run.best_model)
    assert "no best model yet" in studio.refused(id=6, run=str(run.path), prompt=PROMPT)
    assert studio.made(id=6, run=str(run.path), prompt=PROMPT, models=["base"], seconds=1.0)


def test_a_prompt_in_another_language_or_longer_than_the_window_is_made_and_said(studio, made_run, tmp_path):
    for prompt, words in (("钢琴和雨", "not English"), ("rain " * 14 + "and a choir", "ends before: rain and a choir")):
        studio.ask(id=7, run=str(made_run.path), prompt=prompt, models=["base"], seconds=1.0, out=str(tmp_path))
        answers = studio.until(Done, Failed)
        assert any(isinstance(answer, Warned) and words in answer.text for answer in answers), answers
        assert any(isinstance(answer, Made) for answer in answers)


def test_lines_that_are_no_request_are_answered_and_the_next_one_is_heard(studio, made_run, tmp_path):
    for text, words in (
        (b"{\n", "no JSON"),
        (b"[]\n", "a list, not an object"),
        (b'{"do": "dance"}\n', "no do that is known"),
        (b'{"do": "try", "id": 1, "run": "r"}\n', "has no prompt"),
        (b'{"do": "try", "id": 1, "run": "r", "prompt": "p", "seconds": "long"}\n', "seconds is text"),
        (b"\xff\xfe\n", "no"),
        (b'{"do": "try", "prompt": "' + b"x" * 200_000 + b'"}\n', "more than 64 KiB"),
    ):
        studio.send(text)
        answer = studio.until(Failed)[-1]
        assert words in answer.text, answer
        assert len(answer.text) < 300
    assert studio.made(id=8, run=str(made_run.path), prompt=PROMPT, models=["base"], seconds=1.0, out=str(tmp_path))


def test_a_disk_that_cannot_be_written_is_one_sentence_and_the_next_try_goes_on(studio, made_run, tmp_path):
    (tmp_path / "file").write_text("")
    said = studio.refused(id=9, run=str(made_run.path), prompt=PROMPT, seconds=1.0, out=str(tmp_path / "file" / "out"))
    assert "cannot be written" in said
    assert studio.made(id=9, run=str(made_run.path), prompt=PROMPT, seconds=1.0, out=str(tmp_path / "out"))


def test_it_ends_with_whoever_asks_also_in_the_middle_of_a_line(made_run):
    with StudioProcess() as studio:
        studio.until(Ready)
        studio.send(b'{"do": "try", "id": 1')
        studio.process.stdin.close()
        assert studio.bye() == "nobody asks any more"
    assert not (made_run.path / "tries").exists()


def test_it_ends_when_nothing_was_tried_for_a_while(made_run):
    with StudioProcess(idle=0.05) as studio:
        assert "nothing was tried" in studio.bye()


def test_it_leaves_in_the_middle_of_a_clip_when_told_that_its_place_is_wanted(made_run, tmp_path):
    with StudioProcess() as studio:
        studio.ask(id=1, run=str(made_run.path), prompt=PROMPT, seconds=30.0, out=str(tmp_path / "out"))
        while not any(isinstance(answer, Progress) and answer.done for answer in studio.until(Progress)):
            pass
        studio.send(tries.line(Leave(why="r2 takes the GPU")))
        assert studio.bye() == "r2 takes the GPU"
    assert tries.read(tmp_path / "out").value == []


def test_an_engine_that_starts_in_its_runs_folder_sends_it_away(made_run, tmp_path):
    folder = made_run.path.parent
    with StudioProcess(folder) as studio:
        studio.until(Ready)
        assert studio.process.pid in studios.pids(folder)
        os.kill(studio.process.pid, signal.SIGTERM)
        assert studio.bye() == "a run takes its place"
        assert studio.process.pid not in studios.pids(folder)


def test_killed_in_the_middle_of_a_clip_it_leaves_no_half_file(made_run, tmp_path):
    folder, out = made_run.path.parent, tmp_path / "out"
    with StudioProcess(folder) as studio:
        studio.ask(id=1, run=str(made_run.path), prompt=PROMPT, models=["base", "best"], seconds=30.0, out=str(out))
        made = studio.until(Made)[-1]
        studio.until(Progress)
        studio.process.send_signal(signal.SIGKILL)
        studio.process.wait()
        assert studio.process.pid not in studios.pids(folder)
    assert [clip.file for clip in tries.read(out).value] == [Path(made.path).name]
    assert len(samples(made)) == 30 * 16000


def test_a_list_with_torn_and_foreign_lines_keeps_the_clips_that_are_there(ask, tmp_path):
    (made,) = ask(models=["base"])
    index = tmp_path / "out" / tries.INDEX
    index.write_bytes(b'[]\n{"file": "gone.flac", "model": "m", "prompt": "p"}\n' + index.read_bytes() + b'{"file": "x')
    found = tries.read(tmp_path / "out")
    assert [clip.file for clip in found.value] == [Path(made.path).name]
    assert len(found.complaints) == 2


def test_every_message_says_the_same_after_it_was_sent():
    wish = Try(id=3, run="r", prompt="p", strength=0.5, models=["best"])
    assert tries.request(tries.line(wish)) == wish
    assert tries.answer(tries.line(Failed(text="no"))) == Failed(text="no")
