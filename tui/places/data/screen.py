"""Data: the clips that runs learn from are heard, mended, taken out, moved; prompts stand beside them.

The room knows what is shown, the data set keeps what is edited, the deck plays, the page draws.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from textual import events, on
from textual.binding import BindingType
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input

from engine.contract import config
from engine.contract.errors import UserError
from engine.contract.text import plain
from tui import keys
from tui.dataset.preparing import Wanted, prepare
from tui.places.data import edits
from tui.places.data.bring import Bring
from tui.places.data.page import DataPage
from tui.places.data.replace import Replace
from tui.places.data.room import SORTS, Known, Look, Only, Reading, View, read, with_news
from tui.places.dialogs import Ask
from tui.places.place import RunChanged
from tui.places.sound.screen import PlayerNews, SoundScreen
from tui.places.whole import WholeScreen
from tui.runs import remembered
from tui.runs.checks import Checked, run_checks
from tui.widgets.field import Field
from tui.widgets.table import Table

T = TypeVar("T")
TICK = 0.2
CHECK_AFTER = 1.5
"""Seconds after the last edit until the checks look again."""
LOOK_EVERY = 2.0
QUICK_CHECK = 10.0
"""Seconds; checks that take longer are asked for by a key once something was edited."""


class DataScreen(DataPage):
    """One data folder: that of the run which is shown, or the one that was chosen here."""

    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("data"))

    _timer: Timer

    def __init__(self) -> None:
        super().__init__()
        self._reading: Reading | None = None
        self._jobs: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
        """Reads and edits that wait for the one before them: a file that is read while it is edited gives old news."""
        self._busy = False
        self._away = True
        self._typing: Callable[[str], None] | None = None
        """What takes the line that is being typed."""
        self._check_took = 0.0
        self._check_soon: Timer | None = None

    def on_mount(self) -> None:
        self._timer = self.set_interval(TICK, self.write_playhead, pause=True)
        self.set_interval(LOOK_EVERY, self._look_again)
        self.query_one(Table).focus()

    def _look_again(self) -> None:
        """Show what an editor or a command has written meanwhile."""
        dataset = self._reading.dataset if self._reading is not None else None
        if dataset is not None and self.is_current and not self._busy and dataset.is_old:
            self.open_folder()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        if self._away:  # and not back from a dialog
            self._away = False
            self.deck.forget()
            self.open_folder()

    def on_screen_suspend(self, event: events.ScreenSuspend) -> None:
        if self.app.current_mode != "data":
            self._away = True
            self.deck.pause()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.write_page)

    # -- which data

    @on(RunChanged)
    def _other_run(self) -> None:
        # It comes at every step of a run that trains.
        if self.is_current and self.panel.shown_path != self._of_run:
            self.open_folder()

    def _wanted(self) -> config.Settings:
        """The folder that was chosen, else that of the run that is shown, of the settings, or of the last run."""
        settings, last = self.panel.settings, self.panel.last_run()
        if self.panel.shown is not None:
            try:
                settings = self.panel.shown.run.settings()
            except UserError:
                pass  # a damaged run's own place says so
        elif last is not None and last.settings is not None and not Path(settings.data.dir).is_dir():
            settings = last.settings
        chosen = remembered.load().data.get(str(self.panel.runs_dir.resolve()), "")
        if chosen and chosen != settings.data.dir:
            data = settings.data.model_copy(update={"dir": chosen, "metadata": "metadata.json"})
            settings = settings.model_copy(update={"data": data})
        return settings

    def open_folder(self) -> None:
        """Read the folder that is wanted now; what was typed in another program shows as well."""
        self._of_run = self.panel.shown_path
        self._do(partial(read, self._wanted()), self._have)

    def _do(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Do something with the files in a thread, after what was asked for before it."""
        self._jobs.append((work, then))
        self._next_job()

    def _next_job(self) -> None:
        if self._busy or not self._jobs:
            return
        self._busy = True
        work, then = self._jobs.pop(0)

        def done(result: Any) -> None:
            self._busy = False
            then(result)
            self._next_job()

        self.look_up(work, done, group="files")

    def _have(self, reading: Reading) -> None:
        before = self.room
        same = before is not None and before.settings.data == reading.room.settings.data
        if self._reading is not None and same and reading.dataset is not None and self._reading.dataset is not None:
            # What can be taken back stays so while one is away in another place.
            reading.dataset.edits = self._reading.dataset.edits
        if same and before is not None and before.checked is not None:
            reading = with_news(reading, before.checked)
        elif not same:
            self.look = Look()
        self._reading = reading
        self.have_room(reading.room)
        unchanged = same and before is not None and before.clips == reading.room.clips
        if not reading.room.problem and not (unchanged and reading.room.checked is not None):
            self._check()

    def action_folder(self) -> None:
        def take(text: str | None) -> None:
            folder = str(Path(text).expanduser().absolute()) if text else ""
            if folder and not Path(folder).is_dir():
                self.notify(f"{folder} is no folder; give the one that holds the clips.", severity="error")
                return
            self.choose(folder)

        here = self.room.settings.data.dir if self.room is not None else ""
        hint = "folder with clips and captions; empty for that of the run or the settings"
        self.app.push_screen(Ask("Open a data folder", value=here, hint=hint, path=True), take)

    def choose(self, folder: str) -> None:
        """Show this data folder from now on, also after the next start; "" for that of the run or the settings."""
        here = str(self.panel.runs_dir.resolve())
        remembered.change(lambda kept: kept.data.update({here: folder}))
        self.open_folder()

    # -- the checks

    def action_check(self) -> None:
        if self.room is None or self.room.problem:
            self.open_folder()
        else:
            self._check()

    def _check(self) -> None:
        if self.room is not None:
            self.checking = True
            self.write_page()
            self.run_worker(self._run_checks(self.room.settings), group="check", exclusive=True, exit_on_error=False)

    async def _run_checks(self, settings: config.Settings) -> None:
        began = time.monotonic()
        checked = await run_checks(settings)
        self._check_took = time.monotonic() - began
        if self.room is not None and settings == self.room.settings:
            self._do(partial(self._seen_again, checked), self._checked)

    def _seen_again(self, checked: Checked | None) -> Reading | None:
        """In a thread: what is shown, worked out anew."""
        return with_news(self._reading, checked) if self._reading is not None else None

    def _checked(self, reading: Reading | None) -> None:
        self.checking, self.stale = False, False
        if reading is not None:
            self._reading = reading
            self.have_room(reading.room)

    def _check_later(self) -> None:
        self.stale = True
        if self._check_soon is not None:
            self._check_soon.stop()
        if self._check_took < QUICK_CHECK:
            self._check_soon = self.set_timer(CHECK_AFTER, self._check)

    # -- edits

    def edit(self, how: Callable[[Reading], str]) -> None:
        """Do an edit in a thread, after those before it; ``how`` says what was done, or raises UserError."""
        self._do(partial(self._keep, how), self._kept)

    def _keep(self, how: Callable[[Reading], str]) -> tuple[Reading | None, str, bool]:
        if self._reading is None:
            return None, "The data are being read still; once more.", True
        try:
            said, failed = how(self._reading), False
        except UserError as error:
            said, failed = str(error), True
        return self._seen_again(None), said, failed

    def _kept(self, kept: tuple[Reading | None, str, bool]) -> None:
        reading, said, failed = kept
        self.said = "" if failed else said.rstrip(".")
        if failed:
            self.notify(said, severity="warning", timeout=8)
        else:
            self._check_later()
        if reading is not None:
            self._reading = reading
            self.have_room(reading.room)

    def action_edit(self) -> None:
        if self.look.view == "prompts":
            self._edit_prompt()
        elif (known := self._clip("edit")) is not None:
            clip = known.clip
            self._type(clip.text, lambda text: self.edit(partial(edits.caption, clip=clip, text=text)))

    def action_out(self) -> None:
        if self.look.view == "prompts":
            if isinstance(self.key, int):
                self.edit(partial(edits.remove_prompt, number=self.key))
        elif (known := self._clip("take out")) is not None:
            self.edit(partial(edits.turn, key=known.key))
            self.query_one(Table).action_move(1)

    def action_move(self) -> None:
        if (known := self._clip("move")) is not None:
            self.edit(partial(edits.move, key=known.key))

    def action_fix_split(self) -> None:
        if self.room is None or self.room.checked is None or not self.room.checked.clips:
            self.notify("The checks have not listened to the clips yet, which tells the tracks apart; wait for them.")
        else:
            self.edit(edits.split_anew)

    def action_undo(self) -> None:
        self.edit(edits.undo_prompt if self.look.view == "prompts" else edits.undo)

    def action_replace(self) -> None:
        if self.room is None or not self.room.clips:
            self.notify("There are no captions yet.")
            return
        word = self.key if self.look.view == "words" and isinstance(self.key, str) else ""
        clips, meant = self.room.clips, self.room.meant.get(word, "")

        def take(answer: tuple[str, str] | None) -> None:
            if answer is not None:
                self.edit(partial(edits.replace, clips=clips, old=answer[0], new=answer[1]))

        self.app.push_screen(Replace(clips, word, meant), take)

    def action_add(self) -> None:
        if self.look.view != "prompts":
            self.action_view("prompts")
        self._type("", lambda text: self.edit(partial(edits.add_prompt, text=text)))

    def _edit_prompt(self) -> None:
        number = self.key
        if self.room is None or not isinstance(number, int):
            self.notify("There is no prompt yet; a adds one.")
            return
        self._type(
            self.room.prompts[number], lambda text: self.edit(partial(edits.put_prompt, number=number, text=text))
        )

    def _clip(self, what: str) -> Known | None:
        """The clip under the cursor; says so when there is none."""
        known = self.current()
        if known is None:
            self.notify(f"There is no clip here to {what}; esc shows all of them.")
        return known

    # -- typing

    def _type(self, value: str, take: Callable[[str], None]) -> None:
        self._typing = take
        self.query_one("#typed", Field).open(value, go_on=True)

    @on(Input.Submitted, "#typed")
    def _typed(self, message: Input.Submitted) -> None:
        take, self._typing = self._typing, None
        self._close_fields()
        if take is not None:
            take(message.value)

    @on(Field.Left)
    def _left(self, message: Field.Left) -> None:
        if message.field.id == "filter":
            self.show_look(self.look.changed(filter=""))
        self._close_fields()

    def _close_fields(self) -> None:
        for field in self.query(Field):
            field.close()
        self.query_one(Table).focus()

    # -- what is listed

    @on(Table.Chosen)
    def action_open(self) -> None:
        room, key = self.room, self.key
        if room is None or key is None:
            return
        if self.look.view == "findings":
            finding, only = room.findings[key]
            if only.keys:
                self._list("clips", only)
            else:
                self.notify(f"{finding.id} is about no single clip: {finding.fix or finding.message}")
        elif self.look.view == "words":
            self._list("clips", room.with_word(key))
        else:
            self.action_edit()

    def action_view(self, view: View) -> None:
        self._list("clips" if self.look.view == view else view)

    def _list(self, view: View, only: Only | None = None) -> None:
        self.show_look(self.look.changed(view=view, only=only, filter=""))

    def action_filter(self) -> None:
        if self.look.view in ("clips", "words"):
            self.query_one("#filter", Field).open(self.look.filter)
        else:
            self.notify("Clips and words are filtered; this list is short.")

    @on(Input.Changed, "#filter")
    def _filtered(self, message: Input.Changed) -> None:
        self.show_look(self.look.changed(filter=message.value.strip()))

    @on(Input.Submitted, "#filter")
    def _filter_kept(self) -> None:
        self._close_fields()

    def action_sort(self) -> None:
        self.show_look(self.look.changed(sort=(self.look.sort + 1) % len(SORTS)))

    def action_invert(self) -> None:
        self.show_look(self.look.changed(inverted=not self.look.inverted))

    def use_back(self) -> bool:
        """Going back first stops what is being made, then shows all clips again."""
        if self.preparing:
            self.workers.cancel_group(self, "prepare")
            self.notify("Stopped; what is done stays, and b goes on from there.")
            return True
        if self.look.changed(sort=0, inverted=False) == Look():
            return False
        self._list("clips")
        return True

    # -- sound

    def action_play(self) -> None:
        known = self._clip("play")
        if known is not None and self._there(known):
            self.deck.toggle(known.clip)
            self.write_playhead()

    def _there(self, known: Known) -> bool:
        if not known.clip.audio.is_file():
            self.notify(f"{known.clip.name} does not exist; x takes it out.", severity="warning")
            return False
        return True

    def action_next(self) -> None:
        self.query_one(Table).action_move(1)
        self.action_restart()

    def action_seek(self, seconds: int) -> None:
        self.deck.seek(seconds)

    def action_restart(self) -> None:
        known = self._clip("play")
        if known is not None and self._there(known):
            self.deck.play(known.clip, 0.0)

    def action_spectrogram(self) -> None:
        self.clip_card.spectrogram = not self.clip_card.spectrogram
        self.write_clip()

    def action_sound(self) -> None:
        self.app.push_screen(SoundScreen())

    def on_player_news(self, message: PlayerNews) -> None:
        if message.news.kind == "error" and self.is_current and self.panel.player.status.output != "none":
            self.notify(message.news.text, severity="warning", timeout=8)
        if self.deck.playing:
            self._timer.resume()
        else:
            self._timer.pause()
        self.write_playhead()

    # -- bringing clips

    def action_bring(self) -> None:
        if self.preparing:
            self.notify("Clips are being made; esc stops it, and what is done stays.")
            return
        out = self.room.settings.data.dir if self.room is not None else self.panel.settings.data.dir

        def take(wanted: Wanted | None) -> None:
            if wanted is not None:
                self.preparing = f"looking at {wanted.source.name}"
                self.write_page()
                self.run_worker(self._prepare(wanted), group="prepare", exclusive=True)

        self.app.push_screen(Bring(out), take)

    async def _prepare(self, wanted: Wanted) -> None:
        def progress(done: int, total: int) -> None:
            self.preparing = f"{done} of {total} tracks"
            self.write_page()

        try:
            lines = await prepare(wanted, progress)
        except UserError as error:
            self.notify(str(error), severity="error", timeout=10)
            return
        finally:
            self.preparing = ""
            self.write_page()
        here = self._wanted().data.dir
        if str(wanted.out) == here:
            self.open_folder()
        else:
            self.choose(str(wanted.out))
        self.app.push_screen(WholeScreen([("Clips were brought", [Content(plain(line)) for line in lines])]))

    # -- a run

    def action_train(self) -> None:
        if self.room is None or self.room.problem:
            self.notify("There are no clips to train on yet; b brings some.")
            return
        data = self.room.settings.data
        shown = self.panel.shown_path if self.panel.shown is not None else None
        self.panel.open_new_run(shown, {"data.dir": data.dir, "data.metadata": data.metadata})
