"""What Try plays: the clips of a prompt, level-matched, switched at the same position."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from textual import on
from textual.timer import Timer

from engine.contract.rundir import RunDir
from engine.contract.tries import TryClip
from tui.places.sound.screen import PlayerNews, SoundScreen
from tui.places.try_.page import TryPage
from tui.review import loudness
from tui.widgets.table import Table

TICK = 0.2


class TryPlaying(TryPage):
    """The keys that play."""

    _timer: Timer

    def __init__(self) -> None:
        super().__init__()
        self.run_dir: RunDir | None = None
        self.loaded: list[str] = []
        """Files of the clips that the player holds."""
        self._levels: dict[Path, float | None] = {}

    def on_mount(self) -> None:
        self._timer = self.set_interval(TICK, self.write_transport, pause=True)

    def forget_player(self) -> None:
        """Another place may have taken the player."""
        self.loaded, self.sounding = [], ""

    def pause(self) -> None:
        """Be silent, if it is a clip of this place that plays."""
        if self.loaded:
            self.panel.player.pause()

    def current(self) -> TryClip | None:
        key = self.query_one("#made", Table).key
        return next((clip for clip in self.clips if clip.file == key), None)

    def play(self, clip: TryClip, position: float | None = None) -> None:
        """Play a clip, from where the playhead is or from ``position`` in seconds."""
        player = self.panel.player
        if clip.file in self.loaded:
            self.sounding = clip.file
            index = self.loaded.index(clip.file)
            if player.status.playing and position is None:
                player.switch(index)
            else:
                player.play(index, position)
            self.write_page()
            return
        run, group = self.run_dir, self.group_of(clip)
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
        self.loaded = [clip.file for clip in clips]
        names = [self.name_of(clip) for clip in clips]
        player.load(paths, [gains[file] for file in self.loaded], title=first.prompt, names=names)
        self.play(first, position)

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
        clip, player = self.current(), self.panel.player
        if clip is None:
            self.notify("There is nothing to play yet; enter types a prompt.")
        elif player.status.playing and self.sounding == clip.file:
            player.pause()
        else:
            self.play(clip)

    def action_other(self, direction: int) -> None:
        clip = self.current()
        if clip is None:
            self.notify("There is nothing to play yet; enter types a prompt.")
            return
        clips = self.in_order(self.group_of(clip))
        other = clips[max(0, min(len(clips) - 1, clips.index(clip) + direction))]
        self.query_one("#made", Table).go_to(other.file)

    @on(Table.Moved, "#made")
    def _moved(self) -> None:
        clip = self.current()
        if clip is not None and self.sounding and clip.file != self.sounding and self.panel.player.status.playing:
            self.play(clip)

    @on(Table.Chosen, "#made")
    def _chosen(self) -> None:
        self.action_play()

    def action_sound(self) -> None:
        self.app.push_screen(SoundScreen())
