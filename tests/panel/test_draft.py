"""A run that is put together: values in, a checked Settings and its meaning out."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from engine.contract import config
from engine.contract.plan import plan
from engine.contract.rundir import RunDir
from tests.panel import recording
from tui.runs import store
from tui.runs.draft import Draft, candidates, estimate, measured_like, own_findings, preset_changes, setting_names
from tui.runs.follow import Followed
from tui.runs.history import History
from tui.runs.plain_words import PLAIN_WORDS


def draft(name: str = "new") -> Draft:
    return Draft(config.Settings(), "", name)


def test_every_setting_of_a_run_has_a_row_and_no_other_has() -> None:
    rows = [name for _, names in setting_names() for name in names]
    assert len(rows) == len(set(rows))
    assert {n.split(".")[0] for n in rows} == {"model", "data", "lora", "train", "evaluate"}
    assert set(rows) == {
        n for n in config.fields() if n.split(".")[0] in ("model", "data", "lora", "train", "evaluate")
    }


def test_every_value_that_can_be_stepped_to_is_allowed() -> None:
    for _, names in setting_names():
        for name in names:
            for value in candidates(name, draft().value(name)):
                draft().put({name: value})


def test_stepping_goes_to_the_neighbour_and_stays_at_the_end() -> None:
    one = draft()
    one.step("lora.rank", 1)
    assert one.value("lora.rank") == 16
    for _ in range(20):
        one.step("lora.rank", 1)
    assert one.value("lora.rank") == 128


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("lora.rank", "20", 20),
        ("train.learning_rate", "3e-5", 3e-5),
        ("train.warmup_steps", "auto", "auto"),
        ("train.warmup_steps", "7", 7),
        ("lora.target_modules", "q_proj, v_proj", ["q_proj", "v_proj"]),
        ("lora.rslora", "yes", True),
        ("data.dir", "/data/my clips", "/data/my clips"),
        ("train.precision", "bf16", "bf16"),
    ],
)
def test_a_value_is_taken_as_it_is_typed(name: str, text: str, value: object) -> None:
    one = draft()
    one.type_in(name, text)
    assert one.value(name) == value


def test_a_value_that_is_not_allowed_is_refused_with_what_is_and_changes_nothing() -> None:
    one = draft()
    with pytest.raises(config.SettingsError, match=r"lora\.rank = 0 .*allowed"):
        one.type_in("lora.rank", "0")
    with pytest.raises(config.SettingsError, match="one of fp16"):
        one.type_in("train.precision", "fp8")
    assert one.changes() == []


def test_the_command_line_makes_the_same_settings() -> None:
    one = draft("my-run")
    one.put({"lora.rank": 16, "lora.target_modules": ["q_proj"], "train.precision": "bf16"})
    words = shlex.split(one.command(None))
    sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    assert config.override(config.Settings(), sets) == one.settings
    assert words[-2:] == ["--name", "my-run"]


@pytest.mark.parametrize("key", ["1", "2", "3", "4"])
def test_presets_make_settings_that_are_allowed(key: str) -> None:
    one = draft()
    one.put(preset_changes(key, one.settings))
    assert key == "1" or one.changes()


def test_names_that_exist_block_and_a_free_one_is_proposed(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    blocks = [f for f in own_findings(draft(), tmp_path, []) if f.severity == "block"]
    assert blocks[0].fix == "new-2 is free."
    assert own_findings(draft("a/b"), tmp_path, [])[0].severity == "block"


def test_a_running_run_is_a_warning(tmp_path: Path) -> None:
    assert own_findings(draft(), tmp_path, ["other"])[-1].severity == "warn"


@pytest.fixture
def measured(tmp_path: Path) -> tuple[list[store.RunSummary], History]:
    recording.recorded(tmp_path / "full")
    summaries = store.summaries(tmp_path)
    followed = Followed(RunDir(summaries[0].path))
    followed.load()
    return summaries, followed.history


def test_time_and_memory_come_from_what_was_measured(measured: tuple[list[store.RunSummary], History]) -> None:
    summaries, history = measured
    assert summaries[0].settings is not None
    one = Draft(summaries[0].settings, "full", "new")
    found = estimate(one, plan(one.settings, 1984), measured_like(one, summaries), history)
    assert not found.guess
    assert found.train_seconds == pytest.approx(248 * 2.8, rel=0.1)
    assert found.clip_seconds == pytest.approx(50)
    assert found.memory / 2**30 == pytest.approx(9.9, abs=0.2)


def test_other_sizes_are_scaled_and_called_a_guess(measured: tuple[list[store.RunSummary], History]) -> None:
    summaries, history = measured
    assert summaries[0].settings is not None
    one = Draft(summaries[0].settings, "full", "new")
    one.put({"train.batch_size": 4})
    found = estimate(one, plan(one.settings, 1984), measured_like(one, summaries), history)
    assert found.guess
    assert found.train_seconds == pytest.approx(248 * 2.8, rel=0.1)
    assert found.memory != found.memory


def test_without_a_run_of_its_kind_nothing_is_promised() -> None:
    found = estimate(draft(), plan(config.Settings(), 100), None, None)
    assert found.source == ""
    assert found.train_seconds != found.train_seconds


def test_a_draft_says_what_it_was_made_from_and_why() -> None:
    one = Draft(config.Settings(), "first", "second", why="overfit: fewer epochs")
    one.put({"train.epochs": 3})
    assert (one.settings.run.parent, one.settings.run.why) == ("first", "overfit: fewer epochs")
    assert [change.name for change in one.changes()] == ["train.epochs"]
    words = shlex.split(one.command(Path("/runs/first/config.toml")))
    repeated = config.override(config.Settings(), [words[n + 1] for n, word in enumerate(words) if word == "--set"])
    assert (repeated.train.epochs, repeated.run.why) == (3, "overfit: fewer epochs")


def test_every_setting_of_the_form_is_told_in_two_sentences_at_least() -> None:
    rows = [name for _, names in setting_names() for name in names]
    assert set(PLAIN_WORDS) == set(rows)
    told = {name: text.count(". ") + text.endswith(".") for name, text in PLAIN_WORDS.items()}
    assert [name for name, sentences in told.items() if sentences < 2] == []
