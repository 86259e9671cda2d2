"""The panel: its places, what they share, and the tailer of the run that is shown.

The app owns what outlives a screen: the list of runs, the followed runs, the machine's figures. Screens read it and are
told by RunChanged and RunsChanged. It never imports torch, and sound is played by a process of its own.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import BindingType
from textual.reactive import reactive
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from engine.contract.events import Gpu
from engine.contract.rundir import ARCHIVE, RunDir, is_run
from engine.contract.rundir import closed as closed_folders
from engine.contract.text import is_whole, plain
from tui import keys, terminal, themes
from tui.places.place import Panel, Place, RunChanged, RunsChanged
from tui.places.runs.screen import RunsScreen
from tui.runs import remembered
from tui.runs.follow import Followed, Source
from tui.runs.store import RunSummary, Store
from tui.text import cut
from tui.widgets.bars import gpu_words

if TYPE_CHECKING:
    from engine.contract.config import Settings
    from tui.audio.player import Player, PlayerMessage
    from tui.runs.draft import Draft

POLL = 0.5
LIST_EVERY = 2.0
MACHINE_EVERY = 5.0
LONGEST_NOTICE = 600
"""Cells; a longer one, such as an error that quotes a whole prompt, would hide what it is about."""


def _later(place: str, screen: str) -> Callable[[], Screen[Any]]:
    """A screen that is imported when its place is first gone to: the first paint waits for none of the others."""
    return lambda: getattr(import_module(f"tui.places.{place}.screen"), screen)()


def _outcome(path: Path) -> str:
    from tui.review.results import outcome

    return outcome(path)


class PanelApp(App[None]):
    """The panel on the runs of one folder."""

    TITLE = "mgl-tui"
    CSS_PATH: ClassVar[list[str]] = ["panel.tcss", "places/dialogs.tcss"]  # type: ignore[assignment]
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("everywhere"))
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {  # type: ignore[assignment]
        "runs": RunsScreen,
        "monitor": _later("monitor", "MonitorScreen"),
        "listen": _later("listen", "ListenScreen"),
        "compare": _later("compare", "CompareScreen"),
        "next": _later("next", "NextScreen"),
        "data": _later("data", "DataScreen"),
        "try": _later("try_", "TryScreen"),  # try is a keyword of Python, and can name no package
    }
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012  (declared so by textual)
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012

    audio_route: reactive[str] = reactive("–")
    """Where sound goes, as the header says it; set by whoever runs the audio worker."""

    def __init__(
        self,
        runs_dir: Path,
        *,
        settings: Settings,
        open_run: Path | None = None,
        mode: str = "runs",
        listener: str | None = None,
        replay: float | None = None,
        listen_when_done: bool = False,
    ) -> None:
        super().__init__()
        self._said_until: dict[str, float] = {}
        self.runs_dir = Path(runs_dir)
        self.settings = settings
        self.listener = listener
        """Who listens; None lets the Listen screen choose."""
        self.store = Store(self.runs_dir, _outcome)
        self.summaries: list[RunSummary] = []
        self._unreadable: list[Path] = []
        self.marked: list[Path] = []
        """Runs marked for Compare, in the order of the marks."""
        self.shown_path: Path | None = None
        """The run or folder of clips that Monitor, Listen and Next show."""
        self.shown: Source | None = None
        """The same run, followed; None for a folder of clips."""
        self.kept_draft: tuple[Path | None, Draft] | None = None
        self._live: Followed | None = None
        self._machine = Gpu(t=0.0)
        self._player: Player | None = None
        self._first_mode = mode
        self._open_run = open_run
        self._replay = replay
        self._listen_when_done = listen_when_done
        for theme in themes.THEMES:
            self.register_theme(theme)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(themes.DARK.variables)

    # -- life

    def on_mount(self) -> None:
        self._handle_signals()
        self._recall()
        terminal.push_title(self)
        if self._open_run is not None:
            self.show_run(self._open_run)
        self.switch_mode(self._first_mode)
        self.call_after_refresh(self._begin)

    def _recall(self) -> None:
        """Take up what was kept from the last start: the theme, opened folders, marks."""
        kept = remembered.load()
        self.store.opened += remembered.folders(kept.opened)
        self.marked += remembered.folders(kept.marked.get(str(self.runs_dir.resolve()), []))
        wanted = kept.theme or self.settings.panel.theme
        self.theme = terminal.theme_for(wanted, self.console.color_system, self.available_themes)

    def _begin(self) -> None:
        # What is imported stays: without this a full collection walks it all and a key waits 50 ms for it.
        gc.collect()
        gc.freeze()
        self.read_runs()
        self.set_interval(POLL, self._poll)
        self.set_interval(LIST_EVERY, self.read_runs)
        self._read_machine()
        self.set_interval(MACHINE_EVERY, self._read_machine)

    def _handle_signals(self) -> None:
        # A panel that ignores SIGHUP spins on a dead terminal; the engine has a session of its own and hears nothing.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM):
            loop.add_signal_handler(number, self.exit)
        if isinstance(sys.__stderr__, terminal.Output):
            sys.__stderr__.gone = lambda: loop.call_soon_threadsafe(self.exit)

    def on_unmount(self) -> None:
        terminal.pop_title(self)
        if self._player is not None:
            self._player.close()

    # -- sound

    @property
    def player(self) -> Player:
        """The one player of the panel; its worker starts with the first place that asks for it."""
        if self._player is None:
            from tui.places.sound.screen import new_player

            loop = asyncio.get_running_loop()
            self._player = new_player(self.settings)
            # Not call_from_thread: that would make the player wait for a panel that is waiting for it to close.

            def hand_on(news: PlayerMessage) -> None:
                loop.call_soon_threadsafe(self._heard_from_player, news)

            self._player.listen(hand_on)
            self._player.start(self.settings.audio.output)
        return self._player

    def _heard_from_player(self, news: PlayerMessage) -> None:
        from tui.places.sound.screen import PlayerNews, route

        if self._player is None or not self.is_running:
            return
        self.audio_route = route(self._player.status)
        for screen in self.screen_stack:
            screen.post_message(PlayerNews(news))

    def copy_to_clipboard(self, text: str) -> None:
        """Exactly as it is; of a path whose bytes are no UTF-8, which a clipboard cannot hold, what is shown of it."""
        super().copy_to_clipboard(text if is_whole(text) else plain(text))

    def notify(self, message: str, *, timeout: float | None = None, **how: Any) -> None:
        """Say it as it is, never as markup; unless it still stands there: stacked up it would cover the screen."""
        message = cut(message, LONGEST_NOTICE)
        now = time.monotonic()
        if now >= self._said_until.get(message, 0.0):
            self._said_until[message] = now + (self.NOTIFICATION_TIMEOUT if timeout is None else timeout)
            super().notify(message, timeout=timeout, **{**how, "markup": False})

    # -- the runs

    def read_runs(self) -> None:
        """Look at all run folders, in a thread."""
        self._in_thread(self._read_runs, "store")

    def _read_runs(self) -> None:
        found = self.store.summaries()
        self.call_from_thread(self._have_runs, found)
        closed = closed_folders(self.store.folder)
        for path in closed:
            if path not in self._unreadable:
                said = f"{path.name} cannot be read: the folder belongs to another user."
                self.call_from_thread(self.notify, said, severity="warning")
        self._unreadable = closed

    def _have_runs(self, found: list[RunSummary]) -> None:
        before = {s.path: s for s in self.summaries}
        self.summaries = found
        for summary in found:
            was = before.get(summary.path)
            if was is not None and was.live and not summary.live:
                self._ended(summary)
        self._follow_live()
        self.tell(RunsChanged())

    def _ended(self, summary: RunSummary) -> None:
        text = f"{summary.name}: {summary.state}" + (f" – {summary.error}" if summary.error else "")
        self.notify(text, severity="information" if summary.state in ("done", "stopped") else "error")
        terminal.signal_end(self, self.settings.panel.notify, text)
        watched = summary.path == self.shown_path and self.current_mode == "monitor" and len(self.screen_stack) == 1
        if self._listen_when_done and watched and summary.state == "done" and summary.clips:
            self.action_go("listen")

    def _follow_live(self) -> None:
        live = [s.path for s in self.summaries if s.live]
        if not live or self.shown_path in live:
            self._live = None
        elif self._live is None or self._live.run.path not in live:
            self._live = Followed(RunDir(live[0]))
            self._load(self._live)

    def header_source(self) -> Source | None:
        """The run whose state stands in the header: the one that is shown where it trains, else one that does, else the
        one that is replayed."""
        if self._live is not None:
            return self._live
        if self.shown is not None and (self.shown.state.state == "running" or self._replay is not None):
            return self.shown
        return None

    def also_running(self) -> int:
        """Runs that train beside the one in the header."""
        return max(0, sum(s.live for s in self.summaries) - 1)

    def last_run(self) -> RunSummary | None:
        """The run that something happened in last; those that only wait do not count, nor sessions across runs."""
        begun = [summary for summary in self.summaries if summary.state != "waiting" and not summary.across]
        return max(begun, key=lambda s: s.last_t or s.started, default=None)

    def summary(self, path: Path | None) -> RunSummary | None:
        """Summary of a run by its path."""
        return next((s for s in self.summaries if s.path == path), None)

    def show_run(self, path: Path) -> None:
        """Make this run (or folder of clips) the one that Monitor, Listen and Next show."""
        path = Path(path)
        if path == self.shown_path:
            return
        self.shown_path, self.shown = path, None
        if is_run(path):
            if self._replay is not None:
                from tui.runs.replay import Replayed

                self.shown = Replayed(RunDir(path), speed=self._replay)
            else:
                self.shown = Followed(RunDir(path))
                self._load(self.shown)
        self.tell(RunChanged())

    def moved(self, old: Path, new: Path | None) -> None:
        """A run's folder is at another path now, or gone: what was kept of the old one goes along."""
        for paths in (self.marked, self.store.opened):
            # A run in the archive is compared with nothing.
            stays = [new] if new is not None and new.parent.name != ARCHIVE else []
            paths[:] = [there for path in paths for there in (stays if path == old else [path])]
        if self.kept_draft is not None and self.kept_draft[0] == old and new is not None:
            self.kept_draft = new, self.kept_draft[1]
        if self.shown_path == old:
            self.shown_path, self.shown = None, None
            if new is not None:
                self.show_run(new)
        self.remember()

    def _load(self, followed: Followed) -> None:
        def load() -> None:
            followed.load()
            self.call_from_thread(self.tell, RunChanged())

        self._in_thread(load, f"load-{followed.run.path}")

    def _poll(self) -> None:
        loading = {worker.group for worker in self.workers if not worker.is_finished}
        changed = False
        for source in (self.shown, self._live):
            if source is not None and f"load-{source.run.path}" not in loading:
                changed = source.poll() or changed
        if changed:
            self.tell(RunChanged())

    def tell(self, message: RunChanged | RunsChanged) -> None:
        """Tell the place that is on screen, and let its header say what is true now."""
        self._write_header()
        for screen in self.screen_stack:
            screen.post_message(message)

    def _title(self) -> str:
        source = self.header_source()
        if source is None:
            return "mgl-tui"
        done, total = source.history.phase_progress()
        share = f" {100 * done / total:.0f}%" if total else ""
        return f"{source.run.name} {source.state.state}{share} – mgl-tui"

    def _in_thread(self, work: Callable[[], None], group: str) -> None:
        """Do something that reads files in a thread; what goes wrong there is said and does not end the panel."""
        self.run_worker(work, group=group, exclusive=True, thread=True, exit_on_error=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR and event.worker.node is self:
            error = event.worker.error
            self.notify(f"Reading a folder failed: {type(error).__name__}: {error}", severity="error")

    # -- the machine

    def _read_machine(self) -> None:
        def look() -> None:
            from tui.runs import machine

            self._machine = machine.sample()
            self.call_from_thread(self._write_header)

        self._in_thread(look, "machine")

    def _write_header(self) -> None:
        terminal.set_title(self, self._title())
        # Below a dialog nothing is drawn: all of the screen would be sent again each time.
        top = self.screen_stack[-1] if self.screen_stack else None  # none while the panel ends
        if isinstance(top, Place) and top.is_mounted:
            top.write_header()

    def machine_line(self, narrow: bool) -> str:
        """GPU or processor in a few characters: of the run that trains if it says, else of this machine."""
        source = self.header_source()
        if source is not None and source.history.gpu and source.now() - source.history.last_t < 60:
            return gpu_words(source.history.gpu[min(source.history.gpu)], narrow)
        return gpu_words(self._machine, narrow)

    def watch_audio_route(self) -> None:
        if self.is_running and self.screen_stack:
            self._write_header()

    # -- actions

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and isinstance(self.screen, Place) and self.screen.ignores(event.key):
            return
        if isinstance(event, events.Key) and not event.is_forwarded and not terminal.writes_text(self.focused):
            twin = keys.ascii_twin(event.character or "")
            if twin != (event.character or ""):
                from textual.keys import _character_to_key

                event = events.Key(_character_to_key(twin), twin)
            # Not by way of the screen's queue: keys that come together (a slow line bundles them) would all be
            # sent to the place that was open before the first of them did anything.
            if not self.screen.is_modal and await self._check_bindings(event.key):
                return
        await super().on_event(event)

    def action_go(self, mode: str) -> None:
        if not (isinstance(self.screen, Place) and self.screen.use_go(mode)):
            self.go(mode)

    def go(self, mode: str) -> None:
        """Go to a place, whatever the one on screen would make of its key."""
        if len(self.screen_stack) > 1 and mode == self.current_mode:
            while len(self.screen_stack) > 1:
                self.pop_screen()
        live = [s.path for s in self.summaries if s.live]
        if mode == "monitor" and live and (self.shown is None or self.current_mode == "monitor"):
            # A folder of clips has no curves; and M once more is the way to the run that trains, or the next of them.
            at = live.index(self.shown_path) + 1 if self.shown_path in live else 0
            self.show_run(live[at % len(live)])
        self.switch_mode(mode)

    async def action_back(self) -> None:
        if isinstance(self.screen, Place) and self.screen.use_back():
            return
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif self.current_mode != "runs":
            self.switch_mode("runs")

    def choose_theme(self, name: str) -> None:
        self.theme = name
        remembered.change(lambda kept: setattr(kept, "theme", name))

    def remember(self) -> None:
        opened, marked = [str(path) for path in self.store.opened], [str(path) for path in self.marked]
        here = str(self.runs_dir.resolve())

        def how(kept: remembered.Remembered) -> None:
            kept.opened = opened
            kept.marked = {**{folder: runs for folder, runs in kept.marked.items() if folder != here}, here: marked}

        remembered.change(how)

    def action_leave(self) -> None:
        if self.kept_draft is None:
            self.exit()
            return
        from tui.places.dialogs import Choice, Menu

        def take(key: str | None) -> None:
            if key is not None:
                self.exit()

        name = self.kept_draft[1].name
        self.push_screen(Menu(f"The draft {name} is not started", [Choice("q", "quit", "the draft is lost")]), take)

    def action_help(self) -> None:
        from tui.places.help import HelpScreen

        self.push_screen(HelpScreen(getattr(self.screen, "place", "everywhere")))

    def action_whole(self) -> None:
        from tui.places.whole import WholeScreen

        if not isinstance(self.screen, Place):
            return
        texts = self.screen.whole_texts()
        if texts:
            self.push_screen(WholeScreen(texts))
        else:
            self.notify("All that this screen says stands here in full.")

    def action_palette(self) -> None:
        from textual.command import CommandPalette

        from tui.places.palette import Actions

        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(providers=[Actions], placeholder="Type what you want to do"))

    def open_new_run(self, base: Path | None, changes: dict[str, Any] | None = None, why: str = "") -> None:
        """Open New run above Runs, from a run's settings (None: the panel's own) with changes by dotted name.

        ``why`` is the reason that the run keeps. Where a draft was kept, it asks which of them is meant.
        """
        from tui.places.dialogs import Choice, Menu
        from tui.places.new_run.screen import NewRunScreen

        def show(screen: NewRunScreen) -> None:
            self.switch_mode("runs")
            while len(self.screen_stack) > 1:
                self.pop_screen()
            self.push_screen(screen)

        kept = self.kept_draft
        if kept is None:
            show(NewRunScreen(base, changes or {}, why))
            return

        def take(key: str | None) -> None:
            if key == "g":
                show(NewRunScreen(kept[0], {}, kept[1].why, draft=kept[1]))
            elif key == "n":
                self.kept_draft = None
                show(NewRunScreen(base, changes or {}, why))

        choices = [
            Choice("g", f"go on with {kept[1].name}", f"{len(kept[1].changes())} settings changed"),
            Choice("n", "begin a new one", "the draft is lost"),
        ]
        self.push_screen(Menu("A draft was kept", choices), take)


