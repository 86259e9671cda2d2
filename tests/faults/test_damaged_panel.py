"""The same damaged files in the panel: every place opens, every key is answered, nothing ends it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine.contract.config import Settings, override
from engine.contract.text import plain
from tests.faults.damage import damaged
from tests.faults.test_damaged_files import FILES, make_runs
from tests.panel.conftest import settle
from tests.panel.listening import text
from tui.app import PanelApp

KEYS = [
    "M", "l", "x", "right", "L", "space", "2", "t", "a", "escape", "i", "o", "enter", "V", "down", "C", "equals_sign",
    "N", "w", "enter", "escape", "e", "escape", "T", "escape", "R", "slash", "b", "enter", "Q", "escape", "n", "escape",
]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_runs(tmp_path_factory.mktemp("damaged") / "runs")


async def walk(runs: Path) -> None:
    """Go through all places with the damaged run open."""
    chosen = override(Settings(), ["audio.output=none", f"runs.dir={runs}"])
    app = PanelApp(runs, settings=chosen, open_run=runs / "bad", mode="runs", listener="anna")
    async with app.run_test(size=(120, 35)) as pilot:
        await settle(pilot)
        for key in KEYS:
            await pilot.press(key)
            await pilot.pause()
            for line in text(app).split("\n"):
                assert plain(line) == line
        assert app.is_running


def test_no_place_fails_over_damaged_files(runs: Path) -> None:
    files = {file: file.read_bytes() for file in runs.rglob("*") if file.is_file()}
    ways = {name: st.one_of(st.just(files[runs / name]), damaged(name, files[runs / name])) for name in FILES}

    # A walk takes seconds: nothing is made smaller, the files stay where a failure can be looked at.
    @settings(max_examples=max(3, settings().max_examples // 3), phases=[Phase.explicit, Phase.generate])
    @given(contents=st.fixed_dictionaries(ways))
    def opens(contents: dict[str, bytes]) -> None:
        for file, whole in files.items():
            file.write_bytes(whole)
        for name, content in contents.items():
            (runs / name).write_bytes(content)
        asyncio.run(walk(runs))

    opens()
