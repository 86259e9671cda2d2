"""The place Data: clips are heard, mended, taken out and moved; findings lead to clips; prompts stand beside them."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from textual.pilot import Pilot

from engine.contract import config
from tests.audio.parts import Pulse, first_sound, place_of
from tests.conftest import need, once
from tests.data.conftest import music, write
from tests.panel.listening import text, told, until
from tests.review.clips import make_run
from tui import keys
from tui.app import PanelApp
from tui.places.data.screen import DataScreen
from tui.places.whole import WholeScreen
from tui.runs.checks import Checked
from tui.widgets.field import Line
from tui.widgets.table import Table

CLIPS = {
    "train/beat33_01_0000.wav": "boomap drums, soft bass",
    "train/beat33_02_0001.wav": "boombap drums, vinyl",
    "train/song9.wav": "boombap drums, rain",
    "train/loud7.wav": "boombap drums, loud",
    "valid/beat33_03_0002.wav": "boombap drums, night",
}
PROMPTS = ["a choir sings", "boombap drums, rain"]


def _sounds(folder: Path) -> None:
    for number, name in enumerate(CLIPS):
        sound = music(number, seconds=2.0)
        write(folder / name, np.clip(sound * 40, -1, 1) if "loud" in name else sound)


@pytest.fixture
def data(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a misspelling, a clipped clip, a track on both sides and a clip that is gone."""
    folder = tmp_path / "data"
    folder.mkdir()
    sounds = once(tmp_path_factory, "data-place", _sounds)
    for split in ("train", "valid"):
        (folder / split).symlink_to(sounds / split)
    rows = [{"audio": name, "text": caption} for name, caption in CLIPS.items()]
    rows.append({"audio": "train/gone.wav", "text": "boombap drums, gone"})
    (folder / "metadata.json").write_text(json.dumps(rows))
    (folder / "prompts.json").write_text(json.dumps(PROMPTS))
    return folder


async def _checks_that_take_long(settings: config.Settings) -> Checked:
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def opened(
    data: Path, *, size: tuple[int, int] = (120, 35), checked: bool = True, sound: str = "none"
) -> AsyncIterator[tuple[PanelApp, Pilot[None], DataScreen]]:
    changes = [
        f"audio.output={sound}", f'data.dir="{data}"', "data.duration=2.0", 'model.base="demo"',
        f'evaluate.prompts_file="{data / "prompts.json"}"',
    ]  # fmt: skip
    settings = config.override(config.Settings(), changes)
    app = PanelApp(data.parent / "runs", settings=settings, mode="data")
    slow = patch("tui.places.data.screen.run_checks", _checks_that_take_long)
    with nullcontext() if checked else slow:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: isinstance(app.screen, DataScreen) and app.screen.room)
            screen: Any = app.screen
            if checked:
                await until(pilot, lambda: screen.room.checked, 60)
            yield app, pilot, screen


def captions(data: Path) -> list[str]:
    return [row["text"] for row in json.loads((data / "metadata.json").read_text())]


def splits(data: Path) -> list[str]:
    return [row.get("split", row["audio"].split("/")[0]) for row in json.loads((data / "metadata.json").read_text())]


async def kept(pilot: Pilot[None], screen: DataScreen, said: str) -> None:
    await until(pilot, lambda: said in screen.said)


async def type_line(pilot: Pilot[None], value: str) -> None:
    assert isinstance(pilot.app.focused, Line)
    pilot.app.focused.value = value
    await pilot.press("enter")


async def test_the_table_stands_before_the_checks_and_gains_what_they_measure(data: Path) -> None:
    async with opened(data, checked=False) as (app, _, _):
        assert "Clips 6 · 5 train, 1 valid" in text(app)
        assert "heard" not in text(app)
    async with opened(data) as (_, _, screen):
        row = screen.query_one("#data", Table).line(0).plain
        assert row.split()[:4] == ["train", "beat33", "2.0", row.split()[3]]
        assert float(row.split()[3]) < -5
        assert "▲ 2" in row


