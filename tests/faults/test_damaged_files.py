"""Any file of a user's, damaged in any way: every command ends with a status and a sentence, and loses nothing."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.contract import prompts, sound
from engine.contract.config import Review, Settings, override
from engine.contract.data import metadata
from engine.contract.errors import UserError
from engine.contract.events import EventLog
from engine.train import checkpoint
from tests.faults.damage import also_found, damaged, damaged_bytes
from tests.review.clips import judge, make_run
from tui import cli
from tui.audio import clips
from tui.review import envelope, loudness, shared
from tui.review.evaluation import open_evaluation
from tui.review.state import read_state

FILES = [
    "bad/events.jsonl", "bad/config.toml", "bad/evaluation/comparison_results.jsonl", "bad/evaluation/.loudness.json",
    "bad/evaluation/set_measures.json", "bad/review/anna.json", "bad/review/gate.json", "bad/notes.md", "bad/lock",
    "bad/engine.log", "queue.json",
]  # fmt: skip
COMMANDS = [
    ["runs"], ["runs", "--json"], ["status", "bad"], ["status", "bad", "--json"], ["queue"], ["advise", "bad"],
    ["advise", "bad", "--json"], ["compare", "bad", "good"], ["compare", "good", "bad", "--json"], ["stop", "bad"],
    ["gate", "bad", "--json"], ["export", "bad", "--csv", "--json"],
]  # fmt: skip


def make_runs(folder: Path) -> Path:
    """Two finished runs that were judged; ``bad`` holds one of every file that a run can have."""
    for name in ("good", "bad"):
        changes = ["run.parent=good", "run.why=to see"] if name == "bad" else []
        run = make_run(folder, name, settings=override(Settings(), changes), prompts=("warm pads", "slow piano"))
        with EventLog(run.events) as log:
            log.write("best", step=40, loss=4.0, previous=4.1)
            log.write("gpu", index=0, name="RTX", util=97.0, mem_used=4e9, mem_total=24e9, temperature=60)
            log.write("health", name="overfitting", verdict="warn", evidence="valid rises")
            log.write("checkpoint", step=40, path=str(run.checkpoints / "step-000040"), seconds=0.3)
            log.write("state", state="done")
        session = judge(open_evaluation(run.path), "anna", [{"base": 2, "best": 4, "final": 3}])
        session.toggle_tag("noise")
        session.write_note("hiss")
        session.reveal()
        put(run.evaluation() / "set_measures.json", {"models": {"base": {"frechet_distance": 9.5, "clips": 2}}})
        put(run.path / "review" / "gate.json", {"decision": "adjust", "why": "x", "listener": "anna", "t": 1.0})
        put(run.evaluation() / ".loudness.json", {"x.wav 3 4": -20.0})
        put(run.lock, {"pid": 1, "host": "x", "t": 1.0})
        run.engine_log.write_text("step 1\nstep 2\n")
    (folder / "bad" / "notes.md").write_text("Mine.\n")
    put(folder / "queue.json", ["bad", "good"])
    return folder


def put(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_runs(tmp_path_factory.mktemp("damaged") / "runs")


def mgl(*words: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of a command, in this process: what it raises is a traceback that a user would see."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.main(list(words))
    return status, out.getvalue(), err.getvalue()


def refused(call: Callable[[], object], refusal: type[Exception]) -> str:
    """What a call that fails says; "" when it does not."""
    try:
        call()
    except refusal as error:
        return str(error)
    return ""


def often() -> settings:
    """For what takes milliseconds."""
    return settings(max_examples=10 * settings().max_examples)


def assert_answered(runs: Path, name: str) -> None:
    """Every command ends well or with one sentence; a damaged file of a run takes nothing from the other run."""
    before = {file: file.read_bytes() for file in runs.rglob("*") if file.is_file()}
    for words in COMMANDS:
        status, out, err = mgl("--runs", str(runs), *words)
        assert status in (0, 1), words
        # What could not be read may be said beside a result; what ends a command is one sentence.
        assert err.startswith("mgl-tui: ") == bool(status), (words, err[:500])
        assert status == 0 or err.count("\n") == 1, (words, err[:500])
        if "--json" in words and not status and words[0] != "export":
            json.loads(out)
        assert words[0] != "runs" or "good" in out
    for file, content in before.items():
        changed = str(file.relative_to(runs))
        if not changed.startswith("bad/notes.") and file.name != ".loudness.json":
            assert file.read_bytes() == content, changed


@pytest.mark.parametrize("name", FILES)
def test_no_command_fails_over_a_damaged_file_of_a_run(runs: Path, name: str) -> None:
    path, notes = runs / name, runs / "bad" / "notes.md"
    whole, mine = path.read_bytes(), notes.read_bytes()

    @given(content=damaged(name, whole))
    def answers(content: bytes) -> None:
        notes.write_bytes(mine)
        path.write_bytes(content)
        assert_answered(runs, name)
        if path == notes and refused(lambda: content.decode(), UnicodeDecodeError):
            assert notes.read_bytes() == content

    try:
        also_found(name, answers)()
    finally:
        notes.write_bytes(mine)
        path.write_bytes(whole)


DATA = {
    "metadata.json": json.dumps([{"audio": "train/a.wav", "text": "warm"}, {"audio": "valid/b.wav", "text": "cold"}]),
    "metadata.jsonl": '{"file_name": "train/a.wav", "text": "warm"}\n{"file_name": "valid/b.wav", "text": "cold"}\n',
    "metadata.csv": 'file_name,text\ntrain/a.wav,"warm, slow"\nvalid/b.wav,cold\n',
    "train/a.txt": "warm\n",
    "train/a.json": '{"description": "warm", "bpm": 90}',
}


@pytest.mark.parametrize("name", DATA)
def test_damaged_captions_are_read_or_named(tmp_path: Path, name: str) -> None:
    for side in ("train/a.wav", "valid/b.wav"):
        (tmp_path / side).parent.mkdir()
        (tmp_path / side).touch()
    data = override(Settings(), [f"data.dir={tmp_path}", f"data.metadata={Path(name).name}"]).data

    @often()
    @given(content=damaged(name, DATA[name].encode()))
    def answers(content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        if sentence := refused(lambda: metadata.read(data), UserError):
            assert str(tmp_path) in sentence
            return
        for clip in metadata.read(data):
            clip.text.encode()
            clip.audio.is_file()

    also_found(name, answers)()


@pytest.mark.parametrize("name", ["prompts.json", "prompts.txt"])
def test_damaged_prompts_are_read_or_named(tmp_path: Path, name: str) -> None:
    rows = json.dumps([{"prompt": "warm pads", "id": "a"}, "slow piano"])
    whole = rows if name.endswith("json") else "warm pads\nslow piano\n"

    @often()
    @given(content=damaged(name, whole.encode()))
    def answers(content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        if sentence := refused(lambda: prompts.read(tmp_path / name), UserError):
            assert str(tmp_path / name) in sentence
            return
        for prompt in prompts.read(tmp_path / name):
            (prompt.id + prompt.text).encode()
            assert prompt.text.strip()

    also_found(name, answers)()


OLD = {
    "results.json": json.dumps([{"text_prompt": "warm pads", "duration": 1, "base_model_file": "a.wav"}]),
    "train.log": "Step 1: loss=8.40, lr=2e-06\nEpoch 1: train_loss=8.35, valid_loss=8.19\n",
    "rater.json": json.dumps(
        {"evaluator": "Anna", "evaluations": [{"text_prompt": "warm pads", "selected_model": "base"}]}
    ),
    "data/metadata.json": json.dumps(
        [{"audio": f"{side}/a_part{n}.wav", "text": "warm"} for n, side in enumerate(("train", "valid"))]
    ),
    "adapter/adapter_config.json": json.dumps({"r": 12, "lora_alpha": 24, "target_modules": ["q_proj"]}),
}


@pytest.mark.parametrize("name", OLD)
def test_damaged_files_of_other_scripts_are_brought_in_or_named(runs: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "old" / "adapter").mkdir(parents=True)
    (tmp_path / "old" / "data").mkdir()
    for each, content in OLD.items():
        (tmp_path / "old" / each).write_text(content)
    (tmp_path / "old" / "adapter" / "adapter_model.bin").write_bytes(b"weights")
    soundfile.write(tmp_path / "old" / "a.wav", np.zeros(8000), 8000)

    @given(content=damaged(name, OLD[name].encode()))
    def answers(content: bytes) -> None:
        (tmp_path / "old" / name).write_bytes(content)
        commands = [["import", str(tmp_path / "old")]]
        if name == "rater.json":
            commands = [["collect", "new", str(tmp_path / "old" / name)]]
            shutil.copytree(runs / "good", tmp_path / "runs" / "new", dirs_exist_ok=True)
        for words in commands:
            status, _, err = mgl("--runs", str(tmp_path / "runs"), *words)
            assert status in (0, 1)
            assert status == 0 or (err.count("\n") == 1 and str(tmp_path / "old") in err), err
        assert (tmp_path / "old" / name).read_bytes() == content
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)

    answers()


@pytest.mark.parametrize("which", ["answers", "key"])
def test_damaged_answers_and_keys_of_pages_are_collected_or_named(runs: Path, tmp_path: Path, which: str) -> None:
    run = shutil.copytree(runs / "good", tmp_path / "good")
    evaluation = open_evaluation(run)
    key = shared.key_for(evaluation, Review(), "ben")
    files = {"key": shared.write(evaluation, key), "answers": tmp_path / "ben.json"}
    said = {"score": 4, "tags": ["noise"], "note": "hum", "heard": 3.5}
    put(files["answers"], {
        "format": "mgl-tui answers", "version": 1, "page": key.page, "listener": "ben", "began": 1.0, "sent": 2.0,
        "sittings": [{"start": 1.0, "end": 2.0}], "all_bad": [],
        "trials": {number: dict.fromkeys(trial.letters, said) for number, trial in key.numbered().items()},
    })  # fmt: skip
    whole, before = files[which].read_bytes(), (run / "review" / "anna.json").read_bytes()

    @given(content=damaged("ben.json", whole))
    def answers(content: bytes) -> None:
        files[which].write_bytes(content)
        status, _, err = mgl("collect", str(run), str(files["answers"]))
        assert status in (0, 1)
        assert status == 0 or err.count("\n") == 1, err
        brought = [path for path in (run / "review").glob("*.json") if path.name not in ("anna.json", "gate.json")]
        assert len(brought) == (status == 0)
        for path in brought:
            assert read_state(path).complaints == ()
            path.unlink()
        assert files[which].read_bytes() == content
        assert (run / "review" / "anna.json").read_bytes() == before

    often()(answers)()


def test_a_damaged_state_of_a_checkpoint_is_named(tmp_path: Path) -> None:
    progress = asdict(checkpoint.Progress(step=3, best_loss=4.0, unlogged=[4.1]))
    record = {"progress": progress, "settings": Settings().model_dump(), "identity": {"data": "a", "base": "b"}}

    @often()
    @given(content=damaged("state.json", json.dumps(record).encode()))
    def answers(content: bytes) -> None:
        (tmp_path / "state.json").write_bytes(content)
        sentence = refused(lambda: checkpoint.read_state(tmp_path), UserError)
        assert not sentence or str(tmp_path) in sentence

    answers()


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_damaged_sound_is_played_or_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"hidden-name.{suffix}"
    soundfile.write(path, np.sin(np.arange(3200) / 9).astype(np.float32) / 2, 16000)
    whole = path.read_bytes()
    # The header is what a few bytes can do most with.
    heads = damaged_bytes(whole[:64]).map(lambda head: head + whole[64:])

    @often()
    @given(content=st.one_of(heads, damaged_bytes(whole)))
    def answers(content: bytes) -> None:
        path.write_bytes(content)
        for read in (sound.header, sound.read, sound.is_whole, loudness.measure):
            assert "hidden" not in refused(partial(read, path), sound.BadSound)
        for play in (clips.duration, clips.browser_bytes, partial(clips.read, rate=48_000)):
            # It would tell a listener which model the clip is of.
            assert "hidden" not in refused(partial(play, path), clips.UnreadableClip)
        sentence = refused(lambda: envelope.peaks(path, 60), UserError)
        assert not sentence or str(path) in sentence

    answers()
