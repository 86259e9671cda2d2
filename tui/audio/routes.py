"""Which outputs to try, in which order."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tui.audio import pulse
from tui.audio.browser import Browser
from tui.audio.laptop import over_ssh
from tui.audio.output import Emit, Options, Output
from tui.audio.silent import NoOutput

LOCAL_LATENCY = 0.1  # no tunnel to bridge: a switch should be heard sooner


def outputs(names: list[str], options: Options, emit: Emit) -> Iterator[Output]:
    """The outputs to open, one after the other until one opens; the last is always "none".

    "auto" stands for: the machine's own device unless the listener came by ssh; a forwarded sound server, if one
    answers right now; else the browser, which nobody can know to work before its page is opened.
    """
    ssh = over_ssh()
    wanted = [each for name in names for each in (_automatic(ssh) if name == "auto" else [name])]
    servers: list[pulse.PulseServer] | None = None
    for name in wanted:
        match name:
            case "none":
                break
            case "local":
                yield from _local(options, emit)
            case "browser":
                yield Browser(emit, options)
            case "pulse" | "pacat":
                if servers is None:
                    servers = pulse.probe_all(os.environ)
                yield from _pulse(name, servers, options, emit, forwarded=ssh, asked=name in names)
    yield NoOutput(emit)


def _automatic(ssh: bool) -> list[str]:
    return ["pulse", "pacat", "browser"] if ssh else ["local", "pulse", "pacat", "browser"]


def _local(options: Options, emit: Emit) -> Iterator[Output]:
    from tui.audio.loudspeaker import Loudspeaker

    own = pulse.probe("")
    if own.reachable and own.problem:
        emit({"event": "refused", "output": "local", "text": own.problem})
        return
    yield Loudspeaker(
        emit,
        latency=min(options.latency, LOCAL_LATENCY),
        monitor=own if own.reachable else None,
        restart_on_switch=options.restart_on_switch,
    )


def _pulse(
    name: str, servers: list[pulse.PulseServer], options: Options, emit: Emit, *, forwarded: bool, asked: bool
) -> Iterator[Output]:
    # Who names this output gets it, also where its server is this very machine.
    server = pulse.choose(servers, forwarded=forwarded and not asked)
    if server is None:
        problems = [each.problem or "it is this server's own sound, not your laptop's" for each in servers]
        emit({"event": "refused", "output": name, "text": f"No forwarded sound server: {'; '.join(problems)}."})
    elif name == "pulse":
        from tui.audio.loudspeaker import Loudspeaker

        yield Loudspeaker(emit, latency=options.latency, server=server, restart_on_switch=options.restart_on_switch)
    else:
        from tui.audio.pacat import Pacat

        yield Pacat(emit, server, latency=options.latency, restart_on_switch=options.restart_on_switch)
