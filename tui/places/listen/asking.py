"""What Listen asks in a dialog: how clips of equal weights are heard, whether names are shown early, who listens."""

from __future__ import annotations

from tui.places.dialogs import Ask, Choice, Menu
from tui.places.listen.presenter import Presenter
from tui.review.session import Session


def equal_weights(presenter: Presenter) -> Menu:
    """Asked before the session: some clips are the same, and the listener chooses what to do about it."""
    once, repeated = presenter.clips_a_prompt()
    choices = [
        Choice("2", f"{once} clips a prompt", "each once: less to listen to"),
        Choice("3", f"{repeated} clips a prompt", "one comes twice, hidden: that measures your own noise"),
    ]
    return Menu(presenter.equal_weights(), choices)


def names_early(session: Session) -> Menu:
    """Returns "V" when the names are to be shown before all is judged."""
    left = session.total - session.done
    choices = [
        Choice("V", "show the names", f"{left} clips are not judged yet, and what is said of them is not blind"),
        Choice("n", "go on blind", "the names come by themselves when all is judged"),
    ]
    return Menu("Show the names now? Nothing takes that back.", choices)


def who_listens(listener: str) -> Ask:
    return Ask("Who listens?", value=listener, hint="a name")
