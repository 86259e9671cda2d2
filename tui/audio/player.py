"""The player: what the panel calls. See the package's docstring for the whole interface."""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.contract.paths import expanded
from engine.contract.text import plain
from tui.audio.client import WorkerGone, WorkerProcess
from tui.audio.output import State, position_after

ORDER = ("local", "browser", "pulse", "pacat", "none")
DEATHS_ALLOWED = 3  # within a minute; then nothing but "none" is tried, and if that dies too, nothing at all
CLOSE_SECONDS = 1.5
ROUTE = ("output", "label", "proven", "hint", "url")


@dataclass(frozen=True)
class PlayerStatus(State):
    """What to show; the package's docstring explains the fields. Times in seconds."""

    output: str = ""
    label: str = "…"
    proven: bool = False
    error: str = ""
    hint: str = ""
    url: str = ""


@dataclass(frozen=True)
class PlayerMessage:
    """Something the panel should know; ``kind`` as in the package's docstring."""

    kind: str
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)


class Player:
    """Commands to the audio worker and news from it. No method blocks but ``close`` (under two seconds)."""

    def __init__(
        self,
        *,
        port: int = 8765,
        unix_socket: str = "",
        latency: float = 0.2,
        restart_on_switch: bool = False,
        remote_keys: bool = False,
        token: str = "",
    ) -> None:
        """``port`` or ``unix_socket`` is where the browser's page is served; ``latency`` in seconds.

        ``token`` is the secret part of the page's address; by default a new one. With ``remote_keys`` the page
        invites the listener to press the panel's keys there (messages ``key``).
        """
        # The token outlives a worker: the page that is open finds the next one by itself.
        unix_socket = str(expanded(unix_socket)) if unix_socket else ""
        self._options = {"token": token or secrets.token_urlsafe(16), "port": port, "unix_socket": unix_socket}
        self._options |= {"latency": latency, "restart_on_switch": restart_on_switch, "remote_keys": remote_keys}
        self._listeners: list[Callable[[PlayerMessage], None]] = []
        self._lock = threading.Lock()
        self._outbox = bytearray()
        self._clips: dict[str, Any] | None = None
        self._outputs: list[str] = []
        self._restart = False
        self._closing = False
        self._wanted = threading.Event()  # a start or the end
        self._worker: WorkerProcess | None = None
        self._thread: threading.Thread | None = None
        self._seen = (PlayerStatus(), time.monotonic())
        self._settled = True  # the worker holds the clips: what it says of playing counts
        self._deaths: list[float] = []

    # What the panel calls

    def start(self, output: str = "auto") -> None:
        """Start, or start again with another output; "auto" tries them in order."""
        self._use([output])

    def cycle_output(self) -> None:
        """The next output in the order of trial that opens."""
        at = ORDER.index(self.status.output) + 1 if self.status.output in ORDER else 0
        self._use([*ORDER[at:], *ORDER[:at]])

    def load(
        self, clips: Sequence[Path], gains_db: Sequence[float], *, title: str = "", names: Sequence[str] = "ABCDEFGH"
    ) -> None:
        """Hold these clips instead of others. ``title`` and ``names`` are shown in the browser's page."""
        paths = [str(Path(clip).absolute()) for clip in clips]
        with self._lock:
            serial = self._clips["serial"] + 1 if self._clips else 1
            self._clips = {
                "do": "load",
                "clips": paths,
                "gains_db": list(gains_db),
                "title": plain(title),
                "serial": serial,
            }
            self._clips["names"] = list(names[: len(paths)])
        self._send(self._clips)

    def play(self, index: int, position: float | None = None) -> None:
        self._send({"do": "play", "index": index, "position": position})

    def pause(self) -> None:
        self._send({"do": "pause"})

    def stop(self) -> None:
        self._send({"do": "stop"})

    def switch(self, index: int) -> None:
        self._send({"do": "switch", "index": index})

    def seek(self, seconds: float, relative: bool = False) -> None:
        self._send({"do": "seek", "seconds": seconds, "relative": relative})

    def loop(self, region: tuple[float, float | None] | None) -> None:
        self._send({"do": "loop", "region": region})

    def prove(self) -> None:
        self._send({"do": "prove"})

    def answer(self, heard: bool) -> None:
        self._send({"do": "answer", "heard": heard})

    def listen(self, callback: Callable[[PlayerMessage], None]) -> Callable[[], None]:
        """Call ``callback`` for every message, in a thread of the player; the result ends that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    @property
    def status(self) -> PlayerStatus:
        seen, when = self._seen
        if not seen.playing:
            return seen
        return replace(seen, position=position_after(seen, time.monotonic() - when))

    def close(self) -> None:
        with self._lock:
            self._closing = True
            self._wanted.set()
            thread = self._thread
            if self._worker:
                self._worker.wake()
        if thread and thread is not threading.current_thread():
            thread.join(CLOSE_SECONDS + 1.0)

    # The thread that lives with the worker

    def _use(self, outputs: list[str]) -> None:
        with self._lock:
            if self._closing:
                return
            self._outputs, self._restart, self._deaths = outputs, True, []
            self._wanted.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._live, name="audio-client", daemon=True)
                self._thread.start()
            elif self._worker:
                self._worker.wake()

    def _send(self, command: dict[str, Any]) -> None:
        with self._lock:
            starting = self._worker is None or self._restart
            if starting and command["do"] == "load":
                return  # the next worker gets it first of all
            self._outbox += json.dumps(command).encode() + b"\n"
            if self._worker:
                self._worker.wake()

    def _live(self) -> None:
        avoid: list[str] = []
        while not self._closing:
            if self._restart:
                avoid = []
            self._begin(avoid)
            worker = self._worker
            assert worker is not None
            try:
                self._serve(worker)
            except WorkerGone as error:
                avoid = self._mourn(worker, str(error), avoid)
                with self._lock:
                    self._outbox.clear()
            with self._lock:
                self._worker = None
            worker.end(CLOSE_SECONDS if self._closing or self._restart else 0.0)
            if len(self._deaths) > DEATHS_ALLOWED + 1 and not (self._closing or self._restart):
                self._seen = (replace(self.status, output="none", label="no sound"), time.monotonic())
                self._tell(PlayerMessage("output", "no sound"))
                self._wanted.wait()

    def _begin(self, avoid: list[str]) -> None:
        """A new worker that holds the same clips at the same place, standing still."""
        before = self.status
        worker = WorkerProcess()
        commands: list[dict[str, Any]] = [
            {"do": "start", "outputs": self._outputs, "avoid": avoid, "options": self._options}
        ]
        with self._lock:
            if self._clips:
                resume = {"index": before.index, "position": before.position, "loop": before.loop}
                commands.append({**self._clips, "resume": resume})
            self._settled = self._clips is None
            self._outbox[:0] = b"".join(json.dumps(command).encode() + b"\n" for command in commands)
            self._worker = worker
            self._restart = False
            self._wanted.clear()
        self._seen = (replace(before, output="", label="…", playing=False, ended=0), time.monotonic())

    def _serve(self, worker: WorkerProcess) -> None:
        while not (self._closing or self._restart):
            with self._lock:
                sending, self._outbox = self._outbox, bytearray()
            messages = worker.exchange(sending)
            if sending:
                with self._lock:
                    self._outbox = sending + self._outbox
            for message in messages:
                self._take(message)

    def _mourn(self, worker: WorkerProcess, sentence: str, avoid: list[str]) -> list[str]:
        """Tell the listener; return the outputs that the next worker leaves alone."""
        now = time.monotonic()
        self._deaths = [*(death for death in self._deaths if now - death < 60.0), now]
        if worker.trying:
            avoid = [*avoid, worker.trying]
        elif len(self._deaths) > DEATHS_ALLOWED:
            avoid = [*ORDER[:-1]]
        status, _ = self._seen
        self._seen = (replace(status, playing=False, error=sentence), now)
        if sentence != status.error:
            self._tell(PlayerMessage("error", sentence))
        return avoid

    def _take(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "state":
                self._take_state(message)
            case "error" | "refused":
                if message["event"] == "error" or message["output"] in self._outputs[:1]:
                    status, when = self._seen
                    self._seen = (replace(status, error=message["text"]), when)
                    self._tell(PlayerMessage("error", message["text"]))
            case "loaded":
                if self._clips and message["serial"] == self._clips["serial"]:
                    self._settled = True
                    self._take_state(message["state"])
                    self._tell(PlayerMessage("loaded", data={"durations": message["durations"]}))
            case "proof":
                self._tell(PlayerMessage("proof", message["text"], {"proven": message["proven"]}))
            case "key":
                self._tell(PlayerMessage("key", data={"key": message["key"]}))

    def _take_state(self, message: dict[str, Any]) -> None:
        if "output" not in message:
            return
        before, _ = self._seen
        fields = {key: value for key, value in message.items() if key in ROUTE or (self._settled and key != "event")}
        if self._settled:
            fields["heard"] = tuple(fields["heard"])
            fields["loop"] = tuple(fields["loop"]) if fields["loop"] else None
        now = replace(before, **fields)
        if now.playing and not before.playing:
            now = replace(now, error="")
        self._seen = (now, time.monotonic())
        if any(getattr(now, name) != getattr(before, name) for name in ROUTE):
            self._tell(PlayerMessage("output", now.label))
        if now.ended > before.ended and before.output:
            self._tell(PlayerMessage("ended"))
        if (now.playing, now.index, now.loop) != (before.playing, before.index, before.loop):
            self._tell(PlayerMessage("changed"))

    def _tell(self, message: PlayerMessage) -> None:
        for callback in list(self._listeners):
            _call(callback, message)


def _call(callback: Callable[[PlayerMessage], None], message: PlayerMessage) -> None:
    try:
        callback(message)
    except Exception:  # the panel's mistake must not end the sound
        logging.getLogger(__name__).exception("a listener of the player failed")
