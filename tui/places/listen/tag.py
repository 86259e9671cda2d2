"""One key: the letter of a tag."""

from __future__ import annotations

from collections.abc import Callable

from textual import events

from tui.places.dialogs import Dialog


class TagScreen(Dialog[None]):
    """Takes the next key and gives the tag it stands for, or None, to ``take``. The screen below stays in sight."""

    place = "listen"

    def __init__(self, letters: dict[str, str], take: Callable[[str | None], None]) -> None:
        super().__init__()
        self._letters = letters
        self._take = take

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        if not self.is_active:  # it came close behind the letter and belongs to the place below
            self.app.simulate_key(event.key)
            return
        tag = self._letters.get((event.character or "").lower())
        if tag is None and event.key not in ("escape", "t", "enter", "space"):
            self.notify(f"No tag has the letter {event.character or event.key}.")
        self._take(tag)  # now: a screen's result would come after the keys that follow
        self.dismiss()
