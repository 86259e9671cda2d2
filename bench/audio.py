"""How fast a key is heard on a laptop at the other end of an ssh connection, and how cleanly.

    python bench/audio.py [--quick] [--outputs browser,pulse,pacat] [--rtt 30,100]

The laptop is a PulseAudio server with a null sink, recorded, and a headless Chromium that plays into it; the server
is the player and its worker; between them stands a real sshd, reached through a proxy that delays every byte by half
the round trip each way. Needs Debian's openssh-server, pulseaudio, pulseaudio-utils, libportaudio2,
libasound2-plugins and chromium. Everything is taken from what the null sink plays: the clips are noise, so that any
ten milliseconds of a recording tell which clip they are from, and where.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import queue
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.audio.conftest import CLIP_RATE, noise  # noqa: E402
from tests.audio.parts import RATE, Chromium, Listener, Pulse, Sshd, listens, wait_for  # noqa: E402
from tui.audio.clips import read  # noqa: E402
from tui.audio.proof import correlation  # noqa: E402
from tui.audio.pulse import probe  # noqa: E402

# Medians of 20 switches, in milliseconds, by round trip.
BARS = {"browser": {30: 110.0, 100: 150.0}, "pulse": {30: 250.0, 100: 300.0}}
CLIP_SECONDS = 15.0
WINDOW = RATE // 200  # 5 ms: a switch is timed by the first window that is clearly the new clip
CLEAR = 0.9

Samples = NDArray[np.float32]


@dataclass
class Result:
    output: str
    rtt_ms: int
    load_seconds: float
    """From ``load`` of three 15 s clips to their being ready (browser: decoded in the page)."""
    switch_ms: list[float]
    switch_median_ms: float
    bar_ms: float | None
    spoiled: int
    """Switches that a dropout fell into; they are made again."""
    position_error_ms: float
    """The largest over all switches."""
    gaps: int
    """Jumps of the position by more than a millisecond while one clip of 15 s played."""
    cut_told_seconds: float


# The way between laptop and server


def _carry(source: socket.socket, sink: socket.socket, delay: float) -> None:
    """Pass bytes on, each ``delay`` seconds after it came."""
    waiting: queue.Queue[tuple[float, bytes]] = queue.Queue()

    def deliver() -> None:
        while True:
            due, data = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                sink.sendall(data)
            except OSError:
                return
            if not data:
                sink.close()
                return

    threading.Thread(target=deliver, daemon=True).start()
    while True:
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        waiting.put((time.monotonic() + delay, data))
        if not data:
            return


def _delay_everything(port: int, target: int, delay: float, ready: multiprocessing.synchronize.Event) -> None:
    with socket.create_server(("127.0.0.1", port)) as server:
        ready.set()
        while True:
            near, _ = server.accept()
            far = socket.create_connection(("127.0.0.1", target))
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_carry, args=(source, sink, delay), daemon=True).start()


@contextmanager
def far_away(target: int, rtt_ms: int) -> Iterator[int]:
    """A port that leads to ``target`` with this round trip."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    ready = multiprocessing.Event()
    proxy = multiprocessing.Process(target=_delay_everything, args=(port, target, rtt_ms / 2000.0, ready), daemon=True)
    proxy.start()
    ready.wait(10.0)
    yield port
    proxy.terminate()
    proxy.join()


# What was heard


def likeness(part: Samples, clip: Samples, at: int) -> float:
    """Correlation of a recorded part with the clip at a known place."""
    same = clip[at : at + len(part)]
    if len(same) < len(part):
        return 0.0
    return float(np.dot(part, same) / (np.linalg.norm(part) * np.linalg.norm(same) + 1e-9))


