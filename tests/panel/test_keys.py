"""The table of keys: what stands in it works where it says, and everything that is shown comes from it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from textual.keys import KEY_ALIASES, Keys
from textual.pilot import Pilot
from textual.screen import ModalScreen

from tests.panel.conftest import Starter
from tests.review.clips import make_evaluation
from tui import keys
from tui.widgets.field import Field

SCREENS = {
    "runs": "tui.places.runs.screen.RunsScreen",
    "queue": "tui.places.runs.queue.QueueScreen",
    "new_run": "tui.places.new_run.screen.NewRunScreen",
    "data": "tui.places.data.screen.DataScreen",
    "monitor": "tui.places.monitor.screen.MonitorScreen",
    "listen": "tui.places.listen.screen.ListenScreen",
    "compare": "tui.places.compare.screen.CompareScreen",
    "next": "tui.places.next.screen.NextScreen",
    "try": "tui.places.try_.screen.TryScreen",
    "export": "tui.places.export.screen.ExportScreen",
    "samples": "tui.places.samples.screen.SamplesScreen",
    "sound": "tui.places.sound.screen.SoundScreen",
    "everywhere": "tui.app.PanelApp",
}


def screen_class(place: str) -> type[Any]:
    module, name = SCREENS[place].rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def test_every_place_of_the_table_has_a_screen() -> None:
    assert set(keys.PLACES) == set(SCREENS)


@pytest.mark.parametrize("place", SCREENS)
def test_every_key_of_a_place_has_its_action(place: str) -> None:
    screen = screen_class(place)
    missing = [a.keys for a in keys.of(place) if not hasattr(screen, f"action_{a.action.split('(')[0]}")]
    assert not missing


@pytest.mark.parametrize("place", SCREENS)
def test_a_key_has_one_meaning_in_a_place(place: str) -> None:
    both = keys.of(place) + (keys.of("everywhere") if place != "everywhere" else [])
    taken = [key for action in both for key in action.keys.split(",")]
    assert sorted(taken) == sorted(set(taken))


def test_capitals_go_places_and_no_action_has_only_a_ctrl_key() -> None:
    for action in keys.ACTIONS:
        names = action.keys.split(",")
        by_row = action.place == "new_run" and action.action == "start"  # it has a row, where enter does it
        assert by_row or not all(name.startswith("ctrl+") for name in names)
        if action.action.startswith("go("):
            assert names[0].isupper()


@pytest.mark.parametrize("place", [place for place in keys.PLACES if place != "everywhere"])
def test_the_footer_fits_80_columns_and_keeps_the_help(place: str) -> None:
    hints = keys.hints(place, 79)
    assert sum(len(hint.key) + len(hint.label) + 3 for hint in hints) <= 79
    assert ("?", "help") in [(hint.key, hint.label) for hint in hints]


def test_full_width_characters_count_as_their_ascii_twins() -> None:
    assert [keys.ascii_twin(c) for c in "Ｍ１？／：，。　"] == ["M", "1", "?", "/", ":", ",", ".", " "]
    assert [keys.ascii_twin(c) for c in "é日ﾊa"] == ["é", "日", "ﾊ", "a"]


def test_every_key_name_is_known_to_the_terminal() -> None:
    special = {key.value for key in Keys} | set(KEY_ALIASES)
    for action in keys.ACTIONS:
        for key in action.keys.split(","):
            assert len(key) == 1 or key in special or keys.shown(key) != key, key


def test_the_readme_table_names_every_action() -> None:
    assert keys.markdown().count("\n") == len(keys.ACTIONS) + 1


OPEN = {
    "runs": ["R"],
    "monitor": ["M"],
    "new_run": ["R", "n"],
    "queue": ["R", "Q"],
    "listen": ["L"],
    "samples": ["M", "m"],
    "sound": ["L", "r"],
    "compare": ["C"],
    "next": ["N"],
    "try": ["T"],
    "export": ["L", "e"],
}


@pytest.mark.parametrize("place", OPEN)
async def test_every_key_of_a_place_is_heard_there(
    panel: Starter, place: str, heard: list[str], runs_dir: Path
) -> None:
    if place == "samples":
        make_evaluation(runs_dir / "epoch1" / "evaluation_samples", ["one"], ["step-000010"])
    async with panel(open_run=runs_dir / "epoch1") as (app, pilot):
        above = issubclass(screen_class(place), ModalScreen)
        for action in (*keys.of(place), *([] if above else keys.of("everywhere"))):
            for key in action.keys.split(","):
                await open_place(pilot, place)
                heard.clear()
                await pilot.press(key)
                await pilot.pause()
                assert action.action.split("(")[0] in heard, f"{key} in {place}"
                assert app.is_running or action.action == "leave"


async def open_place(pilot: Pilot[None], place: str) -> None:
    """Close what lies above, and go to the place if it is not the one that is open."""
    app = pilot.app
    for _ in range(3):
        if len(app.screen_stack) > 1 and getattr(app.screen, "place", "") != place:
            await pilot.press("escape")
            await pilot.pause()
    if isinstance(app.focused, Field):
        await pilot.press("escape")
    if getattr(app.screen, "place", "") != place:
        for key in OPEN[place]:
            await pilot.press(key)
            await pilot.pause()
        if getattr(app.screen, "place", "") == "menu":
            await pilot.press("g")  # a draft was kept; go on with it
            await pilot.pause()
    assert getattr(app.screen, "place", "") == place, app.screen_stack


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The actions that keys came to; each does what it does."""
    from textual.app import App

    names: list[str] = []
    run = App._dispatch_action

    async def dispatch(self: App[Any], namespace: Any, action_name: str, params: Any) -> bool:
        names.append(action_name)
        return await run(self, namespace, action_name, params)

    monkeypatch.setattr(App, "_dispatch_action", dispatch)
    return names
