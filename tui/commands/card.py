"""mgl-tui doctor --gpu: the engine proves the card in a process of its own; shown here line by line."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

from engine.contract.errors import UserError
from tui.commands import say
from tui.commands.speaking import Speaking

GLYPHS = {"works": "✔", "falls back": "▲", "fails": "✘", "not checked": "·"}
WIDTH = len("micro-batches")


def prove(args: argparse.Namespace) -> int:
    """Show the proof of the card, measured now or kept from before; status 1 when something fails."""
    lines: list[dict[str, Any]] = []
    document: dict[str, Any] = {"checks": lines}
    for told in _told(args.again):
        if "line" in told:
            lines.append(told["line"])
        if "no_card" in told:
            document["no_card"] = told["no_card"]
        if "record" in told and not lines and not args.json:
            _show_kept(told["record"])
        if not args.json:
            _show(told)
        if "record" in told:
            lines[:] = told["record"].pop("lines")
            off = {line["off"]: line["message"] for line in lines if line["off"]}
            document |= {**told["record"], "switched_off": off, "file": told["file"]}
    if args.json:
        say.document(document)
    return int(any(line["verdict"] == "fails" for line in lines))


def _show(told: dict[str, Any]) -> None:
    _progress("")
    if "line" in told:
        _line(told["line"])
    if "no_card" in told:
        say.line(f"{told['no_card']}: nothing to prove; training runs on the CPU, in fp32")
    if told.get("progress"):
        _progress(f"{told['done']} of {told['total']}: {told['progress']} ...")
    if "record" in told:
        off = [line for line in told["record"]["lines"] if line["off"]]
        kept = f"kept in {told['file']}"
        if off:
            say.line(f"runs on this card do without: {', '.join(line['off'] for line in off)} ({kept})")
        else:
            say.line(f"nothing is switched off ({kept})")


def _progress(text: str) -> None:
    """What is going on, on a line that the next one overwrites; a log file needs no such thing."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _show_kept(record: dict[str, Any]) -> None:
    for line in record["lines"]:
        _line(line)
    say.line(f"measured on {time.strftime('%Y-%m-%d %H:%M', time.localtime(record['t']))}; --again measures anew")


def _line(line: dict[str, Any]) -> None:
    floor = f" ({line['times_floor']:.1f} times this card's floor)" if line["times_floor"] else ""
    instead = f"; {line['instead']}" if line["instead"] else ""
    told = f"{line['message']}{instead}{floor}"
    say.line(f"{GLYPHS[line['verdict']]} {line['check']:<{WIDTH}} {line['verdict']:<11} {told}")


def _told(again: bool) -> Iterator[dict[str, Any]]:
    """What the engine says, as it comes. Raises UserError when it ends without a result."""
    engine, ended = Speaking(["prove", *["--again"] * again]), False
    for told in engine:
        ended = ended or not {"record", "no_card", "unseen"}.isdisjoint(told)
        yield told
    if not ended:
        raise UserError(f"The card could not be proven: {engine.last}")
