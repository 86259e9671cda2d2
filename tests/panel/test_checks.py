"""The engine's checks in a process of their own, asked for by the panel."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psutil
import pytest

from engine.contract import config
from tests.data.conftest import music, write
from tui.runs.checks import run_checks


async def test_checks_that_are_given_up_leave_no_process_behind(tmp_path: Path) -> None:
    sound = music(1, seconds=2.0)
    rows = []
    for number in range(200):  # so many that they are listened to by several processes
        write(tmp_path / "train" / f"song{number}.wav", sound)
        rows.append({"audio": f"train/song{number}.wav", "text": "x"})
    (tmp_path / "metadata.json").write_text(json.dumps(rows))
    settings = config.override(config.Settings(), [f'data.dir="{tmp_path}"', 'model.base="demo"'])
    asked = asyncio.create_task(run_checks(settings))
    here = psutil.Process()

    def at_work() -> list[psutil.Process]:
        return [process for process in here.children(recursive=True) if "check" in process.cmdline()]

    while len(at_work()) < 2:
        assert not asked.done()
        await asyncio.sleep(0.02)
    workers = at_work()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert psutil.wait_procs(workers, timeout=10)[1] == []
