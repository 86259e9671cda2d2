"""What can be read from runs without a screen: runs, status, export, advise, compare, queue."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.contract import config, paths, rundir, typed
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui.commands import find, say
from tui.runs import disk, keeping, store
from tui.text import size

if TYPE_CHECKING:
    from tui.review.evaluation import Evaluation


def runs(args: argparse.Namespace) -> int:
    from tui.review.results import outcome

    found = store.summaries(find.runs_dir(args), outcome)
    summaries = [summary.as_dict() for summary in found]
    if args.json:
        say.document(summaries)
        return 0
    if args.disk:
        _tell_disk(found)
    else:
        rows = [
            ["blind" if s["across"] else s["state"],
             s["name"], _steps(s), _number(s.get("best_valid")), _number(s.get("base_valid")),
             str(s.get("listen") or "-"), str(s.get("comment") or "")]
            for s in summaries
        ]  # fmt: skip
        said = ["comment"] if any(row[-1] for row in rows) else []
        head = ["state", "run", "step", "best valid", "base valid", "listening", *said]
        say.table(head, [row[: len(head)] for row in rows])
    if closed := rundir.closed(find.runs_dir(args)):
        say.aside(f"{', '.join(path.name for path in closed)} cannot be read: the folder belongs to another user.")
    cache = paths.cache_dir(find.settings(args).data.cache_dir)
    say.line(f"cache {cache}: {disk.usage(cache) / 1e6:,.1f} MB")
    return 0


def _tell_disk(found: Sequence[store.RunSummary]) -> None:
    """What each run holds, the largest first, and what of it could go."""
    rows, free = [], 0
    for s in sorted(found, key=lambda s: -s.held.total):
        could = 0 if s.foreign else keeping.could_go(RunDir(s.path), s.state, s.held)[0]
        free += could
        parts = (s.held.total, s.held.checkpoints, s.held.models, s.held.clips, s.held.rest, could)
        rows.append([s.state, s.name, *(size(part) if part else "-" for part in parts)])
    say.table(["state", "run", "holds", "checkpoints", "models", "clips", "rest", "could go"], rows)
    if free:
        say.line(f"{size(free)} are checkpoints of finished runs, which nothing needs: `mgl-tui clean` removes them.")
    folder = Path(found[0].path).parent if found else None
    away = rundir.list_runs(folder / rundir.ARCHIVE) if folder else []
    if away:
        held = size(sum(disk.usage(run.path) for run in away))
        say.line(f"The archive holds {len(away)} runs, {held}: `mgl-tui clean --archive` deletes them.")


def status(args: argparse.Namespace) -> int:
    from tui.review.results import outcome

    if args.run:
        chosen = [store.summary(find.run(args, args.run)).as_dict()]
    else:
        every = [summary.as_dict() for summary in store.summaries(find.runs_dir(args), outcome)]
        chosen = [summary for summary in every if summary["state"] == "running"]
    if args.json:
        say.document(chosen)
        return 0
    if not chosen:
        say.line("Nothing is running.")
    for s in chosen:
        phase = f", {s['phase']}" if s.get("phase") and s["state"] == "running" else ""
        say.line(f"{s['name']}: {s['state']}{phase}")
        say.line(f"  step {_steps(s)}, best valid {_number(s.get('best_valid'))}, base {_number(s.get('base_valid'))}")
        if s.get("error"):
            say.line(f"  {s['error']}")
    return 0


def settings(args: argparse.Namespace) -> int:
    """Print the one table of settings, or the part of it whose names hold ``args.name``."""
    known = {name: info for name, info in config.fields().items() if args.name in name}
    if not known:
        raise UserError(f'No setting has "{args.name}" in its name; `mgl-tui settings` prints them all.')
    rows = [
        {"name": name, "default": info.default, "allowed": config.allowed(info), "unit": config.unit(info),
         "meaning": info.description}
        for name, info in known.items()
    ]  # fmt: skip
    if args.json:
        say.document(rows)
        return 0
    for row in rows:
        limits = ", ".join(note for note in (row["unit"], row["allowed"]) if note)
        say.line(f"{row['name']} = {json.dumps(row['default'], ensure_ascii=False)}  ({limits})")
        say.line(f"    {row['meaning']}")
    return 0


def export(args: argparse.Namespace) -> int:
    from tui.review import notes

    formats = ["html" if args.html else "md", *(["csv"] if args.csv else []), *(["json"] if args.json else [])]
    for path in notes.export(find.run_or_clips(args, args.run), out=args.output, formats=formats):
        say.line(path)
    return 0


def collect(args: argparse.Namespace) -> int:
    """Bring in files of listeners, each by itself; status 1 when one of them could not be."""
    from tui.review.evaluation import open_evaluation

    return collect_files(open_evaluation(find.run_or_clips(args, args.run).path), args.file)


def collect_files(evaluation: Evaluation, files: Sequence[Path]) -> int:
    """``collect`` for an evaluation that is open."""
    from tui.review import collect as collecting

    status = 0
    for file in files:
        try:
            found = collecting.collect(evaluation, file)
        except UserError as error:
            say.aside(f"mgl-tui: {error}")
            status = 1
            continue
        for reason in found.left_out:
            say.aside(f"{file}: {reason}; left out")
        before = found.judgements - found.new
        known = "" if found.new == found.judgements else f", {before if found.new else 'all'} of them known before"
        say.line(f"{found.listener}: {found.judgements} {found.unit}{'s' if found.judgements != 1 else ''}{known}")
    return status


def gate(args: argparse.Namespace) -> int:
    """Say what was decided on a run, or decide."""
    from tui.review.gate import doubt
    from tui.review.session import default_listener
    from tui.runs import gate as gates

    run = find.run_or_clips(args, args.run)
    if args.decision is None:
        made = gates.read(run.path)
    else:
        early = doubt(run.path, args.decision)
        if early and not args.yes and not say.agreed(f"{early} Extend all the same?"):
            raise UserError(f"{early} Listen first (mgl-tui review {run.name}), or say it again with --yes.")
        made = gates.decide(run.path, args.decision, args.why, args.listener or default_listener())
    if args.json:
        say.document(typed.data(made) if made else {"decision": None, "why": None, "listener": None, "t": None})
    else:
        say.line(f"{run.name}: {gates.sentence(made) if made else 'nothing is decided yet'}")
    return 0


def advise(args: argparse.Namespace) -> int:
    from tui.review import advice

    run = find.run(args, args.run)
    given = advice.advise_run(run)
    if args.json:
        say.document({"advice": given})
        return 0
    for item in [item for item in given if item["fires"]] or given:
        changes = ", ".join(f"{name} = {value}" for name, value in item["changes"].items())
        say.line(f"{'▸' if item['fires'] else '–'} {item['rule']}: {changes or 'no change'}")
        for label in ("for", "against"):
            for reason in item[label]:
                say.line(f"    {label:<8} {reason}")
        if not item["fires"] and item["needs"]:
            say.line(f"    needs    {item['needs']}")
    return 0


def compare(args: argparse.Namespace) -> int:
    """Settings that differ, losses and listening side by side, and valid losses paired clip by clip."""
    from tui.review import paired, ranking
    from tui.runs.history import History

    chosen = [find.run_or_clips(args, name) for name in args.run]
    summaries = [_summary(run) for run in chosen]
    settings = [_settings_of(run) for run in chosen]
    known = [config.values(each) for each in settings if each is not None]
    differing = {
        name: [values[name] for values in known]
        for name in config.fields()
        if not name.startswith("run.")  # where it comes from is no setting that it was trained with
        and len(known) == len(chosen)
        and any(values[name] != known[0][name] for values in known)
    }
    pairs, why = paired.of_runs([(run.path, History.of(run.events)) for run in chosen])
    heard = ranking.heard_across([run.path for run in chosen])
    if args.json:
        say.document(
            {
                "runs": summaries, "settings": differing if len(known) == len(chosen) else None,
                "pairs": [pair.as_data() for pair in pairs], "pairs_note": why or None,
                "heard": heard,
            }
        )  # fmt: skip
        return 0
    rows = [[name, *(json.dumps(value) for value in row)] for name, row in differing.items()]
    rows += [[key.replace("_", " "), *(_number(s.get(key)) for s in summaries)] for key in ("base_valid", "best_valid")]
    rows.append(["state", *(s["state"] for s in summaries)])
    rows.append(["listening", *(str(s.get("listen") or "-") for s in summaries)])
    say.table(["setting", *(run.name for run in chosen)], rows)
    if len(known) == len(chosen):
        say.line(f"{len(known[0]) - len(differing)} settings equal")
    else:
        strangers = [run.name for run, each in zip(chosen, settings, strict=True) if each is None]
        say.line(f"The settings of {', '.join(strangers)} are not known.")
    for pair in pairs:
        say.line(paired.sentence(pair))
    if why:
        say.line(why)
    for sentence in heard:
        say.line(sentence)
    return 0


def _summary(run: RunDir) -> dict[str, Any]:
    from tui.review.results import outcome

    found = store.foreign_summary(run.path) if store.is_foreign(run.path) else store.summary(run)
    found.listen = outcome(run.path)
    return found.as_dict()


def _settings_of(run: RunDir) -> config.Settings | None:
    """Settings that a run was made with; None where they are not known."""
    if not run.config.is_file():
        return None
    settings = run.settings()
    return None if settings.run.imported else settings


def queue(args: argparse.Namespace) -> int:
    from tui.runs import queue as waiting

    names = [entry.name for entry in waiting.entries(find.runs_dir(args))]
    for problem in waiting.problems(find.runs_dir(args)):
        say.aside(problem)
    if args.json:
        say.document(names)
    else:
        for line in [f"{place}  {name}" for place, name in enumerate(names, 1)] or ["Nothing waits."]:
            say.line(line)
    return 0


def _steps(summary: dict[str, Any]) -> str:
    return f"{summary.get('step') or 0}/{summary.get('total_steps') or '?'}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
