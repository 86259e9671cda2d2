"""The one exception whose text is meant for the user."""

from __future__ import annotations

from engine.contract.text import plain


class UserError(ValueError):
    """Something the user can mend. ``str(error)`` is one sentence: what is wrong, where, and what to do.

    Names and files that it quotes are made plain, so that it is one line wherever it is shown.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(plain(sentence))
