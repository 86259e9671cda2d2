"""The warm process as the panel has it: started by the first try, gone with its owner, sent away by a run."""

from __future__ import annotations

import os
import queue as threads_queue
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.contract import config, liveness, rundir, studios
from engine.contract.rundir import RunDir
from engine.contract.tries import Answer, Bye, Done, Failed, Made, Progress, Try
from tests.audio.parts import wait_for
from tests.generate.conftest import save_adapter
from tui.runs import machine, queue
from tui.runs.studio import Studio, log_file, place


class Owner:
    """Who asks, and what was answered."""

    def __init__(self, run: RunDir, out: Path) -> None:
        self.run, self.out = run, out
        self.answers: threads_queue.Queue[Answer] = threads_queue.Queue()
        self.studio = Studio(run.path.parent, self.answers.put)

    def ask(self, seconds: float = 1.0, device: str = "auto") -> None:
        wish = Try(id=1, run=str(self.run.path), prompt="a choir", models=["best"], seconds=seconds, out=str(self.out))
        self.studio.ask(wish, device)

    def until(self, *kinds: type) -> Answer:
        while not isinstance(answer := self.answers.get(timeout=60), kinds):
            pass
        return answer


@pytest.fixture
def owner(tmp_path: Path, tiny_model: Path) -> Iterator[Owner]:
    settings = config.override(config.Settings(), [f'model.base="{tiny_model}"', "lora.rank=2"])
    run = rundir.create(tmp_path / "runs", "one", settings)
    save_adapter(run.best_model, tiny_model, settings, 1)
    owner = Owner(run, tmp_path / "out")
    yield owner
    owner.studio.close()


def test_the_second_try_is_made_by_the_same_process_which_ends_with_its_owner(owner: Owner) -> None:
    owner.ask()
    assert isinstance(owner.until(Done, Failed), Done)
    pid = owner.studio.pid
    owner.ask(seconds=2.0)
    assert isinstance(owner.until(Done, Failed), Done)
    assert owner.studio.pid == pid
    assert pid is not None
    owner.studio.close()
    assert owner.studio.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_killed_in_the_middle_it_says_so_and_the_next_try_starts_it_again(owner: Owner) -> None:
    owner.ask(seconds=30.0)
    owner.until(Progress)
    assert owner.studio.pid is not None
    os.kill(owner.studio.pid, signal.SIGKILL)
    failed = owner.until(Failed)
    assert isinstance(failed, Failed)
    assert "was killed (SIGKILL, perhaps for want of memory" in failed.text
    assert str(log_file()) in failed.text
    owner.until(Bye)
    owner.ask()
    assert isinstance(owner.until(Made, Failed), Made)


def test_a_cancel_ends_the_try_and_not_the_process(owner: Owner) -> None:
    owner.ask(seconds=30.0)
    owner.until(Progress)
    owner.studio.cancel(1)
    done = owner.until(Done)
    assert isinstance(done, Done)
    assert done.cancelled
    assert owner.studio.pid is not None


def test_a_run_of_the_queue_takes_its_place_at_once_and_says_so(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = owner.run.path.parent
    waiting = rundir.create(folder, "two", owner.run.settings())
    owner.ask(seconds=30.0)
    owner.until(Progress)
    # Only its own memory may be on the card when the queue looks.
    there: list[list[int]] = []
    monkeypatch.setattr(machine, "busy", lambda slot: there.append(studios.pids(folder)) or "")
    monkeypatch.setattr(queue, "start", lambda runs_dir: False)
    queue.add(waiting)
    queue.work_off(folder, look_every=0.05)
    assert there[0] == []
    bye = owner.until(Bye)
    assert isinstance(bye, Bye)
    assert bye.text == "a run takes its place"
    assert owner.studio.pid is None
    assert "failed" in wait_for(lambda: liveness.state_of(waiting).state)  # it has no data; it was started


def test_one_on_the_cpu_that_was_asked_for_stays_where_it_disturbs_nobody(owner: Owner) -> None:
    owner.ask(device="cpu")
    owner.until(Done)
    assert studios.pids(owner.run.path.parent) == []
    assert studios.send_away(owner.run.path.parent) == 0
    assert owner.studio.pid is not None


@pytest.mark.parametrize(
    ("gpu", "training", "on_cpu", "device", "said"),
    [
        (False, False, False, "auto", ""),
        (False, True, False, "auto", "one is running; both take longer."),
        (True, False, False, "auto", ""),
        (True, True, False, "", "one has the GPU and is not disturbed; wait for its end, or take the CPU."),
        (True, True, True, "cpu", "one is running; both take longer."),
        (True, False, True, "cpu", ""),
    ],
)
def test_a_run_that_trains_on_the_gpu_is_never_disturbed(
    owner: Owner, monkeypatch: pytest.MonkeyPatch, gpu: bool, training: bool, on_cpu: bool, device: str, said: str
) -> None:
    monkeypatch.setattr(machine, "has_gpu", lambda: gpu)
    held: Callable[[RunDir], bool] = lambda run: training  # noqa: E731
    monkeypatch.setattr(liveness, "is_held", held)
    assert place(owner.run.path.parent, on_cpu=on_cpu) == (device, said)
