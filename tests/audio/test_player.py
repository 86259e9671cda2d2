"""The player and its worker process, without a sound device."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.audio.conftest import CLIP_RATE, noise
from tests.audio.parts import Listener, wait_for
from tui.audio.player import Player, PlayerStatus

MakesPlayers = Callable[..., Listener]


def worker_of(player: Player) -> int:
    worker = wait_for(lambda: player._worker, what="a worker")
    return int(worker.pid)


def children() -> set[int]:
    """Children of this process, zombies included."""
    return {int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()}


def test_the_player_imports_neither_a_screen_nor_a_sound_library() -> None:
    script = (
        "import sys, tui.audio.player\n"
        "print([name for name in ('textual', 'sounddevice', 'numpy', 'soundfile') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_is_started_before_it_is_asked_for() -> None:
    before = children()
    player = Player()
    player.play(0)
    player.pause()
    assert player.status == PlayerStatus()
    player.close()
    assert children() == before


def test_without_a_device_judging_goes_on_and_the_line_to_fetch_a_clip_is_offered(
    player: MakesPlayers, clips: list[Path]
) -> None:
    p = player()
    p.ready("none", clips, names=["A", "B", "C"])
    assert p.status.label == "no sound"
    p.play(1)
    text = p.wait("error").text
    assert text.startswith("No sound output. To hear this clip, fetch it on your laptop and open it: scp ")
    assert "clip-B.wav" in text
    assert clips[1].stem not in text
    link = Path(text.split(":")[2].split()[0])
    assert link.resolve() == clips[1]
    assert p.status.index == 1


def test_a_clip_fetched_by_hand_is_as_loud_as_it_would_be_played(player: MakesPlayers, clips: list[Path]) -> None:
    p = player()
    p.ready("none", clips, [-6.0, 0.0, 0.0], names=["A", "B", "C"])
    p.play(0)
    fetched = Path(p.wait("error").text.split(":")[2].split()[0])
    samples, rate = soundfile.read(fetched)
    original, _ = soundfile.read(clips[0])
    assert rate == CLIP_RATE
    assert 20 * np.log10(np.std(samples) / np.std(original)) == pytest.approx(-6.0, abs=0.01)
    p.play(1)
    other = Path(p.wait("error").text.split(":")[2].split()[0])
    assert other.stat().st_size == fetched.stat().st_size  # nor does its format tell which was the quietest


def test_an_unplayable_clip_is_said_by_its_letter_and_the_others_stay(player: MakesPlayers, clips: list[Path]) -> None:
    clips[1].unlink()
    p = player()
    p.load(clips, [0.0] * 3, names=["A", "B", "C"])
    p.start("none")
    assert p.wait("loaded").data["durations"] == [4.0, 0.0, 4.0]
    assert p.status.error == "Clip B: the file is missing; make the clips again, or go on with the others."


def test_a_forced_output_that_does_not_open_is_said_and_none_is_used(player: MakesPlayers, clips: list[Path]) -> None:
    p = player()
    p.start("pacat")
    assert "No forwarded sound server" in p.wait("error").text
    wait_for(lambda: p.status.output == "none")


def without_portaudio(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python processes started from now on do not find PortAudio."""
    (folder / "sitecustomize.py").write_text(
        "import ctypes.util\n"
        "find = ctypes.util.find_library\n"
        "ctypes.util.find_library = lambda name: None if 'portaudio' in name else find(name)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ['PYTHONPATH']}")


def test_missing_portaudio_is_a_sentence_with_the_command_that_mends_it(
    player: MakesPlayers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_portaudio(tmp_path, monkeypatch)
    p = player()
    p.start("local")
    assert "sudo apt install libportaudio2" in p.wait("error").text
    wait_for(lambda: p.status.output == "none")


def test_automatic_choice_falls_back_to_the_browser_where_there_is_no_sound(
    player: MakesPlayers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_portaudio(tmp_path, monkeypatch)
    p = player()
    p.start("auto")
    wait_for(lambda: p.status.output == "browser")
    assert p.status.url in p.status.hint
    assert p.status.error == ""


def test_cycling_goes_on_to_the_next_output_that_opens(player: MakesPlayers, clips: list[Path]) -> None:
    p = player()
    p.ready("browser", clips)
    p.cycle_output()
    wait_for(lambda: p.status.output == "none")
    p.cycle_output()
    wait_for(lambda: p.status.output == "browser")


def test_a_killed_worker_is_told_and_replaced_with_the_same_clips_and_place(
    player: MakesPlayers, clips: list[Path]
) -> None:
    p = player()
    p.ready("none", clips)
    p.switch(2)
    p.seek(1.5)
    wait_for(lambda: p.status.position == 1.5)
    os.kill(worker_of(p), signal.SIGKILL)
    assert "SIGKILL" in p.wait("error").text
    p.wait("loaded")
    assert (p.status.index, p.status.position, p.status.output) == (2, 1.5, "none")


def test_a_hanging_worker_is_killed_told_and_replaced(player: MakesPlayers, clips: list[Path]) -> None:
    p = player()
    p.ready("none", clips)
    hung = worker_of(p)
    os.kill(hung, signal.SIGSTOP)
    start = time.monotonic()
    p.switch(1)
    p.play(1)
    assert time.monotonic() - start < 0.5  # the panel is not held up
    assert "hung" in p.wait("error").text
    p.wait("loaded")
    assert worker_of(p) != hung
    assert hung not in children()


def test_a_worker_that_cannot_live_is_given_up_and_a_start_tries_again(
    player: MakesPlayers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "soundfile.py").write_text("raise ImportError('no libsndfile here')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
    p = player()
    p.start()
    assert "no libsndfile here" in p.wait("error").text
    wait_for(lambda: p.status.output == "none")
    (tmp_path / "soundfile.py").unlink()
    p.start("browser")
    wait_for(lambda: p.status.output == "browser")


def test_the_worker_ends_when_the_panel_is_killed(tmp_path: Path) -> None:
    script = (
        "import time; from tui.audio.player import Player; p = Player(port=0); p.start('browser')\n"
        "while not p._worker or not p.status.output: time.sleep(0.05)\n"
        "print(p._worker.pid, flush=True); time.sleep(60)"
    )
    panel = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert panel.stdout is not None
    worker = int(panel.stdout.readline())
    panel.kill()
    panel.wait()
    panel.stdout.close()
    wait_for(lambda: not _lives(worker), what="the worker's end")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_closing_twice_is_the_same_as_once_and_leaves_neither_process_nor_file(clips: list[Path]) -> None:
    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before, open_before = children(), files()
    p = Listener()
    p.ready("none", clips)
    p.close()
    p.close()
    assert children() == before
    assert files() == open_before


def test_a_listener_that_fails_does_not_end_the_sound(player: MakesPlayers, clips: list[Path]) -> None:
    p = player()
    p.listen(lambda message: 1 / 0)
    p.ready("none", clips)
    p.switch(1)
    wait_for(lambda: p.status.index == 1)


def test_a_whole_evaluation_of_long_file_names_is_loaded_one_prompt_after_the_other(
    player: MakesPlayers, tmp_path: Path
) -> None:
    p = player()
    p.start("none")
    for prompt in range(8):
        paths = [tmp_path / f"{prompt}-{model}-{'x' * 100}.flac" for model in ("base", "best", "final")]
        for seed, path in enumerate(paths):
            soundfile.write(path, noise(0.6, seed), CLIP_RATE)
        p.load(paths, [0.0, -3.0, -1.5], title=f"prompt {prompt} – 夜の街")
        assert p.wait("loaded").data["durations"] == pytest.approx([0.6] * 3)
