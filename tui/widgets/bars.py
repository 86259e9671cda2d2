"""The first and the last line of every place: where one is and what runs, and what the keys do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

from rich.cells import cell_len
from textual import events
from textual.content import Content

from engine.contract.events import Gpu
from tui import keys
from tui.runs.follow import Source
from tui.runs.store import RunSummary
from tui.text import STATES, cut, gib, rough
from tui.widgets.lines import Lines

_GO = [action for action in keys.of("everywhere") if action.action.startswith("go(")]
NARROW = 100


class Told(Protocol):
    """What the header asks the panel."""

    audio_route: str

    def header_source(self) -> Source | None: ...

    def also_running(self) -> int: ...

    def last_run(self) -> RunSummary | None: ...

    def machine_line(self, narrow: bool) -> str: ...


class HeaderBar(Lines):
    """Places, state of the run that trains (or did last), GPU, audio route."""

    counts_as_text = False

    def __init__(self, place: str) -> None:
        super().__init__([""], id="header")
        self._place = place

    def on_mount(self) -> None:
        self.write()

    def on_resize(self) -> None:
        self.write()

    def write(self) -> None:
        """Draw what is true now; costs nothing on the wire when nothing changed."""
        app = cast("Told", self.app)
        narrow = self.size.width < NARROW
        parts: list[tuple[str, str] | str | Content] = [self._places(narrow), (" │ ", "$line")]
        parts += [run_line(app, narrow), (" │ ", "$line"), (app.machine_line(narrow), "$foreground")]
        parts += [(" │ ", "$line"), (f"♪ {app.audio_route}", "$quiet")]
        self.show([Content.assemble(*parts)])

    def _places(self, narrow: bool) -> Content:
        if narrow:
            return Content.assemble(" ", (keys.PLACES[self._place], "$accent bold"))
        here = "runs" if self._place in ("new_run", "queue") else self._place
        parts: list[tuple[str, str]] = []
        for action in _GO:
            style = "$accent bold" if keys.PLACES[here] == action.label else "$quiet"
            key_style = style if keys.PLACES[here] == action.label else "$foreground bold"
            parts += [(" ", ""), (action.keys, key_style), (f" {action.label}", style)]
        return Content.assemble(*parts)

    async def on_click(self, event: events.Click) -> None:
        """A click on a place goes there, one on the run to the Monitor."""
        x, wanted = 0, "go('monitor')"
        for action in _GO if self.size.width >= NARROW else ():
            x += 3 + len(action.label)
            if event.x < x:
                wanted = action.action
                break
        await self.app.run_action(wanted)


def run_line(app: Told, narrow: bool) -> Content:
    """State of the run that trains, or of the last one."""
    source = app.header_source()
    if source is None:
        last = app.last_run()
        if last is None:
            return Content.styled("○ no runs yet", "$quiet")
        look = STATES["clips" if last.foreign else last.state]
        name = cut(last.name, 14 if narrow else 22)
        return Content.assemble(
            ("○ idle · last ", "$quiet"), f"{name} ", (f"{look.glyph} {look.word}", f"${look.color}")
        )
    look, history = STATES[source.state.state], source.history
    name = cut(source.run.name, 14 if narrow else 22)
    parts: list[tuple[str, str] | str] = [(f"{look.glyph} {look.word}", f"${look.color} bold"), f" {name}"]
    if source.state.state == "running":
        done, total = history.phase_progress()
        if history.phase and history.phase != "training":
            parts.append((f" {history.phase}", "$quiet"))
        if total:
            parts.append(f" {done:.0f}/{total:.0f} {100 * done / total:.0f}%")
        eta = history.eta()
        if eta == eta:
            parts.append((f" ETA {rough(eta)}", "$foreground"))
        if others := app.also_running():
            parts.append((f" +{others}", "$quiet"))
    return Content.assemble(*parts)


def gpu_words(event: Gpu, narrow: bool) -> str:
    """The latest sample of a GPU, or of the processor where there is none, in a few characters."""
    if event.util is None and event.mem_total is None:
        cpu, used, total = event.cpu, event.ram_used, event.ram_total
        if cpu is None or used is None or total is None:
            return "GPU –"
        return f"CPU {cpu:.0f}% {gib(used)}/{gib(total, 0)}G"
    parts = [f"GPU{event.index or ''}"]
    if event.util is not None:
        parts.append(f"{event.util:.0f}%")
    if event.temperature is not None:
        parts.append(f"{event.temperature:.0f}°" + ("" if narrow else "C"))
    if event.mem_total is not None:
        parts.append(f"{gib(event.mem_used or 0)}/{gib(event.mem_total, 0)}G")
    return " ".join(parts)


class KeyBar(Lines):
    """The keys of a place that do something now, as many as fit; ``offers`` knows which those are."""

    counts_as_text = False

    def __init__(self, place: str, offers: Callable[[keys.Action], bool]) -> None:
        super().__init__([""], id="keys")
        self._place = place
        self._offers = offers
        self._ends: list[tuple[int, keys.Action]] = []
        """Where in the line each action ends."""

    def on_resize(self) -> None:
        self.write()

    def write(self) -> None:
        """Draw what is true now; costs nothing on the wire when nothing changed."""
        parts: list[tuple[str, str]] = []
        self._ends = []
        for key, label, action in keys.hints(self._place, self.size.width - 1, self._offers):
            parts += [(" ", ""), (key, "$accent bold"), (f" {label} ", "$quiet")]
            self._ends.append((cell_len("".join(text for text, _ in parts)), action))
        self.show([Content.assemble(*parts)])

    async def on_click(self, event: events.Click) -> None:
        """A click on what a key does, does it."""
        action = next((action for end, action in self._ends if event.x < end), None)
        if action is not None:
            name = action.action.split("(")[0]
            here = self.screen if hasattr(self.screen, f"action_{name}") else self.app
            await self.app.run_action(action.action, here)
