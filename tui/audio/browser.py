"""The listener's browser as the loudspeaker: a page that holds the clips and plays them on command.

The page has the mixer (``page/mixer.js``); this side sends commands as events and learns the state from what the
page acknowledges. Nothing is installed on the laptop, and nothing but commands passes the tunnel while it plays.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tui.audio import clips as audio
from tui.audio.laptop import browser_line, over_ssh, this_server
from tui.audio.output import ClipSet, Emit, Options, Output, OutputError, State, position_after
from tui.audio.page_server import PageServer

GONE_SECONDS = 1.5  # pages answer a ping every 0.4 s
KEYS = {"space", "left", "right", "up", "down", "enter"}
KEYS |= {"comma", "full_stop", "left_square_bracket", "right_square_bracket"}
WAITING, SILENT, RUNNING, GONE = "waiting", "silent", "running", "gone"
LABELS = {
    WAITING: "browser: open page",
    SILENT: "browser: press key",
    RUNNING: "laptop (browser)",
    GONE: "browser: page gone",
}
PRESS_A_KEY = "Press a key in the browser's page: browsers stay silent until then."
PAGE_GONE = (
    "The browser's page does not answer: is the ssh tunnel still up, the page still open? It goes on when it is back."
)


class Browser(Output):
    name = "browser"

    def __init__(self, emit: Emit, options: Options) -> None:
        self._emit = emit
        self._options = options
        self._lock = threading.RLock()  # the server's threads report, the worker's main thread asks
        self._server: PageServer | None = None
        self._clips: ClipSet | None = None
        self._durations: list[float] = []
        self._files: dict[str, Path] = {}
        self._names: dict[tuple[Path, int, int], str] = {}
        self._state = State()
        self._since = 0.0  # when the position in the state was true
        self._page_ended = 0  # the page's own count of ends, from its load on
        self._place = WAITING
        self._reported = 0.0  # when the page was last heard of
        self._sequence = 0  # of the last command sent
        self._loaded = 0  # of the last load: what the page reports before it is of other clips

    def open(self) -> None:
        try:
            options = self._options
            self._server = PageServer(self, self._lock, options.token, options.port, options.unix_socket)
        except OSError as error:
            where = self._options.unix_socket or f"port {self._options.port}"
            raise OutputError(
                f"The page cannot be served at {where} ({error.strerror or error}): set another one."
            ) from error
        port = self._server.port
        self.url = f"http://127.0.0.1:{port}/{self._options.token}/"
        steps = [f"Open {self.url}"]
        if over_ssh() or self._options.unix_socket:
            line = browser_line(this_server(), port, self._options.unix_socket)
            steps = ["On your laptop, in a second terminal:", f"  {line}", f"then open {self.url}"]
        self._how_to = "\n".join(steps)

    @property
    def label(self) -> str:  # type: ignore[override]
        return LABELS[self._place]

    @property
    def hint(self) -> str:  # type: ignore[override]
        return {RUNNING: "", SILENT: PRESS_A_KEY}.get(self._place, self._how_to)

    # Commands

    def load(self, clips: ClipSet) -> list[float]:
        durations = [self._duration(path, name) for path, name in zip(clips.paths, clips.names, strict=True)]
        with self._lock:
            self._clips, self._durations = clips, durations
            heard = (0.0,) * len(durations)
            self._state = State(duration=durations[0] if durations else 0.0, heard=heard, ended=self._state.ended)
            self._send(self._load_message())
            self._loaded = self._sequence
        return durations

    def _duration(self, path: Path, name: str) -> float:
        try:
            return audio.duration(path)
        except audio.UnreadableClip as error:
            self._emit({"event": "error", "text": f"Clip {name}: {error}"})
            return 0.0

    def _load_message(self) -> dict[str, Any]:
        assert self._clips is not None
        listed = [
            {"file": self._file_name(path) if seconds else None, "gain": gain, "name": name}
            for path, seconds, gain, name in zip(
                self._clips.paths, self._durations, self._clips.gains, self._clips.names, strict=True
            )
        ]
        return {"do": "load", "clips": listed, "title": self._clips.title}

    def _file_name(self, path: Path) -> str | None:
        """A name that does not tell the model; the same for the same content, so that the page decodes it once."""
        try:
            status = path.stat()
        except OSError:  # gone since it was loaded
            return None
        name = self._names.setdefault((path, status.st_mtime_ns, status.st_size), secrets.token_urlsafe(8))
        self._files[name] = path
        return name

    def play(self, index: int, position: float | None) -> None:
        if self._place in (WAITING, GONE):
            self._emit({"event": "error", "text": f"No page is open to play in: open {self.url} on your laptop."})
        elif index < len(self._durations):
            if self._place == SILENT:
                self._emit({"event": "error", "text": PRESS_A_KEY})
            with self._lock:
                at_end = not self._state.playing and self._state.position >= self._durations[index]
                start = position if position is not None else 0.0 if at_end else self._position()
                self._expect(index=index, position=start, duration=self._durations[index], playing=True)
                self._send({"do": "play", "index": index, "position": position})

    def pause(self) -> None:
        self._expect(position=self._position(), playing=False)
        self._send({"do": "pause"})

    def stop(self) -> None:
        self._expect(position=self._state.loop[0] if self._state.loop else 0.0, playing=False)
        self._send({"do": "stop"})

    def switch(self, index: int) -> None:
        if index < len(self._durations):
            start = self._state.loop[0] if self._state.loop else 0.0
            position = start if self._options.restart_on_switch else self._position()
            self._expect(index=index, position=position, duration=self._durations[index])
            self._send({"do": "switch", "index": index})

    def seek(self, seconds: float, relative: bool) -> None:
        target = self._position() + seconds if relative else seconds
        self._expect(position=min(max(0.0, target), self._state.duration))
        self._send({"do": "seek", "seconds": seconds, "relative": relative})

    def loop(self, region: tuple[float, float | None] | None) -> None:
        self._expect(position=self._position(), loop=region)
        self._send({"do": "loop", "region": region})

    def prove(self) -> None:
        if self._place == RUNNING:
            self._send({"do": "prove"})
        self._emit({"event": "proof", "proven": None, "text": self.hint or "Did you hear the chirp?"})

    def check(self) -> None:
        with self._lock:
            silence = time.monotonic() - self._reported
            if self._place in (SILENT, RUNNING) and silence > GONE_SECONDS:
                self._lose()

    def state(self) -> State:
        with self._lock:
            return replace(self._state, position=self._position())

    def close(self) -> None:
        if self._server:
            self._server.close()

    def _send(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._sequence += 1
            if self._server:
                self._server.send({**message, "sequence": self._sequence})

    def _expect(self, **changes: Any) -> None:
        """Show what a command leads to before the page confirms it."""
        with self._lock:
            self._state = replace(self._state, **changes)
            self._since = time.monotonic()

    def _position(self) -> float:
        if not self._state.playing or self._place != RUNNING:
            return self._state.position
        return position_after(self._state, time.monotonic() - self._since)

    def _lose(self) -> None:
        self._state = replace(self._state, position=self._position(), playing=False)
        self._place = GONE
        self._emit({"event": "error", "text": PAGE_GONE})

    # What the server's threads call

    def greeting(self, client: int) -> list[dict[str, Any]]:
        with self._lock:
            self._reported = time.monotonic() + 2.0  # the page has its libraries and clips to fetch first
            self._place = SILENT
            self._state = replace(self._state, playing=False)
            hello = {"do": "hello", "client": client, "restartOnSwitch": self._options.restart_on_switch}
            messages = [{**hello, "remoteKeys": self._options.remote_keys}]
            self._page_ended = 0
            if self._clips:
                place = {"index": self._state.index, "position": self._state.position, "region": self._state.loop}
                messages.append({**self._load_message(), "resume": {**place, "heard": self._state.heard}})
            return [{**message, "sequence": self._sequence} for message in messages]

    def clip(self, name: str) -> tuple[bytes, str] | None:
        path = self._files.get(name)
        try:
            return audio.browser_bytes(path) if path else None
        except audio.UnreadableClip:
            return None

    def acknowledged(self, client: int, message: dict[str, Any]) -> None:
        with self._lock:
            if key := message.get("key"):
                if self._options.remote_keys and (key in KEYS or (isinstance(key, str) and len(key) == 1)):
                    self._emit({"event": "key", "key": key})
                return
            if (heard := message.get("heard")) is not None:
                self.proven = bool(heard)
                text = "The listener heard the chirp." if heard else "The listener did not hear the chirp."
                self._emit({"event": "proof", "proven": self.proven, "text": text})
                return
            self._reported = time.monotonic()
            self._place = RUNNING if message["audio"] == "running" else SILENT
            if report := message.get("state"):
                self._take(report)

    def _take(self, report: dict[str, Any]) -> None:
        heard = tuple(float(seconds) for seconds in report["heard"])
        if report["sequence"] >= self._loaded and len(heard) == len(self._durations):
            self._state = replace(self._state, heard=heard)
        if report["sequence"] != self._sequence:
            return  # it does not know the newest command yet
        self._state = replace(
            self._state,
            index=min(max(0, int(report["index"])), max(0, len(self._durations) - 1)),
            position=float(report["position"]),
            playing=bool(report["playing"]),
            ended=self._state.ended + max(0, int(report["ended"]) - self._page_ended),
        )
        self._page_ended = int(report["ended"])
        self._since = time.monotonic()

    def left(self, client: int) -> None:
        with self._lock:
            if self._place != GONE:
                self._lose()
