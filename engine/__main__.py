"""python -m engine train|evaluate|check|merge|prove|studio|prepare|demo-data: what panel and command line start.

Exit status: 0 done (or stopped when asked to), 1 it failed and said why, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from engine.contract import config, events, liveness, prompts, rundir
from engine.contract.errors import UserError
from engine.contract.output import safe_output
from engine.train.signals import requests


def train(args: argparse.Namespace) -> int:
    run = rundir.open_run(args.run)
    settings = run.settings()
    # Signals are heard before torch is imported.
    with requests, held(run), failure_is_an_event(run):
        if args.evaluate:
            # Hours of training must not end at a prompts file that was never there.
            prompts.read(settings.evaluate.prompts_file)
        from engine.train.loop import train as train_run

        end = train_run(run, settings, resume=args.resume)
        if end == "done" and args.evaluate:
            from engine.generate.evaluate import evaluate as evaluate_run

            evaluate_run(run, settings)
    return 0 if end in ("done", "stopped") else 1


def evaluate(args: argparse.Namespace) -> int:
    run = rundir.open_run(args.run)
    models = [name.strip() for name in args.models.split(",")] if args.models else None
    with requests, held(run), failure_is_an_event(run):
        from engine.generate.evaluate import evaluate as evaluate_run

        evaluate_run(
            run, run.settings(), prompts=args.prompts, set_name=args.set_name, models=models, repeats=args.repeats
        )
    return 0


def check(args: argparse.Namespace) -> int:
    import msgspec

    from engine.data.check import check as check_settings
    from engine.data.check import fix_split

    settings = config.load(args.config)
    if args.fix_split:
        print(fix_split(settings, _bar("listening")))
        return 0
    findings, clips = check_settings(settings, _bar("listening"))
    if args.json:
        print(
            json.dumps({"findings": [finding.as_dict() for finding in findings], "clips": msgspec.to_builtins(clips)})
        )
    else:
        for finding in findings:
            print(finding)
    return 1 if any(finding.severity == "block" for finding in findings) else 0


def _bar(doing: str) -> Callable[[int, int], None]:
    """A progress line on stderr: redrawn on a terminal, a plain line at the end otherwise."""
    began = time.monotonic()

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            filled = 30 * done // max(total, 1)
            end = "\n" if done == total else ""
            print(f"\r{doing} [{'#' * filled}{'.' * (30 - filled)}] {done} of {total}", end=end, file=sys.stderr)
        elif done == total:
            print(f"{doing}: {total} files in {time.monotonic() - began:.1f} s", file=sys.stderr)

    return show


def merge(args: argparse.Namespace) -> int:
    from engine.model.lora import merge as merge_run

    merge_run(rundir.open_run(args.run), args.which, args.out)
    print(args.out)
    return 0


def studio(args: argparse.Namespace) -> int:
    from engine.generate.serve import serve

    serve(args.runs, args.device, args.idle)
    return 0


def prove(args: argparse.Namespace) -> int:
    from engine.prove.run import main

    return main(args.card, short=args.short, again=args.again)


def prepare(args: argparse.Namespace) -> int:
    """Says its progress and, at the end, what came of it, as JSON lines."""
    from engine.data.prepare.course import Wish, refuse
    from engine.data.prepare.course import prepare as prepare_data
    from engine.data.prepare.cut import Way
    from engine.data.workers import leave_with

    if args.parent:
        threading.Thread(target=leave_with, args=(args.parent,), daemon=True).start()
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def say(told: dict[str, object]) -> None:
        print(json.dumps(told), flush=True)

    wish = Wish(
        args.source, args.out, Way(args.seconds, args.exact, args.overlap), args.valid, args.seed,
        args.captions.split(",") if args.captions else None, args.add, args.behind,
    )  # fmt: skip
    try:
        refuse(wish)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    made = prepare_data(wish, lambda done, total: say({"done": done, "total": total}))
    say({"summary": made})
    if made["clips"]:
        return 0
    print(f"No clip came of {made['new_tracks']} tracks: {'; '.join(made['lines'][1:])}.", file=sys.stderr)
    return 1


def demo_data(args: argparse.Namespace) -> int:
    from engine.demo.render import render

    render(args.folder)
    print(args.folder)
    return 0


def held(run: rundir.RunDir) -> AbstractContextManager[None]:
    """The run's lock; of a distributed run's processes the first holds it for all."""
    return liveness.hold(run) if os.environ.get("RANK", "0") == "0" else nullcontext()


@contextmanager
def failure_is_an_event(run: rundir.RunDir) -> Iterator[None]:
    """Whatever ends the block is the run's last state, so that the panel can say why it ended."""
    before = _failures(run)
    try:
        yield
    except Exception as error:
        if _failures(run) == before:
            sentence = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            with events.EventLog(run.events) as log:
                log.write("state", state="failed", error=sentence)
        raise


