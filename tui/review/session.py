"""One listener's session on one evaluation: plain data in review/LISTENER.json, transitions as methods.

Every transition is on disk when its method returns: a temporary file, fsync, rename. So a session goes on where it
was left, on another day or after ``kill -9``. Clips are judged by letter; which model a letter was stands in the
trial's order, which the screen does not read before the reveal.
"""

from __future__ import annotations

import getpass
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from engine.contract.config import Review
from engine.contract.errors import UserError
from engine.contract.rundir import alone_in, checked_name, keep_copy, write_atomically
from tui.review import order, samples, tournament
from tui.review.evaluation import Evaluation, Item
from tui.review.results import outcomes
from tui.review.state import OF_THE_TRIAL, Played, Rating, Revealed, Sitting, State, Step, read_state

SITTING_GAP = 600.0
"""Seconds without a key or a sound after which what follows is another sitting."""
FATIGUE = 20 * 60.0
"""Seconds of one sitting after which a rest is suggested."""
TO_ITS_END = 0.9
"""Share of a clip after which it counts as played to its end."""
HISTORY = 200
Place: TypeAlias = tuple[str, str]
"""Trial id and letter of a clip."""


class ChangedElsewhere(UserError):
    """Another panel wrote the session; it is to be opened again."""


def review_path(evaluation: Evaluation, listener: str) -> Path:
    """review/LISTENER.json for evaluation/, review_NAME/LISTENER.json for evaluation_NAME/."""
    folder = f"review_{evaluation.name}" if evaluation.name else "review"
    return evaluation.home / folder / f"{checked_name(listener, 'listener')}.json"


def draw_trials(
    evaluation: Evaluation,
    review: Review,
    seed: int,
    equal: order.EqualWeights | None,
    *,
    already: Sequence[order.Trial] = (),
) -> list[order.Trial]:
    """The trials of a session on this evaluation, of clips that are on disk; without those drawn ``already``."""
    items = heard_items(evaluation, equal)
    training = review.training_item and len(items) > 1
    if tournament.is_needed(items) and not already:
        return tournament.whole_draw(seed, items, training=training, repeats=review.repeats)
    lettered = [(key, models[: len(order.LETTERS)]) for key, models in items]
    return order.draw(seed, lettered, training=training, repeats=review.repeats, already=already)


def heard_items(evaluation: Evaluation, equal: order.EqualWeights | None) -> list[tuple[str, list[str]]]:
    """The prompts, each with the models that are heard and have a clip of it."""
    models = order.heard_models(evaluation.models, evaluation.same_weights, equal)
    return [
        (item.key, [model for model in models if model in item.clips and item.clips[model].path is not None])
        for item in evaluation.items
    ]


