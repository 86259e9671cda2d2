"""Lines of text of which only those are drawn again that changed: what keeps the panel cheap over ssh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from engine.contract.text import plain
from tui.text import bar


class Lines(Widget):
    """One Content (text with spans styled by theme colours, such as "$success bold") a line; too long ones are cut."""

    DEFAULT_CSS = "Lines { height: auto; }"
    counts_as_text: ClassVar[bool] = True
    """What is cut here can be read in full with the key for that."""

    class Clipped(Message):
        """There is no longer, or no more, room for all of it."""

    def __init__(
        self, lines: Sequence[Content | str] = (), *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._lines = [_content(line) for line in lines]
        self._in_full: list[Content] = []
        self._was_clipped = False

    @property
    def whole(self) -> list[Content]:
        """All that is to be said, however little room there is."""
        return self._in_full or self._lines

    @property
    def clipped(self) -> bool:
        """Something of it cannot be read here."""
        if not self.counts_as_text or not self.size.width or not self.display:
            return False
        if self._in_full and any("…" in line.plain for line in self._lines):
            return True
        too_long = any(line.cell_length > self.size.width for line in self._lines)
        return too_long or len(self._lines) > max(1, self.size.height)

    def _tell_clipped(self) -> None:
        if self.is_attached and self.clipped != self._was_clipped:
            self._was_clipped = not self._was_clipped
            self.post_message(self.Clipped())

    def on_resize(self) -> None:
        self._tell_clipped()

    @property
    def lines(self) -> list[Content]:
        return self._lines

    def show(self, lines: Sequence[Content | str], *, whole: Sequence[Content | str] = ()) -> None:
        """Draw these lines from now on; ``whole`` says the same in full where they were shortened already."""
        self._in_full = [_content(line) for line in whole]
        self._draw(lines)
        self._tell_clipped()

    def _draw(self, lines: Sequence[Content | str]) -> None:
        before, self._lines = self._lines, [_content(line) for line in lines]
        if len(before) != len(self._lines) and self.styles.is_auto_height:
            # Textual counts one change of layout until it is laid out; a height that it kept meanwhile would stay.
            self._layout_updates += 1
            self.refresh(layout=True)
            return
        changed = [
            y
            for y in range(max(len(before), len(self._lines)))
            if y >= len(before) or y >= len(self._lines) or not same(before[y], self._lines[y])
        ]
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def title(self, title: str | None, subtitle: str | None = "") -> None:
        """Write these into the frame; equal ones cost nothing."""
        frame(self, title, subtitle)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        content = self._lines[y] if y < len(self._lines) else Content("")
        left = len(self._lines) - self.size.height
        if self.counts_as_text and left > 0 and self.size.height > 1 and y == self.size.height - 1:
            content = Content.styled(f"… {left + 1} more lines · W reads all", "$quiet")
        return draw(self, content, self.size.width)


def frame(widget: Widget, title: str | None, subtitle: str | None = "") -> None:
    """Write these into a widget's frame, as they are and never as markup; None leaves what stands there.

    Equal ones are not drawn again. Frames are written here and nowhere else.
    """
    for side, text in (("border_title", title), ("border_subtitle", subtitle)):
        if text is not None:
            content = Content(plain(text))
            if (getattr(widget, side) or "") != content.markup:
                setattr(widget, side, content)


def draw(widget: Widget, content: Content, width: int) -> Strip:
    """One line of a widget, cut or filled to ``width`` cells; what a text could do to the terminal is shown instead."""
    if width <= 0:
        return Strip.blank(0)
    if not content.plain.isprintable():
        # As long as it was: the spans stay where they are.
        content = Content(plain(content.plain), list(content.spans))
    if content.cell_length > width:
        content = content.truncate(width, ellipsis=True)
    style = widget.visual_style
    strips = Visual.to_strips(widget, content, width, 1, style, apply_selection=False)
    line = strips[0] if strips else Strip.blank(width)
    return line.adjust_cell_length(width, style.rich_style)


def same(a: Content, b: Content) -> bool:
    return a.plain == b.plain and a.spans == b.spans


def _content(line: Content | str) -> Content:
    return line if isinstance(line, Content) else Content(line)


def gauge(share: float, width: int) -> tuple[str, str]:
    """A bar with its track, as a part of a Content."""
    return bar(share, width), "$primary on $panel"
