"""All that was said about one evaluation, by all its listeners: what statistics, notes and advice are made from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import combinations
from pathlib import Path

from msgspec import structs

from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui.review import statistics, tournament
from tui.review.evaluation import Evaluation, open_evaluation
from tui.review.order import Trial
from tui.review.state import Rating, State, read_state
from tui.runs import sessions as across_runs
from tui.runs.sessions import Member


@dataclass(frozen=True)
class Judgement:
    """One listener's word on one clip in one trial."""

    listener: str
    item: str
    kind: str
    letter: str
    model: str
    """As it was played."""
    value: float | None
    """Higher is better: the score, or the number of clips in the trial plus one minus the rank."""
    score: int | None
    rank: int | None
    all_bad: bool
    tags: tuple[str, ...]
    note: str
    heard: float
    elsewhere: bool
    """Said to be heard outside the panel."""
    blind: bool
    """Given before the names were shown."""


@dataclass(frozen=True)
class Results:
    """The judgements of an evaluation. Models with equal weights count as one, under the first one's name."""

    evaluation: Evaluation
    sessions: tuple[State, ...]
    judgements: tuple[Judgement, ...]
    """Of trials that count; the training item is not among them."""
    unreadable: tuple[str, ...] = ()
    """Files of listeners, and parts of them, that could not be read."""
    heard_across: tuple[str, ...] = ()
    """Names of the sessions across runs whose word on this run counts here."""

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Distinct models that can be told apart: equal weights are one."""
        return tuple(dict.fromkeys(self.canonical(model) for model in self.evaluation.models))

    def finished(self) -> Results:
        """Only sessions whose names are known to the listener: others must not show through, not even as a mean."""
        known = [s for s in self.sessions if _is_over(s)]
        names = {s.listener for s in known}
        return Results(
            self.evaluation,
            tuple(known),
            tuple(j for j in self.judgements if j.listener in names),
            self.unreadable,
            self.heard_across,
        )

    @property
    def complete(self) -> bool:
        """At least one listener has judged every item that has a clip."""
        wanted = {item.key for item in self.evaluation.items if any(clip.path for clip in item.clips.values())}
        for session in self.sessions:
            if tournament.is_one(session.trials):
                if _is_over(session):
                    return True
                continue
            left = {j.item for j in self.judgements if j.listener == session.listener and j.value is None}
            if wanted <= {trial.item for trial in session.trials} and not left:
                return True
        return False

    @cached_property
    def standing(self) -> tournament.Standing | None:
        """The models' scores, of a tournament of which anything was judged."""
        said = [
            replace(each, a=self.canonical(each.a), b=self.canonical(each.b))
            for session in self.sessions
            if tournament.is_one(session.trials)
            for each in outcomes(session)
        ]
        said = [each for each in said if each.a != each.b]
        models = dict.fromkeys([*self.models, *(model for each in said for model in (each.a, each.b))])
        return tournament.fit([*models], tournament.averaged(said)) if said else None

    @property
    def unit(self) -> str:
        return "place" if self.sessions and all(s.mode == "ranking" for s in self.sessions) else "point"

    @property
    def highest(self) -> int:
        """The highest value there is: the best score, or the first place among the clips of a trial."""
        trials = [len(trial.order) for session in self.sessions for trial in session.trials]
        return max(trials, default=0) if self.unit == "place" else 5

    def canonical(self, model: str) -> str:
        return next((group[0] for group in self.evaluation.same_weights if model in group), model)

    def label(self, model: str) -> str:
        """The model's name, with the names of those that have the same weights."""
        group = next((g for g in self.evaluation.same_weights if model in g), (model,))
        return " = ".join(group)

    def values(self, listener: str | None = None) -> dict[str, dict[str, Fraction]]:
        """``{item: {model: mean value}}`` over repeats, and over listeners unless one is named."""
        if listener not in self._values:
            self._values[listener] = self._mean_values(listener)
        return self._values[listener]

    @cached_property
    def _values(self) -> dict[str | None, dict[str, dict[str, Fraction]]]:
        return {}

    def _mean_values(self, listener: str | None) -> dict[str, dict[str, Fraction]]:
        said: dict[str, dict[str, dict[str, list[float]]]] = {}
        for j in self.judgements:
            if j.value is not None and listener in (None, j.listener):
                by_listener = said.setdefault(j.item, {}).setdefault(self.canonical(j.model), {})
                by_listener.setdefault(j.listener, []).append(j.value)
        return {
            item: {model: _mean(_mean(v) for v in people.values()) for model, people in models.items()}
            for item, models in said.items()
        }

    def means(self, listener: str | None = None) -> dict[str, float]:
        """Mean value by model over the items it was judged on."""
        by_model: dict[str, list[Fraction]] = {}
        for models in self.values(listener).values():
            for model, value in models.items():
                by_model.setdefault(model, []).append(value)
        return {model: float(_mean(by_model[model])) for model in self.models if model in by_model}

    def pairs(self, listener: str | None = None) -> list[statistics.Pair]:
        """Every pair of models, the later one first: best over base, final over base, final over best.

        Their p-values are Holm-corrected over all of them. None of a tournament, of which ``standing`` tells.
        """
        if self.standing is not None:
            return []
        values = self.values(listener)
        return statistics.corrected([statistics.compare(values, b, a) for a, b in combinations(self.models, 2)])

    def pair(self, a: str, b: str) -> statistics.Pair:
        return statistics.compare(self.values(), self.canonical(a), self.canonical(b))

    def tags(self) -> dict[str, dict[str, int]]:
        """``{tag: {model: items}}``: on how many items a clip of the model got the tag from anybody."""
        given = {(j.item, self.canonical(j.model), tag) for j in self.judgements for tag in j.tags}
        return statistics.tag_counts((model, [tag]) for _, model, tag in sorted(given))

    def consistency(self, listener: str) -> statistics.Consistency | None:
        """From the listener's hidden repeats and, with equal weights heard twice, from those."""
        said: dict[tuple[str, str], list[float]] = {}
        for j in self.judgements:
            if j.listener == listener and j.value is not None:
                said.setdefault((j.item, self.canonical(j.model)), []).append(j.value)
        return statistics.consistency((v[0], other) for v in said.values() for other in v[1:])

    def sentences(self) -> list[str]:
        """What can be concluded, one sentence a pair."""
        if self.standing is not None:
            return tournament.sentences(self.standing, self.label)
        return [statistics.conclusion(pair, self.evaluation.prompts) for pair in self.pairs()]


