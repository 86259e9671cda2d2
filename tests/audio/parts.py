"""The real parts of the audio tests and measurements: a PulseAudio with a null sink, an sshd, a Chromium."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui.audio.clips import read
from tui.audio.player import Player, PlayerMessage
from tui.audio.proof import correlation

RATE = 48_000


def wait_for(condition: Callable[[], Any], seconds: float = 15.0, what: str = "") -> Any:
    """The first true value of ``condition``; AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain for {what or condition}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(3.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Pulse:
    """A PulseAudio server with one null sink, the laptop's loudspeaker; what it plays is recorded all the time.

    The recorder also keeps the null sink awake: asleep it takes nothing for two seconds.
    """

    def __init__(self, folder: Path, *, sink: str = "laptop") -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.folder = folder
        self.socket = folder / "native"
        self.sink = sink
        self._log = (folder / "log").open("w")
        self._process = self._start()
        self.address = f"unix:{self.socket}"
        wait_for(lambda: self.pactl("info").returncode == 0, what="the sound server")
        self._prepare()
        self._taken: list[bytes] = []
        self._recorder = subprocess.Popen(
            shlex.split(
                f"parec -s {self.address} -d {self.sink}.monitor --raw --format=s16le --channels=1 --rate={RATE} "
                "--latency-msec=10 --client-name=recorder"
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._times: list[tuple[int, float]] = []
        threading.Thread(target=self._record, daemon=True).start()
        wait_for(lambda: self._taken, what="parec")

    def _start(self) -> subprocess.Popen[bytes]:
        script = self.folder / "script.pa"
        script.write_text(
            f"load-module module-null-sink sink_name={self.sink} rate={RATE} channels=2\n"
            f"load-module module-native-protocol-unix socket={self.socket} auth-anonymous=1\n"
        )
        return self._spawn(
            f"pulseaudio -n -F {script} --exit-idle-time=-1 --disallow-exit --use-pid-file=no --daemonize=no"
        )

    def _prepare(self) -> None:
        """What remains to be done when the server answers."""

    def _spawn(self, command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            shlex.split(command),
            env={**os.environ, "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,  # ended as a group: dbus-run-session leaves its children behind
        )

    def _record(self) -> None:
        assert self._recorder.stdout is not None
        total = 0  # samples
        while block := os.read(self._recorder.stdout.fileno(), 4096):
            total += len(block) // 2
            self._times.append((total, time.monotonic()))
            self._taken.append(block)

    def pactl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["pactl", "-s", self.address, *arguments], capture_output=True, text=True, timeout=5.0)

    def mark(self) -> int:
        """How many samples are recorded until now."""
        return self._times[-1][0]

    def recording(self, since: int = 0) -> NDArray[np.float32]:
        """Mono float32 at RATE."""
        raw = b"".join(self._taken)
        return (np.frombuffer(raw[: len(raw) // 2 * 2], np.int16).astype(np.float32) / 32768.0)[since:]

    def played_at(self, sample: int) -> float:
        """When (time.monotonic) a sample came out of the sink.

        The sink plays at an even pace; its blocks arrive here late by turns, so the earliest of the last ones counts.
        """
        near = [when - (total - sample) / RATE for total, when in self._times if abs(total - sample) < 3 * RATE]
        return min(near)

    def stop(self) -> None:
        """SIGSTOP: the server is there and does not answer any more."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """The server is gone from one moment to the next."""
        self._process.kill()
        self._process.wait()

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.go_on()
        _end(self._recorder)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        _end(self._process)
        assert self._recorder.stdout is not None
        self._recorder.stdout.close()
        self._log.close()


class PipeWire(Pulse):
    """The same by PipeWire and its PulseAudio server, as on most Linux laptops of today."""

    def _start(self) -> subprocess.Popen[bytes]:
        script = self.folder / "session.sh"
        script.write_text(
            "pipewire & one=$!\nsleep 0.3\nwireplumber & two=$!\npipewire-pulse & three=$!\n"
            "trap 'kill $one $two $three' TERM\nwait\n"
        )
        self.socket = self.folder / "pulse" / "native"
        return self._spawn(f"dbus-run-session -- sh {script}")

    def _prepare(self) -> None:
        self.pactl("load-module", "module-null-sink", f"sink_name={self.sink}", f"rate={RATE}")
        wait_for(lambda: self.pactl("set-default-sink", self.sink).returncode == 0, what="the sink")


class Sshd:
    """A real ssh server on a loopback port, with throwaway keys, and the means to open tunnels through it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port = free_port()
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        (folder / "authorized").write_text((folder / "user.pub").read_text())
        (folder / "authorized").chmod(0o600)
        config = folder / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nUsePAM yes\n"
            f"PidFile {folder}/pid\nPasswordAuthentication no\nStrictModes no\nPermitRootLogin prohibit-password\n"
            "StreamLocalBindUnlink yes\nX11Forwarding no\n"
        )
        with contextlib.suppress(OSError):
            Path("/run/sshd").mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            shlex.split(f"{sshd_program()} -D -f {config} -p {self.port} -E {folder}/sshd.log"),
            stdin=subprocess.DEVNULL,
        )
        wait_for(lambda: _answers(self.port), what="sshd")

    def tunnel(self, *forwards: str, port: int | None = None) -> subprocess.Popen[bytes]:
        """``ssh -N`` with these options (-L ..., -R ...), by way of ``port`` if the server is reached by a proxy."""
        return subprocess.Popen(
            shlex.split(
                f"ssh -N -q -F none -i {self.folder}/user -p {port or self.port} -o StrictHostKeyChecking=no "
                "-o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -o ExitOnForwardFailure=yes "
                f"{shlex.join(forwards)} {getpass.getuser()}@127.0.0.1"
            ),
            stdin=subprocess.DEVNULL,
        )

    def close(self) -> None:
        _end(self._process)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


class Chromium:
    """A headless Chromium with one page, driven over its DevTools protocol."""

    def __init__(self, folder: Path, *, pulse: str = "") -> None:
        from websockets.sync.client import connect

        environment = {**os.environ, "HOME": str(folder)}
        if pulse:
            environment["PULSE_SERVER"] = pulse
        self._log = (folder / "chromium.log").open("w")
        self._process = subprocess.Popen(
            shlex.split(
                f"{browser_program()} --headless --no-sandbox --disable-gpu --no-first-run --disable-dev-shm-usage "
                "--autoplay-policy=document-user-activation-required --remote-debugging-port=0 "
                f"--user-data-dir={folder}/profile about:blank"
            ),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        told = folder / "profile" / "DevToolsActivePort"
        port = wait_for(lambda: told.exists() and told.read_text().split("\n")[0], 30.0, "Chromium")
        address = f"ws://127.0.0.1:{port}{told.read_text().splitlines()[1]}"
        self._open = contextlib.ExitStack()
        self._line = self._open.enter_context(connect(address, max_size=None))
        self._count = 0
        self._target = ""
        self.fresh()

    _session = ""

    def fresh(self) -> None:
        """A new page in place of the old one."""
        old, self._session = self._target, ""
        self._target = self._call("Target.createTarget", url="about:blank")["targetId"]
        if old:
            self._call("Target.closeTarget", targetId=old)
        self._session = self._call("Target.attachToTarget", targetId=self._target, flatten=True)["sessionId"]
        self._call("Page.enable")

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._line.send(json.dumps(message))
        while True:
            answer = json.loads(self._line.recv(timeout=20.0))
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, url: str) -> None:
        self._call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of an expression, promises awaited."""
        answer = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """One key, as a user's gesture."""
        text = key if len(key) == 1 else ""
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, text=text if kind == "keyDown" else "")

    def click(self, selector: str) -> None:
        """The middle of an element, as a user's gesture."""
        middle = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call(
                "Input.dispatchMouseEvent", type=kind, x=middle[0], y=middle[1], button="left", clickCount=1, buttons=1
            )

    def type(self, text: str) -> None:
        """Text into the field that has the focus."""
        self._call("Input.insertText", text=text)

    def before(self, script: str) -> None:
        """A script that every page opened from now on begins with, until the next ``fresh``."""
        self._call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def downloads(self, folder: Path) -> None:
        """Where what is saved goes."""
        self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def size(self, width: int, height: int) -> None:
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self) -> str:
        """PNG in base64."""
        return str(self._call("Page.captureScreenshot")["data"])

    def close(self) -> None:
        self._open.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()


def sshd_program() -> str | None:
    """sshd wants to be called by its absolute path."""
    return shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/sbin")


def browser_program() -> str | None:
    return next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


@contextlib.contextmanager
def closing(*parts: Any) -> Iterator[None]:
    """Close parts in the reverse order, whatever happens."""
    with contextlib.ExitStack() as stack:
        for part in parts:
            stack.callback(part.close)
        yield


class Listener(Player):
    """A player that remembers its messages."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"port": 0, **options})
        self.messages: list[PlayerMessage] = []
        self.listen(self.messages.append)

    def of(self, kind: str) -> list[PlayerMessage]:
        return [message for message in self.messages if message.kind == kind]

    def wait(self, kind: str, seconds: float = 15.0) -> PlayerMessage:
        """The first message of this kind, then or from now on; what came before it is forgotten."""
        found: PlayerMessage = wait_for(lambda: self.of(kind), seconds, f"a message {kind!r}")[0]
        del self.messages[: self.messages.index(found) + 1]
        return found

    def ready(self, output: str, clips: list[Path], gains_db: list[float] | None = None, **options: Any) -> None:
        """Start with these clips, and wait until they can be played."""
        self.load(clips, gains_db or [0.0] * len(clips), **options)
        self.start(output)
        self.wait("loaded")
        assert self.status.output == output, self.status


def samples_of(clip: Path) -> NDArray[np.float32]:
    """A clip at the recordings' rate, mono."""
    return np.ascontiguousarray(read(clip, RATE)[:, 0])


def place_of(part: NDArray[np.float32], clip: Path) -> tuple[float, float]:
    """How well a recorded part fits anywhere in a clip (0 to 1), and at which second of the clip it begins."""
    score, offset = correlation(samples_of(clip), part)
    return score, offset / RATE


def first_sound(recorded: NDArray[np.float32]) -> int:
    """The first sample that is not silence."""
    loud = np.flatnonzero(np.abs(recorded) > 0.003)
    assert len(loud), "nothing was heard"
    return int(loud[0])


def switch_error(recorded: NDArray[np.float32], old: Path, new: Path) -> float:
    """Seconds by which the position jumped in what was heard when ``old`` gave way to ``new``.

    Compares the last tenth of a second that is clearly the one with the first that is clearly the other.
    """
    size = RATE // 10
    lags: list[list[float]] = [[], []]
    for samples, found in zip((samples_of(old), samples_of(new)), lags, strict=True):
        for start in range(first_sound(recorded) + size, len(recorded) - size, size // 2):
            score, place = correlation(samples, recorded[start : start + size])
            if score > 0.95:
                found.append((place - start) / RATE)
    assert lags[0], "the first clip was not heard"
    assert lags[1], "the second clip was not heard"
    return lags[1][0] - lags[0][-1]


def least_switch_error(player: Listener, speaker: Pulse, clips: list[Path]) -> float:
    """The smallest of three errors of the position at a switch, in seconds.

    A machine too busy for its sound drops some blocks and so shifts what is heard; a mistake of the mixer shifts all.
    """
    errors = []
    player.loop((0.0, None))
    player.play(0, position=0.0)
    for old, new in ((0, 1), (1, 2), (2, 0)):
        start, heard = speaker.mark(), player.status.heard
        wait_for(lambda old=old, heard=heard: player.status.heard[old] > heard[old] + 0.6)
        player.switch(new)
        wait_for(lambda new=new, heard=heard: player.status.heard[new] > heard[new] + 0.7)
        errors.append(abs(switch_error(speaker.recording(start), clips[old], clips[new])))
    return min(errors)