async def test_a_caption_is_mended_in_place_kept_at_once_and_taken_back(data: Path) -> None:
    async with opened(data, checked=False) as (_, pilot, screen):
        await pilot.press("i")
        await type_line(pilot, "boombap drums,  soft bass ")
        await kept(pilot, screen, "Caption of beat33_01_0000.wav kept")
        assert captions(data)[0] == "boombap drums, soft bass"
        assert (data / "metadata.json.orig").exists()
        assert "boombap drums, soft bass" in screen.query_one("#data", Table).line(0).plain
        await pilot.press("u")
        await kept(pilot, screen, "Taken back")
        assert captions(data)[0] == CLIPS["train/beat33_01_0000.wav"]


async def test_a_word_is_replaced_everywhere_after_its_lines_were_shown(data: Path) -> None:
    async with opened(data, checked=False) as (app, pilot, screen):
        before = captions(data)
        await pilot.press("w")
        table = screen.query_one("#data", Table)
        table.go_to("boomap")
        await pilot.press("h", "enter")
        assert "Type what is put in its place" in told(app)
        await pilot.press(*"boombap")
        assert "1 caption would change" in text(app)
        assert "+ boombap drums, soft bass" in text(app)
        assert captions(data) == before
        await pilot.press("enter")
        await kept(pilot, screen, "1 caption: “boomap” → “boombap”")
        assert captions(data)[0] == "boombap drums, soft bass"
        await until(pilot, lambda: "boomap" not in [row.key for row in table.rows])


async def test_a_word_that_looks_misspelt_comes_first_with_what_was_meant(data: Path) -> None:
    async with opened(data) as (app, pilot, screen):
        await pilot.press("w")
        table = screen.query_one("#data", Table)
        assert table.key == "boomap"
        assert "perhaps “boombap”" in table.line(0).plain
        await pilot.press("h", "enter")
        await kept(pilot, screen, "1 caption: “boomap” → “boombap”")
        await pilot.press("slash", *"vin")
        assert [row.key for row in table.rows] == ["vinyl"]
        await pilot.press("enter", "enter")
        assert "Clips 1 of 6" in text(app)


async def test_a_clip_goes_out_and_comes_back_in(data: Path) -> None:
    async with opened(data, checked=False) as (app, pilot, screen):
        await pilot.press("x")
        await kept(pilot, screen, "is out")
        assert splits(data)[0] == "out of train"
        assert "4 train, 1 valid, 1 out" in text(app)
        await pilot.press("up", "x")
        await kept(pilot, screen, "back in")
        assert splits(data)[0] == "train"


async def test_keys_that_come_together_are_obeyed_one_after_the_other(data: Path) -> None:
    async with opened(data, checked=False) as (_, pilot, _):
        await pilot.press("x", "x", "up", "up", "x")
        await until(pilot, lambda: splits(data)[:2] == ["train", "out of train"])


async def test_a_clip_moves_with_its_whole_track_and_it_is_said(data: Path) -> None:
    async with opened(data, checked=False) as (_, pilot, screen):
        await pilot.press("m")
        await kept(pilot, screen, "Track beat33: 3 clips moved to valid")
        assert splits(data) == ["valid", "valid", "train", "train", "valid", "train"]
        await pilot.press("u")
        await until(pilot, lambda: splits(data) == ["train", "train", "train", "train", "valid", "train"])


async def test_a_split_by_track_is_applied_to_the_file_that_is_used(data: Path) -> None:
    async with opened(data) as (_, pilot, screen):
        await pilot.press("F")
        await kept(pilot, screen, "Split by track")
        sides = splits(data)
        assert sides[0] == sides[1] == sides[4]
        await pilot.press("u")
        await kept(pilot, screen, "Taken back")
        assert splits(data)[4] == "valid"


async def test_each_finding_leads_to_its_clips(data: Path) -> None:
    async with opened(data) as (app, pilot, screen):
        await pilot.press("f")
        rows = {row.cells[1]: row.key for row in screen.query_one("#data", Table).rows}
        screen.query_one("#data", Table).go_to(rows["clipping"])
        assert "The model would learn the distortion" in text(app) or "distortion" in text(app)
        await pilot.press("enter")
        assert "Clips 1 of 6" in text(app)
        assert [row.key[0] for row in screen.query_one("#data", Table).rows] == ["train/loud7.wav"]
        await pilot.press("escape")
        assert "Clips 6 ·" in text(app)


