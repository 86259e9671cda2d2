"""A listening session in a real terminal whose panel is killed: not a key is lost."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.panel.listening import stored
from tests.panel.terminal import TerminalPanel
from tests.review.clips import make_run


@pytest.fixture
def open_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], TerminalPanel]]:
    make_run(tmp_path / "runs")
    config = tmp_path / "config.toml"
    config.write_text('[audio]\noutput = "none"\n[review]\ntraining_item = false\n')
    panels: list[TerminalPanel] = []

    def start() -> TerminalPanel:
        words = ("review", "first", "--listener", "anna", "--config", str(config))
        panels.append(TerminalPanel(tmp_path / "runs", *words))
        return panels[-1]

    yield start
    for panel in panels:
        panel.close()


def test_the_session_goes_on_at_the_same_place_after_kill_9(
    tmp_path: Path, open_panel: Callable[[], TerminalPanel]
) -> None:
    panel = open_panel()
    assert panel.saw("upbeat synthwave")
    panel.press("h")
    assert panel.saw("heard elsewhere")
    panel.press("4")
    assert panel.saw("1 of 24 judged")
    panel.press("2")
    assert panel.saw("2 of 24 judged")
    panel.kill(signal.SIGKILL)
    kept = stored(tmp_path / "runs")
    assert [kept["ratings"]["1"][letter]["score"] for letter in "AB"] == [4, 2]
    again = open_panel()
    assert again.saw("2 of 24 judged")
    again.press("5")
    assert again.saw("3 of 24 judged")
    assert stored(tmp_path / "runs")["ratings"]["1"]["C"]["score"] == 5
    again.press("q")
    assert again.ended() == 0
