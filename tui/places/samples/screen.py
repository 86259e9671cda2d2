"""Samples: what a run's prompts sound like at the steps that were sampled while it trains. It is not blind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.timer import Timer

from engine.contract.errors import UserError
from tui import keys
from tui.places.background import Background
from tui.places.dialogs import Choice, Menu
from tui.places.place import Panel, Place, RunChanged
from tui.places.samples.deck import Deck, Levels
from tui.places.sound.screen import PlayerNews, SoundScreen, route
from tui.review import samples
from tui.review.evaluation import Item
from tui.widgets.lines import Lines, frame
from tui.widgets.table import Column, Row, Table

TICK = 0.2
LOG_EVERY = 5.0
"""Seconds of playing after which the log of what was heard is written at the latest."""
CELL = 4
"""Cells of a step's column at least."""


def hear_samples(panel: Panel, run: Path | None, listener: str) -> None:
    """Open the timeline of a run's samples, after asking where that would spoil a blind session."""
    if run is None or not samples.exist(run):
        panel.notify(
            "No samples were made while this run trained; evaluate.every = 50 makes them every 50 steps."
            if run is not None
            else "There is no run whose samples could be heard; R goes to the runs."
        )
        return

    def take(key: str | None) -> None:
        if key == "h":
            panel.push_screen(SamplesScreen(run, listener))

    if not samples.would_spoil(run, listener):
        take("h")
        return
    choices = [
        Choice("h", "hear them", "what is one of the session's clips is then not judged blind"),
        Choice("n", "not now", "first the blind session to its end; the samples stay"),
    ]
    panel.push_screen(Menu(f"{run.name} is not judged to its end. Samples are heard by name.", choices), take)


