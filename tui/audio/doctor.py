"""What ``mgl-tui doctor --audio`` and ``mgl-tui check`` say of sound."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from tui.audio.laptop import browser_line, instructions, this_server
from tui.audio.player import Player, PlayerMessage
from tui.audio.pulse import PulseServer, choose

LOOK_SECONDS = 1.8
OPEN_SECONDS = 30.0
PAGE_SECONDS = 300.0  # the listener has to open a tunnel and a page first
PROOF_SECONDS = 10.0


def audio_findings(port: int = 8765, unix_socket: str = "", *, seconds: float = LOOK_SECONDS) -> list[dict[str, Any]]:
    """One finding ``audio-out`` as ``mgl-tui check`` lists them; takes at most ``seconds``."""
    found = _look(seconds)
    if found is None:
        message = f"The sound system did not answer within {seconds:g} s; Listen may have to use the browser output."
        return [_finding("warn", message, "mgl-tui doctor --audio")]
    tunnel = f"{browser_line(this_server(), port, unix_socket)}   (then open the address that Listen shows)"
    server = choose(_servers(found), forwarded=found["ssh"])
    dummy = found["own"]["reachable"] and found["own"]["problem"]
    if not found["ssh"] and found["local"]["devices"] and not dummy:
        return [_finding("ok", f"Sound comes from this machine: {found['local']['devices'][0]}.", "")]
    if server and (server.muted or server.volume == 0):
        return [_finding("warn", f"The sound on {server.host} is muted.", f"Unmute it on {server.host}.")]
    if server:
        return [_finding("ok", f"Sound is forwarded to {server.host} (PulseAudio).", "")]
    if found["ssh"]:
        return [_finding("info", "Sound can reach your laptop through a browser page and one ssh tunnel.", tunnel)]
    message = f"No local sound: {found['local']['problem'] or _server(found['own']).problem}. A browser page can play."
    return [_finding("warn", message, tunnel)]


def run_doctor(
    output: str = "auto",
    port: int = 8765,
    unix_socket: str = "",
    *,
    say: Callable[[str], None] = print,
    ask: Callable[[str], str] = input,
) -> bool:
    """Show the routes, play a chirp through the first that opens, hear it come back or ask; True when proven."""
    say("Routes for sound")
    for line in _routes(_look(LOOK_SECONDS * 3)):
        say(f"  {line}")
    say("")
    say(instructions(this_server(), port, unix_socket))
    say("Proof")
    heard: queue.Queue[PlayerMessage] = queue.Queue()
    player = Player(port=port, unix_socket=unix_socket)
    player.listen(heard.put)
    try:
        player.start(output)
        return _prove(player, heard, say, ask)
    finally:
        player.close()


def _prove(
    player: Player, heard: queue.Queue[PlayerMessage], say: Callable[[str], None], ask: Callable[[str], str]
) -> bool:
    _until(player, heard, lambda: bool(player.status.output), OPEN_SECONDS)
    status = player.status
    say(f"  chosen: {status.label}" + (f" ({status.error})" if status.error else ""))
    if status.output in ("", "none"):
        say("  no output opens; judging works, clips can be fetched by hand")
        return False
    if status.output == "browser":
        say(f"  {status.hint}\n  waiting for the page; ctrl-c ends it")
        if not _until(player, heard, lambda: not player.status.hint, PAGE_SECONDS):
            say("  no page was opened")
            return False
    player.prove()
    message = _proof(heard, PROOF_SECONDS)
    if message is None:
        say("  the chirp did not end: the output hangs")
        return False
    if message.data["proven"] is None:
        with contextlib.suppress(EOFError):  # nobody there to answer
            player.answer(ask(f"  {message.text} [y/n] ").strip().lower().startswith("y"))
        _until(player, heard, lambda: player.status.proven, 1.0)
        return player.status.proven
    say(f"  {message.text}")
    return bool(message.data["proven"])


def _until(player: Player, heard: queue.Queue[PlayerMessage], true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        with contextlib.suppress(queue.Empty):
            heard.get(timeout=0.2)
    return true()


def _proof(heard: queue.Queue[PlayerMessage], seconds: float) -> PlayerMessage | None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            message = heard.get(timeout=left)
        except queue.Empty:
            return None
        if message.kind == "proof":
            return message
    return None


def _look(seconds: float) -> dict[str, Any] | None:
    try:
        found = subprocess.run(
            [sys.executable, "-m", "tui.audio.probe"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            start_new_session=True,
        )
        answer: dict[str, Any] = json.loads(found.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return answer


def _server(fields: dict[str, Any]) -> PulseServer:
    return PulseServer(**fields)


def _servers(found: dict[str, Any]) -> list[PulseServer]:
    return [_server(fields) for fields in found["servers"]]


def _routes(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ["the sound system does not answer (it hangs or has crashed)"]
    local = ", ".join(found["local"]["devices"]) or found["local"]["problem"]
    lines = [f"local    {local}" + (" (not used: you came by ssh)" if found["ssh"] else "")]
    for server in _servers(found):
        state = server.problem or f"{server.address}: {server.host}, {server.sink}" + (
            f", volume {server.volume} %" if server.volume else ""
        )
        own = " (this server's own sound, not your laptop's)" if server.own_host and found["ssh"] else ""
        lines.append(f"pulse    {state}{', muted' if server.muted else ''}{own}")
    return [*lines, "browser  always possible: a page on your laptop, through one ssh tunnel"]


def _finding(severity: str, message: str, fix: str) -> dict[str, Any]:
    counted = int(severity == "warn")
    return {"id": "audio-out", "severity": severity, "count": counted, "examples": [], "message": message, "fix": fix}
