"""The footer names what does something now, a key that does nothing says why, and W reads what is cut, everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.panel.listening import listening, panel, running, screen_of, text, told, until
from tests.review.clips import make_foreign_evaluation, make_run
from tui.places.dialogs import Choice, Menu


def footer(app: object) -> str:
    return text(app).splitlines()[-1]


async def test_listen_names_what_can_be_done_with_the_clip_and_no_more(runs: Path) -> None:
    app = panel(runs, "review.training_item=false")
    async with listening(app, (200, 50)) as pilot:
        await until(pilot, lambda: "heard elsewhere" in footer(app))
        assert "undo" not in footer(app)
        assert "go on" not in footer(app)
        await pilot.press("h", "4", "a")
        assert "heard elsewhere" not in footer(app)
        assert "u undo" in footer(app)
        assert "enter go on" in footer(app)
        assert "V reveal" in footer(app)
        await pilot.press("V", "V", "V")
        assert "V reveal" not in footer(app)
        await until(pilot, lambda: "shown already" in told(app))
        await pilot.press("d")
        await until(pilot, lambda: "This prompt has no clip D." in told(app))


@pytest.mark.parametrize(
    ("mode", "gone", "key", "why"),
    [
        ("listen", ("play", "score", "tag", "reveal", "undo"), "space", "No clips to listen to yet"),
        ("compare", ("play", "model", "ab switch"), "down", "There are no clips to play"),
        ("next", ("open as new run", "why"), "w", "advice needs a run"),
        ("try", ("keep", "four", "ab switch", "to prompts"), "b", "There is nothing to play yet"),
    ],
)
async def test_where_there_is_nothing_the_footer_offers_nothing_and_a_key_says_why(
    tmp_path: Path, mode: str, gone: tuple[str, ...], key: str, why: str
) -> None:
    if mode == "next":
        make_foreign_evaluation(tmp_path / "runs" / "first" / "evaluation")
    else:
        make_run(tmp_path / "runs", clips=False)
    app = panel(tmp_path / "runs", mode=mode)
    async with running(app, (200, 50)) as pilot:
        await until(pilot, lambda: not [label for label in gone if f" {label} " in footer(app)])
        await until(pilot, lambda: "? help" in footer(app))
        if mode == "next":
            await until(pilot, lambda: why in text(app))
        await pilot.press(key)
        await until(pilot, lambda: why in told(app))


async def test_w_reads_a_dialogs_choice_that_is_cut_and_the_dialog_is_there_again(runs: Path) -> None:
    app = panel(runs, mode="runs")
    async with running(app, (80, 24)) as pilot:
        taken: list[str | None] = []
        meaning = "a meaning that goes on and on, further than any dialog at eighty columns can show, to its very end"
        app.push_screen(Menu("What now?", [Choice("g", "go", meaning)]), taken.append)
        await until(pilot, lambda: "W reads all" in text(app))
        assert "its very end" not in text(app)
        await pilot.press("W")
        await until(pilot, lambda: "its very end" in text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "What now?" in text(app))
        await pilot.press("g")
        await until(pilot, lambda: taken == ["g"])


async def test_w_reads_the_cells_of_a_table_that_are_cut(tmp_path: Path) -> None:
    long = "a prompt of many words that no list at a hundred and twenty columns has the room to show, down to its end"
    make_run(tmp_path / "runs", prompts=[long, "short"])
    app = panel(tmp_path / "runs", "review.training_item=false")
    async with listening(app) as pilot:
        await until(pilot, lambda: "W whole text" in footer(app))
        await pilot.press("W")
        await until(pilot, lambda: "Prompts" in text(app) and "down to its end" in text(app).replace("\n", " "))
        await pilot.press("W", "down")
        await until(pilot, lambda: screen_of(app).session.trial.id == "2")