def load_results(path: Path, set_name: str | None = None) -> Results:
    """Results of a run folder or an evaluation folder. UserError when it has no clips; no judgements are no error."""
    return results_of(open_evaluation(path, set_name))


def outcome(path: Path) -> str:
    """What listeners made of a run's clips, in a few characters: the model they preferred and its mean score.

    Before all is judged only how much is, to stay blind; empty before the first word.
    """
    try:
        results = load_results(path)
    except (UserError, OSError, ValueError, TypeError, KeyError):
        # Files that somebody wrote by hand may be anything; Listen says what is wrong with them.
        return ""
    judged = sum(1 for j in results.judgements if j.value is not None)
    if not judged:
        return ""
    if not results.complete and not results.heard_across:
        return f"{judged}/{len(results.judgements)}"
    # Another listener's session that is still open does not show through, not even in a mean.
    finished = results.finished()
    if finished.standing is not None:
        return f"{finished.standing.models[0]} {finished.standing.scores[0]:+.1f}"
    model, mean = max(finished.means().items(), key=lambda item: item[1])
    return f"{model} {mean:.1f}"


def results_of(evaluation: Evaluation) -> Results:
    """Results of an evaluation that is open already, and what sessions across runs that are over say of its run."""
    sessions, unreadable = _states(evaluation)
    elsewhere = across_runs.of_run(evaluation.home) if evaluation.across is None else []
    heard_across = []
    for session, member in elsewhere:
        said = _said_across(session, member, evaluation)
        sessions += said
        heard_across += [session.name] if said else []
    return Results(
        evaluation, tuple(sessions), tuple(j for s in sessions for j in judgements(s)), tuple(unreadable),
        tuple(heard_across),
    )  # fmt: skip


def _states(evaluation: Evaluation) -> tuple[list[State], list[str]]:
    """The sessions of all listeners, and what of them could not be read."""
    folder = evaluation.home / (f"review_{evaluation.name}" if evaluation.name else "review")
    sessions: list[State] = []
    unreadable: list[str] = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        if path.name.startswith(".") or path == RunDir(evaluation.home).gate:
            continue
        try:
            state, complaints = read_state(path)
        except UserError as error:
            unreadable.append(str(error))
        else:
            sessions.append(state)
            unreadable += complaints
    return sessions, unreadable


