"""How fast and how frugal the panel is: first paint, key to repaint, memory, idle, bytes on the wire.

    python bench/panel.py [--quick]

Everything is measured from outside: the panel runs on a pseudo-terminal, and what it writes there is read and timed.
Run folders are written by this script; no engine and no GPU are needed. Writes bench/results/panel.json.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import os
import platform
import pty
import random
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.contract import config, liveness  # noqa: E402
from engine.contract.rundir import RunDir  # noqa: E402

GIB = 2**30
RESULTS = ROOT / "bench" / "results" / "panel.json"
FOUND: list[dict[str, object]] = []


class Panel:
    """A panel on a pseudo-terminal, opened by ``words`` of the command line."""

    def __init__(self, runs_dir: Path, *words: str, columns: int = 120, rows: int = 35) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui.cli", "--runs", str(runs_dir), *words],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True, cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        )  # fmt: skip
        os.close(slave)
        self.fd = master
        self.read_bytes = 0
        self.text = b""

    def read(self, seconds: float) -> bytes:
        """What it writes within so many seconds; returns at the first bytes."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        data = os.read(self.fd, 1 << 16) if ready else b""
        self.read_bytes += len(data)
        return data

    def until(self, wanted: bytes, seconds: float = 20) -> float:
        """Seconds since the start until it has written ``wanted``; inf when it does not."""
        self.text = b""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.text += self.read(end - time.perf_counter())
            if wanted in self.text:
                return time.perf_counter() - self.began
        return math.inf

    def listen(self, seconds: float) -> None:
        """Read and forget what it writes for so long."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.read(left)

    def press(self, key: bytes) -> None:
        os.write(self.fd, key)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            while self.process.poll() is None:
                self.read(0.2)
        except OSError:
            pass
        os.close(self.fd)


class Engine:
    """Writes events into a run whose lock it holds, as a training engine would."""

    def __init__(self, folder: Path, *, steps: int = 0, per_second: float = 0.0) -> None:
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text(config.dumps(config.resolved(config.Settings(), folder)))
        self.run = RunDir(folder)
        self.step = 0
        self.total = max(steps, 1000) * 2
        self.file = open(folder / "events.jsonl", "a")  # noqa: SIM115  (open as long as the engine)
        self.t = time.time() - steps * 0.02
        self.write(
            "start", total_steps=self.total, codebook_size=2048, train_clips=100, device="cuda", effective_batch=8
        )
        self.write("valid", step=0, loss=4.2, per_codebook=[3.3, 4.3, 4.5, 4.7])
        self.write("state", state="training")
        for _ in range(steps):
            self.t += 0.02
            self.train()
        self.file.flush()
        self.stop = threading.Event()
        self.per_second = per_second
        self.thread = threading.Thread(target=self._live, daemon=True)
        if per_second:
            self.thread.start()

    def write(self, event: str, **fields: object) -> None:
        self.file.write(json.dumps({"t": round(self.t, 3), "event": event, **fields}) + "\n")

    def train(self) -> None:
        self.step += 1
        self.write(
            "train", step=self.step, epoch=self.step / self.total, lr=1e-4, scale=65536.0, skipped=False,
            loss=round(2.2 + 2 * math.exp(-5 * self.step / self.total) + random.gauss(0, 0.1), 5),
            grad_norm=round(random.random(), 4), clips_per_second=8.2, data_wait=0.01, clips_seen=self.step * 8,
        )  # fmt: skip
        if self.step % 5000 == 0:
            self.write("valid", step=self.step, loss=2.3 + 2 * math.exp(-5 * self.step / self.total), per_codebook=[])

    def _live(self) -> None:
        with liveness.hold(self.run), open(self.run.engine_log, "a") as log:
            while not self.stop.wait(1 / self.per_second):
                self.t = time.time()
                self.train()
                log.write(f"step {self.step} loss 2.3 lr 1e-4\n")
                if self.step % max(1, round(2 * self.per_second)) == 0:
                    self.write(
                        "gpu", index=0, name="GPU", util=random.randint(90, 99), mem_used=10 * GIB, mem_total=24 * GIB,
                        temperature=61, power=random.randint(300, 330), power_limit=450, clock_sm=2520, throttle=[],
                    )  # fmt: skip
                self.file.flush()
                log.flush()

    def end(self) -> None:
        self.stop.set()
        if self.per_second:
            self.thread.join()
        self.file.close()


def first_paint(folder: Path, times: int) -> None:
    Engine(folder / "a", steps=200).end()
    found, work = [], []
    for _ in range(times):
        panel = Panel(folder)
        found.append(panel.until(b"Runs"))
        spent = psutil.Process(panel.process.pid).cpu_times()
        work.append(spent.user + spent.system)
        panel.end()
    value = statistics.median(found)
    report("first paint, seconds", value, 0.6, f"median of {times}; {statistics.median(work):.2f} s of work")


KEYS = (
    (b"?", b"Keys"), (b"?", b"Loss"), (b"y", b"log y"), (b"y", b"Loss"),
    (b"+", b"smooth 0.99"), (b"-", b"smooth 0.98 "), (b"f", b"held"), (b"f", b"follow"),
)  # fmt: skip
"""Keys of the Monitor, and the words that stand on the screen once they are obeyed."""


def key_to_repaint(folder: Path, presses: int) -> None:
    """From the byte that is written until the words that it asks for are on the screen."""
    engine = Engine(folder / "a", steps=2000, per_second=50)
    panel = Panel(folder)
    panel.until(b"Runs")
    panel.listen(2)
    panel.press(b"M")
    panel.listen(3)
    found = []
    for number in range(presses):
        key, wanted = KEYS[number % len(KEYS)]
        panel.listen(random.uniform(0.1, 0.3))
        began = time.perf_counter()
        panel.press(key)
        panel.until(wanted, 2)
        found.append(1000 * (time.perf_counter() - began))
    panel.end()
    engine.end()
    value = statistics.quantiles(found, n=20)[-1]
    note = f"95th percentile of {presses}, median {statistics.median(found):.0f}; 50 events a second arrive"
    report("key to repaint, ms", value, 50, note)


def long_run(folder: Path, seconds: float) -> None:
    """A run of 200,000 train events: opening it, memory, following it."""
    engine = Engine(folder / "a", steps=200_000, per_second=5)
    panel = Panel(folder)
    panel.until(b"Runs")
    panel.listen(3)
    began = time.perf_counter()
    panel.press(b"M")
    panel.until(b"smooth", 20)
    opened = time.perf_counter() - began
    panel.listen(3)
    process = psutil.Process(panel.process.pid)
    before, wire = process.cpu_times(), panel.read_bytes
    panel.listen(seconds)
    after = process.cpu_times()
    share = 100 * (after.user + after.system - before.user - before.system) / seconds
    bytes_a_minute = (panel.read_bytes - wire) * 60 / seconds
    memory = process.memory_info().rss / 2**20
    panel.end()
    engine.end()
    report("open 200,000 events, seconds", opened, 1)
    report("memory with them, MB", memory, 150)
    report("following them, % of a core", share, 6)
    report("on the wire, MB a minute", bytes_a_minute / 1e6, 1.5, "120x35, while it trains")


def idle(folder: Path, seconds: float) -> None:
    Engine(folder / "a", steps=200).end()
    panel = Panel(folder)
    panel.until(b"Runs")
    panel.listen(4)
    process = psutil.Process(panel.process.pid)
    before = process.cpu_times()
    panel.listen(seconds)
    after = process.cpu_times()
    panel.end()
    share = 100 * (after.user + after.system - before.user - before.system) / seconds
    report("idle, % of a core", share, 1)


CLIPS = 10_000
DATA_KEYS = (
    (b"\x1b[B", b"_0001.wav"), (b"\x1b[A", b"_0000.wav"), (b"o", b"split"), (b"v", b"\xe2\x86\x91"),
    (b"v", b"\xe2\x86\x93"), (b"p", b"Prompts"), (b"p", b"Clips 10000"), (b"/", b"ords of caption"),
    (b"7", b"filter: 7"), (b"\x7f", b"Clips 10000"),
)  # fmt: skip
"""Keys of Data, and what stands on the screen once they are obeyed: move, sort, turn round, prompts, filter."""


def data_place(folder: Path, rounds: int) -> None:
    """Data with 10,000 clips, while the checks listen to them in the background; then one edit."""
    import numpy as np
    import soundfile

    data = folder.parent / "data"
    noise, rows = np.random.default_rng(0), []
    for number in range(CLIPS):
        name = f"{'valid' if number % 10 == 0 else 'train'}/song{number // 8:04d}_{number:04d}.wav"
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise.uniform(-0.1, 0.1, 4000), 8000)
        rows.append({"audio": name, "text": f"boombap drums, soft bass, number {number} at {80 + number % 20} bpm"})
    (data / "metadata.json").write_text(json.dumps(rows, indent=1))
    (data / "prompts.json").write_text('["a choir", "boombap drums, soft bass"]')
    (data / "config.toml").write_text(f'[data]\ndir = "{data}"\n[evaluate]\nprompts_file = "{data}/prompts.json"\n')
    panel = Panel(folder, "--config", str(data / "config.toml"))
    panel.until(b"Runs")
    panel.listen(2)
    began = time.perf_counter()
    panel.press(b"D")
    panel.until(b"Clips 10000", 60)
    opened = time.perf_counter() - began
    panel.listen(3)
    found: dict[bytes, list[float]] = {key: [] for key, _ in DATA_KEYS}
    for _ in range(rounds):
        for key, wanted in DATA_KEYS:
            panel.listen(random.uniform(0.2, 0.4))
            began = time.perf_counter()
            panel.press(key)
            panel.until(wanted, 2)
            found[key].append(1000 * (time.perf_counter() - began))
        for key in (b"\r", *[b"o"] * 6, b"\x1b[H"):  # sorted as the metadata again, from the top
            panel.press(key)
            panel.listen(0.1)
    panel.listen(1)
    panel.press(b"i")
    panel.listen(1)
    began = time.perf_counter()
    panel.press(b"\x7f\r")
    panel.until(b"kept", 5)
    edit = 1000 * (time.perf_counter() - began)
    memory = psutil.Process(panel.process.pid).memory_info().rss / 2**20
    panel.end()
    every = [each for times in found.values() for each in times]
    value = statistics.quantiles(every, n=20)[-1]
    worst = max(found, key=lambda key: statistics.median(found[key]))
    note = f"95th percentile of {len(every)}, median {statistics.median(every):.0f}; while the checks listen"
    report("open 10,000 clips, seconds", opened, 2)
    report(
        "key to repaint in Data, ms", value, 50, f"{note}; slowest key {worst!r}: {statistics.median(found[worst]):.0f}"
    )
    report("an edit of a caption kept, ms", edit, 500, "one of 10,000 in metadata.json, flushed to disk")
    report("memory with 10,000 clips, MB", memory, 200)


def report(what: str, value: float, bar: float, note: str = "") -> None:
    """Print one figure and keep it; every bar is an upper one."""
    FOUND.append({"what": what, "value": round(value, 3), "bar": bar, "note": note})
    print(f"{'ok  ' if value < bar else 'SLOW'} {what:<32} {value:8.2f}   bar {bar:g}   {note}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--quick", action="store_true", help="fewer repeats and shorter spans")
    parser.add_argument("--only", choices=["paint", "keys", "data", "long", "idle"])
    args = parser.parse_args()
    span = 10.0 if args.quick else 60.0
    parts = {
        "paint": lambda folder: first_paint(folder, 5),
        "keys": lambda folder: key_to_repaint(folder, 24 if args.quick else 120),
        "data": lambda folder: data_place(folder, 3 if args.quick else 12),
        "long": lambda folder: long_run(folder, span),
        "idle": lambda folder: idle(folder, span),
    }
    for name, part in parts.items():
        if args.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                part(Path(folder) / "runs")
    if args.only is None:
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
        # On a machine that others use, `chrt -r 1 python bench/panel.py` shows what an idle one would.
        scheduled = "real-time" if os.sched_getscheduler(0) == os.SCHED_RR else "as usual"
        kept = {"machine": machine, "load": os.getloadavg(), "scheduled": scheduled, "results": FOUND}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