async def test_a_mark_goes_once_its_fault_is_mended(data: Path) -> None:
    async with opened(data) as (_, pilot, screen):
        assert any(finding.id == "missing-file" for finding, _ in screen.room.findings)
        screen.query_one("#data", Table).go_to(("train/gone.wav", 0))
        await pilot.press("x")
        await until(pilot, lambda: all(finding.id != "missing-file" for finding, _ in screen.room.findings), 60)


async def test_what_another_program_changed_while_one_typed_is_not_written_over(data: Path) -> None:
    async with opened(data, checked=False) as (app, pilot, screen):
        await pilot.press("i")
        rows = json.loads((data / "metadata.json").read_text())
        rows[0]["text"] = "written elsewhere"
        (data / "metadata.json").write_text(json.dumps(rows))
        await until(pilot, lambda: "written elsewhere" in screen.query_one("#data", Table).line(0).plain)
        await type_line(pilot, "written here")
        await until(pilot, lambda: "another program" in told(app))
        assert captions(data)[0] == "written elsewhere"


async def test_what_another_program_writes_shows_by_itself(data: Path) -> None:
    async with opened(data, checked=False) as (_, pilot, screen):
        rows = json.loads((data / "metadata.json").read_text())
        rows[1]["text"] = "written elsewhere"
        (data / "metadata.json").write_text(json.dumps(rows))
        await until(pilot, lambda: "written elsewhere" in screen.query_one("#data", Table).line(1).plain)


async def test_the_list_is_filtered_and_sorted(data: Path) -> None:
    async with opened(data) as (app, pilot, screen):

        def names() -> list[str]:
            return [row.key[0] for row in screen.query_one("#data", Table).rows]

        await pilot.press("slash", *"clipping")
        assert names() == ["train/loud7.wav"]
        await pilot.press("enter", "escape")
        assert len(names()) == 6
        await pilot.press("o")
        assert names()[-1] == "valid/beat33_03_0002.wav"
        await pilot.press("v")
        assert names()[0] == "valid/beat33_03_0002.wav"
        await pilot.press("slash", *"nothing")
        assert "No clip fits" in text(app)


async def test_prompts_are_edited_added_taken_out_and_told_when_they_repeat_a_caption(data: Path) -> None:
    def prompts() -> list[str]:
        return list(json.loads((data / "prompts.json").read_text()))

    async with opened(data, checked=False) as (app, pilot, _):
        await pilot.press("p", "down")
        assert "word for word" in text(app)
        await pilot.press("i")
        await type_line(pilot, "a slow river")
        await until(pilot, lambda: prompts() == ["a choir sings", "a slow river"])
        await until(pilot, lambda: "repeats no caption" in text(app))
        await pilot.press("a")
        await type_line(pilot, "rain on tin")
        await until(pilot, lambda: len(prompts()) == 3)
        await pilot.press("x")
        await until(pilot, lambda: len(prompts()) == 2)
        for _ in range(3):
            await pilot.press("u")
        await until(pilot, lambda: prompts() == PROMPTS)


async def test_another_folder_is_chosen_and_remembered(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write(other / "train" / "x.wav", music(1, 2.0))
    (other / "train" / "x.txt").write_text("only one")
    async with opened(data, checked=False) as (app, pilot, screen):
        await pilot.press("d")
        await type_line(pilot, str(tmp_path / "nowhere"))
        assert "is no folder" in told(app)
        await pilot.press("d")
        assert isinstance(app.focused, Line)
        app.focused.value = str(tmp_path / "oth")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: screen.room and len(screen.room.clips) == 1)
    async with opened(data, checked=False) as (app, pilot, screen):
        await until(pilot, lambda: len(screen.room.clips) == 1)
        await pilot.press("d")
        await type_line(pilot, "")
        await until(pilot, lambda: len(screen.room.clips) == 6)


async def test_a_clip_is_played_sought_and_the_next_one_follows(data: Path) -> None:
    async with opened(data, checked=False, sound="none") as (app, pilot, screen):
        await pilot.press("space")
        await until(pilot, lambda: app.player.status.duration > 1.9)
        assert screen.deck.holds.audio.name == "beat33_01_0000.wav"
        await pilot.press("full_stop")
        await until(pilot, lambda: app.player.status.position >= 1.0)
        await pilot.press("n")
        await until(pilot, lambda: screen.deck.holds.audio.name == "beat33_02_0001.wav")
        await pilot.press("g")
        await until(pilot, lambda: screen.clip_card.wave.looks[0].mel is not None)


