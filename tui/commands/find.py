"""From what was typed to settings, the runs folder and a run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from engine.contract import config, paths, rundir
from engine.contract.errors import UserError
from engine.contract.text import plain
from tui.runs import sessions, store, sweep


def settings(args: argparse.Namespace) -> config.Settings:
    """Settings of --config (or ./config.toml, or the defaults) with --set applied; paths absolute."""
    file = args.config or (Path("config.toml") if Path("config.toml").is_file() else None)
    found = config.load(file) if file else config.resolved(config.Settings(), Path.cwd())
    if file and rundir.RunDir(file.resolve().parent).events.is_file():
        # What is made from a run's own file has that run as its parent, and not its reason.
        found = found.model_copy(update={"run": config.Run(parent=plain(file.resolve().parent.name))})
    changes = getattr(args, "set", None)
    return config.resolved(config.override(found, changes), Path.cwd()) if changes else found


def runs_dir(args: argparse.Namespace) -> Path:
    """Folder of the runs: --runs, or the setting."""
    return paths.expanded(args.runs) if args.runs else Path(settings(args).runs.dir)


def run(args: argparse.Namespace, name: str) -> rundir.RunDir:
    """The run of that name in the runs folder, or at that path."""
    folder = runs_dir(args)
    if rundir.is_run(folder / name):
        return rundir.RunDir(folder / name)
    if "/" in name or os.path.isdir(name):
        return rundir.open_run(paths.expanded(name))
    if os.path.isdir(folder / name):
        return rundir.open_run(folder / name)
    raise UserError(f"There is no run {name} in {folder}; `mgl-tui runs` lists the runs.")


def kept_run(args: argparse.Namespace, name: str) -> rundir.RunDir:
    """The run of that name, in the archive as well where the runs folder has none."""
    folder = runs_dir(args)
    away = rundir.RunDir(folder / rundir.ARCHIVE / name)
    return away if rundir.is_run(away.path) and not os.path.lexists(folder / name) else run(args, name)


def is_sweep(args: argparse.Namespace, name: str) -> bool:
    """Whether the name is that of a sweep in the runs folder, and of no run."""
    folder = runs_dir(args)
    return not (folder / name / "config.toml").is_file() and "/" not in name and bool(sweep.members(folder, name))


def run_or_clips(args: argparse.Namespace, name: str) -> rundir.RunDir:
    """A run, a session across runs, or a folder of clips that another script made: by its name, or at that path."""
    named = paths.expanded(name)
    if named.name == store.RESULTS and named.is_file():
        named = named.parent
    for path in (runs_dir(args) / name, sessions.folder(runs_dir(args)) / name, named):
        if rundir.is_run(path):
            break
        if os.path.isdir(path) and store.is_foreign(path):
            return rundir.RunDir(path)
    if named.is_dir() and not any(rundir.is_run(path) for path in (runs_dir(args) / name, named)):
        raise UserError(
            f"{name} holds neither a run (config.toml) nor clips ({store.RESULTS}, also in a folder evaluation); "
            "`mgl-tui runs` lists the runs."
        )
    return run(args, name)
