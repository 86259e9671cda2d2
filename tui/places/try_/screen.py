"""Try: type a prompt, hear it by base and best from the same noise. What is made is kept in the run's tries/."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.timer import Timer
from textual.widgets import Input

from engine.contract import tries
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from engine.contract.tries import (
    Answer,
    AskCaptions,
    Bye,
    Captions,
    Done,
    Failed,
    Made,
    Progress,
    Ready,
    Try,
    TryClip,
    Warned,
)
from tui import keys
from tui.places.dialogs import Ask
from tui.places.place import RunChanged, RunsChanged
from tui.places.sound.screen import PlayerNews, SoundScreen
from tui.places.try_.page import PromptField, StudioNews, TryPage
from tui.review import loudness
from tui.runs.studio import Place, Studio, place
from tui.runs.tries import keep, options, take_up
from tui.widgets.field import Field
from tui.widgets.table import Table

TICK = 0.2


class TryScreen(TryPage):
    """One warm process makes the clips; it belongs to this screen and ends with it."""

    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("try"))
    _timer: Timer

    def __init__(self) -> None:
        super().__init__()
        self._run: RunDir | None = None
        self._studio: Studio | None = None
        self._number = 0
        self._wish: Try | None = None
        """What is being made."""
        self._came: TryClip | None = None
        """The first clip of it that is new, and so was played by itself."""
        self._captions: list[str] = []
        self._listed: tuple[RunDir | None, int] = (None, -1)
        self._loaded: list[str] = []
        """Files of the clips that the player holds."""
        self._levels: dict[Path, float | None] = {}

    def on_mount(self) -> None:
        self._timer = self.set_interval(TICK, self.write_transport, pause=True)
        self.query_one("#made", Table).focus()
        self._read_run()

    def on_unmount(self) -> None:
        if self._studio is not None:
            self._studio.close()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        self._loaded, self.sounding = [], ""  # another place may have taken the player
        self._read_run()

    def on_screen_suspend(self, event: events.ScreenSuspend) -> None:
        if self.app.current_mode != "try" and self._loaded:
            self.panel.player.pause()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.write_page)

    # -- the run

    @on(RunChanged)
    @on(RunsChanged)
    def _read_run(self) -> None:
        last = self.panel.last_run()
        path = self.panel.shown_path or (last.path if last else None)
        run = RunDir(path) if path is not None and (path / "config.toml").is_file() else None
        if run is None or run != self._run:
            self._run, self.run_name, self._captions, self.said = run, run.name if run else "", [], ""
            if run is None:
                self.said = "There is no run whose models could be tried; R goes to the runs."
            else:
                try:
                    self.options = options(run.settings().evaluate)
                except UserError as error:
                    self.said = str(error)
        if self._list_changed():
            self._read_clips()
        self.write_page()

    def _list_changed(self) -> bool:
        """Whether the list on disk is another one: of another run, or longer by what a command has made."""
        try:
            changed = (self._run.tries / tries.INDEX).stat().st_mtime_ns if self._run is not None else 0
        except OSError:
            changed = 0
        before, self._listed = self._listed, (self._run, changed)
        return before != self._listed

    def _read_clips(self) -> None:
        if self._run is None:
            self.have_clips([])
            return
        self.look_up(partial(tries.read, self._run.tries), lambda found: self.have_clips(found.value), group="clips")

    # -- asking

    def action_type(self) -> None:
        clip = self._current()
        self._type(clip.prompt if clip is not None else "")

    def _type(self, value: str) -> None:
        last = list(dict.fromkeys(clip.prompt for clip in self.clips))
        self.query_one(PromptField).open_with(value, last)

    @on(Input.Submitted, "#prompt")
    def _typed(self, message: Input.Submitted) -> None:
        self._close_fields()
        if self.options.new_seed:
            self.options = self.options.other_seed()
        self._make(" ".join(message.value.split()))

    @on(Field.Left)
    def _close_fields(self) -> None:
        for field in self.query(Field):
            field.close()
        self.query_one("#made", Table).focus()

    def action_four(self) -> None:
        clip = self._current()
        if clip is None:
            self.notify("There is no prompt yet; enter types one.")
        else:
            self._make(clip.prompt, tries.VARIATIONS)

    def _make(self, prompt: str, variations: int = 1) -> None:
        run = self._run
        if run is None or self._wish is not None:
            self.notify("There is no run to try." if run is None else "Something is being made; esc stops it.")
            return
        self._number += 1
        try:
            wish = self.options.wish(self._number, run, prompt, variations)
        except UserError as error:
            self.notify(str(error), severity="warning")
            return
        self._wish, self._came = wish, None
        self.progress, self.said = Progress(id=wish.id, doing="starting"), ""
        self.write_page()
        self.look_up(partial(self._ask, run, wish), partial(self._asked_for, wish), group="ask")

    def _ask(self, run: RunDir, request: Try | AskCaptions) -> Place | UserError:
        """In a thread: look where it can be made, and ask the process there."""
        where = place(run.path.parent, on_cpu=self.options.on_cpu)
        if where.device:
            try:
                self._studio_of(run).ask(request, where.device)
            except UserError as error:
                return error
        return where

    def _studio_of(self, run: RunDir) -> Studio:
        if self._studio is None:

            def hear(answer: Answer) -> None:
                self.post_message(StudioNews(answer))

            self._studio = Studio(run.path.parent, hear)
        return self._studio

    def _asked_for(self, wish: Try, where: Place | UserError) -> None:
        refused = isinstance(where, UserError) or not where.device
        text = str(where) if isinstance(where, UserError) else where.said
        if refused and self._wish is wish:
            self._wish = self.progress = None
            self.said = text if isinstance(where, UserError) else f"{text} u takes the CPU."
            self.notify(self.said, severity="warning")
        elif text and not refused:
            self.notify(text)
        self.write_page()

    def use_back(self) -> bool:
        """Going back first stops what is being made."""
        if self._wish is None or self._studio is None:
            return False
        self._studio.cancel(self._wish.id)
        return True

    # -- answers

    @on(StudioNews)
    def _answered(self, message: StudioNews) -> None:
        answer, wish = message.answer, self._wish
        if isinstance(answer, Ready):
            return
        if isinstance(answer, Captions):
            self._have_captions(answer.texts)
        elif isinstance(answer, Bye):
            self._gone(answer.text)
        elif isinstance(answer, Failed):
            self._ended(answer.text)
            self.notify(answer.text, severity="error", timeout=10)
        elif wish is None or answer.id != wish.id:
            return
        elif isinstance(answer, Progress):
            self.progress = answer
        elif isinstance(answer, Warned):
            self.notify(answer.text, severity="warning", timeout=10)
        elif isinstance(answer, Made):
            self._made(answer)
        elif isinstance(answer, Done):
            stopped = "Stopped; what was made stays." if answer.cancelled else f"Made in {answer.seconds:.1f} s."
            clip = next((clip for clip in self.clips if wish.prompt == clip.prompt and clip.seed == wish.seed), None)
            if self._came is None and clip is not None and not answer.cancelled:
                self._come(clip)  # all of it had been made before
            self._ended(stopped)
        self.write_page()

    def _made(self, made: Made) -> None:
        if self._run is None or Path(made.path).parent != self._run.tries.resolve():
            return  # another run is shown by now; the clip is in its own list
        self.have_clips([made.clip, *(clip for clip in self.clips if clip.file != made.clip.file)])
        if not made.before and self._came is None:
            self._come(made.clip)

    def _come(self, clip: TryClip) -> None:
        """Show and play what was asked for; beside clips of the same prompt at their position."""
        self._came = clip
        self.query_one("#made", Table).go_to(clip.file)
        if self.is_current and clip.file != self.sounding:
            beside = self.sounding in [other.file for other in self.group_of(clip).clips]
            self._play(clip, None if beside and self.panel.player.status.playing else 0.0)

    def _ended(self, said: str) -> None:
        self._wish = self.progress = None
        self.said = said

    def _gone(self, why: str) -> None:
        if self._wish is not None:
            self._ended(f"The process that makes the clips left: {why}. Enter starts it again; u takes the CPU.")
            self.notify(self.said, severity="warning", timeout=10)
        elif why:
            self.said = f"The process that makes the clips left ({why}); enter starts it again."

    # -- captions

    def action_caption(self) -> None:
        run = self._run
        if self._captions or run is None:
            self._next_caption()
            return
        self.said = "reading captions of the training set"
        self.write_page()
        self.look_up(partial(self._ask, run, AskCaptions(id=0, run=str(run.path.resolve()))), self._no_captions,
                     group="captions")  # fmt: skip

    def _no_captions(self, where: Place | UserError) -> None:
        if isinstance(where, UserError) or not where.device:
            self.notify(str(where) if isinstance(where, UserError) else where.said, severity="warning")

    def _have_captions(self, texts: list[str]) -> None:
        self._captions, self.said = texts, ""
        self._next_caption()

    @on(PromptField.CaptionAsked)
    def _next_caption(self) -> None:
        if self._captions:
            self._captions.append(self._captions.pop(0))
            self._type(self._captions[-1])
        elif self._run is not None and self.said != "reading captions of the training set":
            self.action_caption()

    # -- playing

    def _current(self) -> TryClip | None:
        key = self.query_one("#made", Table).key
        return next((clip for clip in self.clips if clip.file == key), None)

    def _play(self, clip: TryClip, position: float | None = None) -> None:
        """Play a clip, from where the playhead is or from ``position`` in seconds."""
        player = self.panel.player
        if clip.file in self._loaded:
            self.sounding = clip.file
            index = self._loaded.index(clip.file)
            if player.status.playing and position is None:
                player.switch(index)
            else:
                player.play(index, position)
            self.write_page()
            return
        run, group = self._run, self.group_of(clip)
        if run is None:
            return
        if position is None and self.sounding in [other.file for other in group.clips]:
            position = player.status.position  # the group has a new clip; it is heard from here on
        clips = self.in_order(group)
        paths = [run.tries / other.file for other in clips]
        self.look_up(
            partial(self._measure, paths), partial(self._load, clips, paths, clip, position or 0.0), group="levels"
        )

    def _measure(self, paths: list[Path]) -> dict[str, float]:
        """In a thread: gains that bring clips down to the quietest of them, in dB by file."""
        for path in paths:
            if path not in self._levels:
                self._levels[path] = loudness.measure(path)
        return loudness.gains({path.name: self._levels[path] for path in paths})

    def _load(
        self, clips: list[TryClip], paths: list[Path], first: TryClip, position: float, gains: dict[str, float]
    ) -> None:
        player = self.panel.player
        self._loaded = [clip.file for clip in clips]
        names = [self.name_of(clip) for clip in clips]
        player.load(paths, [gains[file] for file in self._loaded], title=first.prompt, names=names)
        self._play(first, position)

    def on_player_news(self, message: PlayerNews) -> None:
        status = self.panel.player.status
        if message.news.kind == "error" and self.is_current and status.output != "none":
            self.notify(message.news.text, severity="warning", timeout=8)
        if self.sounding and status.playing:
            self._timer.resume()
        else:
            self._timer.pause()
        self.write_page()

    def action_play(self) -> None:
        clip, player = self._current(), self.panel.player
        if clip is None:
            self.notify("There is nothing to play yet; enter types a prompt.")
        elif player.status.playing and self.sounding == clip.file:
            player.pause()
        else:
            self._play(clip)

    def action_other(self, direction: int) -> None:
        clip = self._current()
        if clip is None:
            return
        clips = self.in_order(self.group_of(clip))
        other = clips[max(0, min(len(clips) - 1, clips.index(clip) + direction))]
        self.query_one("#made", Table).go_to(other.file)

    @on(Table.Moved, "#made")
    def _moved(self) -> None:
        clip = self._current()
        if clip is not None and self.sounding and clip.file != self.sounding and self.panel.player.status.playing:
            self._play(clip)

    @on(Table.Chosen, "#made")
    def _chosen(self) -> None:
        self.action_play()

    def action_sound(self) -> None:
        self.app.push_screen(SoundScreen())

    # -- settings

    def action_strength(self, direction: int) -> None:
        self.options = self.options.stepped(direction)
        self.write_page()

    def action_new_seed(self) -> None:
        self.options = replace(self.options, new_seed=not self.options.new_seed)
        self.write_page()

    def action_cpu(self) -> None:
        self.options = replace(self.options, on_cpu=not self.options.on_cpu)
        self.write_page()

    def action_options(self) -> None:
        self.query_one("#options", Field).open(self.options.text())

    @on(Input.Submitted, "#options")
    def _options_typed(self, message: Input.Submitted) -> None:
        try:
            self.options = self.options.changed(message.value)
        except UserError as error:
            self.notify(str(error), severity="warning")  # what was typed stands there still
            return
        self._close_fields()
        self.write_page()

    def action_blind(self) -> None:
        self.blind = not self.blind
        self._loaded = []  # the page of the loudspeaker shows names too
        self.write_page()

    # -- what is done with a clip

    def action_keep(self) -> None:
        clip, run = self._current(), self._run
        if clip is None or run is None:
            self.notify("There is no clip to keep yet.")
            return
        source = run.tries / clip.file

        def named(name: str | None) -> None:
            if name:
                target = Path(name).expanduser().absolute()
                self.look_up(partial(_kept, source, target), self._say_kept, group="keep")

        # Its own name tells the model.
        letters = "".join(letter if letter.isalnum() else "-" for letter in clip.prompt.lower())
        stem = f"{letters[:40]}-{self.name_of(clip)}" if self.blind else clip.file.removesuffix(".flac")
        usual = run.tries / "kept" / f"{stem}.wav"
        self.app.push_screen(Ask(f"Keep {self.name_of(clip)} as", value=str(usual), hint="a .wav or .flac file"), named)

    def _say_kept(self, result: Path | UserError) -> None:
        if isinstance(result, UserError):
            self.notify(str(result), severity="error")
        else:
            self.notify(f"Kept: {result}")

    def action_take_up(self) -> None:
        clip, run = self._current(), self._run
        if clip is None or run is None:
            self.notify("There is no prompt to put into the file yet.")
            return
        try:
            file = Path(run.settings().evaluate.prompts_file)
            new = take_up(clip.prompt, file)
        except UserError as error:
            self.notify(str(error), severity="error")
        else:
            self.notify(f"{'Written to' if new else 'It stands already in'} {file}.")


def _kept(source: Path, target: Path) -> Path | UserError:
    try:
        keep(source, target)
    except UserError as error:
        return error
    return target
