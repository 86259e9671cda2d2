"""The short proof that the first training on a card runs by itself, in a process of its own.

A check that leaves the card unusable, or hangs, then costs the run nothing but the answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from engine.prove import abilities, record
from engine.prove.abilities import Abilities
from engine.train.journal import Journal
from engine.train.signals import requests

LONGEST = 120.0
"""Seconds after which a proof that hangs is ended."""


def able_to(accelerator: Any, journal: Journal) -> Abilities:
    """What training may use of its device; a card that nobody has proven yet is proven first.

    In a distributed run the first process of each machine proves that machine's cards while the others wait.
    """
    if accelerator.device.type == "cuda":
        with accelerator.local_main_process_first():
            for index, card in enumerate(abilities.cards(accelerator.device), accelerator.device.index or 0):
                known = record.read(abilities.path_for(card), values=record.values_count())
                if known is None or not known.answers(short=True):
                    _prove(index, card.name, journal)
    return abilities.of(accelerator.device)


def _prove(index: int, name: str, journal: Journal) -> None:
    journal.say(f"{name} is new here: its short proof takes some seconds")
    failure = proof(index, lambda what, done, total: journal.progress("proving the card", done, total, "checks"))
    if failure:
        journal.note(f"the card could not be proven ({failure}): nothing is switched off; look at mgl-tui doctor --gpu")


def parsed(line: str) -> dict[str, Any]:
    """What the proof says in a line; nothing where a library printed it."""
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return {}


def proof(index: int, progress: Callable[[str, int, int], None]) -> str:
    """Run the short proof of card ``index``; returns why there is none, or ""."""
    command = [sys.executable, "-m", "engine", "prove", "--short", "--card", str(index)]
    # It is alone on its card, whoever else is in this distributed run.
    alone = {
        name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
    }
    ended = False
    with tempfile.TemporaryFile("w+") as words:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words, text=True, env=alone
        )
        watch = threading.Timer(LONGEST, process.kill)
        watch.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                requests.stop_now()
                told = parsed(line)
                if "progress" in told:
                    progress(told["progress"], told["done"], told["total"])
                ended = ended or "record" in told
        finally:
            watch.cancel()
            process.kill()
            status = process.wait()
        if ended:
            return ""
        words.seek(0)
        last = words.read().strip().splitlines()[-1:]
    return last[0] if last else f"its process ended with {status}"
