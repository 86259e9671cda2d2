"""What the keys of Listen do at this moment: the footer names those that do something."""

from __future__ import annotations

from collections.abc import Callable

from tui.places.listen.presenter import Presenter
from tui.places.listen.transport import Transport
from tui.review import samples
from tui.review.session import Session
from tui.runs import sessions

WITHOUT_A_SESSION = ("decide", "export", "sound")


def does_something(presenter: Presenter, transport: Transport | None, action: str) -> bool:
    """Whether an action that the footer can name would do anything; actions of other places would."""
    if action == "samples":
        return presenter.shown is not None and samples.exist(presenter.shown)
    if action == "decide" and presenter.shown is not None and sessions.is_session(presenter.shown):
        return False
    if action in WITHOUT_A_SESSION:
        return presenter.shown is not None
    if action == "heard_elsewhere":
        return transport is not None and transport.silent and not _all_heard(transport.session)
    if action not in _NEEDS:
        return True
    return transport is not None and _NEEDS[action](transport.session)


def _always(session: Session) -> bool:
    return True


def _all_heard(session: Session) -> bool:
    trial = session.trial
    return all(session.was_heard(trial, letter) for letter in trial.letters if session.clip_path(trial, letter))


def _can_go_on(session: Session) -> bool:
    if session.complete and session.names_visible:
        return False
    return session.review.advance == "enter" or session.value(session.trial, session.letter) is not None


_NEEDS: dict[str, Callable[[Session], bool]] = {
    "play": _always,
    "seek(1)": _always,
    "loop": _always,
    "score(5)": _always,
    "tag": _always,
    "note": _always,
    "switch('B')": lambda session: len(session.trial.letters) > 1,
    "next_unheard": lambda session: session.next_unheard() is not None,
    "go_on": _can_go_on,
    "undo": lambda session: bool(session.state.history),
    "prompt(1)": lambda session: len(session.trials) > 1,
    "reveal": lambda session: not session.names_visible,
}
"""By action, what it needs of the session."""
