"""What long logs and many runs cost: rows of bench/load.py.

Times are wall time, from the start of the process where one is started; memory is a process's peak.
"""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil

from bench.panel import Panel, report
from engine.contract import config
from engine.contract.rundir import RunDir

ROOT = Path(__file__).resolve().parent.parent


def write_run(folder: Path, events: int, *, clips: int = 20) -> RunDir:
    """A run that is done, with so many events: train events, and among them validations and samples of the GPU."""
    folder.mkdir(parents=True)
    run = RunDir(folder)
    run.config.write_text(config.dumps(config.resolved(config.Settings(), folder)))
    draw, t = random.Random(7), time.time() - 0.3 * events
    with open(run.events, "w") as file:

        def write(event: str, **fields: object) -> None:
            file.write(json.dumps({"t": round(t, 3), "event": event, **fields}) + "\n")

        write("start", total_steps=events, codebook_size=2048, train_clips=100, device="cuda", effective_batch=8)
        write("valid", step=0, loss=4.2, per_codebook=[3.3, 4.3, 4.5, 4.7], per_clip=[4.2] * clips)
        write("state", state="training")
        for step in range(1, events - 3):
            t += 0.3
            course = math.exp(-5 * step / events)
            if step % 2000 == 0:
                loss = 2.3 + 1.9 * course
                write("valid", step=step, loss=loss, per_codebook=[loss] * 4, per_clip=[round(loss, 5)] * clips)
            elif step % 50 == 0:
                write(
                    "gpu", index=0, name="GPU", util=97, mem_used=10 * 2**30, mem_total=24 * 2**30, temperature=61,
                    power=draw.randint(300, 330), power_limit=450, clock_sm=2520, throttle=[],
                )  # fmt: skip
            else:
                write(
                    "train", step=step, epoch=round(step / 1000, 4), loss=2.2 + 2 * course + draw.gauss(0, 0.1),
                    lr=1e-4 * course, grad_norm=draw.random(), scale=65536.0, skipped=0,
                    clips_per_second=round(8 + draw.random(), 3), data_wait=0.0012, clips_seen=step * 8,
                )  # fmt: skip
        write("state", state="done")
    return run


def command(*words: str) -> tuple[float, float, int]:
    """Wall seconds, peak memory in MB and exit status of ``mgl-tui`` with these words."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tui.cli", *words], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - began, used.ru_maxrss / 1024, process.returncode


def peak(pid: int) -> float:
    """Peak memory of a living process, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def place(runs: Path, key: bytes, wanted: bytes) -> tuple[float, float]:
    """Seconds from the key of a place until it shows ``wanted``, and the panel's peak memory in MB."""
    panel = Panel(runs)
    panel.until(b"Runs")
    panel.listen(3)
    began = time.perf_counter()
    panel.press(key)
    panel.until(wanted, 60)
    seconds = time.perf_counter() - began
    memory = peak(panel.process.pid)
    panel.end()
    return seconds, memory


def long_log(folder: Path) -> None:
    """A run of a million events: what reads all of it."""
    run = write_run(folder / "runs" / "a", 1_000_000)
    for words in (("export", str(run.path), "-o", str(folder / "notes.md")), ("advise", str(run.path))):
        seconds, memory, status = command(*words)
        report(f"1,000,000 events: {words[0]}, seconds", seconds, 3, f"exit status {status}")
        report(f"1,000,000 events: {words[0]}, MB", memory, 300)
    for key, name, wanted, most, room in (
        (b"N", "Next", b"rule: ", 3, 300),
        (b"M", "Monitor", b"base 4.200", 2, 150),
    ):
        seconds, memory = place(folder / "runs", key, wanted)
        report(f"1,000,000 events: {name}, seconds", seconds, most, "from the key")
        report(f"1,000,000 events: {name}, MB", memory, room, "the whole panel")


def many_runs(folder: Path, count: int = 500) -> None:
    """The list, and what the panel costs when nobody touches it."""
    for number in range(count):
        write_run(folder / "runs" / f"run-{number:03d}", 300)
    seconds, _, status = command("runs", "--runs", str(folder / "runs"))
    report(f"{count} runs: mgl-tui runs, seconds", seconds, 1, f"exit status {status}")
    panel = Panel(folder / "runs")
    seconds = panel.until(f"run-{count - 1}".encode())
    report(f"{count} runs: the panel's list, seconds", seconds, 1, "from its start")
    panel.listen(10)
    process = psutil.Process(panel.process.pid)
    before = process.cpu_times()
    panel.listen(30)
    after = process.cpu_times()
    report(f"{count} runs: idle, % of a core", 100 * (sum(after[:2]) - sum(before[:2])) / 30, 2)
    report(f"{count} runs: panel, MB", peak(panel.process.pid), 150)
    panel.end()


def resumed(folder: Path) -> None:
    """The journal of an engine that was resumed after 100,000 logged steps: one event's write."""
    from engine.train.journal import Journal

    journal = Journal(write_run(folder / "a", 102_000).events)
    journal.rewind(100_000)
    took = []
    for step in range(100_001, 100_200):
        began = time.perf_counter()
        journal.write("train", step=step, loss=2.0, lr=1e-4, grad_norm=0.5, scale=None, skipped=0, clips_seen=step * 8)
        took.append(time.perf_counter() - began)
    journal.close()
    report("resumed after 100,000 steps: an event's write, ms", 1000 * statistics.median(took), 1)
