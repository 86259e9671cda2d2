"""Work in a thread whose result comes back as a message: nothing is waited for, nothing arrives at a closed screen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from textual.message import Message
from textual.screen import Screen

T = TypeVar("T")


class Found(Message):
    """Work is through; ``then`` takes its result."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self.then = then


class Background(Screen[Any]):
    """A screen that looks things up without holding up its keys."""

    def look_up(self, work: Callable[[], T], then: Callable[[T], None], *, group: str) -> None:
        """Run ``work`` in a thread, then ``then`` with its result in the app. A newer one of the group replaces it."""

        def run() -> None:
            self.post_message(Found(partial(then, work())))

        self.run_worker(run, group=group, exclusive=True, thread=True)

    def on_found(self, message: Found) -> None:
        # A screen that is being closed has lost its widgets already.
        if self.is_attached and self.children:
            message.then()
