"""What Listen does, without a screen: which session is open, why there is none, and where a judgement leads."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from engine.contract import liveness
from engine.contract.config import Review
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui.review import samples
from tui.review.evaluation import open_evaluation
from tui.review.session import Session
from tui.runs.store import evaluation_folders

NOTHING = (
    "No clips to listen to yet.",
    "A run makes them when it has trained; `mgl-tui evaluate RUN` makes them for one that has none.",
    "R goes to the runs; p there opens a folder of clips that another script made.",
)


class Remark(NamedTuple):
    """A sentence for the listener."""

    text: str
    warning: bool = True


class Step(NamedTuple):
    """The clip that comes after a judgement."""

    at: int
    """Index of its trial."""
    letter: str
    fresh: bool
    """It is to be heard from its beginning; else the cursor goes there and what plays goes on."""


class Presenter:
    """The clips that are listened to and the session on them. After ``open`` exactly one of these holds: there is a
    ``session``; one ``asks`` how clips of equal weights are to be heard; or ``lines`` says why there is none.
    """

    def __init__(self, review: Review) -> None:
        self.review = review
        self.shown: Path | None = None
        """The run or folder whose clips are listened to."""
        self.listener = ""
        self.session: Session | None = None
        self.asks: Session | None = None
        self.problem = ""
        self._set = 0

    # -- which session

    @property
    def folders(self) -> list[Path]:
        """Evaluation folders of what is shown, one a prompt set."""
        return evaluation_folders(self.shown) if self.shown else []

    def being_made(self) -> bool:
        """An engine holds the run: an order drawn now would lack the clips that are still to come."""
        return self.shown is not None and liveness.is_held(RunDir(self.shown))

    def take(self, path: Path | None) -> bool:
        """Show these clips; whether a session on them is to be opened now.

        Clips may come while the place is shown; what was refused once is not asked for again.
        """
        if path is None or self.asks is not None:
            return False
        fresh = self.session is None and not self.problem and bool(evaluation_folders(path))
        if path == self.shown and not fresh:
            return False
        if path != self.shown:
            self.shown, self._set = path, 0
        return True

    def next_set(self) -> bool:
        """Turn to the next prompt set; False when there is no other."""
        if len(self.folders) < 2:
            return False
        self._set = (self._set + 1) % len(self.folders)
        return True

    def open(self, listener: str) -> None:
        """Open the listener's session on what is shown."""
        self.listener, self.problem, self.session, self.asks = listener, "", None, None
        folders = self.folders
        if not folders:
            return
        try:
            evaluation = open_evaluation(folders[self._set % len(folders)])
            if not evaluation.whole and self.being_made():
                return
            session = Session.open(evaluation, listener, self.review)
        except UserError as error:
            self.problem = str(error)
            return
        if session.needs_choice:
            self.asks = session
        else:
            self._begin(session)

    def _begin(self, session: Session) -> None:
        if session.trials:
            self.session = session
        else:
            self.problem = f"{session.evaluation.folder}: none of its clips can be found; make them again."

    def equal_weights(self) -> str:
        """Which models of the session that asks are the same."""
        assert self.asks is not None
        groups = self.asks.evaluation.same_weights
        return f"{', and '.join(' and '.join(group) for group in groups)} have the same weights"

    def clips_a_prompt(self) -> tuple[int, int]:
        """How many clips a prompt has in the session that asks: each once, and with the hidden repeats."""
        assert self.asks is not None
        models, groups = self.asks.evaluation.models, self.asks.evaluation.same_weights
        return len(models) - sum(len(group) - 1 for group in groups), len(models)

    def answer(self, key: str | None) -> None:
        """Begin the session that asks, each clip once ("2") or with hidden repeats ("3"); None: not now.

        Raises UserError when the choice cannot be written.
        """
        said, session = self.equal_weights(), self.asks
        assert session is not None
        self.asks = None
        if key is None:
            self.problem = f"{said}: nothing is judged before it is chosen how to hear them; w asks again."
        else:
            session.choose_equal("two" if key == "2" else "three")
            self._begin(session)

    # -- what is said

    def lines(self) -> list[str]:
        """Why there is no session."""
        if self.problem:
            return [self.problem]
        if self.folders and self.being_made():
            said = ["The clips are being made. Listen opens by itself when all of them are there."]
            if self.shown is not None and samples.exist(self.shown):
                said.append("m plays the samples that were made while it trained so far, by step.")
            return said
        return list(NOTHING)

    def opening_remarks(self) -> list[Remark]:
        """What is to be known when the session begins."""
        session = self.session
        assert session is not None
        said = []
        if kept := session.kept():
            text = f"This session goes on as it was begun, with {' and '.join(kept)}; w begins another."
            said.append(Remark(text, warning=False))
        if any(session.knows_by_name(trial) for trial in session.counted):
            text = "You heard samples of this training by step. Where one is a clip of this session, the notes say so."
            said.append(Remark(text, warning=False))
        if session.evaluation.across is not None and not session.done:
            said += [Remark(sentence, warning=False) for sentence in session.evaluation.across.said]
        problems = [*session.complaints, *session.evaluation.left_out]
        said += [Remark(problem) for problem in problems[:3]]
        if len(problems) > 3:
            said.append(Remark(f"and {len(problems) - 3} more like these; the notes name them all."))
        if session.complaints:
            kept_as = f"{session.path.name}.kept-1 or the next free number"
            said.append(Remark(f"The file as it was stays beside it, as {kept_as}.", warning=False))
        if missing := len(session.evaluation.missing_files):
            # Which models they are of would tell who is behind the letters that are left.
            files = "1 clip file is" if missing == 1 else f"{missing} clip files are"
            said.append(Remark(f"{files} missing; the rest can be judged, and the notes name what lacks."))
        return said


def after_judgement(session: Session, letters: str, started: Collection[tuple[str, str]]) -> Step | None:
    """The next unheard clip of this prompt, then one without a score, then one of the next prompt; None after all.

    ``letters`` of the trial are on disk; ``started`` are the (trial id, letter) that sounded in this sitting.
    """
    trial = session.trial
    if session.is_judged(trial):
        found = session.next_unjudged()
        return None if found is None else Step(*found, fresh=True)
    here = [letter for letter in letters if session.value(trial, letter) is None]
    unheard = [letter for letter in here if (trial.id, letter) not in started]
    if not here:
        return None
    return Step(session.index, unheard[0] if unheard else here[0], fresh=bool(unheard))
