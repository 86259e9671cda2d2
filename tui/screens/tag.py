"""One key: the letter of a tag."""

from __future__ import annotations

from textual import events
from textual.screen import ModalScreen


class TagScreen(ModalScreen[str | None]):
    """Takes the next key and ends with the tag it stands for, or None. The screen below stays in sight."""

    place = "listen"

    def __init__(self, letters: dict[str, str]) -> None:
        super().__init__()
        self._letters = letters

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        tag = self._letters.get((event.character or "").lower())
        if tag is None and event.key not in ("escape", "t", "enter", "space"):
            self.notify(f"No tag has the letter {event.character or event.key}.")
        self.dismiss(tag)
