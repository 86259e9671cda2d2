"""A list of rows under a line of titles: one is current, the keys and the mouse move it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.text import cut
from tui.widgets.lines import Lines, draw


class Column(NamedTuple):
    title: str
    width: int
    """In cells; 0 takes what the others leave."""
    right: bool = False


class Row(NamedTuple):
    key: Any
    """What the row stands for; the cursor stays on it when rows move. None is a heading, which cannot be chosen."""
    cells: Sequence[str | tuple[str, str]]
    """Text, or text with its style."""


class Table(ScrollView, can_focus=True):
    """Rows with a pointer ▸ at the current one, so that it can be seen without colours too."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "end(-1)", show=False),
        Binding("end", "end(1)", show=False),
    ]
    DEFAULT_CSS = "Table { overflow-x: hidden; scrollbar-size-vertical: 1; }"

    cursor: reactive[int] = reactive(0, repaint=False)

    class Moved(Message):
        """Another row is current."""

        def __init__(self, table: Table, key: Any) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> Table:
            return self.table

    class Chosen(Message):
        """The current row was clicked twice."""

        def __init__(self, table: Table, key: Any) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> Table:
            return self.table

    def __init__(self, columns: Sequence[Column], *, titles: bool = True, id: str | None = None) -> None:
        super().__init__(id=id)
        self._columns = list(columns)
        self._titles = titles
        self._rows: list[Row] = []
        self._was_clipped = False
        self._contents: dict[int, Content] = {}
        """Put together when they are drawn: of ten thousand rows a screen shows thirty."""

    @property
    def rows(self) -> list[Row]:
        return self._rows

    @property
    def key(self) -> Any:
        """Key of the current row; None when there is none."""
        return self._rows[self.cursor].key if 0 <= self.cursor < len(self._rows) else None

    def _tell_clipped(self) -> None:
        if self.is_attached and self.clipped != self._was_clipped:
            self._was_clipped = not self._was_clipped
            self.post_message(Lines.Clipped())

    def show(self, rows: Sequence[Row], columns: Sequence[Column] | None = None) -> None:
        """Draw these rows from now on; the cursor stays on its key, or near its place when that is gone."""
        key, place = self.key, self.cursor
        before = self._rows
        if columns is not None and list(columns) != self._columns:
            self._columns, before = list(columns), []
            self.refresh()
        self._rows = list(rows)
        self._contents = {
            at: content
            for at, content in self._contents.items()
            if at < len(before) and at < len(self._rows) and before[at] == self._rows[at]
        }
        self.virtual_size = Size(self.size.width, len(self._rows) + self._titles)
        keys = [row.key for row in self._rows]
        at = keys.index(key) if key is not None and key in keys else min(place, max(0, len(keys) - 1))
        if keys and keys[at] is None:
            at = next((i for i, k in enumerate(keys) if k is not None), 0)
        self.cursor = at
        for at in range(self.scroll_offset.y, self.scroll_offset.y + self.size.height):
            if before[at : at + 1] != self._rows[at : at + 1]:
                self._refresh_row(at)
        self._tell_clipped()
        if self.key != key:
            self.post_message(self.Moved(self, self.key))

    def go_to(self, key: Any) -> None:
        """Make the row of this key current, if there is one."""
        for at, row in enumerate(self._rows):
            if row.key == key:
                self._move_to(at)

    @property
    def clipped(self) -> bool:
        """A cell of the current row is cut."""
        return self.display and 0 <= self.cursor < len(self._rows) and self._is_cut(self._rows[self.cursor])

    @property
    def whole(self) -> list[Content]:
        """The rows in sight of which a cell is cut, in full, the current one first."""
        top = self.scroll_offset.y
        in_sight = self._rows[top : top + max(1, self.size.height - self._titles)]
        current = self._rows[self.cursor : self.cursor + 1]
        cut_rows = [row for row in [*current, *(row for row in in_sight if row not in current)] if self._is_cut(row)]
        return [self._in_full(row) for row in cut_rows]

    def _is_cut(self, row: Row) -> bool:
        if row.key is None:
            return sum(cell_len(_text(cell)) for cell in row.cells) > self.size.width - 2
        widths = self._widths()
        return any(cell_len(_text(cell)) > width for cell, width in zip(row.cells, widths, strict=False))

    def _in_full(self, row: Row) -> Content:
        parts: list[tuple[str, str] | str] = []
        for column, cell in zip(self._columns, row.cells, strict=False):
            if text := _text(cell).strip():
                parts += [(f"{column.title} ", "$quiet")] if column.title and column.width else []
                parts += [text, "   "]
        return Content.assemble(*parts)

    # -- drawing

    def _widths(self) -> list[int]:
        fixed = sum(column.width for column in self._columns) + len(self._columns) + 2
        spare = max(4, self.size.width - fixed)
        return [column.width or spare for column in self._columns]

    def line(self, at: int) -> Content:
        """How a row is written, without the pointer."""
        if at not in self._contents:
            self._contents[at] = self._content(self._rows[at])
        return self._contents[at]

    def _content(self, row: Row) -> Content:
        # What cannot be chosen is a heading: its parts follow one another, over all columns.
        return Content.assemble(*row.cells) if row.key is None else self._in_columns(row.cells)

    def _in_columns(self, cells: Sequence[str | tuple[str, str]]) -> Content:
        parts: list[tuple[str, str] | str] = []
        for column, width, cell in zip(self._columns, self._widths(), cells, strict=False):
            text, style = (cell, "") if isinstance(cell, str) else cell
            text = cut(text, width)
            gap = " " * (width - cell_len(text))
            parts += [(gap + text if column.right else text + gap, style), " "]
        return Content.assemble(*parts)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if self._titles and y == 0:
            titles = self._in_columns([column.title for column in self._columns])
            content = Content.assemble("  ", titles).stylize("$quiet")
            return draw(self, content, width)
        at = y - self._titles + self.scroll_offset.y
        if not 0 <= at < len(self._rows):
            return Strip.blank(width, self.rich_style)
        current = at == self.cursor and self._rows[at].key is not None
        content = Content.assemble("▸ " if current else "  ", self.line(at))
        if current:
            content = content.pad_right(max(0, width - content.cell_length))
            content = content.stylize("bold on $panel")
        return draw(self, content, width)

    def _refresh_row(self, at: int) -> None:
        y = at + self._titles - self.scroll_offset.y
        if self._titles <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    # -- moving

    def watch_cursor(self, before: int, after: int) -> None:
        self._refresh_row(before)
        self._refresh_row(after)
        self._tell_clipped()
        room = max(1, self.size.height - self._titles)
        top = self.scroll_offset.y
        if after < top or after >= top + room:
            self.scroll_to(y=after if after < top else after - room + 1, animate=False)

    def _move_to(self, at: int) -> None:
        if 0 <= at < len(self._rows) and at != self.cursor and self._rows[at].key is not None:
            self.cursor = at
            self.post_message(self.Moved(self, self.key))

    def action_move(self, direction: int) -> None:
        at = self.cursor + direction
        while 0 <= at < len(self._rows) and self._rows[at].key is None:
            at += direction
        self._move_to(at)

    def action_page(self, direction: int) -> None:
        target = max(0, min(len(self._rows) - 1, self.cursor + direction * max(1, self.size.height - 2)))
        while 0 <= target < len(self._rows) and self._rows[target].key is None:
            target += direction
        self._move_to(target)

    def action_end(self, direction: int) -> None:
        choosable = [at for at, row in enumerate(self._rows) if row.key is not None]
        if choosable:
            self._move_to(choosable[0 if direction < 0 else -1])

    def on_click(self, event: events.Click) -> None:
        at = event.get_content_offset_capture(self).y - self._titles + self.scroll_offset.y
        if event.chain == 2 and at == self.cursor:
            self.post_message(self.Chosen(self, self.key))
        else:
            self._move_to(at)

    def on_resize(self) -> None:
        self._contents = {}
        self.virtual_size = Size(self.size.width, len(self._rows) + self._titles)
        self._tell_clipped()
        self.refresh()


def _text(cell: str | tuple[str, str]) -> str:
    return cell if isinstance(cell, str) else cell[0]
