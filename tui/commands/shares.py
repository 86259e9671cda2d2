"""Pages to send to listeners, and what they send back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engine.contract import liveness, rundir
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui import keys
from tui.commands import find, say
from tui.runs import sessions

if TYPE_CHECKING:
    from tui.review.share import Keys
    from tui.review.shared import Key

CAN = (
    "play", "switch", "clip", "seek", "restart", "next_unheard", "loop", "loop_from", "loop_to", "score", "all_bad",
    "tag", "go_on", "note", "undo", "prompt", "help",
)  # fmt: skip
"""Actions of Listen that a page has."""
MEANINGS = {"go_on": "Go on to the next clip that is not judged; after the last, to the end."}
"""Of what a page does otherwise: it shows no names."""
HINTS = 80
"""Characters of its line of keys."""


def share(args: argparse.Namespace) -> int:
    """Write a page for a listener, and say how to go on."""
    from tui.review.evaluation import open_evaluation
    from tui.review.share import share as write_page

    chosen = [find.run_or_clips(args, name) for name in args.run]
    run = chosen[0] if len(chosen) == 1 else _across(args, chosen)
    listener = args.listener or ""
    out = args.output or Path("-".join(["listen", run.path.resolve().name, *filter(None, [listener])]) + ".html")
    evaluation = open_evaluation(run.path)
    if not evaluation.whole and any(liveness.is_held(one) for one in chosen if rundir.is_run(one.path)):
        raise UserError(f"The clips of {run.name} are being made; share it when all of them are there.")
    page = write_page(evaluation, find.settings(args).review, out, listener=listener, keys=page_keys())
    for reason in page.left_out:
        say.aside(f"{reason}; it is missing on the page")
    for group in evaluation.same_weights:
        same = " and ".join(group)
        say.aside(f"{same} have the same weights: one clip comes twice, hidden, and tells the ear's noise")
    say.line(f"{page.path}: {_counts(page.key)}, {page.size / 1e6:.1f} MB, {page.codec}")
    say.line(f"send it{f' to {listener}' if listener else ''}; bring in what comes back with")
    say.line(f"  mgl-tui collect {run.name if len(chosen) > 1 else args.run[0]} FILE")
    return 0


def _across(args: argparse.Namespace, chosen: list[RunDir]) -> RunDir:
    """The session across these runs; what it leaves out is said."""
    from tui.review import across

    path = across.open_across(find.runs_dir(args), [run.path for run in chosen])
    about = sessions.read(path)
    for sentence in about.said if about else ():
        say.aside(sentence)
    return RunDir(path)


def _counts(key: Key) -> str:
    kinds = [trial.kind for trial in key.trials]
    again = kinds.count("repeat")
    hidden = f", {again} of them come{'s' if again == 1 else ''} again, hidden" if again else ""
    pairs = kinds.count("pair")
    return f"{pairs} pairs of clips{hidden}" if pairs else f"{kinds.count('main')} prompts{hidden}"


def page_keys() -> Keys:
    """Keys of Listen, as far as a page has them."""
    from tui.review.share import Keys

    hints = keys.hints("listen", HINTS, lambda action: action.does in CAN)
    every = [
        {**one, "meaning": MEANINGS.get(str(one["does"]), one["meaning"])} for one in keys.for_pages("listen", CAN)
    ]
    return Keys(every, [(hint.key, hint.label) for hint in hints])
