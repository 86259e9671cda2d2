"""Whatever a name, a file or a person says, the panel shows it as it stands: nothing is markup or obeyed."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Input

from engine.contract.config import Settings, override
from engine.contract.events import EventLog
from engine.contract.rundir import RunDir
from engine.contract.text import plain
from tests.panel.conftest import settle
from tests.panel.listening import listening, running, screen_of, stored, text, told, until
from tests.review.clips import MODELS, heard, make_run, write_clip
from tui.app import PanelApp
from tui.places.dialogs import Ask, Choice, Menu
from tui.widgets.field import Line

NAMES = [
    "run [lr=1e-4, r=12]", "[old]", "[@click=app.quit]leave", "[", "a\x1b]0;owned\x07\x1b[2J", "b\u202ecba\u2028d\ne",
    "caf\udce9 \\[b]", "$error %s {0}",
]  # fmt: skip
TEXT = "[/x] [bold red]loud[/] \x1b]0;owned\x07\x1b[2J \u202egnol \u2028 <b> {0} \\[ end"
SHOWN = "[/x] [bold red]loud[/] ␛]0;owned␇␛[2J \ufffdgnol   <b> {0} \\[ end"
SIZES = [(120, 35), (80, 24)]


def hostile(runs: Path, name: str) -> RunDir:
    """A finished run whose every text is foreign; its clips are judged by a listener with such a name."""
    run = make_run(runs, "run", settings=override(Settings(), [f"run.why={json.dumps(TEXT)}"]), clips=False)
    with EventLog(run.events) as log:
        log.write("health", name=TEXT, verdict="warn", evidence=TEXT)
        log.write("gpu", name=TEXT, util=50, mem_used=4e9, mem_total=24e9, throttle=TEXT)
        log.write("note", text=TEXT)
        log.write("state", state="failed", error=TEXT)
    run.engine_log.write_text(f"warning: {TEXT}\n")
    rows = []
    for number in range(2):
        files = {f"{model}_model_file": f"{model}/{number}.wav" for model in MODELS}
        for place, file in enumerate(files.values()):
            write_clip(run.evaluation() / file, tone=440 * (place + 1))
        rows.append({"text_prompt": f"{number} {TEXT}", "duration": 1, **files, "measures": {"base": {TEXT: 1.5}}})
    (run.evaluation() / "comparison_results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    target = runs / name
    run.path.rename(target)
    return RunDir(target)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreign") / "[" / "x]" / "runs"
    for name in NAMES:
        hostile(folder, name)
    (folder / "queue.json").write_text(json.dumps(NAMES[:2]))
    return folder


def panel(runs: Path, run: str, mode: str = "runs") -> PanelApp:
    settings = override(Settings(), ["audio.output=none", f"review.tags={json.dumps([TEXT, '[b]', 'noise'])}"])
    return PanelApp(runs, settings=settings, open_run=runs / run, mode=mode, listener="anna")


async def seen(pilot: Pilot[None]) -> str:
    """The screen; fails where it holds what a terminal would obey."""
    await pilot.pause()
    shown = text(pilot.app)
    for line in shown.split("\n"):
        assert plain(line) == line
    return shown


@pytest.mark.parametrize("size", SIZES)
async def test_every_name_of_a_run_stands_in_the_list_as_it_is(runs: Path, size: tuple[int, int]) -> None:
    async with running(panel(runs, NAMES[0]), size) as pilot:
        await settle(pilot)
        shown = await seen(pilot)
        for name in NAMES:
            assert plain(name)[:14] in shown
        for _ in NAMES:
            await pilot.press("down")
            await seen(pilot)


@pytest.mark.parametrize("name", NAMES)
async def test_no_place_obeys_a_text(runs: Path, name: str) -> None:
    async with running(panel(runs, name)) as pilot:
        await settle(pilot)
        for keys in (
            "space", "M", "l", "l", "slash", "[", "/", "enter", "L", "t", "escape", "g", "N", "w", "C", "equals_sign",
            "R", "n", "escape", "Q", "escape", "question_mark", "escape",
            "e", "escape", "N", "e", "y", "escape", "T", "escape",
        ):  # fmt: skip
            await pilot.press(keys)
            await seen(pilot)
        assert plain(name)[:14] in await seen(pilot)
        assert pilot.app.is_running


async def test_the_filter_of_runs_takes_what_looks_like_markup(runs: Path) -> None:
    async with running(panel(runs, NAMES[0])) as pilot:
        await settle(pilot)
        await pilot.press("slash", "[", "/")
        assert "filter: [/" in await seen(pilot)
        await pilot.press("backspace", "l", "r", "enter")
        assert "run [lr=1e-4" in await seen(pilot)


async def test_a_path_that_looks_like_markup_is_named_in_the_answer(runs: Path) -> None:
    async with running(panel(runs, NAMES[0])) as pilot:
        await pilot.press("p")
        await pilot.pause()
        pilot.app.screen.query_one(Input).value = "/nowhere/[/]/[old]"
        await pilot.press("enter")
        await until(pilot, lambda: "/nowhere/[/]/[old] holds no" in told(pilot.app))
        await seen(pilot)


async def test_a_toast_says_all_that_it_was_given_and_no_more_than_fits(runs: Path) -> None:
    app = panel(runs, NAMES[0])
    async with app.run_test(size=SIZES[0], notifications=True) as pilot:
        app.notify(f"moved to [/old and [old]: {TEXT}")
        app.screen.notify("x" * 100_000)
        await until(pilot, lambda: "moved to [/old and [old]:" in text(app))
        await seen(pilot)
        assert SHOWN in told(app)
        assert max(map(len, told(app).split("\n"))) < 1000


@pytest.mark.parametrize("size", SIZES)
async def test_prompts_tags_notes_and_listeners_are_shown_in_listen(runs: Path, size: tuple[int, int]) -> None:
    async with listening(panel(runs, NAMES[0], "listen"), size) as pilot:
        shown = await seen(pilot)
        assert "[/x] [bold red]loud[/] ␛]0;owned" in shown
        screen = screen_of(pilot.app)
        heard(screen.session).write_note(f"note {TEXT}")
        for keys in (["t", "a"], ["i", "escape"], ["2"], ["V", "V"], ["down"], ["up"], ["e"]):
            await pilot.press(*keys)
            await seen(pilot)
        await pilot.press("escape")
        assert "note [/x] [bold red]loud" in await seen(pilot)


async def test_a_note_that_is_opened_and_left_stays_as_it_was(runs: Path) -> None:
    async with listening(panel(runs, "[old]", "listen")) as pilot:
        session = heard(screen_of(pilot.app).session)
        session.write_note(TEXT)
        before = stored(runs, "[old]")["history"]
        await pilot.press("i")
        await seen(pilot)
        await pilot.press("escape")
        await pilot.pause()
        assert stored(runs, "[old]")["history"] == before


async def test_dialogs_show_what_they_are_given(runs: Path) -> None:
    app = panel(runs, NAMES[0])
    async with running(app) as pilot:
        app.push_screen(Menu(TEXT, [Choice("a", TEXT[:30], TEXT)], note=TEXT))
        assert "[/x] [bold red]loud" in await seen(pilot)
        await pilot.press("escape")
        app.push_screen(Ask(TEXT, value=TEXT, hint=TEXT))
        assert "[/x] [bold red]loud" in await seen(pilot)
        app.screen.query_one(Line).value = ""
        assert "[/x]" in await seen(pilot)


async def test_what_is_pasted_into_a_line_is_not_obeyed(runs: Path) -> None:
    async with running(panel(runs, NAMES[0])) as pilot:
        await pilot.press("p")
        await pilot.pause()
        line = pilot.app.screen.query_one(Line)
        line.post_message(Paste("x\x1b[31m\u202ey"))
        await until(pilot, lambda: line.value)
        assert line.value == "x␛[31m\ufffdy"


async def test_every_action_is_found_in_the_palette(runs: Path) -> None:
    async with listening(panel(runs, NAMES[0], "listen")) as pilot:
        await pilot.press("colon")
        await until(pilot, lambda: "Play or stop" in text(pilot.app))
        await pilot.press(*"loop")
        await until(pilot, lambda: "Loop the clip" in text(pilot.app))
        await pilot.press("[", "slash")
        await seen(pilot)


def test_frames_are_written_in_one_place_and_nothing_is_markup() -> None:
    """Text comes to the screen through Lines, Table, frame, Line and notify, which show it as it is."""
    markup = {"Static", "Label", "Markdown", "RichLog", "OptionList", "Button", "DataTable", "from_markup"}
    for path in Path("tui").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("border_title", "border_subtitle"):
                assert not isinstance(node.ctx, ast.Store), f"{path}:{node.lineno}: use frame()"
            name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
            raw_line = isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Input", "TextArea")
            assert not raw_line, f"{path}:{getattr(node, 'lineno', 0)}: take Line or Field"
            assert name not in markup, f"{path}:{getattr(node, 'lineno', 0)}: {name} reads markup"