async def test_a_clip_that_is_gone_says_so(data: Path) -> None:
    async with opened(data, checked=False, size=(80, 24)) as (app, pilot, screen):
        screen.query_one("#data", Table).go_to(("train/gone.wav", 0))
        await until(pilot, lambda: "the file is missing" in text(app))
        await pilot.press("space")
        assert "does not exist; x takes it out" in told(app)


async def test_a_run_is_made_on_the_data_that_are_shown(data: Path) -> None:
    async with opened(data, checked=False) as (app, pilot, _):
        await pilot.press("t")
        await until(pilot, lambda: getattr(app.screen, "place", "") == "new_run")
        assert app.screen.draft.settings.data.dir == str(data)


async def test_a_first_start_teaches_three_steps_and_clips_are_brought_from_there(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / "tracks" / f"dusty beat {number}.wav", music(number, seconds=32.0, rate=8000), 8000)
    async with opened(tmp_path / "data", checked=False, size=(80, 24)) as (app, pilot, screen):
        await until(pilot, lambda: "1  Bring clips" in text(app))
        offered = {action.action for action in keys.of("data") if screen.offers(action)}
        assert offered == {"bring", "folder", "view('prompts')"}
        await pilot.press("b")
        assert isinstance(app.focused, Line)
        app.focused.value = str(tmp_path / "trac")
        await pilot.press("tab", "enter")
        await type_line(pilot, str(tmp_path / "data"))
        await type_line(pilot, "lofi")
        await until(pilot, lambda: isinstance(app.screen, WholeScreen), 60)
        await until(pilot, lambda: "2 new tracks" in text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Clips 4" in text(app))
        assert captions(tmp_path / "data")[0].startswith("lofi, ")
        await until(pilot, lambda: screen.query_one("#data", Table).has_focus)


async def test_what_cannot_be_prepared_is_said_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "tracks").mkdir()
    async with opened(tmp_path / "data", checked=False) as (app, pilot, screen):
        await pilot.press("b")
        await type_line(pilot, str(tmp_path / "tracks"))
        await pilot.press("enter", "enter")
        await until(pilot, lambda: told(app) and not screen.preparing, 60)
        assert str(tmp_path / "tracks") in told(app)
        assert not (tmp_path / "data" / "metadata.json").exists()


@pytest.mark.audio
async def test_what_is_heard_is_the_clip_under_the_cursor(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need(shutil.which("pulseaudio") and shutil.which("parec"), "PulseAudio and its tools")
    pulse = Pulse(data.parent / "p")
    try:
        monkeypatch.setenv("PULSE_SERVER", pulse.address)
        monkeypatch.delenv("SSH_CONNECTION", raising=False)
        async with opened(data, checked=False, sound="pacat") as (app, pilot, screen):
            since = pulse.mark()
            await pilot.press("down", "space")
            await until(pilot, lambda: app.player.status.position > 1.2)
            await pilot.press("R")
            await until(pilot, lambda: not app.player.status.playing)
            heard = pulse.recording(since)
            begin = first_sound(heard)
            part = heard[begin + 4410 : begin + 4410 + 22050]
            clips = [data / name for name in CLIPS]
            fits = {clip.name: place_of(part, clip)[0] for clip in clips}
            assert max(fits, key=lambda name: fits[name]) == "beat33_02_0001.wav"
            assert fits["beat33_02_0001.wav"] > 0.9
            await pilot.press("D", "space")
            await until(pilot, lambda: app.player.status.playing)
            assert screen.deck.holds.audio.name == "beat33_02_0001.wav"
    finally:
        pulse.close()


async def test_without_a_data_folder_of_its_own_the_panel_shows_the_last_runs(data: Path, tmp_path: Path) -> None:
    theirs = config.override(config.Settings(), [f'data.dir="{data}"'])
    make_run(tmp_path / "runs", settings=theirs, clips=False)
    app = PanelApp(
        tmp_path / "runs", settings=config.override(config.Settings(), ["audio.output=none", 'data.dir="/nowhere"'])
    )
    with patch("tui.places.data.screen.run_checks", _checks_that_take_long):
        async with app.run_test(size=(120, 35)) as pilot:
            await until(pilot, lambda: app.summaries)
            await pilot.press("D")
            await until(pilot, lambda: "beat33_01" in text(app))
