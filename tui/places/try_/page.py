"""What Try looks like: how the next clips are made, what was made, and what plays."""

from __future__ import annotations

import random
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.content import Content
from textual.message import Message

from engine.contract.tries import Answer, Progress, TryClip
from tui.places.background import Background
from tui.places.place import Place
from tui.runs.tries import Group, Options, groups, label
from tui.text import cut
from tui.widgets.field import Field
from tui.widgets.lines import Lines, frame, gauge
from tui.widgets.table import Column, Row, Table

COLUMNS = [Column("", 2), Column("", 0), Column("strength", 8, right=True), Column("s", 5, right=True)]
NOTHING = "Nothing was tried yet: enter types a prompt, c begins with a caption of the training set."


class StudioNews(Message):
    """The warm process has answered."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class PromptField(Field):
    """The prompt is typed here; up and down bring the last ones back."""

    BINDINGS = [  # noqa: RUF012  (declared so by textual)
        Binding("up", "last(1)", show=False),
        Binding("down", "last(-1)", show=False),
        Binding("tab", "caption", show=False),
    ]

    class CaptionAsked(Message):
        """The next caption of the training set is wanted."""

    def __init__(self, hint: str, *, id: str) -> None:
        super().__init__(hint, id=id)
        self._last: list[str] = []
        self._at = -1

    def open_with(self, value: str, last: Sequence[str]) -> None:
        """Show it, with the prompts of before, newest first."""
        self._last, self._at = list(last), list(last).index(value) if value in last else -1
        self.open(value, go_on=True)

    def action_last(self, direction: int) -> None:
        self._at = max(-1, min(len(self._last) - 1, self._at + direction))
        self.value = self._last[self._at] if self._at >= 0 else ""
        self.cursor_position = len(self.value)

    def action_caption(self) -> None:
        self.post_message(self.CaptionAsked())


class TryPage(Place, Background):
    """The widgets of Try. Subclasses set what stands in them and call ``write_page``."""

    place = "try"
    CSS_PATH = "try.tcss"

    def __init__(self) -> None:
        super().__init__()
        self.options = Options()
        self.run_name = ""
        self.clips: list[TryClip] = []
        self.groups: list[Group] = []
        self.progress: Progress | None = None
        self.said = ""
        self.blind = False
        self.sounding = ""
        """File of the clip that is with the player under its playhead."""
        self._salt = random.random()

    def body(self) -> ComposeResult:
        with Container(id="asked-card", classes="card"):
            yield Lines(id="asked")
            yield Lines(id="state")
        with Container(id="made-card", classes="card"):
            yield Table(COLUMNS, titles=False, id="made")
            yield Lines(["", ""], id="transport")
        yield PromptField("what you want to hear · ↑ last ones · tab a caption", id="prompt")
        yield Field("", id="options")

    def have_clips(self, clips: list[TryClip]) -> None:
        """Show these clips, newest first."""
        self.clips, self.groups = clips, groups(clips)
        self.write_page()

    def in_order(self, group: Group) -> list[TryClip]:
        """The clips of a group as they are listed: mixed, while names are hidden."""
        if not self.blind:
            return list(group.clips)
        return sorted(group.clips, key=lambda clip: random.Random(f"{self._salt} {clip.file}").random())

    def name_of(self, clip: TryClip) -> str:
        if not self.blind:
            return label(clip)
        return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[self.in_order(self.group_of(clip)).index(clip) % 26]

    def group_of(self, clip: TryClip) -> Group:
        return next(group for group in self.groups if clip in group.clips)

    # -- writing

    def write_page(self) -> None:
        """Write everything; only what changed is sent to the terminal."""
        if not self.is_mounted:
            return
        frame(self.query_one("#asked-card"), f"Try · {self.run_name}" if self.run_name else "Try", "enter types")
        self.query_one("#asked", Lines).show(self._asked().wrap(max(20, self.size.width - 4)))
        self._write_state()
        self._write_made()
        self.write_transport()
        self.write_keys()

    def _asked(self) -> Content:
        options = self.options
        parts: list[tuple[str, str] | str] = []
        seed = "new each time" if options.new_seed else str(options.seed)
        for name, value in (
            ("models", ", ".join(options.models)), ("strength", f"{options.strength:g}"),
            ("seconds", f"{options.seconds:g}"), ("seed", seed), ("guidance", f"{options.guidance_scale:g}"),
            ("temp", f"{options.temperature:g}"), ("top-k", str(options.top_k)),
        ):  # fmt: skip
            parts += [(f"{name} ", "$quiet"), (value, "bold"), "  "]
        return Content.assemble(*parts, ("on the CPU" if options.on_cpu else "", "$warning"))

    def _write_state(self) -> None:
        width = max(20, self.size.width - 4)
        line = Content.styled(cut(self.said, width), "$quiet")
        if self.progress is not None:
            share = self.progress.done / self.progress.total if self.progress.total else 0.0
            doing = "a clip" if self.blind else self.progress.doing
            line = Content.assemble(
                gauge(share, 20), f" {doing} ", (f"{share:.0%}" if share else "", "bold"), ("  esc stops it", "$quiet")
            )
        self.query_one("#state", Lines).show([line])

    def _write_made(self) -> None:
        card, table = self.query_one("#made-card"), self.query_one("#made", Table)
        names, count = " · names are hidden" if self.blind else "", len(self.clips)
        frame(card, f"Made · {count} clip{'' if count == 1 else 's'}{names}", "space plays · a b switch · newest first")
        if not self.clips:
            table.show([Row(None, [(NOTHING, "$quiet")])])
            return
        playing = self.panel.player.status.playing if self.sounding else False
        rows: list[Row] = []
        for group in self.groups:
            rows.append(Row(None, [(cut(group.prompt, max(20, self.size.width - 22)), "bold"),
                                   (f"  seed {group.seed}", "$quiet")]))  # fmt: skip
            for clip in self.in_order(group):
                mark = "▶" if playing and clip.file == self.sounding else ""
                strength = "" if self.blind or clip.model == "base" else f"{clip.strength:g}"
                name = self.name_of(clip) if self.blind else clip.model
                rows.append(Row(clip.file, [(mark, "$success"), name, strength, (f"{clip.seconds:g}", "$quiet")]))
        table.show(rows)

    def write_transport(self) -> None:
        lines = self.query_one("#transport", Lines)
        clip = next((clip for clip in self.clips if clip.file == self.sounding), None)
        if clip is None:
            lines.show([""])
            return
        status = self.panel.player.status
        share = status.position / status.duration if status.duration else 0.0
        lines.show([
            Content.assemble(
                ("▶ " if status.playing else "■ ", "$success"), gauge(share, 30),
                f" {status.position:04.1f}/{status.duration:04.1f}  ", (self.name_of(clip), "bold"),
            )
        ])  # fmt: skip