def default_listener() -> str:
    """The login name, made fit for a file name."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = ""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_") or "listener"


class Session:
    """A listening session that is open. All methods raise UserError when the file cannot be written."""

    def __init__(
        self,
        path: Path,
        evaluation: Evaluation,
        state: State,
        review: Review,
        clock: Callable[[], float] = time.time,
        complaints: Sequence[str] = (),
    ) -> None:
        self.path, self.evaluation, self.state, self.review, self._clock = path, evaluation, state, review, clock
        self.complaints = tuple(complaints)
        """What of the stored session could not be read; the file as it was stays beside the one that is written."""
        self._audible_letters: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._numbered = 0
        self._items: list[tuple[str, list[str]]] = []
        """The prompts with the models that are heard."""
        self.saves = 0
        """How often it was written since it was opened: who shows it sees by this whether it changed."""
        self._written: tuple[int, int] | None = _identity(path)
        if not self.needs_choice:
            self._draw_missing()

    @classmethod
    def open(
        cls,
        evaluation: Evaluation,
        listener: str,
        review: Review,
        *,
        seed: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Session:
        """The listener's session on this evaluation: the stored one, or a new one (nothing is written yet)."""
        path = review_path(evaluation, listener)
        # Before it is read: what another panel writes meanwhile must be noticed at the first key.
        seen = _identity(path)
        complaints: tuple[str, ...] = ()
        if path.exists():
            state, complaints = read_state(path)
        else:
            state = State(
                listener=listener,
                evaluation=evaluation.folder.name,
                seed=order.new_seed() if seed is None else seed,
                mode=review.mode,
                created=clock(),
                trials=[],
            )
        session = cls(path, evaluation, state, review, clock, complaints)
        session._written = seen
        return session

    # What the screen asks

    @property
    def needs_choice(self) -> bool:
        """Two models share their weights and the listener has not said yet how to hear them."""
        return bool(self.evaluation.same_weights) and self.state.equal is None

    @property
    def trials(self) -> list[order.Trial]:
        return self.state.trials

    @property
    def index(self) -> int:
        return next((i for i, trial in enumerate(self.trials) if trial.id == self.state.trial), 0)

    @property
    def trial(self) -> order.Trial:
        return self.trials[self.index]

    @property
    def letter(self) -> str:
        return self.state.letter

    @property
    def item(self) -> Item:
        return self.item_of(self.trial)

    def item_of(self, trial: order.Trial) -> Item:
        found = self.evaluation.item(trial.item)
        return found or Item(trial.item, f"{trial.item} (no longer in the evaluation)", None, {}, trial.item)

    def clip_path(self, trial: order.Trial, letter: str) -> Path | None:
        clip = self.item_of(trial).clips.get(trial.model(letter))
        return clip.path if clip else None

    def rating(self, trial: order.Trial, letter: str) -> Rating:
        return self.state.ratings.get(trial.id, {}).get(letter) or Rating()

    def value(self, trial: order.Trial, letter: str) -> int | None:
        """The score or rank shown for a clip; None while there is none."""
        rating = self.rating(trial, letter)
        return rating.score if self.state.mode == "scores" else rating.rank

    def was_heard(self, trial: order.Trial, letter: str) -> bool:
        """Whether a clip may be judged: played for ``review.min_listen`` or to its end, or said to be heard so."""
        heard = self.rating(trial, letter).heard
        return trial.id in self.state.elsewhere or 0 < heard >= self._least(trial)

    def must_be_heard(self, letters: str | None = None, trial: order.Trial | None = None) -> None:
        """UserError when one of these clips, by default the one under the cursor, may not be judged yet."""
        trial = trial or self.trial
        for letter in self.letter if letters is None else letters:
            heard, least = self.rating(trial, letter).heard, self._least(trial)
            if not self.was_heard(trial, letter):
                so_far = f"Only {heard:.1f} s of {letter} were heard" if heard else f"Nobody has heard {letter} yet"
                raise UserError(
                    f"{so_far}, so nothing is noted: space plays it{f', {least:g} s at least' if least else ''}; "
                    "h says that this prompt's clips were heard elsewhere."
                )

    def knows_by_name(self, trial: order.Trial) -> bool:
        """Whether the listener heard a clip of this trial under its step's name, among the samples of training."""
        paths = [path for letter in self._audible(trial) if (path := self.clip_path(trial, letter)) is not None]
        runs = {path.resolve().parent.parent.parent for path in paths}
        return any(samples.among(paths, samples.heard(run, self.state.listener)) for run in runs)

    def may_be_seen(self, trial: order.Trial) -> bool:
        """Whether pictures of the trial's clips may be shown: two that are one clip would look the same."""
        repeats_itself = any(len(set(group) & set(trial.order)) > 1 for group in self.evaluation.same_weights)
        return not repeats_itself or self.names_visible or self.is_judged(trial)

    def is_judged(self, trial: order.Trial) -> bool:
        """Every clip that can be heard has its score or rank, or the trial is "all bad"."""
        return trial.id in self.state.all_bad or all(
            self.value(trial, letter) is not None for letter in self._audible(trial)
        )

    @property
    def counted(self) -> list[order.Trial]:
        """Trials that count: all but the training item."""
        return [trial for trial in self.trials if trial.kind != "training"]

    def number(self, trial: order.Trial) -> int:
        """The place of a trial among those that count, from 1; 0 for the training item."""
        if self._numbered != len(self.trials):
            self._numbered = len(self.trials)
            self._numbers = {other.id: at for at, other in enumerate(self.counted, 1)}
        return self._numbers.get(trial.id, 0)

    @property
    def done(self) -> int:
        """Clips judged, of the trials that count."""
        return sum(
            trial.id in self.state.all_bad or self.value(trial, letter) is not None
            for trial in self.counted
            for letter in self._audible(trial)
        )

    @property
    def total(self) -> int:
        """Clips to judge; in a tournament also those of the pairs that are not drawn yet."""
        return sum(len(self._audible(trial)) for trial in self.counted) + 2 * self.to_come

    @property
    def to_come(self) -> int:
        """Pairs of a tournament that are not drawn yet: which they are depends on what is said until then."""
        if not tournament.is_one(self.trials):
            return 0
        pairs = tournament.planned(self._items)
        return max(0, pairs + min(self.review.repeats, pairs) - len(self.counted))

    @property
    def complete(self) -> bool:
        return bool(self.trials) and not self.to_come and all(self.is_judged(trial) for trial in self.counted)

    @property
    def names_visible(self) -> bool:
        return self.state.revealed is not None

    def kept(self) -> list[str]:
        """What this session keeps from its beginning although the settings say something else now."""
        found = [f"review.mode = {self.state.mode}"] if self.state.mode != self.review.mode else []
        if tournament.is_one(self.trials):
            return found
        main = sum(trial.kind == "main" for trial in self.trials)
        repeats = sum(trial.kind == "repeat" for trial in self.trials)
        return [*found, f"review.repeats = {repeats}"] if repeats != min(self.review.repeats, main) else found

    def next_unheard(self) -> tuple[int, str] | None:
        """Trial index and letter of the next clip that was not played, from the cursor on; None when all were."""
        return self._next(lambda trial, letter: not self.was_heard(trial, letter))

    def next_unjudged(self) -> tuple[int, str] | None:
        """Trial index and letter of the next clip that is not judged, from the cursor on; None when all are."""
        bad = self.state.all_bad
        return self._next(lambda trial, letter: self.value(trial, letter) is None and trial.id not in bad)

    def sitting_seconds(self) -> float:
        """How long this sitting has lasted; 0.0 when the last one is over."""
        if not self.state.sittings or self._clock() - self.state.sittings[-1].end > SITTING_GAP:
            return 0.0
        return self._clock() - self.state.sittings[-1].start

    # Transitions, each on disk when it returns

    def choose_equal(self, choice: order.EqualWeights) -> None:
        """Equal weights: hear ``"two"`` clips a prompt, or ``"three"`` with the shared one twice."""
        self.state.equal = choice
        self._draw_missing()
        self._save()

    def go(self, index: int, letter: str = "A") -> None:
        """Put the cursor on a trial and clip. UserError when ``review.must_rate`` keeps it here."""
        index = max(0, min(index, len(self.trials) - 1))
        if self.review.must_rate and index > self.index and not self.is_judged(self.trial):
            raise UserError("Rate every clip of this prompt before going on (review.must_rate is set).")
        trial = self.trials[index]
        self.state.trial = trial.id
        self.state.letter = letter if letter in trial.letters else "A"
        self._save()

    def hear_elsewhere(self) -> None:
        """The listener heard the clips of this trial outside the panel, and will judge them by that."""
        if self.trial.id not in self.state.elsewhere:
            self._remember({"elsewhere": False}, '"heard elsewhere"')
            self._set("elsewhere", True)
            self._save()

    def rate(self, value: int) -> None:
        """Score or rank the clip under the cursor. UserError when nobody heard it: then it scores nothing."""
        trial = self.trial
        field_name, most = ("score", 5) if self.state.mode == "scores" else ("rank", len(trial.order))
        if not 1 <= value <= most:
            raise UserError(f"{value} is no {field_name} here; press 1 to {most}.")
        if self.clip_path(trial, self.letter) is None:
            raise UserError(f"{self.letter} is missing and cannot be rated.")
        self.must_be_heard()
        rating = self._rating()
        all_bad = trial.id in self.state.all_bad
        before = {field_name: getattr(rating, field_name), "blind": rating.blind, "all_bad": all_bad}
        self._remember(before, f"{field_name} of {self.letter}")
        setattr(rating, field_name, value)
        rating.blind = not self.names_visible and not self.knows_by_name(trial)
        self._set("all_bad", False)
        self._draw_next()
        self._save()

    def toggle_all_bad(self) -> None:
        """No clip of this trial is any good: they count as tied."""
        now = self.trial.id not in self.state.all_bad
        if now:
            self.must_be_heard(self._audible(self.trial))
        self._remember({"all_bad": not now}, '"all bad"')
        self._set("all_bad", now)
        self._draw_next()
        self._save()

    def toggle_tag(self, tag: str, letters: str = "") -> None:
        """Give the clip under the cursor, or these of its trial, a tag; take it off when all of them have it."""
        trial, letters = self.trial, letters or self.letter
        lacking = [letter for letter in letters if tag not in self.rating(trial, letter).tags]
        self.must_be_heard("".join(lacking))
        for letter in lacking or letters:
            rating = self.state.ratings.setdefault(trial.id, {}).setdefault(letter, Rating())
            self._remember({"tags": list(rating.tags)}, f"tag {tag} of {letter}", (trial.id, letter))
            rating.tags = [*rating.tags, tag] if lacking else [t for t in rating.tags if t != tag]
        self._save()

    def write_note(self, text: str, *, going_on: bool = False, at: Place | None = None) -> None:
        """Set the note of a clip, by default of the one under the cursor.

        ``going_on``: the same note grows, undo takes back all of it.
        """
        trial, letter = at or (self.trial.id, self.letter)
        known = self.state.ratings.get(trial, {}).get(letter) or Rating()
        if text.strip() and not known.note:
            self.must_be_heard(letter, next(each for each in self.trials if each.id == trial))
        rating = self.state.ratings.setdefault(trial, {}).setdefault(letter, known)
        if not going_on:
            self._remember({"note": rating.note}, f"note of {letter}", (trial, letter))
        rating.note = " ".join(text.split())
        self._save()

    def take_back_note(self, text: str, at: Place) -> None:
        """A note that was begun at a clip is not wanted: what stood there before, ``text``, stands there again."""
        last = self.state.history[-1] if self.state.history else None
        if last and (last.trial, last.letter) == at and "note" in last.before:
            self.undo()
        else:
            self.write_note(text, at=at)

    def undo(self) -> str | None:
        """Take back the last judgement and go to it; says what was taken back, None when there is nothing."""
        if not self.state.history:
            return None
        step = self.state.history.pop()
        self.state.trial, self.state.letter = step.trial, step.letter
        for name, value in step.before.items():
            if name in OF_THE_TRIAL:
                self._set(name, bool(value))
            else:
                setattr(self._rating(), name, value)
        self._save()
        return step.what

    def heard(self, trial_id: str, letter: str, seconds: float, output: str = "") -> None:
        """Add to the log of what was played: ``seconds`` of one clip, through one output."""
        if seconds <= 0:
            return
        rating = self.state.ratings.setdefault(trial_id, {}).setdefault(letter, Rating())
        rating.heard = round(rating.heard + seconds, 3)
        self.state.played.append(Played(round(self._clock(), 1), trial_id, letter, round(seconds, 3)))
        if output and output not in self.state.outputs:
            self.state.outputs.append(output)
        self._save()

    def reveal(self) -> None:
        """Show the names from now on; the notes say whether all had been judged by then."""
        if self.state.revealed is None:
            self.state.revealed = Revealed(round(self._clock(), 1), self.done, self.total, not self.complete)
            self._save()

    # Inside

    def _rating(self) -> Rating:
        return self.state.ratings.setdefault(self.trial.id, {}).setdefault(self.letter, Rating())

    def _audible(self, trial: order.Trial) -> str:
        # Asked for every trial at every key; which clips are there was settled when the evaluation was opened.
        if trial.id not in self._audible_letters:
            there = (letter for letter in trial.letters if self.clip_path(trial, letter) is not None)
            self._audible_letters[trial.id] = "".join(there)
        return self._audible_letters[trial.id]

    def _next(self, wanted: Callable[[order.Trial, str], bool]) -> tuple[int, str] | None:
        return next(((i, letter) for i, trial, letter in self._from_cursor() if wanted(trial, letter)), None)

    def _from_cursor(self) -> Iterator[tuple[int, order.Trial, str]]:
        """Every audible clip, beginning with the one after the cursor, round to the cursor itself."""
        clips = [(i, t, letter) for i, t in enumerate(self.trials) for letter in self._audible(t)]
        here = (self.index, self.letter)
        yield from (clip for clip in clips if (clip[0], clip[2]) > here)
        yield from (clip for clip in clips if (clip[0], clip[2]) <= here)

    def _least(self, trial: order.Trial) -> float:
        """Seconds of a clip that must have sounded before it is judged."""
        duration = self.item_of(trial).duration
        return min(self.review.min_listen, TO_ITS_END * duration) if duration else self.review.min_listen

    def _set(self, name: str, true: bool) -> None:
        """Put this trial into one of the lists of ``OF_THE_TRIAL``, or take it out."""
        rest = [trial for trial in getattr(self.state, name) if trial != self.trial.id]
        setattr(self.state, name, [*rest, self.trial.id] if true else rest)

    def _remember(self, before: dict[str, Any], what: str, at: Place | None = None) -> None:
        trial, letter = at or (self.trial.id, self.letter)
        step = Step(trial, letter, before, what)
        self.state.history = [*self.state.history, step][-HISTORY:]

    def _draw_missing(self) -> None:
        state = self.state
        self._items = heard_items(self.evaluation, state.equal)
        if tournament.is_one(state.trials):
            self._draw_next()
        elif tournament.is_needed(self._items) and not state.trials:
            training = self.review.training_item and len(self._items) > 1
            state.trials += tournament.first_trials(state.seed, self._items, training=training)
        else:
            state.trials += draw_trials(self.evaluation, self.review, state.seed, state.equal, already=state.trials)
        if self.trials and not self.state.trial:
            self.state.trial = self.trials[0].id

    def _draw_next(self) -> None:
        """The next pair of a tournament, once all that were drawn are judged."""
        state = self.state
        if not self.to_come or not all(self.is_judged(trial) for trial in self.counted):
            return
        pairs = sum(trial.kind == "pair" for trial in state.trials)
        if pairs < tournament.planned(self._items):
            fresh = tournament.next_trial(state.seed, self._items, state.trials, tournament.averaged(outcomes(state)))
            state.trials += [fresh] if fresh else []
        else:
            state.trials.append(tournament.repeated(state.seed, state.trials))

    def _save(self) -> None:
        now = round(self._clock(), 1)
        sittings = self.state.sittings
        if not sittings or now - sittings[-1].end > SITTING_GAP:
            sittings.append(Sitting(now, now))
        sittings[-1].end = now
        if self._written is not None and _identity(self.path) is None:
            raise UserError(f"{self.path} is gone: the run was moved or removed, and what you said is not saved.")
        try:
            # Not the run itself: one that was moved away is not to come back as an empty folder.
            self.path.parent.mkdir(exist_ok=True)
            with alone_in(self.path.parent):
                if _identity(self.path) != self._written:
                    raise ChangedElsewhere(
                        f"{self.path} was changed by another panel and is read again; your last key may be lost."
                    )
                if self.complaints and self._written is not None and not self.saves:
                    keep_copy(self.path)
                write_atomically(self.path, self.state.as_json())
                self._written = _identity(self.path)
        except OSError as error:
            raise UserError(f"{self.path} cannot be written ({error.strerror}); what you said is not saved.") from None
        self.saves += 1


def _identity(path: Path) -> tuple[int, int] | None:
    """Inode and time of the file, by which a write of another process is noticed."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
