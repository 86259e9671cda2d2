"""The clips of one prompt, one under the other: letter, envelope with the playhead, time, score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import events
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.text import cut
from tui.widgets.lines import draw
from tui.widgets.waveform import braille, half_blocks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEFT = 9
MOST_ROWS = 8


@dataclass(frozen=True)
class ClipLook:
    """All that is drawn of one clip."""

    letter: str
    missing: str = ""
    said: str = ""
    """Written where nothing plays yet, instead of whether it was heard."""
    heard: bool = False
    current: bool = False
    playing: bool = False
    position: float = 0.0
    duration: float = 0.0
    """Of this clip, for the place of the playhead."""
    length: float = 0.0
    """What is written as its duration: the longest of the prompt's."""
    value: str = "·"
    """Its score or rank."""
    pips: str = ""
    """The same as a row of squares, where there is room."""
    name: str = ""
    """The model, after the reveal."""
    peaks: tuple[float, ...] | None = None
    """Level-matched, two for every cell; None before the first play."""
    mel: NDArray[np.float32] | None = None
    """Drawn instead of the envelope when given: (bands, columns)."""
    loop: tuple[float, float | None] | None = None

    def same_picture(self, other: ClipLook) -> bool:
        return (self.peaks, id(self.mel), self.loop) == (other.peaks, id(other.mel), other.loop)


