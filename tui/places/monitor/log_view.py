"""The text of engine.log: follows its end, wraps or cuts, finds words."""

from __future__ import annotations

from collections import deque

from rich.cells import cell_len, chop_cells
from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.runs.tail import latest, replaces
from tui.widgets.lines import draw

KEEP = 5000


class LogView(ScrollView, can_focus=False):
    """The last 5,000 lines of a log."""

    DEFAULT_CSS = "LogView { overflow-x: hidden; scrollbar-size-vertical: 1; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="card")
        self.follow = True
        self.wrap = False
        self.found: list[int] = []
        self._word = ""
        self._at = -1
        self._text: deque[str] = deque(maxlen=KEEP)
        self._rows: list[tuple[int, str]] = []

    def clear(self) -> None:
        self._text.clear()
        self._layout()

    def add(self, lines: list[str]) -> None:
        """Lines that came at the end; one that tells how far a phase is takes the place of the one before it."""
        if not lines:
            return
        lines = latest(lines)
        if self._text and replaces(self._text[-1], lines[0]):
            gone = len(self._text) - 1
            self._text.pop()
            while self._rows and self._rows[-1][0] == gone:
                self._rows.pop()
        full = len(self._text) + len(lines) > KEEP
        first = len(self._text)
        self._text.extend(lines)
        if full or self.wrap:
            self._layout()
        else:
            self._rows += [(first + i, line) for i, line in enumerate(lines)]
            self._sized()
        if self._word:
            self._find()

    def toggle_wrap(self) -> bool:
        self.wrap = not self.wrap
        self._layout()
        return self.wrap

    def toggle_follow(self) -> bool:
        self.follow = not self.follow
        self._sized()
        return self.follow

    def scroll_by(self, direction: int) -> None:
        """A third of the view back or on; going back holds the log, reaching the end follows it again."""
        by = max(1, self.size.height // 3) * direction
        self.scroll_to(y=self.scroll_offset.y + by, animate=False)
        self.follow = direction > 0 and self.scroll_offset.y + by >= self.max_scroll_y

    def search(self, word: str) -> int:
        """Mark a word; returns how many lines hold it, and goes to the last of them."""
        self._word, self._at = word.lower(), -1
        self._find()
        if self.found:
            self.next_found(-1)
        self.refresh()
        return len(self.found)

    def next_found(self, direction: int) -> None:
        if not self.found:
            return
        self._at = (self._at + direction) % len(self.found) if self._at >= 0 else len(self.found) - 1
        row = next(i for i, (at, _) in enumerate(self._rows) if at == self.found[self._at])
        self.follow = False
        self.scroll_to(y=max(0, row - self.size.height // 2), animate=False)
        self.refresh()

    @property
    def place(self) -> str:
        """Which of the places found is shown: "3 of 12"."""
        return f"{self._at + 1} of {len(self.found)}" if self.found else "not found"

    @property
    def searching(self) -> str:
        return self._word

    def _find(self) -> None:
        word = self._word
        self.found = [at for at, line in enumerate(self._text) if word in line.lower()] if word else []
        self._at = min(self._at, len(self.found) - 1)

    def _layout(self) -> None:
        width = max(10, self.size.width)
        rows = []
        for at, line in enumerate(self._text):
            parts = chop_cells(line, width) if self.wrap and cell_len(line) > width else [line]
            rows += [(at, part) for part in parts]
        self._rows = rows
        self._sized()
        self.refresh()

    def _sized(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._rows))
        if self.follow:
            self.scroll_end(animate=False, immediate=True)
        self.refresh(self.size.region)

    def on_resize(self, event: events.Resize) -> None:
        self._layout()

    def on_mouse_scroll_up(self) -> None:
        self.follow = False

    def render_line(self, y: int) -> Strip:
        at = y + self.scroll_offset.y
        if not 0 <= at < len(self._rows):
            return Strip.blank(self.size.width, self.rich_style)
        return draw(self, self._content(*self._rows[at]), self.size.width)

    def _content(self, line: int, text: str) -> Content:
        content = Content(text)
        low = text.lower()
        if any(sign in low for sign in ("error", "traceback", "nan", "refused", "failed")):
            content = content.stylize("$error")
        elif "★" in text or " best" in low:
            content = content.stylize("$mark")
        elif "warn" in low:
            content = content.stylize("$warning")
        if self._word and self._word in low:
            start = low.index(self._word)
            style = "reverse bold" if self.found and line == self.found[self._at] else "underline bold"
            content = content.stylize(style, start, start + len(self._word))
        return content
