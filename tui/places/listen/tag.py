"""Two keys or more: the clips that get a tag, if not the one under the cursor, and the letter of the tag."""

from __future__ import annotations

from collections.abc import Callable

from textual import events

from tui.places.dialogs import Dialog


class TagScreen(Dialog[None]):
    """Takes keys until one is the letter of a tag. The screen below stays in sight."""

    place = "listen"

    def __init__(
        self, tags: dict[str, str], clips: str, take: Callable[[str | None, str], None], named: Callable[[str], None]
    ) -> None:
        """``tags`` by letter. ``named`` hears which ``clips`` were named so far, by their capitals; ``take`` hears the
        tag, or None, and the clips that were named."""
        super().__init__()
        self._tags = tags
        self._clips = clips
        self._take = take
        self._named = named
        self._chosen = ""

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        if not self.is_active:  # it came close behind the letter and belongs to the place below
            self.app.simulate_key(event.key)
            return
        character = event.character or ""
        if character and character in self._clips:
            chosen = set(self._chosen) ^ {character}
            self._chosen = "".join(letter for letter in self._clips if letter in chosen)
            self._named(self._chosen)
            return
        tag = self._tags.get(character.lower())
        if tag is None and event.key not in ("escape", "t", "enter", "space"):
            self.notify(f"No tag has the letter {event.character or event.key}.")
        self._take(tag, self._chosen)  # now: a screen's result would come after the keys that follow
        self.dismiss()
