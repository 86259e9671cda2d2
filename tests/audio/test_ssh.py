"""Sound over a real ssh connection: tunnels that work, are cut, and stall."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.audio.parts import RATE, Chromium, Listener, Pulse, Sshd, first_sound, free_port, listens, place_of, wait_for
from tests.audio.test_browser import RUNNING
from tui.audio import pulse as detection
from tui.audio.laptop import Server, instructions

pytestmark = [pytest.mark.ssh, pytest.mark.audio]

MakesPlayers = Callable[..., Listener]


@pytest.fixture
def tunnels() -> Iterator[list[subprocess.Popen[bytes]]]:
    """ssh processes to be ended."""
    made: list[subprocess.Popen[bytes]] = []
    yield made
    for each in made:
        each.kill()
        each.wait()


@pytest.fixture
def forwarded(
    pulse: Pulse, sshd: Sshd, tunnels: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> subprocess.Popen[bytes]:
    """The laptop's sound server, seen from the server through ``ssh -R`` on a Unix socket."""
    far = sshd.folder / "sound"
    tunnels.append(sshd.tunnel("-R", f"{far}:{pulse.socket}"))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{far}")
    wait_for(lambda: detection.probe(f"unix:{far}").reachable, what="the forwarded sound server")
    return tunnels[-1]


@pytest.mark.parametrize("output", ["pulse", "pacat"])
def test_the_clip_is_heard_through_the_tunnel(
    player: MakesPlayers, forwarded: subprocess.Popen[bytes], pulse: Pulse, clips: list[Path], output: str
) -> None:
    p = player()
    p.ready(output, clips)
    start = pulse.mark()
    p.play(0)
    wait_for(lambda: p.status.heard[0] > 1.5)
    recorded = pulse.recording(start)
    begin = first_sound(recorded) + RATE // 4
    assert place_of(recorded[begin : begin + RATE // 2], clips[0])[0] > 0.95
    p.pause()
    p.prove()
    assert p.wait("proof").data["proven"]


def test_behind_ssh_a_laptop_of_the_servers_name_is_the_laptop(forwarded: subprocess.Popen[bytes]) -> None:
    found = detection.probe(os.environ["PULSE_SERVER"])
    assert found.host == socket.gethostname()  # one machine plays both parts
    assert not found.own_host
    assert detection.choose([found], forwarded=True) == found


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP], ids=["cut", "stalled"])
@pytest.mark.parametrize("output", ["pulse", "pacat"])
def test_a_tunnel_that_is_cut_or_stalls_in_the_middle_of_a_clip_is_told(
    player: MakesPlayers, forwarded: subprocess.Popen[bytes], clips: list[Path], output: str, what: signal.Signals
) -> None:
    p = player()
    p.ready(output, clips)
    p.play(0)
    wait_for(lambda: p.status.heard[0] > 1.2)
    forwarded.send_signal(what)
    assert "Sound" in p.wait("error").text
    assert not p.status.playing
    p.wait("loaded")  # the next worker has not hung on a stalled tunnel
    assert p.status.output in ("none", "browser")


@pytest.mark.browser
def test_a_page_behind_a_tunnel_plays_and_its_cut_is_told_and_mended(
    player: MakesPlayers,
    sshd: Sshd,
    tunnels: list[subprocess.Popen[bytes]],
    chromium: Chromium,
    speaker: Pulse,
    clips: list[Path],
    short_folder: Path,
) -> None:
    p = player(unix_socket=str(short_folder / "page.sock"))
    p.ready("browser", clips)
    near = free_port()

    def connect() -> None:
        tunnels.append(sshd.tunnel("-L", f"{near}:{short_folder}/page.sock"))
        wait_for(lambda: listens(near), what="the tunnel")

    connect()
    chromium.open(p.status.url.replace(":0/", f":{near}/"))
    wait_for(lambda: "press key" in p.status.label)
    chromium.press("x")
    wait_for(lambda: p.status.label == RUNNING)
    time.sleep(1.0)
    start = speaker.mark()
    p.play(0)
    wait_for(lambda: p.status.heard[0] > 1.2)
    begin = first_sound(speaker.recording(start)) + RATE // 4
    assert place_of(speaker.recording(start)[begin : begin + RATE // 2], clips[0])[0] > 0.95
    tunnels[-1].kill()
    assert "does not answer" in p.wait("error").text
    wait_for(lambda: not p.status.playing)
    wait_for(lambda: chromium.run("document.getElementById('link').textContent") == "connection lost")
    connect()
    wait_for(lambda: p.status.label == RUNNING, what="the page's return")
    p.play(1)
    wait_for(lambda: p.status.heard[1] > 0.5)
    tunnels[-1].send_signal(signal.SIGSTOP)
    assert "does not answer" in p.wait("error").text


def test_the_ssh_lines_that_are_printed_are_understood_by_ssh(tmp_path: Path) -> None:
    server = Server("me", "gpu.example.org", 2222)
    printed = instructions(server, 8765)
    assert "ssh -N -L 8765:127.0.0.1:8765 -p 2222 me@gpu.example.org" in printed
    stanzas = ["Host mgl" + part for part in printed.split("Host mgl")[1:]]
    for stanza in stanzas:
        lines = [line for line in stanza.splitlines() if line.startswith(("Host", " " * 8))]
        (tmp_path / "config").write_text("\n".join(lines))
        told = subprocess.run(
            ["ssh", "-F", str(tmp_path / "config"), "-G", "mgl"], capture_output=True, text=True, check=True
        ).stdout
        assert "hostname gpu.example.org" in told
        assert "user me" in told
        assert "port 2222" in told
        assert "localforward 8765 [127.0.0.1]:8765" in told or "remoteforward" in told
