"""What the doctor and the check say of sound."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.audio.parts import Pulse
from tui.audio.doctor import audio_findings, run_doctor
from tui.audio.laptop import Server, fetch_line, instructions, over_ssh, this_server


def test_the_address_the_laptop_used_is_the_one_that_is_printed() -> None:
    server = this_server({"SSH_CONNECTION": "10.0.0.1 50000 203.0.113.5 2222"})
    assert (server.host, server.port) == ("203.0.113.5", 2222)


def test_who_came_by_ssh_is_known_also_below_sudo_and_tmux(monkeypatch: pytest.MonkeyPatch) -> None:
    assert over_ssh({"SSH_CONNECTION": "10.0.0.1 50000 10.0.0.2 22"})
    assert over_ssh({"SSH_TTY": "/dev/pts/0"})
    assert not over_ssh({})
    monkeypatch.setattr("tui.audio.laptop.SSH_PARENTS", (Path("/proc/self/comm").read_text().strip(),))
    assert over_ssh({})


def test_the_line_to_fetch_a_clip_hides_the_model(tmp_path: Path) -> None:
    clip = tmp_path / "best_model" / "01-piano.wav"
    clip.parent.mkdir()
    clip.write_bytes(b"x")
    line = fetch_line(clip, "B", Server("me", "gpu", 2222))
    assert line.startswith("scp -P 2222 me@gpu:")
    assert "best_model" not in line
    assert "piano" not in line


def test_a_forwarded_sound_server_gets_its_cookie_and_the_folder_for_it_first() -> None:
    printed = instructions(Server("me", "gpu", 2222), 8765)
    for laptop in ("Linux laptops\n", "macOS laptops ("):
        part = printed.split(laptop, 1)[1]
        copy = part.index("scp -P 2222 ~/.config/pulse/cookie me@gpu:.config/pulse/")
        assert part.index("mkdir -p .config/pulse") < copy < part.index("ssh -R")


def test_without_any_sound_the_finding_warns_with_the_way_out() -> None:
    (finding,) = audio_findings(seconds=20.0)
    assert finding["id"] == "audio-out"
    assert finding["severity"] in ("warn", "ok")
    assert "ssh -N -L 8765:127.0.0.1:8765" in finding["fix"] or finding["severity"] == "ok"


def test_over_ssh_the_browser_is_named_and_that_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 50000 203.0.113.5 22")
    (finding,) = audio_findings(port=9999, seconds=20.0)
    assert finding["severity"] == "info"
    assert finding["fix"].startswith("ssh -N -L 9999:127.0.0.1:9999 ")
    assert "@203.0.113.5" in finding["fix"]


def test_a_sound_system_that_hangs_does_not_hold_up_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sounddevice.py").write_text("import time\ntime.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
    started = time.monotonic()
    (finding,) = audio_findings(seconds=1.5)
    assert time.monotonic() - started < 10.0
    assert (finding["severity"], "did not answer" in finding["message"]) == ("warn", True)


def test_a_sound_system_that_aborts_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sounddevice.py").write_text("import os\nos.abort()")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
    assert audio_findings(seconds=20.0)[0]["severity"] == "warn"


@pytest.mark.audio
def test_the_doctor_proves_what_can_be_recorded(pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", pulse.address)
    said: list[str] = []
    assert run_doctor("pulse", port=0, say=said.append)
    assert any("Sound is proven" in line for line in said)
    assert any("ssh -N -L" in line for line in said)
    assert audio_findings(seconds=20.0)[0]["severity"] == "ok"


def test_the_doctor_says_it_when_nothing_opens() -> None:
    said: list[str] = []
    assert not run_doctor("none", say=said.append)
    assert any("judging works" in line for line in said)
