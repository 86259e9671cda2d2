"""Train, resume, evaluate, stop, check, merge, and the demo that does a whole round."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from engine.contract import config, liveness, paths, rundir
from engine.contract.changes import refuse_changes
from engine.contract.errors import UserError
from tui.commands import find, say
from tui.commands.progress import follow, last_words
from tui.runs import launch, queue

SILENCE = 60.0
"""Seconds without an event after which an engine that was asked to stop is no longer waited for."""


def train(args: argparse.Namespace) -> int:
    if args.resume:
        if not args.name:
            raise UserError("--resume needs the run's name: mgl-tui train --resume --name NAME.")
        run = find.run(args, args.name)
        if args.set:
            _change_settings(run, args.set)
        return _run_engine(run, args, lambda run: launch.start(run, resume=True))
    settings = find.settings(args)
    folder = find.runs_dir(args)
    run = rundir.create(folder, args.name or rundir.free_name(folder, "run"), settings)
    return _run_engine(run, args, launch.start)


def resume(args: argparse.Namespace) -> int:
    if find.is_sweep(args, args.run):
        names = queue.resume_sweep(find.runs_dir(args), args.run)
        say.line(f"{args.run}: {', '.join(names) or 'no run'} in the queue again.")
        return 0
    return _run_engine(find.run(args, args.run), args, lambda run: launch.start(run, resume=True))


def evaluate(args: argparse.Namespace) -> int:
    run = find.run(args, args.run)
    models = [name.strip() for name in args.models.split(",")] if args.models else None
    args.detach = False
    return _run_engine(
        run, args,
        lambda run: launch.evaluate(
            run, prompts=args.prompts, set_name=args.set_name, models=models, repeats=args.repeats
        ),
        set_name=args.set_name,
    )  # fmt: skip


def stop(args: argparse.Namespace) -> int:
    if find.is_sweep(args, args.run):
        out, running = queue.stop_sweep(find.runs_dir(args), args.run)
        say.line(
            f"{args.run}: {len(out)} taken out of the queue, {', '.join(running) or 'none'} told to save and stop."
        )
        return 0
    run = find.run(args, args.run)
    if not liveness.is_held(run):
        say.line(f"{run.name} is not running ({liveness.state_of(run).state}); nothing to stop.")
        return 0
    launch.stop(run)
    _wait_for_the_end(run)
    say.line(f"{run.name}: {liveness.state_of(run).state}")
    return 0


def _wait_for_the_end(run: rundir.RunDir) -> None:
    """Wait while an engine that was asked to stop does so. Raises UserError when it gives no sign of life."""
    began = heard = time.monotonic()
    size, told = 0, False
    while liveness.is_held(run):
        time.sleep(0.2)
        now, before = time.monotonic(), size
        size = run.events.stat().st_size if run.events.is_file() else 0
        heard = now if size != before else heard
        phase, pid = liveness.state_of(run).phase or "starting", liveness.holder(run).pid
        if launch.is_suspended(run):
            raise UserError(
                f"The engine of {run.name} (pid {pid}) is suspended while {phase}: it stops as soon as it goes on; "
                f"`kill -CONT {pid}` lets it."
            )
        if now - heard > SILENCE:
            raise UserError(
                f"The engine of {run.name} (pid {pid}) was asked to stop {now - began:.0f} s ago and has said nothing "
                f"since, while {phase}; it stops when it comes to, or end it with `kill -KILL {pid}`: "
                "what its last checkpoint holds is kept."
            )
        if now - began > 5 and not told:
            told = True
            say.aside(f"{run.name} ends its step and saves; until then it is {phase}.")


def merge(args: argparse.Namespace) -> int:
    return _engine("merge", str(find.run(args, args.run).path), args.which, str(args.out))


def bring_in(args: argparse.Namespace) -> int:
    """Make a run of what other scripts left, and say what was found and what was wrong with it."""
    from tui.runs import importing

    run, found = importing.bring_in(args.dir, find.runs_dir(args), args.name)
    losses = f"{len(found.log.train)} train and {len(found.log.valid)} valid losses"
    where = f" ({found.log_file})" if found.log_file else ""
    say.line(f"{run.name}: {len(found.clips)} prompts with clips, {len(found.adapters)} adapters, {losses}{where}")
    for name, verdict, evidence in importing.verdicts(found):
        say.line(f"{verdict}: {name}: {evidence}")
    for problem in found.problems:
        say.aside(problem)
    if not (found.raters and found.clips):
        return 0
    from tui.commands.reports import collect_files
    from tui.review.evaluation import open_evaluation

    return collect_files(open_evaluation(run.path), found.raters)


def check(args: argparse.Namespace) -> int:
    from tui.commands.checks import check_all

    return check_all(args)


def demo(args: argparse.Namespace) -> int:
    folder = find.runs_dir(args)
    data = paths.cache_dir() / "demo"
    say.aside("rendering the demo's clips")
    if _engine("demo-data", str(data), quiet=True):
        return 1
    args.config = data / "config.toml"
    settings = find.settings(args)
    run = rundir.create(folder, rundir.free_name(folder, "demo"), settings)
    args.detach = False
    if args.headless or not sys.stdout.isatty():
        return _run_engine(run, args, launch.start)
    launch.start(run)
    from tui.app import run_panel

    return run_panel(
        folder, settings=settings, open_run=run, mode="monitor", listener=args.listener, listen_when_done=True
    )


def _change_settings(run: rundir.RunDir, assignments: list[str]) -> None:
    """Write changed settings into a run that is to go on, and show them. Raises UserError when it cannot with them."""
    if liveness.is_held(run):
        raise UserError(f"{run.name} is being worked on by an engine; stop it before you change its settings.")
    old = run.settings()
    new = config.resolved(config.override(old, assignments), Path.cwd())
    for line in refuse_changes(old, new):
        say.aside(f"changed: {line}")
    try:
        rundir.write_atomically(run.config, config.dumps(new))
    except OSError as error:
        raise UserError(
            f"{run.config} cannot be written ({error.strerror}); the run is as it was. Copy it to where you may write."
        ) from None


def _run_engine(
    run: rundir.RunDir,
    args: argparse.Namespace,
    start: Callable[[rundir.RunDir], int],
    set_name: str | None = None,
) -> int:
    """Start an engine on the run; come back at once when asked to, else show its progress to the end."""
    since = run.events.stat().st_size if run.events.is_file() else 0
    pid = start(run)
    if args.detach:
        say.line(f"{run.path}")
        return 0
    try:
        state = follow(run, pid, since=since)
    except KeyboardInterrupt:
        # Below the ^C that the terminal wrote.
        say.aside("")
        say.aside(
            f"{run.name} goes on without this terminal; see `mgl-tui status`, end it with `mgl-tui stop {run.name}`."
        )
        raise
    if state.state == "failed":
        raise UserError(state.error or last_words(run))
    print_where(run, set_name)
    return 0


def make_clips(run: rundir.RunDir) -> None:
    """Make the clips of base and best by the run's own settings, and wait for them. UserError when that fails."""
    since = run.events.stat().st_size if run.events.is_file() else 0
    state = follow(run, launch.evaluate(run, models=["base", "best"]), since=since)
    if state.state == "failed":
        raise UserError(state.error or last_words(run))


def print_where(run: rundir.RunDir, set_name: str | None = None) -> None:
    """What a finished run holds, with the clips of a prompt set, and what to do next."""
    clips = run.evaluation(set_name)
    say.line(f"run         {run.path}")
    for label, path in (("best model", run.best_model), ("final model", run.final_model),
                        ("clips", clips), ("events", run.events)):  # fmt: skip
        if path.exists():
            say.line(f"{label:<11} {path}")
    say.line(f"listen      mgl-tui review {clips if set_name else run.path}")


def _engine(*words: str, quiet: bool = False) -> int:
    """Run an engine command in the foreground; its one sentence on stderr becomes ours."""
    done = subprocess.run(
        [sys.executable, "-m", "engine", *words], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL if quiet else None, check=False,
    )  # fmt: skip
    if done.returncode not in (0, 130):
        raise UserError((done.stderr.strip().splitlines() or ["the engine ended without a word"])[-1])
    return done.returncode
