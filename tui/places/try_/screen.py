"""Try: type a prompt, hear it by base and best from the same noise. What is made is kept in the run's tries/."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.binding import BindingType
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
from tui.places.try_.page import PromptField, StudioNews
from tui.places.try_.playing import TryPlaying
from tui.runs.studio import Place, Studio, place
from tui.runs.tries import keep, options, take_up
from tui.widgets.field import Field
from tui.widgets.table import Table


class TryScreen(TryPlaying):
    """One warm process makes the clips; it belongs to this screen and ends with it."""

    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("try"))

    def __init__(self) -> None:
        super().__init__()
        self._studio: Studio | None = None
        self._number = 0
        self._wish: Try | None = None
        """What is being made."""
        self._came: TryClip | None = None
        """The clip of it that was played by itself."""
        self._captions: list[str] = []
        self._listed: tuple[RunDir | None, int] = (None, -1)

    def offers(self, action: keys.Action) -> bool:
        if action.action in ("play", "four", "keep", "take_up"):
            return self.current() is not None
        if action.action == "other(1)":
            clip = self.current()
            return clip is not None and len(self.group_of(clip).clips) > 1
        if action.action in ("type", "caption", "strength(1)", "new_seed", "options"):
            return self.run_dir is not None
        return super().offers(action)

    def on_mount(self) -> None:
        self.query_one("#made", Table).focus()
        self._read_run()

    def on_unmount(self) -> None:
        if self._studio is not None:
            self._studio.close()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        self.forget_player()
        self._read_run()

    def on_screen_suspend(self, event: events.ScreenSuspend) -> None:
        if self.app.current_mode != "try":
            self.pause()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.write_page)

    # -- the run

    @on(RunChanged)
    @on(RunsChanged)
    def _read_run(self) -> None:
        last = self.panel.last_run()
        path = self.panel.shown_path or (last.path if last else None)
        run = RunDir(path) if path is not None and (path / "config.toml").is_file() else None
        if run is None or run != self.run_dir:
            self.run_dir, self.run_name, self._captions, self.said = run, run.name if run else "", [], ""
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
            changed = (self.run_dir.tries / tries.INDEX).stat().st_mtime_ns if self.run_dir is not None else 0
        except OSError:
            changed = 0
        before, self._listed = self._listed, (self.run_dir, changed)
        return before != self._listed

    def _read_clips(self) -> None:
        if self.run_dir is None:
            self.have_clips([])
            return
        self.look_up(partial(tries.read, self.run_dir.tries), lambda found: self.have_clips(found.value), group="clips")

    # -- asking

    def action_type(self) -> None:
        clip = self.current()
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
        clip = self.current()
        if clip is None:
            self.notify("There is no prompt yet; enter types one.")
        else:
            self._make(clip.prompt, tries.VARIATIONS)

    def _make(self, prompt: str, variations: int = 1) -> None:
        run = self.run_dir
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
            asked_for = [group for group in self.groups if (group.prompt, group.seed) == (wish.prompt, wish.seed)]
            if self._came is None and asked_for and not answer.cancelled:
                self._come(self.in_order(asked_for[0])[0])
            self._ended(stopped)
        self.write_page()

    def _made(self, made: Made) -> None:
        if self.run_dir is None or Path(made.path).parent != self.run_dir.tries.resolve():
            return  # another run is shown by now; the clip is in its own list
        self.have_clips([made.clip, *(clip for clip in self.clips if clip.file != made.clip.file)])
        # While names are hidden all must be there first: the base model's is always made first.
        if not made.before and self._came is None and not self.blind:
            self._come(made.clip)

    def _come(self, clip: TryClip) -> None:
        """Show and play what was asked for; beside clips of the same prompt at their position."""
        self._came = clip
        self.query_one("#made", Table).go_to(clip.file)
        if self.is_current and clip.file != self.sounding:
            beside = self.sounding in [other.file for other in self.group_of(clip).clips]
            self.play(clip, None if beside and self.panel.player.status.playing else 0.0)

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
        run = self.run_dir
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
        elif self.run_dir is not None and self.said != "reading captions of the training set":
            self.action_caption()

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
        self.loaded = []  # the page of the loudspeaker shows names too
        self.write_page()

    # -- what is done with a clip

    def action_keep(self) -> None:
        clip, run = self.current(), self.run_dir
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
        clip, run = self.current(), self.run_dir
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
