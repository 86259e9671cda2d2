"""The warm process that makes clips of single prompts, as its owner has it: it lives no longer than who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.contract import liveness, tries
from engine.contract.errors import UserError
from engine.contract.paths import cache_dir
from engine.contract.rundir import list_runs
from engine.contract.tries import Answer, AskCaptions, Bye, Cancel, Failed, Request, Try
from tui.runs import machine

LARGEST_LOG = 2**20
CLOSE_SECONDS = 0.5
"""Then it is killed; files are written whole."""


class Place(NamedTuple):
    """Where clips can be made now."""

    device: str
    """auto or cpu, as the process takes it; empty where nothing can be made without disturbing a run."""
    said: str = ""
    """What to know about it: why the GPU is not taken, or who gets slower."""


def place(runs_dir: Path, *, on_cpu: bool = False) -> Place:
    """Where a try can be made: a run that trains on the GPU is never disturbed. ``on_cpu`` asks for the CPU."""
    training = next((run.name for run in list_runs(runs_dir) if liveness.is_held(run)), "")
    if on_cpu or not machine.has_gpu():
        return Place("cpu" if on_cpu else "auto", f"{training} is running; both take longer." if training else "")
    if training:
        return Place("", f"{training} has the GPU and is not disturbed; wait for its end, or take the CPU.")
    return Place("auto")


def log_file() -> Path:
    """What the process and its libraries print; begun again when it has grown large."""
    return cache_dir() / "studio.log"


class Studio:
    """One warm process, started by the first request and again after it has ended. Answers come in a thread.

    A process that dies without a word is a ``Failed`` that says so, then a ``Bye``, like one that ends by itself.
    """

    def __init__(self, runs_dir: Path, hear: Callable[[Answer], None], *, idle: float = 300.0) -> None:
        self._runs_dir, self._hear, self._idle = Path(runs_dir), hear, idle
        self._process: subprocess.Popen[bytes] | None = None
        self._device = ""
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def ask(self, request: Try | AskCaptions, device: str) -> None:
        """Send a request to the process on ``device`` (auto or cpu). Raises UserError where none can be started."""
        if isinstance(request, Try):
            # The engine has another working folder.
            named = [str(Path(name).expanduser().resolve()) if "/" in name else name for name in request.models]
            request = msgspec.structs.replace(request, models=named)
        with self._lock:
            if self.pid is not None and device != self._device:
                self._end()
            if self.pid is None or not self._send(request):
                self._start(device)
                self._send(request)

    def cancel(self, number: int) -> None:
        """End a try between two steps; what it has made stays."""
        self._send(Cancel(id=number))

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            try:
                process.stdin.close()
            except OSError:
                pass
        try:
            process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _send(self, message: Request) -> bool:
        process = self._process
        if process is None or process.stdin is None:
            return False
        try:
            process.stdin.write(tries.line(message))
            process.stdin.flush()
        except (OSError, ValueError):
            return False
        return True

    def _start(self, device: str) -> None:
        words = [sys.executable, "-m", "engine", "studio", "--device", device, "--idle", f"{self._idle:g}"]
        if device != "cpu":
            words += ["--runs", str(self._runs_dir.resolve())]
        log = log_file()
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            large = log.is_file() and log.stat().st_size > LARGEST_LOG
            with open(log, "wb" if large else "ab") as file:
                self._process = subprocess.Popen(
                    words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file,
                    # It has no part in the terminal: ctrl+c is for who started it.
                    start_new_session=True, cwd=Path(__file__).resolve().parents[2],
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                )  # fmt: skip
        except OSError as error:
            raise UserError(f"{log} cannot be written ({error.strerror}); make room, then try again.") from None
        self._device = device
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        said_bye = False
        assert process.stdout is not None
        with process.stdout as answers:
            for text in answers:
                try:
                    answer = tries.answer(text)
                except UserError:
                    continue
                if self._process is not process:
                    continue  # its owner has another one
                said_bye = said_bye or isinstance(answer, Bye)
                self._hear(answer)
        status = process.wait()
        # One that was ended by its owner has nobody to tell.
        if not said_bye and self._process is process:
            self._hear(Failed(text=f"The process that makes the clips {_how(status)}; the next try starts it again."))
            self._hear(Bye())


def _how(status: int) -> str:
    log = log_file()
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
        memory = ", perhaps for want of memory" if name == "SIGKILL" else ""
        return f"was killed ({name}{memory}; its log is {log})"
    return f"ended with status {status} (its log is {log})"