def _said_across(session: Path, member: Member, evaluation: Evaluation) -> list[State]:
    """What a session across runs says of one of them, as sessions of that run.

    Only once it is over, and of clips that are still the run's; not of tournaments, in which base and best may never
    have met.
    """
    try:
        across = open_evaluation(session, evaluation.name or None)
    except UserError:
        return []
    over = (state for state in _states(across)[0] if _is_over(state) and not tournament.is_one(state.trials))
    return [told for state in over if (told := _of_member(state, across, member, evaluation, session.name)).trials]


def _of_member(state: State, across: Evaluation, member: Member, evaluation: Evaluation, name: str) -> State:
    """The trials of a session with the clips of one run, and of base, alone."""
    trials: list[Trial] = []
    ratings: dict[str, dict[str, Rating]] = {}
    for trial in state.trials:
        item = across.item(trial.item)
        source = item.sources.get(member.name) if item is not None else None
        clip = item.clips.get(member.name) if item is not None else None
        if source is None or clip is None or clip.path is None or evaluation.item(source.item) is None:
            continue
        kept = [letter for letter in trial.letters if trial.model(letter) in ("base", member.name)]
        models = (source.model if trial.model(letter) == member.name else "base" for letter in kept)
        one = Trial(trial.id, source.item, trial.kind, tuple(models))
        said = state.ratings.get(trial.id, {})
        ranks = [said[letter].rank or 0 for letter in kept if letter in said]
        trials.append(one)
        ratings[one.id] = {
            new: structs.replace(said[old], rank=_place(said[old].rank, ranks))
            for new, old in zip(one.letters, kept, strict=True)
            if old in said
        }
    return structs.replace(state, listener=f"{state.listener} in {name}", trials=trials, ratings=ratings, history=[])


def _place(rank: int | None, ranks: Iterable[int]) -> int | None:
    """A rank among those that are kept."""
    return None if rank is None else 1 + sum(0 < other < rank for other in ranks)


def judgements(state: State) -> list[Judgement]:
    """Judgements of one session, those of the training item left out."""
    return [
        _judgement(state, trial, letter)
        for trial in state.trials
        if trial.kind != "training"
        for letter in trial.letters
    ]


def outcomes(state: State) -> list[tournament.Outcome]:
    """Who was preferred in the pairs of a session that were judged, those that came again included."""
    found = []
    for trial in state.trials:
        if trial.kind != "training" and len(trial.order) == 2:
            a, b = (_judgement(state, trial, letter).value for letter in trial.letters)
            if a is not None and b is not None:
                found.append(
                    tournament.Outcome(trial.order[0], trial.order[1], trial.item, (1 + (a > b) - (a < b)) / 2)
                )
    return found


def _is_over(state: State) -> bool:
    # Whoever sent a page back sees no names, and is done.
    return state.revealed is not None or bool(state.page) or _all_judged(state)


def _all_judged(state: State) -> bool:
    counted = judgements(state)
    return bool(counted) and all(j.value is not None for j in counted)


def _judgement(state: State, trial: Trial, letter: str) -> Judgement:
    rating = state.ratings.get(trial.id, {}).get(letter)
    all_bad = trial.id in state.all_bad
    value: float | None = None
    if all_bad:
        value = 1.0
    elif rating and state.mode == "scores" and rating.score is not None:
        value = float(rating.score)
    elif rating and state.mode == "ranking" and rating.rank is not None:
        value = float(len(trial.order) + 1 - rating.rank)
    return Judgement(
        listener=state.listener,
        item=trial.item,
        kind=trial.kind,
        letter=letter,
        model=trial.model(letter),
        value=value,
        score=rating.score if rating else None,
        rank=rating.rank if rating else None,
        all_bad=all_bad,
        tags=tuple(rating.tags) if rating else (),
        note=rating.note if rating else "",
        heard=rating.heard if rating else 0.0,
        elsewhere=trial.id in state.elsewhere and not (rating and rating.heard),
        blind=rating.blind if rating else True,
    )


def _mean(values: Iterable[float | Fraction]) -> Fraction:
    exact = [value if isinstance(value, Fraction) else _of_number(value) for value in values]
    return sum(exact, Fraction(0)) / len(exact) if len(exact) > 1 else exact[0]


_of_number = lru_cache(maxsize=64)(Fraction)
"""Scores and places are few, and asked for at every key."""
