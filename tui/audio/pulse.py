"""PulseAudio and PipeWire servers: which can be reached from here, and whether they lead to somebody's ears.

Everything is asked through ``pactl`` in a child process with a time limit: a stalled tunnel hangs whoever talks
to it. Works with PulseAudio's own server and with PipeWire's.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

PROBE_SECONDS = 1.5
TUNNEL_PORT = 24713
SSHD = ("sshd", "sshd-session")
FORWARD_REFUSED = "nothing answers at {server}: the ssh forward is not there"


@dataclass(frozen=True)
class PulseServer:
    """What a sound server says of itself. ``problem`` is "" when it can be heard, else one sentence."""

    address: str
    host: str = ""
    sink: str = ""
    rate: int = 48_000
    muted: bool = False
    volume: int | None = None  # per cent
    problem: str = ""
    reachable: bool = False
    own_host: bool = False

    @property
    def label(self) -> str:
        """For the header."""
        place = "this machine" if self.own_host else self.host.split(".")[0] or "laptop"
        return f"{place} (pulse)" + (" muted" if self.muted else "")


def default_socket() -> str:
    """Where the ssh line of ``mgl-tui doctor --audio`` puts the laptop's sound server."""
    return f"/tmp/mgl-{getpass.getuser()}.sock"


def candidates(environment: Mapping[str, str]) -> list[str]:
    """Addresses to try: PULSE_SERVER (tmux panes lack it), then where forwards of ours would be."""
    named = environment.get("PULSE_SERVER", "")
    found = [named] if named else []
    if Path(default_socket()).exists():
        found.append(f"unix:{default_socket()}")
    found.append(f"tcp:127.0.0.1:{TUNNEL_PORT}")
    return list(dict.fromkeys(found))


def client_settings(address: str) -> dict[str, str]:
    """Environment variables for clients of a forwarded server; none for "", the server they find themselves.

    No shared memory: over a forwarded Unix socket it ends in "Protocol error". And no server started here instead.
    """
    if not address:
        return {}
    config = cache_folder() / "pulse-client.conf"
    base = os.environ.get("PULSE_CLIENTCONFIG", "/etc/pulse/client.conf")
    lines = [f".include {base}"] if base != str(config) and Path(base).exists() else []
    text = "\n".join([*lines, "enable-shm = no", "autospawn = no", ""])
    if not config.exists() or config.read_text() != text:
        fresh = config.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        fresh.write_text(text)
        fresh.replace(config)
    return {"PULSE_SERVER": address, "PULSE_CLIENTCONFIG": str(config)}


def client_environment(address: str) -> dict[str, str]:
    """The whole environment for pactl, parec and pacat, whose messages are to be in English."""
    return {**os.environ, **client_settings(address), "LC_ALL": "C"}


def cache_folder() -> Path:
    """Where this package keeps small files; readable by the user alone."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mgl-tui" / "audio"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def probe(address: str, seconds: float = PROBE_SECONDS) -> PulseServer:
    """Ask one server. Takes at most ``seconds``."""
    server = PulseServer(address)
    try:
        info = _pactl(address, seconds, "info")
    except FileNotFoundError:
        return replace(server, problem="pactl is missing: install it (sudo apt install pulseaudio-utils)")
    except subprocess.TimeoutExpired:
        return replace(server, problem=f"{address} does not answer: the ssh tunnel has stalled, connect again")
    if info.returncode != 0:
        return replace(server, problem=_explain(address, info.stderr))
    fields = dict(line.split(": ", 1) for line in info.stdout.splitlines() if ": " in line)
    rate = re.search(r"(\d+) ?Hz", fields.get("Default Sample Specification", ""))
    server = replace(
        server,
        reachable=True,
        host=fields.get("Host Name", ""),
        sink=fields.get("Default Sink", ""),
        rate=int(rate[1]) if rate else 48_000,
        # Two machines may share a name ("ubuntu", "localhost"); a socket that sshd listens on leads to the laptop.
        own_host=fields.get("Host Name", "") == socket.gethostname() and _listener(address) not in SSHD,
    )
    if server.sink in ("auto_null", ""):
        return replace(
            server, problem=f"the sound server on {server.host or address} has no loudspeaker (a dummy output)"
        )
    try:
        mute = _pactl(address, seconds, "get-sink-mute", "@DEFAULT_SINK@").stdout
        volume = re.search(r"(\d+)%", _pactl(address, seconds, "get-sink-volume", "@DEFAULT_SINK@").stdout)
    except subprocess.TimeoutExpired:
        return server
    return replace(server, muted="yes" in mute, volume=int(volume[1]) if volume else None)


def _listener(address: str) -> str:
    """Name of the process that listens on a Unix socket; "" for another kind of address, or when it cannot be told."""
    path = address.rpartition("}")[2].removeprefix("unix:")
    if not path.startswith("/"):
        return ""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(PROBE_SECONDS)
        try:
            line.connect(path)
            pid = int.from_bytes(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4), sys.byteorder)
            return Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            return ""


def probe_all(environment: Mapping[str, str]) -> list[PulseServer]:
    """All candidates, asked at the same time."""
    addresses = candidates(environment)
    with ThreadPoolExecutor(len(addresses)) as pool:
        return list(pool.map(probe, addresses))


def choose(servers: list[PulseServer], *, forwarded: bool) -> PulseServer | None:
    """The first server that can be heard; over ssh, one on this very host is not where the listener sits."""
    heard = [server for server in servers if server.reachable and not server.problem]
    return next((server for server in heard if not (forwarded and server.own_host)), None)


def _pactl(address: str, seconds: float, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["pactl", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        env=client_environment(address),
    )


def _explain(address: str, stderr: str) -> str:
    if "refused" in stderr.lower() or "No such file" in stderr:
        return FORWARD_REFUSED.format(server=address)
    if "terminated" in stderr:
        return f"{address} is forwarded, but no sound server answers on the laptop: start PulseAudio or PipeWire there"
    if "denied" in stderr:
        return f"the sound server behind {address} refuses us: copy its cookie here (mgl-tui doctor --audio says how)"
    return f"{address} does not answer ({stderr.strip().splitlines()[-1] if stderr.strip() else 'no reason given'})"
