"""mgl-tui and its subcommands: everything that the panel can do, without it.

Exit status: 0 done, 1 it failed and said why in one line on stderr, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from engine.contract.errors import UserError
from engine.contract.output import safe_output
from engine.contract.text import plain

Command = Callable[[str, str, str], argparse.ArgumentParser]

RUN_HELP = "a run's name, or the path of its folder"


class _Parser(argparse.ArgumentParser):
    """Answers wrong use in one line, whatever was typed."""

    def error(self, message: str) -> NoReturn:
        super().error(plain(message))


class _Version(argparse.Action):
    """Says which version this is. Its number is looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        from importlib.metadata import version

        print(f"mgl-tui {version('mgl-tui')}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    shared = _Parser(add_help=False)
    shared.add_argument("--runs", type=Path, metavar="DIR", help="folder of the runs (default: from config.toml)")
    shared.add_argument("--config", type=Path, metavar="F", help="settings (default: ./config.toml where there is one)")
    # A subcommand's own default would overwrite what stood before its name.
    again = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    for action in shared._actions:
        again.add_argument(*action.option_strings, type=Path, metavar=action.metavar, help=action.help)

    top = _Parser(
        prog="mgl-tui",
        description="Fine-tune MusicGen, listen blind, decide what to try.",
        parents=[shared],
        epilog="Without a command: the panel.",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    top.set_defaults(call="panel.panel")
    commands = top.add_subparsers(metavar="COMMAND")

    def command(name: str, call: str, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text, parents=[again])
        one.set_defaults(call=call)
        return one

    _data(command)
    _rounds(command)
    _keeping(command)
    _listening(command)
    _reports(command)
    return top


def _data(command: Command) -> None:
    """Commands on the data set."""
    one = _with_settings(_with_json(command("check", "rounds.check", "check data, prompts, settings, model, sound")))
    one.add_argument("--fix-split", action="store_true", help="write a metadata file that splits by track")

    one = _with_json(command("prepare", "prepare.prepare", "raw tracks -> clips, captions, metadata.json"))
    one.description = "Cuts tracks into clips with captions, split by track. A second call adds what is new."
    one.add_argument("source", nargs="+", type=Path, metavar="SOURCE", help="a track, or a folder of them; only read")
    one.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the data set; nothing in it is overwritten"
    )
    one.add_argument("--seconds", type=_number(1, 30), default=15.0, metavar="S", help="length of a clip (default: 15)")
    one.add_argument("--exact", action="store_true", help="cut at the second, not at a quiet point up to a tenth later")
    one.add_argument(
        "--overlap", type=_number(0, 29), default=0.0, metavar="S", help="seconds two clips have in common"
    )
    one.add_argument(
        "--valid", type=_number(0, 0.9), default=0.15, metavar="X", help="share held out, whole tracks (default: 0.15)"
    )
    one.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw of tracks that are held out")
    kinds = (
        "sidecar,tags,folder,name,tempo,key: joined in this order (default: the first of the first four that is there)"
    )
    one.add_argument("--captions", metavar="W,W", help=kinds)
    one.add_argument(
        "--add", default="", metavar="WORDS", help="in front of every caption, such as a word to call it by"
    )
    one.add_argument("--behind", action="store_true", help="put what --add says behind the caption")

    one = _with_json(command("captions", "captions.captions", "words of all captions; replace one; a spreadsheet"))
    one.add_argument("--data", type=Path, metavar="DIR", help="the data set (default: data.dir of the settings)")
    does = one.add_mutually_exclusive_group()
    does.add_argument(
        "--replace", nargs=2, metavar=("OLD", "NEW"), help="a word everywhere, or words; NEW may be empty"
    )
    does.add_argument("--csv", type=Path, metavar="F", help="write F for a spreadsheet; where it is, bring it in")
    one.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")


def _rounds(command: Command) -> None:
    """Commands that start or steer engines."""
    one = _with_settings(command("demo", "rounds.demo", "the whole round on the embedded model"))
    one.add_argument("--headless", action="store_true", help="stop after the clips are made and print where things are")
    one.add_argument("--listener", metavar="NAME")

    one = _with_settings(command("train", "rounds.train", "train, then make the clips"))
    one.add_argument("--name", metavar="N", help="name of the run (default: the first free one)")
    one.add_argument("--resume", action="store_true", help="go on with the run --name; --set changes what it may")
    _with_detach(one)

    one = command("resume", "rounds.resume", "go on from a run's last checkpoint")
    _with_run(one)
    _with_detach(one)

    one = command("evaluate", "rounds.evaluate", "make the clips of base, best and final")
    _with_run(one)
    one.add_argument("--prompts", type=Path, metavar="F", help="another prompts file")
    one.add_argument("--set-name", metavar="S", help="its name: the clips go to evaluation_S/")
    one.add_argument("--models", metavar="M,M", help="base,best,final; also step-000200 or RUN:best of another run")
    one.add_argument("--repeats", type=int, metavar="K", help="clips a prompt and model, each with its own seed")

    one = _with_json(command("try", "tries.make", "clips of one prompt, now"))
    _with_run(one)
    one.add_argument("prompt", metavar="PROMPT", help="what you want to hear, in English")
    models = "base,best; also final, step-000200, RUN:best of another run, or an adapter's folder"
    one.add_argument("--models", default="base,best", metavar="M,M", help=models)
    one.add_argument("--strength", type=float, default=1.0, metavar="X", help="of the adapter: 0 is base, at most 1.5")
    one.add_argument("--seconds", type=float, metavar="S", help="1 to 30 (this and the next four: as the run's)")
    one.add_argument("--seed", type=int, metavar="N", help="the same number is the same noise for every model")
    one.add_argument("--guidance", type=float, metavar="G", help="weight of the text")
    one.add_argument("--temperature", type=float, metavar="T", help="1 is the usual")
    one.add_argument("--top-k", type=int, metavar="K", help="codes that are chosen from; 0 is all")
    one.add_argument("--variations", type=int, default=1, metavar="N", help="1 to 4, each with the next seed")
    one.add_argument("--device", choices=("auto", "cpu"), default="auto", help="cpu leaves the GPU to a run")
    one.add_argument("-o", "--output", type=Path, metavar="DIR", help="another folder than the run's tries/")

    one = _with_json(_with_settings(command("sweep", "sweeps.make", "a grid of runs in the queue, ranked at the end")))
    one.description = "A grid of runs: --set a.b=v1,v2. With --name alone: what has come of a sweep."
    one.add_argument(
        "--seeds", type=int, default=1, metavar="K", help="runs of each setting, each with a seed of its own"
    )
    one.add_argument("--name", default="sweep", metavar="N", help="name of the sweep, with which its runs' names begin")
    one.add_argument("--top", type=int, default=2, metavar="K", help="how many of the best settings get clips")
    one.add_argument("--yes", action="store_true", help="do not ask, however large the grid")
    one.add_argument("--print", action="store_true", help="make the runs and print a command a run, for a scheduler")

    _with_run(command("stop", "rounds.stop", "finish the step, save, stop; of a sweep: all its runs"))

    one = command("merge", "rounds.merge", "write a plain MusicGen folder with the adapter merged in")
    _with_run(one)
    one.add_argument("which", choices=("best", "final"))
    one.add_argument("out", type=Path)


def _keeping(command: Command) -> None:
    """Commands that keep house among the runs."""
    one = command("rename", "keep.rename", "give a run another name, which all that knows it learns")
    _with_run(one)
    one.add_argument("name", metavar="NAME")

    one = command("comment", "keep.remark", "a line that a run keeps and the list shows")
    _with_run(one)
    one.add_argument("text", nargs="?", metavar="TEXT", help='empty ("") takes it away; default: say it')

    _with_run(
        command("archive", "keep.archive", "put runs away into the archive folder, or bring them back"), nargs="+"
    )

    one = _with_yes(command("delete", "keep.delete", "delete runs for good, after asking"))
    _with_run(one, nargs="+")

    one = _with_yes(command("clean", "keep.clean", "remove checkpoints of finished runs, after asking"))
    _with_run(one, nargs="*", help="only these runs (default: all that are done)")
    one.add_argument("--archive", action="store_true", help="delete everything in the archive instead")


def _listening(command: Command) -> None:
    """Commands that end in the panel, or in what was said there."""
    one = command("review", "panel.review", "straight to Listen; of several runs: one blind session across them")
    _with_run(one, nargs="+", metavar="RUN_OR_EVALUATION_DIR", help="a run, or a folder with comparison_results.jsonl")
    one.add_argument("--listener", metavar="NAME", help="whose judgement it is (default: your user name)")

    one = command("export", "reports.export", "the notes as markdown, or as a page that plays the clips")
    _with_run(one)
    one.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: notes.md, or notes.html, in the run")
    one.add_argument("--html", action="store_true", help="instead of markdown one file to send, with players in it")
    one.add_argument("--csv", action="store_true", help="also write the scores as CSV beside it")
    one.add_argument("--json", action="store_true", help="also write all of it as JSON beside it")

    one = command("import", "rounds.bring_in", "what other scripts left (clips, logs, adapters, picks), as a run")
    one.add_argument("dir", type=Path, metavar="DIR", help="the folder of an earlier round; it is only read")
    one.add_argument("--name", metavar="N", help="name of the run (default: the folder's)")

    text = "a blind listening page to send to somebody; of several runs: one session across them"
    one = command("share", "shares.share", text)
    _with_run(one, nargs="+")
    one.add_argument("-o", "--output", type=Path, metavar="FILE", help="the page (default: listen-RUN.html here)")
    one.add_argument("--listener", metavar="NAME", help="whom it is for (default: the page asks)")

    one = command("collect", "reports.collect", "bring in what listeners picked elsewhere")
    _with_run(one)
    one.add_argument("file", nargs="+", type=Path, metavar="FILE", help="picks, or what a listener sent back")

    one = _with_json(command("gate", "reports.gate", "the decision after listening: extend, adjust or stop"))
    _with_run(one)
    one.add_argument("decision", nargs="?", choices=("extend", "adjust", "stop"), help="default: say what was decided")
    one.add_argument("--why", default="", metavar="TEXT", help="the reason, in one line")
    one.add_argument("--listener", metavar="NAME", help="who decides (default: your user name)")
    one.add_argument("--yes", action="store_true", help="extend although nobody has listened")

    one = command("replay", "panel.replay", "re-drive the Monitor from a recorded run")
    _with_run(one)
    one.add_argument("--speed", type=float, default=1.0, metavar="X", help="times as fast as it was")


def _reports(command: Command) -> None:
    """Commands that only read."""
    _with_run(_with_json(command("advise", "reports.advise", "what to try next, with reasons")))
    one = _with_json(command("compare", "reports.compare", "settings that differ, losses and listening side by side"))
    _with_run(one, nargs="+")
    one = _with_json(command("runs", "reports.runs", "all runs, their states and results"))
    one.add_argument("--disk", action="store_true", help="what each holds on disk, and what could go")
    _with_run(_with_json(command("status", "reports.status", "what trains now")), nargs="?")
    _with_json(command("queue", "reports.queue", "runs that wait for the GPU"))
    one = _with_json(command("doctor", "doctor.doctor", "what on this machine would get in the way"))
    one.add_argument("--audio", action="store_true", help="play a chirp and listen to it coming back")
    one.add_argument("--gpu", action="store_true", help="prove the card: what works, what falls back, how fast")
    one.add_argument("--again", action="store_true", help="with --gpu: measure anew")
    one = _with_json(command("settings", "reports.settings", "every setting: its meaning, range and default"))
    _completed(one.add_argument("name", nargs="?", default="", help="only those with this in their name"), "names")


def _number(least: float, most: float) -> Callable[[str], float]:
    """A number from ``least`` to ``most``, or wrong use."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:g} to {most:g}")
        return value

    return number


def _with_run(one: argparse.ArgumentParser, **how: Any) -> None:
    _completed(one.add_argument("run", **{"help": RUN_HELP, **how}), "runs")


def _completed(action: argparse.Action, what: str) -> None:
    """Let the shell complete it with what ``tui.commands.complete`` knows."""
    action.completer = lambda **how: getattr(importlib.import_module("tui.commands.complete"), what)(**how)  # type: ignore[attr-defined]


def _with_json(one: argparse.ArgumentParser) -> argparse.ArgumentParser:
    one.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return one


def _with_yes(one: argparse.ArgumentParser) -> argparse.ArgumentParser:
    one.add_argument("--yes", action="store_true", help="do not ask")
    return one


def _with_settings(one: argparse.ArgumentParser) -> argparse.ArgumentParser:
    change = one.add_argument(
        "--set", action="append", default=[], metavar="a.b=v", help="change one setting; repeatable"
    )
    _completed(change, "settings")
    return one


def _with_detach(one: argparse.ArgumentParser) -> None:
    one.add_argument("--detach", action="store_true", help="start the engine and come back at once")


def main(argv: list[str] | None = None) -> int:
    with safe_output():
        return _main(argv)


def _main(argv: list[str] | None) -> int:
    top = parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(top)
    args = top.parse_args(argv)
    module, function = args.call.split(".")
    try:
        return int(getattr(importlib.import_module(f"tui.commands.{module}"), function)(args) or 0)
    except UserError as error:
        print(f"mgl-tui: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of a pipe left (`mgl-tui runs | head`); nothing is wrong and nobody is there to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


if __name__ == "__main__":
    sys.exit(main())
