"""mgl-tui try: clips of one prompt, now."""

from __future__ import annotations

import argparse
import queue
import sys

from engine.contract import tries, typed
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from engine.contract.tries import Answer, Bye, Done, Failed, Made, Progress, Ready, Try, Warned
from tui.commands import find, say
from tui.runs.studio import Studio, place


def make(args: argparse.Namespace) -> int:
    run = find.run(args, args.run)
    wish = _wish(args, run)
    tries.refuse(wish)
    runs_dir = run.path.resolve().parent
    where = place(runs_dir, on_cpu=args.device == "cpu")
    if not where.device:
        raise UserError(f"{where.said.rstrip('.')}: --device cpu.")
    if where.said:
        say.aside(where.said)
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    studio = Studio(runs_dir, answers.put)
    made: list[Made] = []
    warnings: list[str] = []
    try:
        studio.ask(wish, where.device)
        while not isinstance(answer := answers.get(), Done):
            _take(answer, made, warnings, quiet=args.json)
    finally:
        _line("")
        studio.close()
    if args.json:
        clips = [{**typed.data(one.clip), "path": one.path, "before": one.before} for one in made]
        say.document({"clips": clips, "warnings": warnings, "seconds": answer.seconds})
    return 0


def _wish(args: argparse.Namespace, run: RunDir) -> Try:
    """What was asked for; what was not said is as in the run's evaluation."""
    usual = run.settings().evaluate

    def given(name: str, otherwise: float) -> float:
        value = getattr(args, name)
        return otherwise if value is None else value

    return Try(
        id=1,
        run=str(run.path.resolve()),
        prompt=args.prompt,
        models=[name.strip() for name in args.models.split(",") if name.strip()],
        strength=args.strength,
        seconds=given("seconds", usual.duration),
        seed=int(given("seed", usual.seed)),
        variations=args.variations,
        guidance_scale=given("guidance", usual.guidance_scale),
        temperature=given("temperature", usual.temperature),
        top_k=int(given("top_k", usual.top_k)),
        top_p=usual.top_p,
        out=str(args.output.expanduser().absolute()) if args.output else "",
    )


def _take(answer: Answer, made: list[Made], warnings: list[str], *, quiet: bool) -> None:
    if isinstance(answer, Failed):
        raise UserError(answer.text)
    if isinstance(answer, Bye):
        raise UserError(f"The process that makes the clips left ({answer.text}); what was made is kept.")
    if isinstance(answer, Progress):
        share = f" {100 * answer.done // answer.total} %" if answer.total else ""
        _line(f"{answer.doing}{share}")
        return
    if isinstance(answer, Ready):
        return
    _line("")
    if isinstance(answer, Warned):
        warnings.append(answer.text)
        say.aside(answer.text)
    elif isinstance(answer, Made):
        made.append(answer)
        if not quiet:
            say.line(answer.path)
            sys.stdout.flush()


def _line(text: str) -> None:
    """What is being done, in one line that is written over; nothing where nobody looks."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text:<50}" if text else f"\r{'':<50}\r")
        sys.stderr.flush()
