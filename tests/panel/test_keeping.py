"""Keeping house: a renamed run stays known to all that know it, and nothing goes that somebody needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.widgets import Input

from engine.contract import config, events, liveness
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir, create
from tests.panel.conftest import Starter, settle
from tests.panel.listening import until
from tests.panel.seen import names, said, text
from tui.places.dialogs import Menu
from tui.runs import comment, disk, keeping, queue, remembered, store
from tui.runs.draft import Draft


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(queue, "start", lambda runs_dir: False)


def made(runs_dir: Path, name: str, *changes: str) -> RunDir:
    return create(runs_dir, name, config.override(config.Settings(), list(changes)))


def ended(run: RunDir, state: str) -> RunDir:
    with events.EventLog(run.events) as log:
        log.write("state", state=state)
    return run


def with_checkpoint(run: RunDir, size: int = 1000) -> RunDir:
    folder = run.checkpoints / "step-000010"
    folder.mkdir(parents=True)
    (folder / "optimizer.pt").write_bytes(bytes(size))
    return run


def test_who_knows_a_run_by_its_name_knows_it_by_the_new_one(tmp_path: Path) -> None:
    old = made(tmp_path, "old")
    child = made(tmp_path, "child", "run.parent=old", "lora.start_from=old:best")
    other = made(tmp_path, "other", f"lora.start_from={old.final_model.resolve()}", "run.parent=older")
    put_away = made(tmp_path / "archive", "away", "run.parent=old")
    for run in (child, old):
        queue.add(run)
    here = str(tmp_path.resolve())
    remembered.change(lambda kept: setattr(kept, "marked", {here: [str(child.path), str(old.path)]}))
    new = keeping.rename(old, "new")
    assert not old.path.exists()
    assert (child.settings().run.parent, child.settings().lora.start_from) == ("new", "new:best")
    assert other.settings().lora.start_from == str(new.final_model.resolve())
    assert other.settings().run.parent == "older"
    assert put_away.settings().run.parent == "new"
    assert [run.name for run in queue.entries(tmp_path)] == ["child", "new"]
    assert remembered.load().marked[here] == [str(child.path), str(new.path)]


def test_paths_into_the_runs_own_folder_go_along(tmp_path: Path) -> None:
    old = made(tmp_path, "old", f"evaluate.prompts_file={tmp_path}/old/prompts.json")
    assert keeping.rename(old, "new").settings().evaluate.prompts_file == str((tmp_path / "new/prompts.json").resolve())


@pytest.mark.parametrize("name", ["other", "old", "a/b", "", "archive", "sessions", "x" * 200, ".hidden"])
def test_a_name_that_cannot_be_changes_nothing(tmp_path: Path, name: str) -> None:
    made(tmp_path, "other", "run.parent=old")
    old = made(tmp_path, "old")
    with pytest.raises(UserError):
        keeping.rename(old, name)
    assert sorted(run.name for run in keeping.everywhere(tmp_path)) == ["old", "other"]
    assert RunDir(tmp_path / "other").settings().run.parent == "old"


def test_a_run_that_an_engine_holds_keeps_its_name_and_its_place(tmp_path: Path) -> None:
    run = made(tmp_path, "run")
    with liveness.hold(run):
        for act in (lambda: keeping.rename(run, "b"), lambda: keeping.delete(run)):
            with pytest.raises(UserError, match="stop it before"):
                act()
    assert run.path.is_dir()


def test_an_unfinished_run_that_began_from_it_refuses_the_new_name(tmp_path: Path) -> None:
    old = made(tmp_path, "old")
    child = ended(made(tmp_path, "child", "lora.start_from=old:best"), "stopped")
    with pytest.raises(UserError, match="child began with what old holds and is not done"):
        keeping.rename(old, "new")
    ended(child, "done")
    keeping.rename(old, "new")
    assert child.settings().lora.start_from == "new:best"


def test_what_a_waiting_run_begins_from_is_neither_deleted_nor_put_away(tmp_path: Path) -> None:
    old, child = made(tmp_path, "old"), made(tmp_path, "child", "lora.start_from=old:final")
    with pytest.raises(UserError, match="child, which waits, begins from old"):
        keeping.delete(old)
    with pytest.raises(UserError, match="child, which waits, begins from old"):
        keeping.archive(old.path, tmp_path)
    keeping.delete(child)
    keeping.delete(old)
    assert keeping.everywhere(tmp_path) == []


def test_only_checkpoints_that_no_resume_needs_can_go(tmp_path: Path) -> None:
    stopped = ended(with_checkpoint(made(tmp_path, "stopped")), "stopped")
    done = ended(with_checkpoint(made(tmp_path, "done")), "done")
    with pytest.raises(UserError, match="stopped is stopped: its checkpoints are what resume goes on from"):
        keeping.remove_checkpoints(stopped)
    start = f"lora.start_from={done.checkpoints.resolve()}/step-000010"
    waits = made(tmp_path, "waits", start)
    with pytest.raises(UserError, match="waits, which waits, begins from a checkpoint of done"):
        keeping.remove_checkpoints(done)
    keeping.delete(waits)
    assert keeping.remove_checkpoints(done) == 1000
    assert not done.checkpoints.exists()
    assert stopped.checkpoints.is_dir()


def test_a_run_is_measured_by_what_its_files_are(tmp_path: Path) -> None:
    run = with_checkpoint(made(tmp_path, "run"), 500)
    for path, count in ((run.best_model / "adapter.bin", 30), (run.evaluation() / "base_model" / "a.wav", 20)):
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(count))
    found = disk.holds(run.path)
    assert (found.checkpoints, found.models, found.clips) == (500, 30, 20)
    assert found.total == disk.usage(run.path) == 550 + run.config.stat().st_size


def test_a_comment_is_one_line_and_goes_when_it_is_empty(tmp_path: Path) -> None:
    run = made(tmp_path, "run")
    assert comment.write(run.path, "the groove\nis there\x1b[2J ") == "the groove is there␛[2J"
    assert comment.read(run.path) == "the groove is there␛[2J"
    with pytest.raises(UserError, match="200 characters"):
        comment.write(run.path, "x" * 201)
    comment.write(run.path, "")
    assert comment.read(run.path) == ""
    (run.path / comment.FILE).write_bytes(b"caf\xe9\nmore")
    assert comment.read(run.path) == "caf\N{REPLACEMENT CHARACTER}"


def test_a_run_made_from_a_member_of_a_sweep_is_no_member(tmp_path: Path) -> None:
    member = made(tmp_path, "try-rank8", "run.sweep=try", "run.finalists=2")
    assert Draft(member.settings(), "try-rank8", "run").settings.run == config.Run(parent="try-rank8")


async def test_name_and_comment_are_given_by_keys_and_stand_in_the_list(panel: Starter, runs_dir: Path) -> None:
    async with panel(open_run=runs_dir / "full") as (app, pilot):
        await pilot.press("end", "space", "end", "c")
        app.screen.query_one(Input).value = "the groove is there"
        await pilot.press("enter")
        await pilot.press("m")
        app.screen.query_one(Input).value = "groove"
        await pilot.press("enter")
        await settle(pilot)
        await until(pilot, lambda: names(app)[-1] == "groove")
        assert app.shown_path == runs_dir / "groove"
        assert app.marked == [runs_dir / "groove"]
        assert "the groove is there" in text(app, "#run-facts")
        assert "groove is there" in json.dumps([row.cells for row in app.screen.query_one("#runs").rows])  # type: ignore[attr-defined]
        await pilot.press("m")
        app.screen.query_one(Input).value = "fix"
        await pilot.press("enter")
        assert "fix exists" in said(app)


async def test_deleting_asks_and_tells_what_it_would_cost(panel: Starter, runs_dir: Path) -> None:
    with_checkpoint(RunDir(runs_dir / "full"), 5000).checkpoints.joinpath("step-000010", "more").write_bytes(bytes(10))
    async with panel() as (app, pilot):
        await pilot.press("end", "d")
        assert isinstance(app.screen, Menu)
        await pilot.press("escape")
        assert (runs_dir / "full").is_dir()
        await pilot.press("d", "c")
        await settle(pilot)
        assert not RunDir(runs_dir / "full").checkpoints.exists()
        await pilot.press("x")
        await settle(pilot)
        await pilot.press("z")
        await settle(pilot)
        await pilot.press("d", "d")
        await settle(pilot)
        assert not (runs_dir / "archive" / "full").exists()
        assert "full deleted" in said(app)


def test_the_list_for_scripts_tells_comment_and_disk(tmp_path: Path) -> None:
    run = with_checkpoint(made(tmp_path, "run"), 700)
    comment.write(run.path, "first")
    told = store.summaries(tmp_path)[0].as_dict()
    assert told["comment"] == "first"
    assert told["disk"]["checkpoints"] == 700
    assert told["disk_bytes"] == disk.usage(run.path)
