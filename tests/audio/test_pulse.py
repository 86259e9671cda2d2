"""Sound through a real PulseAudio server, recorded and compared with the clips."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.audio.parts import (
    RATE,
    Listener,
    PipeWire,
    Pulse,
    first_sound,
    free_port,
    least_switch_error,
    place_of,
    wait_for,
)
from tests.audio.test_player import children, worker_of
from tests.conftest import need
from tui.audio import pulse as detection
from tui.audio.pulse import choose, probe, probe_all

pytestmark = pytest.mark.audio

MakesPlayers = Callable[..., Listener]


@pytest.fixture
def laptop(pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> Pulse:
    """The server that PULSE_SERVER names."""
    monkeypatch.setenv("PULSE_SERVER", pulse.address)
    return pulse


@pytest.fixture
def dummy(short_folder: Path) -> Iterator[Pulse]:
    """A server without a loudspeaker, as on a machine that has none."""
    need(shutil.which("pulseaudio"), "PulseAudio")
    server = Pulse(short_folder / "dummy", sink="auto_null")
    yield server
    server.close()


# Detection


def test_a_server_says_where_it_is_and_how_loud(pulse: Pulse) -> None:
    pulse.pactl("set-sink-volume", "laptop", "40%")
    found = probe(pulse.address)
    assert (found.reachable, found.problem, found.sink) == (True, "", "laptop")
    assert (found.volume, found.muted, found.own_host) == (40, False, True)
    pulse.pactl("set-sink-mute", "laptop", "1")
    assert probe(pulse.address).muted
    assert "muted" in probe(pulse.address).label


def test_a_dummy_output_is_not_taken_for_sound(dummy: Pulse) -> None:
    found = probe(dummy.address)
    assert "no loudspeaker" in found.problem
    assert choose([found], forwarded=False) is None


def test_the_servers_own_sound_is_not_the_laptops(pulse: Pulse) -> None:
    found = probe(pulse.address)
    assert choose([found], forwarded=True) is None
    assert choose([found], forwarded=False) == found


def test_no_forward_is_told_from_a_forward_that_leads_nowhere() -> None:
    assert "the ssh forward is not there" in probe(f"tcp:127.0.0.1:{free_port()}").problem
    with socket.socket() as dead_end:
        dead_end.bind(("127.0.0.1", 0))
        dead_end.listen()
        started = time.monotonic()
        assert "stalled" in probe(f"tcp:127.0.0.1:{dead_end.getsockname()[1]}").problem
        assert time.monotonic() - started < detection.PROBE_SECONDS + 3.0


def test_a_server_that_wants_a_cookie_says_so(short_folder: Path) -> None:
    need(shutil.which("pulseaudio"), "PulseAudio")
    server = Pulse(short_folder / "pulse")
    server.pactl("load-module", "module-native-protocol-tcp", "listen=127.0.0.1", f"port={(port := free_port())}")
    try:
        assert "refuses us" in probe(f"tcp:127.0.0.1:{port}").problem
    finally:
        server.close()


def test_all_servers_are_asked_at_the_same_time(laptop: Pulse) -> None:
    laptop.stop()
    started = time.monotonic()
    found = probe_all(os.environ)
    assert time.monotonic() - started < 2 * detection.PROBE_SECONDS + 1.0
    assert [server.reachable for server in found] == [False] * len(found)
    assert found[0].address == laptop.address


# What is heard


@pytest.mark.parametrize("output", ["pulse", "pacat"])
def test_what_is_heard_is_the_clip_and_a_switch_keeps_the_position(
    player: MakesPlayers, laptop: Pulse, clips: list[Path], output: str
) -> None:
    p = player()
    p.ready(output, clips, gains_db=[0.0, -6.0, 0.0])
    assert least_switch_error(p, laptop, clips) < 0.005


def test_level_matching_gains_are_heard(player: MakesPlayers, laptop: Pulse, clips: list[Path]) -> None:
    def level(gain: float) -> float:
        p = player()
        p.ready("pulse", [clips[0]], gains_db=[gain])
        start = laptop.mark()
        p.play(0)
        wait_for(lambda: p.status.heard[0] > 1.0)
        p.close()
        recorded = laptop.recording(start)
        begin = first_sound(recorded)
        return float(np.std(recorded[begin + RATE // 10 : begin + RATE // 2]))

    assert 20 * np.log10(level(-6.0) / level(0.0)) == pytest.approx(-6.0, abs=0.5)


def test_a_pause_is_silence_and_an_end_is_told(player: MakesPlayers, laptop: Pulse, clips: list[Path]) -> None:
    p = player()
    p.ready("pulse", clips)
    p.play(0, position=0.5)
    wait_for(lambda: p.status.heard[0] > 0.5)
    p.pause()
    time.sleep(1.0)
    assert not laptop.recording(laptop.mark() - RATE // 4).any()
    assert not p.status.playing
    p.play(0, position=3.5)
    p.wait("ended")
    assert p.status.position == pytest.approx(4.0, abs=0.01)


@pytest.mark.parametrize("output", ["pulse", "pacat"])
def test_the_chirp_comes_back_and_proves_the_sound(player: MakesPlayers, laptop: Pulse, output: str) -> None:
    p = player()
    p.start(output)
    wait_for(lambda: p.status.output == output)
    p.prove()
    message = p.wait("proof")
    assert message.data["proven"], message.text
    wait_for(lambda: p.status.proven)


def test_the_first_clip_that_plays_is_proof_enough(player: MakesPlayers, laptop: Pulse, clips: list[Path]) -> None:
    p = player()
    p.ready("pulse", clips)
    assert not p.status.proven
    p.play(0)
    wait_for(lambda: p.status.proven, what="proof by the music itself")
    assert p.of("proof") == []


def test_a_first_clip_into_a_muted_laptop_is_told(player: MakesPlayers, laptop: Pulse, clips: list[Path]) -> None:
    laptop.pactl("set-sink-mute", "laptop", "1")
    p = player()
    p.ready("pulse", clips)
    p.play(0)
    assert "muted" in p.wait("error").text
    assert not p.status.proven


def test_a_muted_laptop_is_proven_silent(player: MakesPlayers, laptop: Pulse) -> None:
    laptop.pactl("set-sink-mute", "laptop", "1")
    p = player()
    p.start("pulse")
    wait_for(lambda: p.status.output == "pulse")
    assert "muted" in p.status.label
    p.prove()
    message = p.wait("proof")
    assert not message.data["proven"]
    assert "muted" in message.text


def test_a_laptop_with_pipewire_is_heard_and_proven_too(
    player: MakesPlayers, short_folder: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    need(shutil.which("pipewire-pulse") and shutil.which("wireplumber"), "PipeWire")
    laptop = PipeWire(short_folder / "pipewire")
    try:
        monkeypatch.setenv("PULSE_SERVER", laptop.address)
        p = player()
        p.ready("pulse", clips)
        start = laptop.mark()
        p.play(0)
        wait_for(lambda: p.status.heard[0] > 1.5)
        recorded = laptop.recording(start)
        begin = first_sound(recorded) + RATE // 4
        assert place_of(recorded[begin : begin + RATE // 2], clips[0])[0] > 0.95
        wait_for(lambda: p.status.proven, what="proof by the music itself")
    finally:
        laptop.close()


# What goes wrong


@pytest.mark.parametrize("output", ["pulse", "pacat"])
def test_a_sound_server_that_vanishes_is_told_and_playing_stops(
    player: MakesPlayers, laptop: Pulse, clips: list[Path], output: str
) -> None:
    p = player()
    p.ready(output, clips)
    p.play(1)
    wait_for(lambda: p.status.heard[1] > 1.2)
    place = p.status.position
    laptop.kill()
    assert "Sound stopped" in p.wait("error").text
    assert not p.status.playing
    p.wait("loaded")
    assert p.status.output != output
    assert p.status.index == 1
    assert p.status.position == pytest.approx(place, abs=1.0)


def test_a_sound_server_that_stalls_is_told_and_the_panel_goes_on(
    player: MakesPlayers, laptop: Pulse, clips: list[Path]
) -> None:
    p = player()
    p.ready("pulse", clips)
    p.play(0)
    wait_for(lambda: p.status.heard[0] > 1.2)
    laptop.stop()
    assert "Sound" in p.wait("error").text
    started = time.monotonic()
    p.switch(1)
    p.pause()
    assert time.monotonic() - started < 0.5
    assert not p.status.playing


def test_a_session_of_24_clips_leaves_no_process_and_no_file(
    player: MakesPlayers, laptop: Pulse, clips: list[Path]
) -> None:
    def files_of(pid: int) -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    before, own_before = children(), files_of(os.getpid())
    p = Listener()
    p.ready("pacat", clips)
    worker = worker_of(p)
    counts = []
    for prompt in range(8):
        p.load(clips, [0.0, -1.0, -2.0], title=f"prompt {prompt}")
        p.wait("loaded")
        p.play(0, position=0.0)
        wait_for(lambda: p.status.playing)
        p.switch(1)
        p.switch(2)
        p.pause()
        counts.append(files_of(worker))
    assert worker_of(p) == worker
    assert counts[-1] == counts[1]
    p.close()
    assert children() == before
    assert files_of(os.getpid()) == own_before


def test_local_sound_goes_through_the_machines_own_server(
    player: MakesPlayers, laptop: Pulse, clips: list[Path]
) -> None:
    p = player()
    p.load(clips, [0.0] * 3)
    p.start("auto")
    wait_for(lambda: p.status.output == "local")
    start = laptop.mark()
    p.play(2)
    wait_for(lambda: len(p.status.heard) == 3 and p.status.heard[2] > 1.5)
    recorded = laptop.recording(start)
    begin = first_sound(recorded) + RATE // 4
    score, _ = place_of(recorded[begin : begin + RATE // 2], clips[2])
    assert score > 0.95


def test_local_sound_into_a_dummy_output_is_not_used(
    player: MakesPlayers, dummy: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_SERVER", dummy.address)
    p = player()
    p.start("auto")
    wait_for(lambda: p.status.output == "browser")


def test_over_ssh_a_forwarded_server_is_taken_when_it_answers(
    player: MakesPlayers, laptop: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22")
    p = player()
    p.start("auto")
    wait_for(lambda: p.status.output == "browser")  # this server is our own host's: not the listener's ears
    assert "ssh -N -L" in p.status.hint
    p.start("pulse")
    wait_for(lambda: p.status.output == "pulse")  # but who names it gets it


def test_a_worker_killed_while_it_plays_leaves_no_player_behind(
    player: MakesPlayers, laptop: Pulse, clips: list[Path]
) -> None:
    p = player()
    p.ready("pacat", clips)
    p.play(0)
    wait_for(lambda: p.status.heard[0] > 0.3)
    os.kill(worker_of(p), signal.SIGKILL)
    p.wait("error")
    p.wait("loaded")
    wait_for(lambda: "pacat" not in laptop.pactl("list", "sink-inputs").stdout, what="the end of pacat")


def test_after_a_dropout_the_buffer_is_longer_and_the_clip_goes_on(
    player: MakesPlayers, laptop: Pulse, clips: list[Path]
) -> None:
    p = player()
    p.ready("pacat", clips)
    worker = worker_of(p)
    p.loop((0.0, None))
    p.play(0)
    wait_for(lambda: p.status.heard[0] > 1.5)
    os.kill(worker, signal.SIGSTOP)
    time.sleep(0.8)
    os.kill(worker, signal.SIGCONT)
    wait_for(lambda: any("--latency-msec=400" in line for line in _commands_of(worker)), what="a longer buffer")
    heard = p.status.heard[0]
    wait_for(lambda: p.status.heard[0] > heard + 0.5)
    assert p.status.playing
    assert worker_of(p) == worker


def _commands_of(parent: int) -> list[str]:
    """Command lines of a process's children, those that end meanwhile left out."""
    found = []
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
    return found
