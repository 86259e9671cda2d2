"""The warm process as whoever starts it has it: requests in, answers out, no wait without an end."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from engine.contract import tries
from engine.contract.tries import Answer, Bye, Done, Failed, Made, Try

PATIENCE = 60.0


class StudioProcess:
    """``python -m engine studio``; ends with the block."""

    def __init__(self, runs_dir: Path | None = None, *, idle: float = 300.0) -> None:
        where = ["--runs", str(runs_dir)] if runs_dir else []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine", "studio", "--idle", str(idle), *where],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._answers: queue.Queue[Answer | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._log = b""
        threading.Thread(target=self._read_log, daemon=True).start()

    def __enter__(self) -> StudioProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put(tries.answer(line))
        self._answers.put(None)

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._log += line

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def ask(self, **fields: Any) -> None:
        self.send(tries.line(Try(**fields)))

    def until(self, *kinds: type) -> list[Answer]:
        """The answers up to the first of one of these kinds; fails where the process ends before."""
        found: list[Answer] = []
        while not found or not isinstance(found[-1], kinds):
            answer = self._answers.get(timeout=PATIENCE)
            assert answer is not None, (found, self._log.decode())
            found.append(answer)
        return found

    def made(self, **fields: Any) -> list[Made]:
        """The clips of one try, which must succeed."""
        self.ask(**fields)
        answers = self.until(Done, Failed)
        assert isinstance(answers[-1], Done), answers[-1]
        return [answer for answer in answers if isinstance(answer, Made)]

    def refused(self, **fields: Any) -> str:
        self.ask(**fields)
        answer = self.until(Done, Failed)[-1]
        assert isinstance(answer, Failed), answer
        return answer.text

    def bye(self) -> str:
        """Why it ended, once it has."""
        last = self.until(Bye)[-1]
        assert isinstance(last, Bye)
        assert self.process.wait(PATIENCE) == 0
        return last.text