class SamplesScreen(Place, Background):
    """A timeline: prompts by steps. What plays goes on at the same position when another step is chosen."""

    place = "samples"
    CSS_PATH = "samples.tcss"
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("samples"))

    _timer: Timer

    def __init__(self, run: Path, listener: str) -> None:
        super().__init__()
        self._run = run
        self._timeline = samples.Timeline()
        self._seen: tuple[int, int] = (0, 0)
        """Size and time of the results file that was read last."""
        self._step: int | None = None
        self._before: int | None = None
        """The step that was heard before this one."""
        self._mode = self.app.current_mode
        """The place that it lies above."""
        self._deck = Deck(self.panel.player, run, listener)

    def body(self) -> ComposeResult:
        with Container(id="samples-card", classes="card"):
            yield Table([], id="samples")
        with Container(id="sample-card", classes="card"):
            yield Lines(id="sample-prompt")
            yield Lines(id="sample-clip")

    def on_mount(self) -> None:
        self._timer = self.set_interval(TICK, self._tick, pause=True)
        self.query_one(Table).can_focus = False
        self._read()

    def on_unmount(self) -> None:
        self._attempt(self._deck.close)

    def on_screen_suspend(self, event: events.ScreenSuspend) -> None:
        """Another place is shown: the clip stops. A window over this place leaves it playing."""
        if self.app.current_mode != self._mode:
            self._attempt(self._deck.close)

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._write)

    def _attempt(self, transition: Callable[[], object]) -> None:
        try:
            transition()
        except UserError as error:
            self.notify(str(error), severity="warning")

    # -- what was sampled

    @on(RunChanged)
    def _read(self) -> None:
        """Read the results again when they have changed: clips come while this is open."""
        seen = samples.changed(self._run)
        if seen != self._seen:
            self._seen = seen
            self.look_up(partial(samples.read, self._run), self._have, group="samples")

    def _have(self, found: samples.Timeline) -> None:
        self._timeline = found
        if self._step not in found.steps:
            self._step = found.steps[-1] if found.steps else None
        self._write()

    def _item(self) -> Item | None:
        key = self.query_one(Table).key
        return next((item for item in self._timeline.items if item.key == key), None)

    # -- drawing

    def _write(self) -> None:
        if not self.is_mounted:
            return
        steps = self._in_sight()
        table = self.query_one(Table)
        by_step = [Column(str(step), self._cell_width, True) for step in steps]
        room = self.size.width - 11 - len(steps) * (self._cell_width + 1)
        widest = max((cell_len(item.text) for item in self._timeline.items), default=0)
        columns = [Column("#", 3, True), Column("Prompt", min(widest, room)), *by_step]
        rows = [
            Row(item.key, [(str(number), "$quiet"), item.text, *(self._cell(item, step) for step in steps)])
            for number, item in enumerate(self._timeline.items, 1)
        ]
        table.show(rows, columns)
        count = len(self._timeline.steps)
        more = f", {len(steps)} in sight" if len(steps) < count else ""
        title = f"Samples · {self._run.name} · {count} step{'s' if count != 1 else ''}{more}"
        frame(self.query_one("#samples-card"), title, "steps are named: this is not blind")
        self._write_clip()

    def _in_sight(self) -> list[int]:
        """The steps that there is room for, with the chosen one among them."""
        steps = self._timeline.steps
        room = max(2, (self.size.width - 36) // (self._cell_width + 1))
        at = steps.index(self._step) if self._step in steps else len(steps) - 1
        first = max(0, min(at - room // 2, len(steps) - room))
        return list(steps[first : first + room])

    @property
    def _cell_width(self) -> int:
        return max(CELL, len(str(self._timeline.steps[-1]))) if self._timeline.steps else CELL

    def _cell(self, item: Item, step: int) -> tuple[str, str]:
        clip = self._timeline.clip(item, step)
        if clip is None:
            return "–", "$quiet"
        here = step == self._step and item is self._item()
        if here:
            return ("▶" if self._deck.playing else "▸") + (" ●" if self._deck.was_heard(clip) else " ○"), "$accent bold"
        return ("●", "$foreground") if self._deck.was_heard(clip) else ("○", "$quiet")

    def _write_clip(self) -> None:
        item, status = self._item(), self.panel.player.status
        card, text = self.query_one("#sample-card"), self.query_one("#sample-prompt", Lines)
        line = self.query_one("#sample-clip", Lines)
        if item is None or self._step is None:
            frame(card, "Clip", None)
            text.show([Content.styled("No sample is made yet; they come every evaluate.every steps.", "$quiet")])
            line.show([])
            return
        before = f"x goes back to step {self._before}" if self._before is not None else ""
        frame(card, f"Step {self._step}", before)
        text.show(Content.styled(item.text, "bold").wrap(self.size.width - 4))
        parts: list[tuple[str, str] | str] = [("loop ", "$quiet"), "on" if status.loop else "off"]
        level = self._deck.level
        parts += [("   level-matched ", "$quiet"), "…" if level is None else f"{level:.0f} LUFS"]
        parts += [("   out ", "$quiet"), route(status)]
        if self._deck.holds(item) and status.duration:
            parts = [(f"{status.position:04.1f}/{status.duration:04.1f}   ", "$foreground"), *parts]
        lines = [Content.assemble(*parts)]
        if status.output == "none" and status.hint:
            lines.append(Content.styled(status.hint.splitlines()[-1], "$quiet"))
        elif status.output == "browser" and status.hint and status.url:
            lines.append(Content.assemble(("open ", "$warning"), (status.url, "$accent"), ("  r says more", "$quiet")))
        line.show(lines)

    # -- news

    def on_player_news(self, message: PlayerNews) -> None:
        if message.news.kind == "error" and self.is_current and self.panel.player.status.output != "none":
            self.notify(message.news.text, severity="warning", timeout=8)
        if message.news.kind == "loaded":
            self._deck.confirm()
        if self._deck.playing:
            self._timer.resume()
        else:
            self._timer.pause()
        self._attempt(partial(self._deck.log, LOG_EVERY if self._deck.playing else 0.0))
        self._write()

    def _tick(self) -> None:
        self._attempt(partial(self._deck.log, LOG_EVERY))
        self._write_clip()

    @on(Table.Moved)
    def _moved(self) -> None:
        if self._deck.playing:
            self._play(0.0)
        self._write()

    # -- playing

    def _play(self, position: float | None = None) -> None:
        """Play the chosen clip, from where the playhead is or from ``position`` in seconds."""
        item, step = self._item(), self._step
        if item is None or step is None or self._timeline.clip(item, step) is None:
            self.notify("This step has no clip of the prompt yet." if item else "There is no sample to play yet.")
            return
        steps = [each for each in self._in_sight() if self._timeline.clip(item, each) is not None]
        clips = {each: clip for each in steps if (clip := self._timeline.clip(item, each)) is not None}
        if self._deck.holds(item, clips):
            self._deck.play(step, position)
            self._write()
        else:
            self.look_up(partial(self._deck.levels, clips), partial(self._load, item, step, position), group="levels")

    def _load(self, item: Item, step: int, position: float | None, found: Levels) -> None:
        self._attempt(partial(self._deck.load, item, found))
        self._deck.play(step, position)
        self._write()

    def action_play(self) -> None:
        item = self._item()
        if self._deck.playing and item is not None and self._deck.holds(item):
            self.panel.player.pause()
        else:
            self._play()

    def _choose(self, step: int) -> None:
        if step != self._step:
            playing = self._deck.playing
            self._before, self._step = self._step, step
            if playing:
                self._play()
            self._write()

    def action_step(self, direction: int) -> None:
        steps = self._timeline.steps
        if self._step in steps:
            at = steps.index(self._step) + direction
            if 0 <= at < len(steps):
                self._choose(steps[at])

    def action_swap(self) -> None:
        if self._before is None:
            self.notify("Only one step was chosen so far; ←→ chooses another, and x goes back to this one.")
        else:
            self._choose(self._before)

    def action_prompt(self, direction: int) -> None:
        self.query_one(Table).action_move(direction)

    def action_restart(self) -> None:
        self._play(0.0)

    def action_seek(self, seconds: int) -> None:
        self.panel.player.seek(float(seconds), relative=True)

    def action_loop(self) -> None:
        self.panel.player.loop(None if self.panel.player.status.loop else (0.0, None))
        self._write_clip()

    def action_sound(self) -> None:
        self.app.push_screen(SoundScreen())