def _failures(run: rundir.RunDir) -> int:
    return sum(isinstance(e, events.State) and e.state == "failed" for bite in events.bites(run.events) for e in bite)


def _prepare_options(one: argparse.ArgumentParser) -> None:
    one.add_argument("source", nargs="+", type=Path)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--seconds", type=float, default=15.0)
    one.add_argument("--exact", action="store_true", help="cut at the second, not at a quiet point near it")
    one.add_argument("--overlap", type=float, default=0.0, help="seconds that a clip begins before the last one ends")
    one.add_argument("--valid", type=float, default=0.15, help="share of the clips held out, by whole tracks")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument(
        "--captions", help="sidecar,tags,folder,name,tempo,key: joined; default: the first that says anything"
    )
    one.add_argument("--add", default="", help="words for every caption")
    one.add_argument("--behind", action="store_true", help="they go behind it, not in front")
    one.add_argument("--parent", type=int, help="end when this process, which started it, is gone")
    one.set_defaults(call=prepare)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("train", help="train a run, from its start or from its last checkpoint")
    one.add_argument("run", type=Path)
    one.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    one.add_argument("--evaluate", action="store_true", help="make the clips afterwards")
    one.set_defaults(call=train)

    one = commands.add_parser("evaluate", help="make the clips of base, best and final")
    one.add_argument("run", type=Path)
    one.add_argument("--prompts", type=Path)
    one.add_argument("--set-name")
    one.add_argument("--models", help="base,best,final; also step-000200 or another run's model")
    one.add_argument("--repeats", type=int)
    one.set_defaults(call=evaluate)

    one = commands.add_parser("check", help="check data, prompts, settings and model")
    one.add_argument("config", type=Path)
    one.add_argument("--json", action="store_true")
    one.add_argument("--fix-split", action="store_true", help="write a metadata file that splits by track instead")
    one.set_defaults(call=check)

    one = commands.add_parser("merge", help="write a plain MusicGen folder with the adapter merged in")
    one.add_argument("run", type=Path)
    one.add_argument("which", choices=("best", "final"))
    one.add_argument("out", type=Path)
    one.set_defaults(call=merge)

    one = commands.add_parser("studio", help="make clips of single prompts, asked for in JSON lines on stdin")
    one.add_argument("--runs", type=Path, help="leave when an engine starts in this folder of runs")
    one.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    one.add_argument("--idle", type=float, default=300.0, help="seconds without a request after which it ends")
    one.set_defaults(call=studio)

    one = commands.add_parser("prove", help="measure what works on a card and how fast, as JSON lines")
    one.add_argument("--card", type=int, default=0, help="its number as torch counts")
    one.add_argument("--short", action="store_true", help="only what training needs to know, in 15 seconds")
    one.add_argument("--again", action="store_true", help="although it was measured before")
    one.set_defaults(call=prove)

    one = commands.add_parser("prepare", help="make clips, captions and metadata.json of tracks, as JSON lines")
    _prepare_options(one)

    one = commands.add_parser("demo-data", help="render the demo's clips, captions, prompts and settings")
    one.add_argument("folder", type=Path)
    one.set_defaults(call=demo_data)
    return top


def main() -> int:
    with safe_output():
        return _main()


def _main() -> int:
    args = parser().parse_args()
    try:
        return int(args.call(args))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        # Where not even the event log can be written, stderr is all that is left to say it on.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        where = error.filename or getattr(args, "run", "the disk")
        reason = (error.strerror or str(error)).lower()
        print(f"{where} cannot be written ({reason}); make room, then start it again: what is there is kept.",
              file=sys.stderr)  # fmt: skip
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    # Warnings of libraries about what we do on purpose would bury the log's own lines.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # OpenMP's threads spin while they wait; on cores that are shared, with the panel for one, that takes ten times as
    # long as sleeping. It must be said before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(main())
