"""The audio worker: ``python -m tui.audio.worker``. Commands on stdin, messages on stdout, one JSON object a line.

Whatever sound libraries, devices and tunnels do wrong happens in here: this process may abort, hang or be
killed, and the panel goes on. When an output is lost the worker says so and leaves at once, because closing a
device behind a dead tunnel can hang; the player starts another.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from tui.audio.output import ClipSet, Options, Output, OutputError, OutputLost
from tui.audio.routes import outputs

TICK_SECONDS = 0.1
BEAT_SECONDS = 0.4  # a state is sent at least this often: the player's watchdog lives on it
EXIT_LOST = 3


class Worker:
    """Obeys commands, watches the output, reports."""

    def __init__(self, messages: TextIO) -> None:
        self._messages = messages
        self._writing = threading.Lock()
        self._commands: queue.Queue[dict[str, Any]] = queue.Queue()
        self._output: Output | None = None
        self._shown: dict[str, Any] = {}
        self._last_beat = 0.0

    def emit(self, message: dict[str, Any]) -> None:
        """Send one message; any thread."""
        with self._writing:
            self._messages.write(json.dumps(message) + "\n")
            self._messages.flush()

    def listen(self, commands: TextIO) -> None:
        """Read commands until the panel is gone, then go too, however busy the main thread is."""
        for line in commands:
            self._commands.put(json.loads(line))
        self._commands.put({"do": "quit"})
        time.sleep(1.0)
        os._exit(0)

    def run(self) -> None:
        while True:
            try:
                command = self._commands.get(timeout=TICK_SECONDS)
            except queue.Empty:
                command = None
            if command and command["do"] == "quit":
                break
            try:
                if command:
                    self._obey(command)
                if self._output:
                    self._output.check()
            except OutputLost as error:
                self.emit({"event": "lost", "text": str(error), "output": self._output.name if self._output else ""})
                os._exit(EXIT_LOST)
            self._report(at_once=command is not None)
        if self._output:
            self._output.close()

    def _obey(self, command: dict[str, Any]) -> None:
        match command["do"]:
            case "start":
                self._start(command)
            case "load":
                self._load(command)
            case _ if self._output:
                self._transport(self._output, command)

    def _start(self, command: dict[str, Any]) -> None:
        options = Options(**command["options"])
        for chosen in outputs(command["outputs"], options, self.emit):
            if chosen.name in command["avoid"]:
                continue
            try:
                self.emit({"event": "trying", "output": chosen.name})
                chosen.open()
            except OutputError as error:
                self.emit({"event": "refused", "output": chosen.name, "text": str(error)})
            else:
                self._output = chosen
                return

    def _load(self, command: dict[str, Any]) -> None:
        if self._output is None:
            return
        names = tuple(command["names"])
        paths = tuple(Path(path) for path in command["clips"])
        clips = ClipSet(paths, tuple(command["gains_db"]), names, command["title"])
        durations = self._output.load(clips)
        if resume := command.get("resume"):  # this worker stands in for one that died
            self._output.switch(resume["index"])
            self._output.seek(resume["position"], False)
            self._output.loop(tuple(resume["loop"]) if resume["loop"] else None)
        self.emit({"event": "loaded", "durations": durations, "serial": command["serial"], "state": self._state()})

    @staticmethod
    def _transport(output: Output, command: dict[str, Any]) -> None:
        match command["do"]:
            case "play":
                output.play(command["index"], command["position"])
            case "pause":
                output.pause()
            case "stop":
                output.stop()
            case "switch":
                output.switch(command["index"])
            case "seek":
                output.seek(command["seconds"], command["relative"])
            case "loop":
                output.loop(tuple(command["region"]) if command["region"] else None)
            case "prove":
                output.prove()
            case "answer":
                output.proven = command["heard"]

    def _state(self) -> dict[str, Any]:
        output = self._output
        if output is None:
            return {"event": "state"}
        route = {"output": output.name, "label": output.label, "proven": output.proven}
        return {"event": "state", **route, "hint": output.hint, "url": output.url, **asdict(output.state())}

    def _report(self, *, at_once: bool) -> None:
        """Send the state when something but the position changed, and as a sign of life."""
        now, message = time.monotonic(), self._state()
        moved = {key: value for key, value in message.items() if key not in ("position", "heard")}
        if at_once or moved != self._shown or now - self._last_beat > BEAT_SECONDS:
            self._shown, self._last_beat = moved, now
            self.emit(message)


def main() -> None:
    # Native libraries print to descriptor 1 as well: messages get a descriptor of their own.
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker(messages)
    threading.Thread(target=worker.listen, args=(sys.stdin,), name="commands", daemon=True).start()
    worker.emit({"event": "hello", "pid": os.getpid()})
    worker.run()
    messages.close()
    os._exit(0)  # a PortAudio or server thread that hangs must not keep the process


if __name__ == "__main__":
    main()