if TYPE_CHECKING:
    # What places ask of the panel, it has.
    _panel: type[Panel] = PanelApp


def run_panel(
    runs_dir: Path,
    *,
    settings: Settings,
    open_run: Path | RunDir | None = None,
    mode: str = "runs",
    listener: str | None = None,
    replay: float | None = None,
    listen_when_done: bool = False,
) -> int:
    """Run the panel until the person leaves it; returns the exit status.

    ``open_run`` is shown at the start in the place ``mode`` (runs, monitor, listen, compare, next); with ``replay`` it
    is re-driven from its recording, that many times as fast. With ``listen_when_done`` the panel goes from Monitor to
    Listen by itself once the clips of the run that is shown are made.
    """
    path = open_run.path if isinstance(open_run, RunDir) else open_run
    app = PanelApp(
        runs_dir, settings=settings, open_run=path, mode=mode, listener=listener, replay=replay,
        listen_when_done=listen_when_done,
    )  # fmt: skip
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    # The driver draws on sys.__stderr__; a terminal that dies must not take the panel's way out with it.
    output = sys.__stderr__
    if output is not None:
        sys.__stderr__ = terminal.Output(output)  # type: ignore[misc,assignment]
    try:
        app.run()
    finally:
        sys.__stderr__ = output  # type: ignore[misc]
    return app.return_code or 0