def gaps_in(recorded: Samples, clip: Samples) -> int:
    """How often a recording of one clip jumps by more than a millisecond, or is not the clip for a while."""
    step, gaps, broken, last = RATE // 10, 0, False, None
    for n in range(0, len(recorded) - step, step):
        score, place = correlation(clip, recorded[n : n + step])
        if score < CLEAR:
            broken = True
            continue
        gaps += last is not None and (broken or abs(place - n - last) > RATE // 1000)
        broken, last = False, place - n
    return gaps


class Bench:
    """One output over one round trip."""

    def __init__(self, player: Listener, pulse: Pulse, clips: list[Path]) -> None:
        self.player, self.pulse = player, pulse
        self.clips = [read(path, RATE)[:, 0] for path in clips]

    def switches(self, count: int) -> tuple[list[tuple[float, float]], int]:
        """Milliseconds to hear and jump of the position for each switch; and how many were spoiled.

        Looked at only after the last one: arithmetic would take the processor from the sound.
        """
        done: list[tuple[float, float]] = []
        spoiled = 0
        while len(done) < count and spoiled < 2 * count:
            made = self.press(count - len(done))
            self.player.pause()
            recorded = self.pulse.recording()
            judged = [self.judge(recorded, *each) for each in made]
            done += [each for each in judged if each is not None]
            spoiled += judged.count(None)
        return done, spoiled

    def press(self, count: int) -> list[tuple[int, float, int, int]]:
        """Switches of which none runs over the end of the clips: sample recorded and time then, old and new clip."""
        made: list[tuple[int, float, int, int]] = []
        while len(made) < count:
            self.player.play(len(made) % 2, position=0.0)
            time.sleep(1.5)
            while len(made) < count and self.player.status.position < CLIP_SECONDS - 2.0:
                old = self.player.status.index
                made.append((self.pulse.mark(), time.monotonic(), old, 1 - old))
                self.player.switch(1 - old)
                time.sleep(0.8 + 0.013 * (len(made) % 7))  # not in step with any block
        return made

    def judge(self, everything: Samples, mark: int, pressed: float, old: int, new: int) -> tuple[float, float] | None:
        """Milliseconds from the key until the new clip is heard, and by how many the position jumped.

        None when a dropout fell into the switch.
        """
        start = mark - RATE // 5
        recorded = everything[start : mark + RATE * 3 // 4]
        likely, lag = correlation(self.clips[old], recorded[: RATE // 5])
        if likely < CLEAR:
            return None
        for n in range(RATE // 10, len(recorded) - WINDOW, RATE // 1000):
            if likeness(recorded[n : n + WINDOW], self.clips[new], lag + n) > CLEAR:
                break
        else:
            return None
        likely, place = correlation(self.clips[new], recorded[n + WINDOW : n + WINDOW + RATE // 10])
        if likely < CLEAR:
            return None
        jump = place - (lag + n + WINDOW)
        return (self.pulse.played_at(start + n) - pressed) * 1000.0, abs(jump) * 1000.0 / RATE

    def gaps(self) -> int:
        time.sleep(0.5)
        start = self.pulse.mark()
        self.player.play(2, position=0.0)
        time.sleep(CLIP_SECONDS + 1.5)
        recorded = self.pulse.recording(start)
        loud = np.flatnonzero(np.abs(recorded) > 0.003)
        return gaps_in(recorded[loud[0] + RATE // 100 : loud[-1] - RATE // 100], self.clips[2])

    def cut(self, tunnel: subprocess.Popen[bytes]) -> float:
        """Seconds from the end of ssh until the listener is told."""
        self.player.play(0, position=0.0)
        wait_for(lambda: self.player.status.heard[0] > 2.0, 20.0)
        time.sleep(1.0)
        del self.player.messages[:]
        tunnel.kill()
        cut = time.monotonic()
        self.player.wait("error", 20.0)
        return time.monotonic() - cut


@contextmanager
def prepared(output: str, rtt_ms: int, folder: Path) -> Iterator[tuple[Listener, Pulse, subprocess.Popen[bytes]]]:
    """Player and laptop with an open tunnel between them."""
    with ExitStack() as stack:
        pulse = Pulse(folder / "pulse")
        stack.callback(pulse.close)
        sshd = Sshd(folder / "ssh")
        stack.callback(sshd.close)
        port = stack.enter_context(far_away(sshd.port, rtt_ms))
        player = Listener(unix_socket=str(folder / "page.sock"))
        stack.callback(player.close)
        far = folder / "sound"
        os.environ["PULSE_SERVER"] = f"unix:{far}" if output != "browser" else ""
        if output == "browser":
            player.start(output)
            near = stack.enter_context(socket.socket())
            near.bind(("127.0.0.1", 0))
            local = int(near.getsockname()[1])
            near.close()
            tunnel = sshd.tunnel("-L", f"{local}:{folder}/page.sock", port=port)
            stack.callback(tunnel.kill)
            wait_for(lambda: listens(local) and player.status.url, 30.0)
            chromium = Chromium(folder, pulse=pulse.address)
            stack.callback(chromium.close)
            chromium.open(player.status.url.replace(":0/", f":{local}/"))
            wait_for(lambda: "press key" in player.status.label, 30.0)
            chromium.press("x")
            wait_for(lambda: player.status.label.startswith("laptop"), 30.0)
            time.sleep(2.0)  # the chirp
        else:
            tunnel = sshd.tunnel("-R", f"{far}:{pulse.socket}", port=port)
            stack.callback(tunnel.kill)
            wait_for(lambda: probe(f"unix:{far}").reachable, 30.0)
            player.start(output)
            wait_for(lambda: player.status.output, 30.0)
        if player.status.output != output:
            raise RuntimeError(f"{output} did not open: {player.status.error}")
        yield player, pulse, tunnel
        tunnel.kill()
        tunnel.wait()


def measure(output: str, rtt_ms: int, switches: int) -> Result:
    with tempfile.TemporaryDirectory(prefix="mgl", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        clips = [folder / f"{seed}.wav" for seed in range(3)]
        for seed, path in enumerate(clips):
            soundfile.write(path, noise(CLIP_SECONDS, seed), CLIP_RATE)
        with prepared(output, rtt_ms, folder) as (player, pulse, tunnel):
            began = time.monotonic()
            player.load(clips, [0.0] * 3)
            player.wait("loaded")
            player.play(2)
            wait_for(lambda: player.status.heard[2] > 0.0, 30.0)
            load_seconds = time.monotonic() - began
            bench = Bench(player, pulse, clips)
            done, spoiled = bench.switches(switches)
            gaps = bench.gaps()
            cut = bench.cut(tunnel)
    times = [round(each, 1) for each, _ in done]
    return Result(
        output=output,
        rtt_ms=rtt_ms,
        load_seconds=round(load_seconds, 2),
        switch_ms=times,
        switch_median_ms=round(statistics.median(times), 1),
        bar_ms=BARS.get(output, {}).get(rtt_ms),
        spoiled=spoiled,
        position_error_ms=round(max(jump for _, jump in done), 3),
        gaps=gaps,
        cut_told_seconds=round(cut, 2),
    )


COLUMNS = ("output", "rtt ms", "switch ms", "bar ms", "spoiled", "jump ms", "gaps", "cut told s", "load s")


def row(r: Result) -> str:
    cells = (r.output, r.rtt_ms, r.switch_median_ms, r.bar_ms or "–", r.spoiled, r.position_error_ms, r.gaps)
    return "".join(f"{cell!s:>15}" for cell in (*cells, r.cut_told_seconds, r.load_seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 switches in place of 20")
    parser.add_argument("--outputs", default="browser,pulse,pacat")
    parser.add_argument("--rtt", default="30,100", help="added round trips in milliseconds")
    args = parser.parse_args()
    for name in ("SSH_CONNECTION", "SSH_TTY", "TMUX"):
        os.environ.pop(name, None)
    load_before = os.getloadavg()
    results = []
    print("".join(f"{name:>15}" for name in COLUMNS))
    for output in args.outputs.split(","):
        for rtt in map(int, args.rtt.split(",")):
            r = measure(output, rtt, 5 if args.quick else 20)
            results.append(asdict(r))
            print(row(r), flush=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    report = {"machine": machine, "load_before": load_before, "load_after": os.getloadavg(), "results": results}
    target = ROOT / "bench" / "results" / "audio.json"
    target.parent.mkdir(exist_ok=True)
    if not args.quick:
        target.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
