"""The links under which clips leave the panel."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.review.clips import write_clip
from tui.review.blind import BlindNames


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return place


def test_a_link_names_trial_and_letter_and_nothing_of_the_model(tmp_path: Path) -> None:
    clip = tmp_path / "best_model" / "01-piano.wav"
    write_clip(clip, tone=220)
    names = BlindNames()
    link = names.link("3", "B", clip)
    assert (link.name, link.read_bytes()) == ("3-B.wav", clip.read_bytes())
    assert "best" not in str(link)
    names.close()
    assert not link.parent.exists()


def test_a_folder_that_another_panel_sweeps_before_it_is_held_is_made_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tempfile.mkdtemp
    swept: list[str] = []

    def made_and_swept(*args: str, **options: str) -> str:
        path = made(*args, **options)
        if not swept:
            swept.append(path)
            Path(path).rmdir()
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", made_and_swept)
    names = BlindNames()
    (left,) = folder.iterdir()
    assert str(left) not in swept
    names.close()


def test_what_a_killed_panel_left_behind_goes_and_what_a_living_one_holds_stays(tmp_path: Path, folder: Path) -> None:
    code = (
        "import time\n"
        "from tui.review.blind import BlindNames\n"
        "names = BlindNames()\n"
        "print(names._folder.name, flush=True)\n"
        "time.sleep(60)\n"
    )
    panels = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    left = [Path(panel.stdout.readline().strip()) for panel in panels if panel.stdout]
    panels[0].send_signal(signal.SIGKILL)
    panels[0].wait()
    assert [path.is_dir() for path in left] == [True, True]
    names = BlindNames()
    assert [path.is_dir() for path in left] == [False, True]
    names.close()
    panels[1].kill()
    panels[1].wait()
    for panel in panels:
        assert panel.stdout
        panel.stdout.close()
