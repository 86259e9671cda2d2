"""What much of something costs: hundreds of prompts, connections that somebody holds open; time and memory.

    python bench/load.py [--only WORD] [--keep]

Everything is measured from outside, on a panel on a pseudo-terminal or on a command; the folders are written here, and
no engine and no GPU are needed. Prints one line a row; ``--keep`` writes bench/results/load.json.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import load_logs  # noqa: E402
from bench.panel import FOUND, Panel, report  # noqa: E402
from engine.contract.rundir import RunDir  # noqa: E402
from tests.review import clips  # noqa: E402
from tui.audio.page_server import PageServer  # noqa: E402
from tui.review.evaluation import open_evaluation  # noqa: E402
from tui.review.session import Session  # noqa: E402

RESULTS = ROOT / "bench" / "results" / "load.json"


def judged_run(folder: Path, prompts: int) -> RunDir:
    """A run with clips of so many prompts x 3 models, all judged, with the log of what was played."""
    tone = folder / "tone.wav"
    clips.write_clip(tone, tone=220, seconds=1.0)
    link, clips.write_clip = clips.write_clip, lambda path, **_: _link(tone, path)  # type: ignore[assignment]
    try:
        run = clips.make_run(folder / "runs", prompts=[f"prompt number {n} of many" for n in range(prompts)])
    finally:
        clips.write_clip = link  # type: ignore[assignment]
    rng, saved = random.Random(1), Session._save
    Session._save = lambda self: None  # type: ignore[method-assign]  # a thousand writes say nothing here
    try:
        scores = [{model: rng.randint(1, 5) for model in clips.MODELS} for _ in range(prompts)]
        session = clips.judge(open_evaluation(run.path), "anna", scores)
        for trial in session.trials:
            for letter in trial.letters:
                for _ in range(3):
                    session.heard(trial.id, letter, 5.0, "browser")
    finally:
        Session._save = saved  # type: ignore[method-assign]
    session.reveal()
    return run


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(source, target)


def listening(folder: Path, prompts: int, presses: int) -> None:
    """Listen on a judged session with the names shown: it opens, and the same clip is scored again and again."""
    run = judged_run(folder, prompts)
    stored = run.review("anna")
    panel = Panel(folder / "runs", "review", str(run.path), "--listener", "anna")
    opened = panel.until(f"{3 * prompts} of {3 * prompts} judged".encode(), 60)
    report(f"Listen opens, {prompts} prompts, seconds", opened, 2, "from the shell; Python's start is in it")
    if opened == float("inf"):
        print(panel.text[-2000:].decode(errors="replace"), file=sys.stderr)
        panel.end()
        return
    panel.listen(3)
    saved: list[float] = []
    drawn: list[float] = []
    for number in range(presses):
        panel.listen(random.uniform(0.1, 0.3))
        before, began = stored.stat().st_mtime_ns, time.perf_counter()
        panel.press(b"12345"[number % 5 : number % 5 + 1])
        last = began
        while (now := time.perf_counter()) - last < 0.15 or (stored.stat().st_mtime_ns == before and now - began < 20):
            if len(saved) <= number and stored.stat().st_mtime_ns != before:
                saved.append(1000 * (now - began))
            if panel.read(0.002):
                last = time.perf_counter()
        drawn.append(1000 * (last - began))
    memory = psutil.Process(panel.process.pid).memory_info().rss / 2**20
    panel.end()
    note = f"95th percentile of {presses}, median {{:.0f}}"
    tail = [statistics.quantiles(each, n=20)[-1] for each in (saved, drawn)]
    report(f"a score is saved, {prompts} prompts, ms", tail[0], 50, note.format(statistics.median(saved)))
    report(f"a score is drawn, {prompts} prompts, ms", tail[1], 50, note.format(statistics.median(drawn)))
    report(f"memory of the panel, {prompts} prompts, MB", memory, 200)


def export(folder: Path, prompts: int) -> None:
    run = judged_run(folder, prompts)
    seconds, megabytes = command("export", str(run.path), "--csv", "--json")
    report(f"export, {prompts} prompts, seconds", seconds, 5, "markdown, CSV and JSON; Python's start is in it")
    report(f"its memory, {prompts} prompts, MB", megabytes, 300)


def command(*words: str) -> tuple[float, float]:
    """Seconds and the largest memory in MB that a command took; infinite seconds when it failed."""
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "tui.cli", *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert child.stderr
    said = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    taken = time.perf_counter() - began
    if status:
        print(said.decode(errors="replace")[-2000:], file=sys.stderr)
    return taken if status == 0 else float("inf"), used.ru_maxrss / 1024


class _Nobody:
    def greeting(self, client: int) -> list[dict[str, object]]:
        return []

    def clip(self, name: str) -> None:
        return None

    def acknowledged(self, client: int, message: dict[str, object]) -> None: ...

    def left(self, client: int) -> None: ...


def page(_folder: Path, held: int) -> None:
    """How long the listener's page waits while somebody else holds connections open and says nothing."""
    server = PageServer(_Nobody(), threading.RLock(), "token", 0)
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(held)]
    began, answered = time.perf_counter(), float("inf")
    while answered == float("inf") and time.perf_counter() - began < 90:
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        try:
            line.request("GET", "/token/")
            if line.getresponse().status == 200:
                answered = time.perf_counter() - began
        except OSError:
            time.sleep(0.1)
        finally:
            line.close()
    for connection in idle:
        connection.close()
    server.close()
    report(f"page behind {held} idle connections, seconds", answered, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--only", default="", help="rows whose name holds this word")
    parser.add_argument("--keep", action="store_true", help="write bench/results/load.json")
    args = parser.parse_args()
    rows: dict[str, Callable[[Path], None]] = {
        "listen-500": lambda folder: listening(folder, 500, 40),
        "listen-128": lambda folder: listening(folder, 128, 100),
        "export-500": lambda folder: export(folder, 500),
        "page": lambda folder: page(folder, 24),
        "events": load_logs.long_log,
        "runs": load_logs.many_runs,
        "resumed": load_logs.resumed,
    }
    for name, row in rows.items():
        if args.only in name:
            with tempfile.TemporaryDirectory() as folder:
                row(Path(folder))
    if args.keep:
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
        kept = {"machine": machine, "load": os.getloadavg(), "results": FOUND}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
