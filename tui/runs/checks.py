"""The engine's checks of settings, in a process of their own so that neither panel nor person waits."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from engine.contract import config
from engine.contract.data.checked import CheckedClip
from tui.runs.draft import Finding


def politely() -> None:
    """For a process that works in the background on all cores: the keys of the panel come first."""
    with suppress(OSError):  # where it is not allowed, it works as hard as the panel
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        os.nice(10)


@dataclass(frozen=True)
class Checked:
    """What the engine found."""

    findings: list[Finding] = field(default_factory=list)
    messages: dict[str, str] = field(default_factory=dict)
    """Finding id -> its message."""
    train_clips: int = 0
    """0 when the data could not be read."""
    clips: list[CheckedClip] = field(default_factory=list)
    """In the metadata's order; empty when it could not be read."""
    concerned: dict[str, list[str]] = field(default_factory=dict)
    """Finding id -> names of the clips that it concerns."""

    def message(self, id: str) -> str:
        return self.messages.get(id, "")


async def run_checks(settings: config.Settings) -> Checked:
    """Ask ``python -m engine check``. A process that fails is a finding; cancelling ends the process."""
    with tempfile.TemporaryDirectory(prefix="mgl-tui-") as folder:
        path = Path(folder) / "config.toml"
        path.write_text(config.dumps(config.resolved(settings, Path.cwd())), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engine", "check", str(path), "--json",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
            preexec_fn=politely,
        )  # fmt: skip
        try:
            out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return _checked(out, err)


def _checked(out: bytes, err: bytes) -> Checked:
    try:
        answer = json.loads(out)
        rows: list[dict[str, Any]] = answer["findings"]
        clips = msgspec.convert(answer["clips"], list[CheckedClip])
    except (ValueError, KeyError, TypeError):
        last = err.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no answer"]
        return Checked([Finding("warn", f"the checks could not be run: {last[0]}")])
    return Checked(
        [Finding(row["severity"], row["message"], row["fix"], row["id"], tuple(row["examples"])) for row in rows],
        {row["id"]: row["message"] for row in rows},
        next((int(row["count"]) for row in rows if row["id"] == "steps"), 0),
        clips,
        {row["id"]: row["clips"] for row in rows if row["clips"]},
    )
