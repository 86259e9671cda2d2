"""A grid of runs: what it holds, what it is called, and what its ranking is worth."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from engine.contract import config, rundir
from engine.contract.errors import UserError
from engine.contract.events import EventLog
from engine.contract.rundir import RunDir
from tests.review.clips import write_events
from tui.runs import machine, queue, sweep

BASE = config.Settings(run=config.Run(parent="first"))


def grid(*assignments: str, seeds: int = 1, name: str = "try", top: int = 2) -> list[sweep.Member]:
    return sweep.grid(BASE, sweep.axes(BASE, assignments), seeds, name, top)


def test_a_grid_holds_every_combination_once_named_by_what_differs() -> None:
    members = grid("lora.rank=8,16", "train.learning_rate=1e-4,5e-5")
    assert [member.name for member in members] == [
        "try-rank8-lr1e-4", "try-rank8-lr5e-5", "try-rank16-lr1e-4", "try-rank16-lr5e-5",
    ]  # fmt: skip
    assert [(m.settings.lora.rank, m.settings.train.learning_rate) for m in members][1] == (8, 5e-5)
    assert {m.settings.run for m in members} == {config.Run(parent="first", sweep="try", finalists=2)}


def test_each_setting_gets_as_many_seeds_as_were_asked_for() -> None:
    members = grid("lora.rank=8,16", seeds=3)
    wanted = [(rank, seed) for rank in (8, 16) for seed in (0, 1, 2)]
    assert [(m.settings.lora.rank, m.settings.train.seed) for m in members] == wanted
    assert members[-1].name == "try-rank16-s2"


def test_a_setting_with_one_value_is_taken_and_names_nothing() -> None:
    members = grid("lora.rank=8,16", "train.epochs=3")
    assert [member.name for member in members] == ["try-rank8", "try-rank16"]
    assert {member.settings.train.epochs for member in members} == {3}


@pytest.mark.parametrize(
    ("assignments", "seeds", "said"),
    [
        (["lora.rank=8,0"], 1, "lora.rank = 0"),
        (["lora.rnak=8,16"], 1, "did you mean lora.rank"),
        (["lora.rank"], 1, "sets nothing"),
        (["lora.rank=8"], 1, "one run"),
        (["lora.rank=8,8"], 1, "one run"),
        (["lora.rank=8,16"], 0, "--seeds 0"),
        (["lora.rank=8,16", "lora.rank=4,2"], 1, "swept twice"),
        (["lora.target_modules=q_proj,v_proj"], 1, "is a list"),
        (["train.epochs=" + ",".join(map(str, range(1, 201)))], 100, "20,000 runs, 10,000 at most"),
    ],
)
def test_a_grid_that_cannot_be_is_named_before_anything_is_made(assignments: list[str], seeds: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        grid(*assignments, seeds=seeds)


def test_members_whose_values_are_written_alike_have_names_of_their_own() -> None:
    members = grid("evaluate.prompts_file=a/x.json,b/x.json")
    assert [member.name for member in members] == ["try-promptsfilex.json", "try-promptsfilex.json-2"]
    long = grid(f"run.why={'a' * 120}1,{'a' * 120}2")
    assert len({member.name for member in long}) == 2


@pytest.mark.parametrize("name", ["../x", "n" * 101, ""])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="is no name for a sweep"):
        grid("lora.rank=8,16", name=name)


def made(runs_dir: Path, losses: dict[str, float]) -> sweep.Ranking:
    """A sweep of rank 8 and 16 with two seeds, each member at its best valid loss (absent: it still waits)."""
    for run in sweep.create(grid("lora.rank=8,16", seeds=2, top=1), runs_dir):
        if run.name in losses:
            write_events(run, [(0, 4.5), (10, losses[run.name])])
    return sweep.ranking(runs_dir, "try")


def test_groups_are_ranked_by_their_mean_over_the_seeds(tmp_path: Path) -> None:
    found = made(tmp_path, {"try-rank8-s0": 4.1, "try-rank8-s1": 4.11, "try-rank16-s0": 3.9, "try-rank16-s1": 3.91})
    assert [group.values for group in found.groups] == [{"lora.rank": 16}, {"lora.rank": 8}]
    assert found.groups[0].mean == pytest.approx(3.905)
    assert found.groups[0].spread == pytest.approx(0.01 / math.sqrt(2))
    assert found.settled
    assert "seeds of the same settings differ by 0.0071" in found.verdict()


def test_differences_within_the_spread_of_the_seeds_prove_nothing(tmp_path: Path) -> None:
    found = made(tmp_path, {"try-rank8-s0": 4.1, "try-rank8-s1": 4.0, "try-rank16-s0": 4.02, "try-rank16-s1": 4.1})
    assert "within the spread of the seeds" in found.verdict()


def test_a_sweep_that_is_not_through_asks_for_no_clips_and_a_finished_one_for_its_best(tmp_path: Path) -> None:
    losses = {"try-rank8-s0": 4.1, "try-rank8-s1": 4.11, "try-rank16-s0": 3.9}
    unfinished = made(tmp_path / "a", losses)
    assert not unfinished.settled
    assert sweep.without_clips(tmp_path / "a", unfinished) == []
    found = made(tmp_path / "b", {**losses, "try-rank16-s1": 3.91})
    for run in sweep.members(tmp_path / "b", "try"):
        run.best_model.mkdir()
    assert sweep.without_clips(tmp_path / "b", found) == [RunDir(tmp_path / "b" / "try-rank16-s0")]


def test_a_name_that_is_taken_makes_no_run_at_all(tmp_path: Path) -> None:
    (tmp_path / "try-rank16").mkdir()
    with pytest.raises(UserError, match="try-rank16 exists"):
        sweep.create(grid("lora.rank=8,16"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["try-rank16"]


def test_a_disk_that_is_full_in_the_middle_leaves_no_part_of_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, made = rundir.create, []

    def create(runs_dir: Path, name: str, settings: config.Settings) -> RunDir:
        if made:
            raise UserError("the disk is full")
        made.append(name)
        return real(runs_dir, name, settings)

    monkeypatch.setattr(rundir, "create", create)
    with pytest.raises(UserError, match="full"):
        sweep.create(grid("lora.rank=8,16"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_whose_runs_were_taken_away_does_not_end_the_queue(tmp_path: Path) -> None:
    sweeps = {"gone"}
    queue._clips_of_sweeps(tmp_path, sweeps, set(), machine.CPU)
    assert sweeps == set()


def test_why_a_member_failed_is_told_with_the_ranking(tmp_path: Path) -> None:
    made(tmp_path, {"try-rank8-s0": 4.1})
    with EventLog(tmp_path / "try-rank16-s1" / "events.jsonl") as log:
        log.write("state", state="failed", error="the warm-up cannot end")
    assert sweep.ranking(tmp_path, "try").failed == {"try-rank16-s1": "the warm-up cannot end"}


def test_a_sweep_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sweep none"):
        sweep.ranking(tmp_path, "none")