class Clips(Widget):
    """Rows of clips. A click into an envelope plays from there."""

    DEFAULT_CSS = "Clips { height: 1fr; }"

    class Clicked(Message):
        """A clip was clicked, at ``share`` of its length (None beside the envelope)."""

        def __init__(self, letter: str, share: float | None) -> None:
            super().__init__()
            self.letter = letter
            self.share = share

    class Scored(Message):
        """The square that stands for this score was clicked."""

        def __init__(self, letter: str, value: int) -> None:
            super().__init__()
            self.letter = letter
            self.value = value

    class Resized(Message):
        """There is another room for envelopes."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._looks: list[ClipLook] = []

    def on_resize(self) -> None:
        self.post_message(self.Resized())

    @property
    def looks(self) -> list[ClipLook]:
        return self._looks

    @property
    def wave_columns(self) -> int:
        """Cells of an envelope."""
        return max(10, self.size.width - LEFT - self._right_columns)

    @property
    def _right_columns(self) -> int:
        """Cells right of the envelope; one line has to hold the time, the name and the score."""
        return 19 if self.rows == 1 else 13

    @property
    def rows(self) -> int:
        """Lines a clip takes, without the gap below it."""
        count = max(1, len(self._looks))
        room = self.size.height // count
        return max(1, min(MOST_ROWS, room - 1 if room > 1 else 1))

    @property
    def _pitch(self) -> int:
        """Lines from one clip to the next."""
        return self.rows + (1 if (self.rows + 1) * len(self._looks) <= self.size.height + 1 else 0)

    def show(self, looks: Sequence[ClipLook]) -> None:
        """Draw these clips from now on; only the lines of clips that changed are sent."""
        before, self._looks = self._looks, list(looks)
        if len(before) != len(self._looks):
            self.refresh()
            return
        for at, (old, new) in enumerate(zip(before, self._looks, strict=True)):
            if _still(old) != _still(new) or not old.same_picture(new):
                self.refresh(Region(0, at * self._pitch, self.size.width, self.rows))
            elif old.position != new.position:
                self._refresh_playhead(at, old, new)

    def _refresh_playhead(self, at: int, old: ClipLook, new: ClipLook) -> None:
        """Only the cells that a moving playhead changes: over ssh this happens ten times a second."""
        columns, y = self.wave_columns, at * self._pitch
        self.refresh(Region(LEFT + columns, y, self._right_columns, 1))
        left, right = sorted((_cursor(old, columns), _cursor(new, columns)))
        if left != right:
            self.refresh(Region(LEFT + left, y, right - left + 1, self.rows))

    def render_line(self, y: int) -> Strip:
        at, row = divmod(y, self._pitch) if self._looks else (0, 0)
        if at >= len(self._looks) or row >= self.rows:
            return Strip.blank(self.size.width, self.rich_style)
        look = self._looks[at]
        left = draw(self, self._left(look, row), LEFT)
        right = draw(self, self._right(look, row), self._right_columns)
        return Strip.join([left, self._wave(look, row), right])

    def _left(self, look: ClipLook, row: int) -> Content:
        style = "$accent bold" if look.current else "$foreground"
        if row == 0:
            pointer = "▸" if look.current else " "
            playing = "▶" if look.playing else " "
            return Content.assemble((pointer, "$accent bold"), " ", (look.letter, style), f" {playing}")
        return Content.assemble("  ", (cut(look.name, LEFT - 3), "$primary")) if row == 1 else Content("")

    def _right(self, look: ClipLook, row: int) -> Content:
        said = (look.said or ("heard" if look.heard else "not heard"), "$quiet")
        if look.missing:
            said = ("missing", "$warning")
        elif look.playing or look.position > 0:
            said = (f"{look.position:04.1f}/{look.length:04.1f}", "$foreground" if look.playing else "$quiet")
        value_style = "$accent bold" if look.value != "·" else "$quiet"
        if self.rows == 1:
            middle = (f"{cut(look.name, 5):<6}", "$primary") if look.name or not look.pips else (look.pips, "$accent")
            return Content.assemble(" ", (f"{said[0]:<10}", said[1]), middle, " " * bool(look.pips and not look.name),
                                    (look.value, value_style))  # fmt: skip
        if row == 0:
            return Content.assemble("  ", said)
        if row == 1:
            return Content.assemble("  ", (f"{look.pips} " if look.pips else "", "$accent"), (look.value, value_style))
        return Content("")

    def _wave(self, look: ClipLook, row: int) -> Strip:
        columns = self.wave_columns
        if look.missing:
            text = cut(look.missing, columns) if row == (self.rows - 1) // 2 else ""
            return draw(self, Content.styled(text, "$warning"), columns)
        if look.peaks is None:
            text = "┄" * columns if row == (self.rows - 1) // 2 else ""
            return draw(self, Content.styled(text, "$line"), columns)
        cursor = _cursor(look, columns)
        if look.mel is not None:
            strip = Strip(half_blocks(look.mel, row), columns)
        else:
            text = braille(look.peaks[: 2 * columns], self.rows)[row]
            played = "$loss" if look.current else "$foreground"
            rest = "$loss-raw" if look.current else "$quiet"
            content = Content.assemble((text[:cursor], played), (text[cursor:], rest if look.position else played))
            strip = draw(self, self._with_loop(content, look, columns), columns)
        if look.position > 0 or look.playing:
            mark = draw(self, Content.styled("│", "$mark bold"), 1)
            strip = Strip.join([strip.crop(0, cursor), mark, strip.crop(cursor + 1, columns)])
        return strip

    def _with_loop(self, content: Content, look: ClipLook, columns: int) -> Content:
        if look.loop is None or not look.duration or look.loop == (0.0, None):
            return content
        start = round(look.loop[0] / look.duration * columns)
        end = round((look.loop[1] or look.duration) / look.duration * columns)
        return content.stylize("on $panel", start, end)

    def _square(self, look: ClipLook, row: int, x: int) -> int:
        """The score whose square is drawn at this cell right of the envelope; 0 for none."""
        start, drawn_in = (11, 0) if self.rows == 1 else (2, 1)
        drawn = row == drawn_in and look.pips and not (self.rows == 1 and look.name)
        return x - start + 1 if drawn and start <= x < start + len(look.pips) else 0

    def on_click(self, event: events.Click) -> None:
        at = event.y // self._pitch if self._looks else 0
        if at < len(self._looks):
            x = event.x - LEFT
            square = self._square(self._looks[at], event.y % self._pitch, x - self.wave_columns)
            if square:
                self.post_message(self.Scored(self._looks[at].letter, square))
                return
            share = x / self.wave_columns if 0 <= x < self.wave_columns else None
            self.post_message(self.Clicked(self._looks[at].letter, share))


def _cursor(look: ClipLook, columns: int) -> int:
    return min(columns - 1, int(look.position / look.duration * columns)) if look.duration else 0


def _still(look: ClipLook) -> tuple[object, ...]:
    """All of a clip's look but the picture and the place of the playhead."""
    return (
        look.letter, look.missing, look.heard, look.current, look.playing, look.position > 0, look.duration,
        look.length, look.value, look.pips, look.name, look.said,
    )  # fmt: skip


def pips(value: int | None, most: int) -> str:
    """A score as squares: ■■■□□."""
    return "■" * (value or 0) + "□" * (most - (value or 0))
