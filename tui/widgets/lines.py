"""Lines of text of which only those are drawn again that changed: what keeps the panel cheap over ssh."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from engine.contract.text import plain
from tui.text import bar


class Lines(Widget):
    """One Content (text with spans styled by theme colours, such as "$success bold") a line; too long ones are cut."""

    DEFAULT_CSS = "Lines { height: auto; }"

    def __init__(
        self, lines: Sequence[Content | str] = (), *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._lines = [_content(line) for line in lines]

    @property
    def lines(self) -> list[Content]:
        return self._lines

    def show(self, lines: Sequence[Content | str]) -> None:
        """Draw these lines from now on."""
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
