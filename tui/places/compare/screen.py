"""Compare: marked runs beside one another, and the same prompt by ear."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content

from engine.contract.errors import UserError
from engine.contract.rundir import RunDir, is_run
from tui import keys
from tui.places.background import Background
from tui.places.compare import words
from tui.places.compare.overlay_chart import LOOKS, OverlayChart
from tui.places.place import Place, RunsChanged
from tui.places.sound.screen import PlayerNews, SoundScreen
from tui.review.notes import write_comparison
from tui.review.ranking import Ranking, ranking
from tui.review.results import Results
from tui.review.side_by_side import (
    AGAINST_BASE,
    SamePrompt,
    Side,
    clip_of,
    listening_rows,
    load_side,
    markdown,
    measure_rows,
    prompts,
    same_prompt,
    settings_rows,
    without_settings,
)  # fmt: skip
from tui.text import cut, fit
from tui.widgets.lines import Lines, frame

MOST_RUNS = len(LOOKS)
MODELS = ("best", "final", "base")


class CompareScreen(Place, Background):
    """Two to six runs."""

    place = "compare"
    AUTO_FOCUS = ""
    CSS_PATH = "compare.tcss"
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("compare"))

    def __init__(self) -> None:
        super().__init__()
        self._paths: list[Path] = []
        self._sides: list[Side] = []
        self._ranking = Ranking((), ())
        self._every = False
        self._prompt = 0
        self._model = "best"
        self._clips: SamePrompt | None = None
        self._run = 0

    def offers(self, action: keys.Action) -> bool:
        if action.place != self.place or action.action == "sound":
            return super().offers(action)
        if action.action in ("play", "switch(1)", "prompt(1)", "model"):
            count = len(prompts(self._sides))
            return count > (action.action == "prompt(1)") and (action.action != "switch(1)" or len(self._sides) > 1)
        return bool(self._sides)

    def _any(self) -> bool:
        """Whether there is a run to look at; says so when there is none."""
        if not self._sides:
            self.notify("There is nothing to compare yet; space in Runs marks runs for Compare.")
        return bool(self._sides)

    def body(self) -> ComposeResult:
        yield Lines(id="ranking", classes="card")
        yield OverlayChart(id="overlay")
        with Container(id="compare-below"):
            with VerticalScroll(id="differ-card", classes="card"):
                yield Lines(id="differ")
            with Container(id="heard-card", classes="card"):
                yield Lines(id="heard")
                yield Lines(id="same-prompt")

    def on_mount(self) -> None:
        self.query_one("#differ-card", VerticalScroll).can_focus = False
        self._read()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        self._read(again=True)

    def on_screen_suspend(self, event: events.ScreenSuspend) -> None:
        if self.app.current_mode != "compare" and self._clips is not None:
            self.panel.player.pause()
            self._clips = None

    def on_resize(self, event: events.Resize) -> None:
        self._write()

    # -- which runs

    @on(RunsChanged)
    def _runs_changed(self) -> None:
        self._read()

    def _chosen(self) -> list[Path]:
        """The marked runs; without two of them, the one that is shown (or the newest) and the one it was made from,
        or where that is not known the one before. Runs that only wait have nothing to compare.
        """
        marked = [path for path in self.panel.marked if path.is_dir()]
        if len(marked) >= 2:
            return marked[:MOST_RUNS]
        begun = [s.path for s in sorted(self.panel.summaries, key=lambda s: -s.started) if s.state != "waiting"]
        wanted = [*marked, *([self.panel.shown_path] if self.panel.shown_path else [])]
        last = next((path for path in wanted if not _waits(path)), begun[0] if begun else None)
        if last is None:
            return []
        summary = self.panel.summary(last)
        parent = last.parent / summary.parent if summary is not None and summary.parent else None
        if parent in begun:
            return [parent, last]
        later = begun.index(last) + 1 if last in begun else 0
        return [*begun[later : later + 1], last]

    def _read(self, again: bool = False) -> None:
        paths = self._chosen()
        if paths != self._paths or again:
            self._paths = paths
            self.look_up(lambda: _looked_up(paths), self._have, group="sides")
        elif not paths:
            self._write()

    def _have(self, found: tuple[list[Side], Ranking]) -> None:
        sides, self._ranking = found
        self._sides, self._clips, self._run = sides, None, max(0, len(sides) - 1)
        self._prompt = min(self._prompt, max(0, len(prompts(sides)) - 1))
        self._write()

    # -- drawing

    def _write(self) -> None:
        if not self.is_mounted:
            return
        width = max(40, self.size.width - 4)
        ranks = self.query_one("#ranking", Lines)
        ranks.display = bool(self._sides)
        ranks.title("Ranking by valid loss, clip by clip")
        ranks.show(words.ranks(self._ranking, width), whole=words.ranks_in_full(self._ranking))
        self.query_one(OverlayChart).show_runs([(side.name, side.history) for side in self._sides])
        self._write_settings()
        self._write_heard()
        self._write_prompt()
        self.write_keys()

    def _columns(self, width: int) -> tuple[int, int]:
        """Width of the first column and of one run's."""
        first = min(26, width * 2 // 5)
        return first, max(6, (width - first) // max(1, len(self._sides)) - 1)

    def _row(self, name: str, values: list[str], width: int, style: str = "") -> Content:
        first, each = self._columns(width)
        cells = " ".join(fit(value, each) for value in values)
        return Content.assemble((fit(name, first), "$quiet"), (cells, style))

    def _head(self, width: int) -> Content:
        first, each = self._columns(width)
        parts: list[tuple[str, str] | str] = [" " * first]
        called = words.names([side.name for side in self._sides], each - 2)
        for (color, mark), name in zip(LOOKS, called, strict=False):
            parts += [(f"{mark} ", f"${color}"), (fit(name, each - 2), "bold"), " "]
        return Content.assemble(*parts)

    def _write_settings(self) -> None:
        card, lines = self.query_one("#differ-card"), self.query_one("#differ", Lines)
        if not self._sides:
            frame(card, "Settings")
            lines.show(
                [Content.styled("No run yet. R goes to the runs; space marks some of them for Compare.", "$quiet")]
            )
            return
        rows, equal = settings_rows(self._sides, every=self._every)
        title = "Settings" if self._every else "Settings that differ"
        frame(card, title, f"{equal} equal · = {'hides' if self._every else 'shows'} them")
        width = self._card_width
        shown = [self._row(name, [words.value(v) for v in values], width) for name, values in rows]
        if len(self._sides) < 2:
            shown.append(Content.styled("One run only: space in Runs marks others for Compare.", "$quiet"))
        elif strangers := without_settings(self._sides):
            shown.append(Content.styled(f"The settings of {', '.join(strangers)} are not known.", "$quiet"))
        elif not rows:
            shown.append(Content.styled("None: these runs were made with the same settings.", "$quiet"))
        found = measure_rows(self._sides, self._model)
        if found:
            shown += [Content(""), Content.styled(f"Measured of {self._model}, means over the prompts", "$quiet")]
            shown += [self._row(name, values, width) for name, values in found]
        whole = [words.in_full(self._sides, name, [words.value(v) for v in values]) for name, values in rows]
        whole += [words.in_full(self._sides, name, values) for name, values in found]
        lines.show([self._head(width), *shown], whole=whole)

    @property
    def _card_width(self) -> int:
        width = self.size.width
        return (width if width < 100 else width // 2) - 5

    def _write_heard(self) -> None:
        card, lines = self.query_one("#heard-card"), self.query_one("#heard", Lines)
        rows = [row for row in listening_rows(self._sides) if row[0] != AGAINST_BASE]  # that is in the ranking
        width = self._card_width
        for each in (card, self.query_one("#compare-below")):
            each.set_class(not rows, "-unheard")
        if not rows:
            frame(card, "Listening", None)
            said = "Nothing has been judged to the end yet; L listens to the run that is shown."
            lines.show([Content.styled(said, "$quiet")])
            return
        found: list[Results] = [side.results for side in self._sides if side.results]
        count = max((results.evaluation.prompts for results in found), default=0)
        frame(card, f"Listening · {count} prompts", None)
        shown = [self._head(width), *(self._row(name, values, width) for name, values in rows)]
        lines.show(shown, whole=[words.in_full(self._sides, name, values) for name, values in rows])

    def _write_prompt(self) -> None:
        lines = self.query_one("#same-prompt", Lines)
        texts = prompts(self._sides)
        card = self.query_one("#heard-card")
        if not texts:
            frame(card, None)
            lines.show([])
            return
        status = self.panel.player.status if self._clips else None
        playing = bool(status and status.playing)
        text = f"prompt {self._prompt + 1} of {len(texts)} · {texts[self._prompt]}"
        parts: list[tuple[str, str] | str] = [(f"{self._model}  ", "$quiet")]
        for at, side in enumerate(self._sides):
            here = at == self._run
            glyph = "▶ " if here and playing else "▸ " if here else "  "
            missing = clip_of(side, texts[self._prompt], self._model) is None
            style = "$warning" if missing else "$accent bold" if here else "$foreground"
            parts += [(f"{glyph}{cut(side.name, 18)}{' (no clip)' if missing else ''}", style), "  "]
        if status and playing:
            parts.append((f"{status.position:04.1f}/{status.duration:04.1f}", "$quiet"))
        frame(card, None, "space plays · a b switch · m model · ↑↓ prompt")
        lines.show([Content.styled(text, "bold"), Content.assemble(*parts)])

    # -- playing

    def on_player_news(self, message: PlayerNews) -> None:
        if message.news.kind == "error" and self.is_current:
            self.notify(message.news.text, severity="warning", timeout=8)
        self._write_prompt()

    def _with_clips(self) -> None:
        """Hand the clips of this prompt to the player and play."""
        texts = prompts(self._sides)
        if not texts:
            self.notify("There are no clips to play; the runs make them when they have trained.")
            return
        find = partial(same_prompt, list(self._sides), texts[self._prompt], self._model)
        self.look_up(find, self._have_clips, group="clips")

    def _have_clips(self, found: SamePrompt) -> None:
        self._clips = found
        there = [at for at, clip in enumerate(found.clips) if clip is not None]
        paths = [clip.path for clip in found.clips if clip is not None and clip.path is not None]
        if not paths:
            self.notify(f"No run has a clip of {self._model} for this prompt; m takes another model.")
            return
        self._run = self._run if self._run in there else there[0]
        player = self.panel.player
        player.load(
            paths, [found.gains[at] for at in there], title=found.text, names=[self._sides[at].name for at in there]
        )
        player.play(there.index(self._run), 0.0)
        self._write_prompt()

    def action_play(self) -> None:
        if self._clips is None:
            self._with_clips()
        elif self.panel.player.status.playing:
            self.panel.player.pause()
        else:
            self._switch_to(self._run)

    def action_switch(self, direction: int) -> None:
        there = range(len(self._sides)) if self._clips is None else self._there()
        others = [at for at in there if (at - self._run) * direction > 0]
        if others:
            self._run = others[0] if direction > 0 else others[-1]
        if self._clips is not None:
            self._switch_to(self._run)
        self._write_prompt()

    def _there(self) -> list[int]:
        return [] if self._clips is None else [at for at, clip in enumerate(self._clips.clips) if clip is not None]

    def _switch_to(self, run: int) -> None:
        there = self._there()
        if run in there:
            player = self.panel.player
            (player.switch if player.status.playing else player.play)(there.index(run))
        self._write_prompt()

    def action_prompt(self, direction: int) -> None:
        texts = prompts(self._sides)
        if not texts:
            self.notify("There are no clips to play; the runs make them when they have trained.")
        else:
            playing = self._clips is not None and self.panel.player.status.playing
            self._prompt = max(0, min(len(texts) - 1, self._prompt + direction))
            self._other_clips(playing)

    def action_model(self) -> None:
        playing = self._clips is not None and self.panel.player.status.playing
        self._model = MODELS[(MODELS.index(self._model) + 1) % len(MODELS)]
        self._other_clips(playing)
        self._write_settings()

    def _other_clips(self, playing: bool) -> None:
        if self._clips is not None:
            self.panel.player.stop()
        self._clips = None
        if playing:
            self._with_clips()
        self._write_prompt()

    # -- the rest

    def action_axis(self) -> None:
        if self._any():
            self.query_one(OverlayChart).next_axis()

    def action_all_rows(self) -> None:
        if not self._any():
            return
        self._every = not self._every
        self.set_class(self._every, "-every")
        self._write()

    def action_page(self, direction: int) -> None:
        card = self.query_one("#differ-card", VerticalScroll)
        card.scroll_relative(y=direction * max(1, card.size.height - 1), animate=False)

    def action_sound(self) -> None:
        self.app.push_screen(SoundScreen())

    def action_export(self) -> None:
        if not self._any():
            return
        path = self.panel.runs_dir / f"compare-{'-'.join(side.name for side in self._sides)[:120]}.md"
        try:
            self.notify(f"Written: {write_comparison(path, markdown(self._sides))}")
        except UserError as error:
            self.notify(str(error), severity="error")


def _waits(path: Path) -> bool:
    # The list of runs may not be read yet; a run that has not begun has no log.
    return is_run(path) and not RunDir(path).events.exists()


def _looked_up(paths: list[Path]) -> tuple[list[Side], Ranking]:
    sides = [load_side(path) for path in paths]
    return sides, ranking(sides)
