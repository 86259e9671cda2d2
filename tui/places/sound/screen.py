"""The sound of the panel: one player for all places, and the screen that says how to get sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message

from tui import keys
from tui.audio.player import Player, PlayerMessage, PlayerStatus
from tui.places.dialogs import Dialog
from tui.places.place import Panel
from tui.runs import remembered
from tui.widgets.lines import Lines, frame

if TYPE_CHECKING:
    from engine.contract.config import Settings


class PlayerNews(Message):
    """The player has something to say."""

    def __init__(self, news: PlayerMessage) -> None:
        super().__init__()
        self.news = news


def new_player(settings: Settings) -> Player:
    """A player as the settings want it; nothing runs yet."""
    return Player(
        port=settings.audio.browser_port,
        unix_socket=settings.audio.browser_socket,
        latency=settings.audio.latency,
        restart_on_switch=settings.review.restart_on_switch,
        remote_keys=True,
        token=remembered.page_token(),
    )


def route(status: PlayerStatus) -> str:
    """The audio route in one word, with a mark when sound was heard to arrive: cut off it would tell the opposite."""
    return (status.label if status.output in ("", "none") else status.output) + " ✔" * status.proven


class SoundScreen(Dialog[None]):
    """Which way the sound takes, whether it arrived, and what to do on the laptop."""

    place = "sound"
    CSS_PATH = "sound.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("sound"), ("escape,q", "dismiss")]

    def __init__(self) -> None:
        super().__init__()
        self._asked = False
        self._last = ""

    @property
    def _player(self) -> Player:
        return cast("Panel", self.app).player

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="sound", classes="card") as card:
            frame(card, "Sound", "r next way · p play a chirp · esc closes")
            yield Lines(id="sound-lines")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self._write()

    def on_player_news(self, message: PlayerNews) -> None:
        news = message.news
        if news.kind == "proof":
            self._asked = news.data.get("proven") is None
        if news.kind in ("proof", "error"):
            self._last = news.text
        self._write()

    def _write(self) -> None:
        status = self._player.status
        proof = ("heard to arrive ✔", "$success") if status.proven else ("not proven yet: p plays a chirp", "$quiet")
        lines = [
            Content.assemble(("way     ", "$quiet"), (status.label, "bold"), f"  ({status.output or 'being tried'})"),
            Content.assemble(("sound   ", "$quiet"), proof),
        ]
        if status.url:
            lines.append(Content.assemble(("page    ", "$quiet"), (status.url, "$accent")))
        if status.hint:
            lines += [Content(""), Content.styled("How to hear it", "bold")]
            lines += [Content(line) for line in status.hint.splitlines()]
        for said in dict.fromkeys(text for text in (self._last, status.error) if text):
            lines += [Content(""), Content.styled(said, "$warning")]
        if self._asked:
            lines += [Content(""), Content.styled("Did you hear the chirp?  y yes   n no", "$accent bold")]
        width = max(20, self.query_one("#sound").size.width - 2)
        folded = [part for line in lines for part in (line.wrap(width) if line.plain else [line])]
        self.query_one("#sound-lines", Lines).show(folded)

    def on_resize(self) -> None:
        self._write()

    def action_cycle(self) -> None:
        self._last = ""
        self._player.cycle_output()

    def action_prove(self) -> None:
        self._last = ""
        self._player.prove()

    def action_answer(self, heard: bool) -> None:
        if self._asked:
            self._asked = False
            self._player.answer(heard)
            self._write()
