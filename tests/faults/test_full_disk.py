"""A disk that is full at any of its writers: one sentence, nothing lost, and with more room it goes on as if never."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engine import __main__ as engine
from engine.contract import config, events, liveness, rundir
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tests.conftest import ROOT, need
from tests.faults.test_kills import make, what_is_kept
from tests.review.clips import judge, make_run
from tests.review.many import a_run
from tests.train.conftest import write_clips
from tui.review.across import open_across
from tui.review.evaluation import open_evaluation
from tui.runs import launch, queue, sessions, sweep


class Disk:
    """A file system of its own, of a size in KiB that can be changed."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        need(done.returncode == 0, f"a file system must be mounted: {done.stderr.strip()}")

    def resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}k", str(self.folder)], check=True)

    def read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)

    def used(self) -> int:
        told = os.statvfs(self.folder)
        return (told.f_blocks - told.f_bfree) * told.f_bsize // 1024

    def fill(self) -> None:
        with open(self.folder / "filler", "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass

    def end(self) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk", 65536)
    yield made
    made.end()


def engine_in_a_child(run: RunDir, said: Path) -> int:
    """``python -m engine train RUN --resume --evaluate`` in a forked process; its exit status. ``said``: its words."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(out, 1)
            os.dup2(out, 2)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
            sys.argv = ["engine", "train", str(run.path), "--resume", "--evaluate"]
            code = engine.main()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_full_at_one_writer_after_another_a_run_ends_as_if_there_had_been_room(
    tmp_path: Path, tiny_model: Path, disk: Disk
) -> None:
    torch.set_num_threads(1)
    data = write_clips(tmp_path / "clips", train=10, valid=3)
    whole, _ = make(tmp_path, "whole", data, tiny_model)
    assert engine_in_a_child(whole, tmp_path / "said") == 0, (tmp_path / "said").read_text()
    run, _ = make(disk.folder, "small", data, tiny_model)
    size, chance, refusals = disk.used() + 8, random.Random(11), 0
    while True:
        disk.resize(size)
        code = engine_in_a_child(run, tmp_path / "said")
        if code == 0:
            break
        refusals += 1
        said = (tmp_path / "said").read_text()
        assert code == 1, said
        assert "Traceback" not in said
        last = said.strip().splitlines()[-1].lower()
        assert "space" in last or "room" in last, said
        size = max(size, disk.used()) + chance.randint(20, 60)
    assert refusals >= 5
    assert liveness.state_of(run).state == "done"
    assert what_is_kept(run) == what_is_kept(whole)


def test_a_run_that_cannot_be_made_leaves_its_name_free(disk: Disk) -> None:
    (disk.folder / "runs").mkdir()
    disk.fill()
    with pytest.raises(UserError, match=r"new cannot be made \(No space left on device\)"):
        rundir.create(disk.folder / "runs", "new", config.Settings())
    (disk.folder / "filler").unlink()
    assert os.listdir(disk.folder / "runs") == []
    assert rundir.create(disk.folder / "runs", "new", config.Settings()).settings()


def test_what_a_listener_says_is_refused_in_words_and_what_was_said_stays(disk: Disk) -> None:
    run = make_run(disk.folder / "runs")
    session = judge(open_evaluation(run.path), "anna", [{"base": 2, "best": 4, "final": 3}])
    before = run.review("anna").read_bytes()
    disk.fill()
    with pytest.raises(UserError, match="cannot be written"):
        session.rate(5)
    assert run.review("anna").read_bytes() == before
    assert os.listdir(run.review_dir) == ["anna.json"]


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", *map(str, words)], cwd=ROOT, text=True, capture_output=True,
        stdin=subprocess.DEVNULL, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("how", ["full", "read-only"])
@pytest.mark.parametrize(
    "words",
    [("export", "RUN"), ("gate", "RUN", "stop", "--why", "enough"), ("resume", "RUN"), ("evaluate", "RUN"),
     ("train", "--resume", "--name", "r1", "--runs", "RUNS", "--set", "train.save_steps=7"),
     ("train", "--runs", "RUNS", "--name", "r2", "--set", 'model.base="demo"')],
    ids=lambda words: " ".join(words[:2]),
)  # fmt: skip
def test_a_command_that_cannot_write_says_so_in_one_line(disk: Disk, how: str, words: tuple[str, ...]) -> None:
    run = make_run(disk.folder / "runs", name="r1")
    named = {"RUN": run.path, "RUNS": disk.folder / "runs"}
    before = run.config.read_bytes()
    disk.fill() if how == "full" else disk.read_only()
    done = command(*(named.get(word, word) for word in words))
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "/" in done.stderr.strip().splitlines()[-1]
    assert run.config.read_bytes() == before
    assert not (disk.folder / "runs" / "r2").exists()


def test_the_queue_says_that_it_cannot_be_written(disk: Disk) -> None:
    run = rundir.create(disk.folder / "runs", "new", config.Settings())
    disk.read_only()
    with pytest.raises(UserError, match="cannot be changed"):
        queue.add(run)


def test_the_members_of_a_sweep_wait_for_room_and_those_that_failed_go_on_with_the_others(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.resize(30 * 1024)
    folder = disk.folder / "runs"
    monkeypatch.setattr(queue, "start", lambda runs_dir: False)
    members = sweep.create(sweep.grid(config.Settings(), {"lora.rank": [2, 4]}, 1, "ranks", 0), folder)
    with events.EventLog(members[0].events) as log:
        log.write("state", state="failed", error="the disk is full")
    queue.add_sweep(members[1:])
    assert "the disk of the runs is full" in queue.waits_for(folder)
    started: list[str] = []

    def start(run: RunDir, **_: object) -> int:
        started.append(run.name)
        with events.EventLog(run.events) as log:
            log.write("state", state="done")
        return 1

    def room(_: float) -> None:
        assert started == []
        disk.resize(200 * 1024)
        assert queue.resume_sweep(folder, "ranks") == ["ranks-rank2", "ranks-rank4"]

    monkeypatch.setattr(launch, "start", start)
    monkeypatch.setattr(queue, "_wait", room)
    queue.work_off(folder)
    assert sorted(started) == ["ranks-rank2", "ranks-rank4"]


def test_a_session_across_runs_on_a_full_disk_is_not_begun_and_leaves_nothing(disk: Disk) -> None:
    runs = disk.folder / "runs"
    paths = [a_run(runs, name, 300 + 100 * n) for n, name in enumerate(("rank12", "rank16"))]
    disk.fill()
    with pytest.raises(UserError, match=r"cannot be written below .*No space left"):
        open_across(runs, paths)
    assert not sessions.all_of(runs)
    assert not list((runs / "sessions").glob("*")) + list((runs / "sessions").glob(".*"))
    (disk.folder / "filler").unlink()
    assert open_evaluation(open_across(runs, paths)).whole
