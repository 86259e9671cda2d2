"""What to type on the laptop so that this server's sound comes out there: ssh lines and ssh_config stanzas."""

from __future__ import annotations

import getpass
import os
import shlex
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tui.audio.pulse import SSHD, cache_folder, default_socket

SSH_PARENTS = (*SSHD, "mosh-server", "dropbear")


@dataclass(frozen=True)
class Server:
    """This machine as the laptop reaches it."""

    user: str
    host: str
    port: int = 22

    @property
    def target(self) -> str:
        port = f"-p {self.port} " if self.port != 22 else ""
        return f"{port}{self.user}@{self.host}"

    @property
    def scp_port(self) -> str:
        return f"-P {self.port} " if self.port != 22 else ""


def this_server(environment: Mapping[str, str] = os.environ) -> Server:
    """From SSH_CONNECTION, which holds the address that the laptop used; else the host's name."""
    parts = ssh_connection(environment).split()
    if len(parts) == 4 and parts[3].isdigit():
        return Server(getpass.getuser(), parts[2], int(parts[3]))
    return Server(getpass.getuser(), socket.gethostname())


def over_ssh(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the person sits at another machine. tmux and sudo hide it from the environment, so look further."""
    return bool(ssh_connection(environment) or environment.get("SSH_TTY") or _ssh_ancestor(os.getpid()))


def ssh_connection(environment: Mapping[str, str]) -> str:
    """SSH_CONNECTION of this shell, or of the tmux client that is attached now; "" without ssh."""
    if "TMUX" in environment:
        try:
            asked = subprocess.run(
                ["tmux", "show-environment", "SSH_CONNECTION"], capture_output=True, text=True, timeout=1.0
            )
        except (OSError, subprocess.TimeoutExpired):
            return environment.get("SSH_CONNECTION", "")
        if asked.returncode == 0:  # "NAME=value", or "-NAME" when the client came without ssh
            return asked.stdout.strip().partition("=")[2]
    return environment.get("SSH_CONNECTION", "")


def _ssh_ancestor(pid: int) -> bool:
    while pid > 1:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        name, _, rest = stat.partition("(")[2].rpartition(")")
        if name in SSH_PARENTS:
            return True
        pid = int(rest.split()[1])
    return False


def browser_target(port: int, unix_socket: str = "") -> str:
    """The far end of the browser's tunnel, in ssh's writing."""
    return unix_socket or f"127.0.0.1:{port}"


def browser_line(server: Server, port: int, unix_socket: str = "") -> str:
    """The tunnel for the browser; the same on macOS, Windows and Linux."""
    return f"ssh -N -L {port}:{browser_target(port, unix_socket)} {server.target}"


def fetch_line(clip: Path, name: str, server: Server | None = None) -> str:
    """The line that fetches a clip; the link it goes through has a name that does not tell the model."""
    server = server or this_server()
    link = cache_folder() / f"clip-{name}{clip.suffix}"
    link.unlink(missing_ok=True)
    link.symlink_to(clip.resolve())
    return f"scp {server.scp_port}{server.user}@{server.host}:{shlex.quote(str(link))} ."


def instructions(server: Server, port: int, unix_socket: str = "") -> str:
    """For each kind of laptop the exact ssh line and ssh_config stanza."""
    browser = browser_line(server, port, unix_socket)
    forward = f"    LocalForward {port} {browser_target(port, unix_socket)}"
    cookie = f"scp {server.scp_port}~/.config/pulse/cookie {server.user}@{server.host}:.config/pulse/"
    return f"""\
Sound on your laptop, by way of this server ({server.host})

Browser: macOS, Windows 10 and later (PowerShell), Linux; nothing to install on the laptop
  In a second terminal on the laptop:
    {browser}
  or for good in ~/.ssh/config (Windows: %USERPROFILE%\\.ssh\\config), then `ssh mgl`:
{_indent(_stanza(server, forward))}
  Then open the address that the Listen screen shows, and press a key in the page.

PulseAudio or PipeWire: Linux laptops
  Once: the server needs pulseaudio-utils and libasound2-plugins. On the laptop:
    ssh {server.target} "mkdir -p .config/pulse; rm -f {default_socket()}"
    {cookie}   (PulseAudio alone; without it some connections are refused)
    ssh -R {default_socket()}:/run/user/$(id -u)/pulse/native {server.target}
  or for good in ~/.ssh/config (put your own number from `id -u` for 1000):
{_indent(_stanza(server, f"    RemoteForward {default_socket()} /run/user/1000/pulse/native"))}
  The socket belongs to you alone; a forwarded TCP port would be open to every user of the server.

PulseAudio: macOS laptops (the browser needs less)
  Once: brew install pulseaudio
    pulseaudio --daemonize --exit-idle-time=-1 --load="module-native-protocol-tcp listen=127.0.0.1"
    ssh {server.target} mkdir -p .config/pulse
    {cookie}
    ssh -R 127.0.0.1:24713:127.0.0.1:4713 {server.target}
  or for good in ~/.ssh/config:
{_indent(_stanza(server, "    RemoteForward 127.0.0.1:24713 127.0.0.1:4713"))}
  The cookie keeps other users of the server from your loudspeaker.
"""


def _stanza(server: Server, forward: str) -> str:
    lines = ["Host mgl", f"    HostName {server.host}", f"    User {server.user}"]
    if server.port != 22:
        lines.append(f"    Port {server.port}")
    return "\n".join([*lines, forward, "    ServerAliveInterval 5", "    ServerAliveCountMax 2"])


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
