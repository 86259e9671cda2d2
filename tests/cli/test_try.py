"""``mgl-tui try`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

from engine.contract import config, liveness, rundir, tries
from engine.contract.rundir import RunDir
from tests.cli.conftest import Place
from tests.generate.conftest import save_adapter


@pytest.fixture
def run(place: Place, tiny_model: Path) -> RunDir:
    """A run that has a best model and nothing else: it may still be training."""
    settings = config.load(place.config)
    run = rundir.create(place.runs, "one", settings)
    save_adapter(run.best_model, tiny_model, settings, 1)
    return run


def test_a_prompt_becomes_a_clip_of_base_and_best_also_while_the_run_trains(place: Place, run: RunDir) -> None:
    with liveness.hold(run):
        done = place.mgl("try", "one", "slow piano", "--seconds", "1")
    assert done.returncode == 0, done.stderr
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert [path.parent for path in paths] == [run.tries, run.tries]
    assert all(soundfile.info(path).frames == 16000 for path in paths)
    assert [clip.model for clip in tries.read(run.tries).value] == ["best", "base"]
    assert "one is running; both take longer." in done.stderr


def test_settings_are_the_runs_own_or_as_they_were_typed_and_told_as_json(place: Place, run: RunDir) -> None:
    words = ["--models", "best", "--strength", "0.5", "--seed", "4", "--variations", "2", "--top-k", "9", "-o", "here"]
    told = place.json("try", "one", "slow piano", *words)
    assert isinstance(told, dict)
    clips = told["clips"]
    assert [(clip["seed"], clip["strength"], clip["top_k"], clip["seconds"]) for clip in clips] == [
        (4, 0.5, 9, 2.0), (5, 0.5, 9, 2.0),
    ]  # fmt: skip
    assert {Path(clip["path"]).parent for clip in clips} == {place.folder / "here"}
    assert json.loads(soundfile.SoundFile(clips[0]["path"]).comment)["strength"] == 0.5
    assert not run.tries.exists()


def test_a_model_is_also_a_folder_named_from_where_one_is(place: Place, run: RunDir) -> None:
    told = place.json("try", "one", "slow piano", "--models", "base,runs/one/best_model", "--seconds", "1")
    assert isinstance(told, dict)
    assert [clip["model"] for clip in told["clips"]] == ["base", "one:best_model"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((" ",), "The prompt is empty"),
        (("a choir", "--seconds", "45"), "MusicGen was trained on 30 s"),
        (("a choir", "--strength", "-1"), "A strength of -1 is out of range"),
        (("a choir", "--models", "best,later"), "has no model 'later'"),
        (("a choir", "--models", "final"), "final"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(place: Place, run: RunDir, words: tuple[str, ...], said: str) -> None:
    done = place.mgl("try", "one", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_best_model_it_says_when_there_will_be_one(place: Place) -> None:
    rundir.create(place.runs, "young", config.load(place.config))
    done = place.mgl("try", "young", "a choir")
    assert done.returncode == 1
    assert "young has no best model yet" in done.stderr
