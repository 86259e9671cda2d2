"""Proof of sound: a chirp is played, recorded where it should have come out, and the two are correlated."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tui.audio.mixer import Samples
from tui.audio.pulse import PulseServer, client_environment, probe

CHIRP_SECONDS = 0.6
RECORD_SECONDS = 3.0
CLEAN = 0.9  # correlation of an undisturbed path is 0.99; with dropouts it falls below 0.5
HEARD = 0.1
AUDIBLE = 0.005


@dataclass(frozen=True)
class Proof:
    """``correlation`` of what was recorded with the chirp, 0 to 1; ``text`` is one sentence."""

    proven: bool
    correlation: float
    text: str


def chirp(rate: int) -> Samples:
    """A soft rising tone, 400 to 3000 Hz, mono float32 at ``rate`` Hz."""
    t = np.arange(round(CHIRP_SECONDS * rate)) / rate
    sweep = 2 * np.pi * (400.0 * t + (3000.0 - 400.0) / (2 * CHIRP_SECONDS) * t**2)
    return (0.3 * np.sin(sweep) * np.sin(np.pi * t / CHIRP_SECONDS)).astype(np.float32)


def stereo_chirp(rate: int) -> Samples:
    """The chirp on both sides, (frames, 2)."""
    return np.repeat(chirp(rate)[:, None], 2, axis=1)


def correlation(recorded: Samples, sent: Samples) -> tuple[float, int]:
    """The largest normalised cross-correlation of ``sent`` within ``recorded`` (both mono), and its offset."""
    if len(recorded) < len(sent):
        return 0.0, 0
    size = len(recorded) + len(sent)
    spectrum = np.fft.rfft(recorded, size) * np.conj(np.fft.rfft(sent, size))
    cross = np.fft.irfft(spectrum, size)[: len(recorded) - len(sent) + 1]
    sums = np.concatenate([[0.0], np.cumsum(recorded.astype(np.float64) ** 2)])
    energy = sums[len(sent) :] - sums[: -len(sent)]
    norm = np.sqrt(np.maximum(energy, 1e-9) * float(np.sum(sent.astype(np.float64) ** 2)))
    score = cross / np.maximum(norm, 1e-9)
    best = int(np.argmax(score))
    return float(score[best]), best


def record(server: PulseServer, rate: int, begun: Callable[[], None]) -> Samples:
    """The monitor of the server's default sink for 3 s, mono float32; ``begun`` is called when samples come."""
    command = ["parec", "-d", "@DEFAULT_MONITOR@", "--raw", "--format=s16le", "--channels=1", f"--rate={rate}"]
    command += ["--latency-msec=50", "--client-name=mgl-tui proof"]
    taken: list[bytes] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=client_environment(server.address)
    ) as recorder:
        ender = threading.Timer(RECORD_SECONDS, recorder.kill)  # a stalled tunnel must not hold the reader
        ender.start()
        stream = recorder.stdout.fileno() if recorder.stdout else -1
        while block := os.read(stream, 4096):
            if not taken:
                begun()
            taken.append(block)
        ender.cancel()
    raw = b"".join(taken)
    return np.frombuffer(raw[: len(raw) // 2 * 2], np.int16).astype(np.float32) / 32768.0


def is_in(recorded: Samples, sent: Samples, rate: int) -> bool:
    """Whether the loudest half second of what was sent (mono) came back clean; False also when all was quiet."""
    size = rate // 2
    starts = range(0, min(len(sent), rate * 3 // 2) - size, size // 4)
    loudest = max((sent[n : n + size] for n in starts), key=lambda part: float(np.dot(part, part)), default=sent[:0])
    if not len(loudest) or float(np.abs(loudest).max()) < AUDIBLE:
        return False
    return correlation(recorded, loudest)[0] >= CLEAN


def listen_back(server: PulseServer, rate: int, play: Callable[[], None]) -> Proof:
    """Record the server's monitor while ``play`` sends the chirp at ``rate``. Takes about 3 s."""
    return judge(record(server, rate, play), rate, server)


def judge(recorded: Samples, rate: int, server: PulseServer) -> Proof:
    """What a recording of the monitor (mono float32 at ``rate``) says."""
    score, _ = correlation(recorded, chirp(rate))
    if score >= CLEAN:
        return Proof(
            True, score, f"Sound is proven: the chirp came back from {server.label} (correlation {score:.2f})."
        )
    now = probe(server.address)
    if now.muted or now.volume == 0:
        return Proof(
            False, score, f"Nothing was heard: the sound on {server.host or 'the laptop'} is muted; unmute it."
        )
    if score >= HEARD:
        text = f"The chirp came back broken (correlation {score:.2f}): the tunnel drops sound; try the browser output."
        return Proof(False, score, text)
    return Proof(
        False, score, "Nothing was heard: the chirp did not come back from the sound server; try another output."
    )
