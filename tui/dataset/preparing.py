"""Clips and captions made of tracks, by the engine in a process of its own; it ends with the one that started it."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from engine.contract.errors import UserError
from engine.contract.output import told


class Wanted(NamedTuple):
    """Tracks, or a folder of them, and where the data set goes; ``add`` are words for every caption."""

    source: Path
    out: Path
    add: str = ""


async def prepare(wanted: Wanted, progress: Callable[[int, int], None]) -> list[str]:
    """Make or extend a data set; ``progress`` gets tracks done and in all. Returns what came of it, in lines.

    Raises UserError when no clip came of it. Cancelling it stops the process; what is done stays, and the same call
    goes on from there.
    """
    command = [sys.executable, "-m", "engine", "prepare", "--out", str(wanted.out), "--parent", str(os.getpid())]
    command += [f"--add={wanted.add}", "--", str(wanted.source)]
    with tempfile.TemporaryFile() as words:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=words,
            cwd=Path(__file__).resolve().parents[2], limit=2**26,
        )  # fmt: skip
        assert process.stdout is not None
        lines: list[str] = []
        try:
            async for line in process.stdout:
                said = told(line)
                if "summary" in said:
                    lines = [str(each) for each in said["summary"]["lines"]]
                elif "done" in said:
                    progress(int(said["done"]), int(said["total"]))
            status = await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        words.seek(0)
        last = words.read().decode("utf-8", "replace").strip().splitlines()[-1:]
    if status:
        raise UserError(last[0] if last else f"The process that makes the clips ended with {status}; try again.")
    return lines
