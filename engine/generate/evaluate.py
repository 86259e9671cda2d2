"""Make the clips that are listened to: models x prompts, to be read from top to bottom.

Every model gets the same noise for a prompt, so that what differs between two clips is the model and not luck. Clips
that are there already and were made the same way are kept, so an interrupted evaluation goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine import device
from engine.contract import config, events, liveness
from engine.contract import prompts as prompts_file
from engine.contract.errors import UserError
from engine.contract.events import AnyEvent, Start, State
from engine.contract.paths import cache_dir
from engine.contract.rundir import RunDir
from engine.data.audio import read_audio
from engine.data.cache import Digests
from engine.generate import clap, measures, set_measures
from engine.generate.decode import Decoder, NotFinite
from engine.generate.decode import Stopped as DecodingStopped
from engine.generate.models import Model, base_digest, default_models, find
from engine.generate.peers import Peers, gathered
from engine.generate.results import BaseClips, Results, Task, recipe, save_clip, tasks
from engine.generate.studio import Studio, arithmetic
from engine.memory import ran_out
from engine.model import load
from engine.telemetry import Sampler
from engine.train.journal import Journal
from engine.train.signals import Stopped, requests


def evaluate(
    run: RunDir,
    settings: config.Settings,
    *,
    prompts: Path | str | None = None,
    set_name: str | None = None,
    models: Sequence[str] | None = None,
    repeats: int | None = None,
) -> None:
    """Make the clips of a prompt set into the run's evaluation folder.

    ``prompts`` defaults to evaluate.prompts_file, ``models`` to those of base, best and final that the run has (see
    ``models.find`` for other names), ``repeats`` to evaluate.repeats; ``set_name`` names a further set, in
    evaluation_NAME/. Being stopped by a signal is no error: what is there stays, and the state says ``stopped``. Raises
    UserError for what the user can mend; the state ``failed`` with the same sentence is then in the events.

    Under ``accelerate launch`` the processes share the prompts; all of them must see the run's folder.
    """
    processes = gathered(cpu=device.on_cpu(settings.train.device))
    if repeats is not None:
        settings = config.override(settings, [f"evaluate.repeats={repeats}"])
    held = liveness.hold(run) if processes.is_main_process else nullcontext()
    with held, requests, Peers(processes) as peers:
        journal = Journal(run.events, silent=not processes.is_main_process)
        before = end_state(journal.history)
        try:
            journal.state("evaluating")
            wanted = prompts_file.read(prompts or settings.evaluate.prompts_file)
            session = _prepare(
                run, settings, wanted, set_name, models or default_models(run), journal, processes, peers
            )
            with session.clip_log, Sampler(journal, device.used(processes.device), enabled=processes.is_main_process):
                try:
                    _make_all(session)
                except (Stopped, DecodingStopped):
                    _gather(session, peers)
                    raise
                _gather(session, peers)
                requests.stop_now()
                if processes.is_main_process:
                    _measure_sets(session)
            journal.state(**before)
        except (Stopped, DecodingStopped):
            journal.state("stopped", signal=requests.stop)
            journal.say(f"stopped by {requests.stop}; the clips that are there are kept")
        except Exception as error:
            told = _as_user_error(error)
            journal.state("failed", error=str(told or f"{type(error).__name__}: {error}"))
            if told is not None:
                raise told from None
            raise
        finally:
            journal.close()


@dataclass
class Session:
    """One evaluation: what is to be made and where it goes."""

    run: RunDir
    settings: config.Settings
    folder: Path
    set_name: str | None
    tasks: list[Task]
    mine: list[Task]
    """The tasks of this process."""
    equals: dict[Model, list[Model]]
    """Models of distinct weights, each with those that have the same weights."""
    recipes: dict[Task, dict[str, Any]]
    results: Results
    shared: BaseClips
    device: torch.device
    journal: Journal
    clip_log: events.EventLog
    """Every process writes its own clips here; all else is said by the first."""
    scorer: clap.Scorer | None
    studios: dict[Path, Studio] = field(default_factory=dict)

    def studio(self, base: Path) -> Studio:
        if base not in self.studios:
            texts = [task.prompt.text for task in self.mine]
            self.studios[base] = Studio(base, texts, self.settings, self.device)
        return self.studios[base]


def _prepare(
    run: RunDir, settings: config.Settings, prompts: list[prompts_file.Prompt], set_name: str | None,
    names: Sequence[str], journal: Journal, processes: Any, peers: Peers,
) -> Session:  # fmt: skip
    """Read everything that can be wrong before anything is made."""
    folder = run.evaluation(set_name)
    all_tasks = tasks(prompts, settings.evaluate.repeats)
    root = cache_dir(settings.data.cache_dir)
    digests = Digests(root)
    if not processes.is_main_process:
        peers.meet("the first has read the models")
    found = find(run, load.resolve_base(settings.model.base), names, digests)
    digests.save()
    if processes.is_main_process:
        peers.meet("the first has read the models")
    equals: dict[str, list[Model]] = {}
    for model in found:
        equals.setdefault(model.weights, []).append(model)
    how = arithmetic(settings, processes.device)
    recipes = {task: recipe(task, settings.evaluate, how) for task in all_tasks}
    results = Results(folder, recipes, processes.process_index)
    for complaint in results.complaints[:5]:
        journal.note(f"{complaint} (the file as it was is kept beside it)")
    peers.meet("results are read")
    if processes.is_main_process:
        results.gather()  # what processes of an interrupted evaluation left behind
    peers.meet("results are gathered")
    for group in equals.values():
        if len(group) > 1:
            same = [model.name for model in group]
            results.say_equal(same)
            journal.note(f"{' and '.join(same)} have the same weights: their clips are made once")
    return Session(
        run=run,
        settings=settings,
        folder=folder,
        set_name=set_name,
        tasks=all_tasks,
        mine=all_tasks[processes.process_index :: processes.num_processes],
        equals={group[0]: group for group in equals.values()},
        recipes=recipes,
        results=results,
        shared=BaseClips(root),
        device=processes.device,
        journal=journal,
        clip_log=events.EventLog(run.events),
        scorer=clap.Scorer(settings.evaluate.clap_model) if settings.evaluate.clap_model else None,
    )


def _make_all(session: Session) -> None:
    """The clips that are missing, model by model."""
    missing = {model: _missing(session, model) for model in session.equals}
    total = sum(len(waiting) * session.studio(model.base).steps for model, waiting in missing.items() if waiting)
    clips, done = sum(map(len, missing.values())), 0

    def stepped(steps: int) -> None:
        nonlocal done
        done = min(done + steps, total)  # a batch that was repeated for want of memory counts once
        session.journal.progress("evaluating", done * clips // total, clips, "clips")

    for model, waiting in missing.items():
        requests.stop_now()
        if waiting:
            session.journal.say(f"{model.name}: {len(waiting)} clips")
            _make(session, model, waiting, stepped)


def _make(session: Session, model: Model, waiting: list[Task], stepped: Callable[[int], None]) -> None:
    """One model's clips; its weights are gone when this returns, so that two models are never held at once."""
    studio = session.studio(model.base)
    decoder = Decoder(*model.decoder(), studio.dtype, session.device)

    def keep(task: Task, audio: np.ndarray, codes: np.ndarray) -> None:
        file = f"{model.folder}/{task.stem}.wav"
        save_clip(session.folder, file, audio, studio.rate, codes)
        measured = measures.of_clip(audio, studio.rate)
        if session.scorer is not None:
            measured["clap_score"] = session.scorer.score(audio, studio.rate, task.prompt.text)
        if model.adapter is None:
            session.shared.keep(session.recipes[task], model.weights, session.folder, file, measured)
        _name(session, task, model, file, measured)

    try:
        studio.make(
            decoder, waiting, keep, lambda: session.results.save(session.mine),
            note=session.journal.note, on_step=stepped, should_stop=lambda: bool(requests.stop),
        )  # fmt: skip
    except NotFinite as error:
        raise UserError(
            f"The model {model.name} cannot be used: {error}. Either its weights are broken "
            f"(in {model.adapter or model.base}), or its values need train.precision = "
            f'"bf16" or "fp32" in {session.run.config}.'
        ) from None


def _missing(session: Session, model: Model) -> list[Task]:
    """Tasks of this process that must be made; a base clip that another run made is brought in."""
    missing = []
    for task in session.mine:
        file = f"{model.folder}/{task.stem}.wav"
        measured = session.results.measures_of(task, model)
        if measured is None and model.adapter is None:
            measured = session.shared.fetch(session.recipes[task], model.weights, session.folder, file)
        if measured is None:
            missing.append(task)
        else:
            if session.scorer is not None and "clap_score" not in measured:
                sound = read_audio(session.folder / file)
                score = session.scorer.score(sound.samples, sound.rate, task.prompt.text)
                measured = {**measured, "clap_score": score}
            _name(session, task, model, file, measured)
    session.results.save(session.mine)
    return missing


def _name(session: Session, task: Task, model: Model, file: str, measured: dict[str, float | None]) -> None:
    """Enter a clip under its model's name and those of models with the same weights."""
    for same in session.equals[model]:
        if session.results.add(task, same, file, measured):
            path = (session.folder / file).relative_to(session.run.path)
            session.clip_log.write(
                "clip", model=same.name, prompt=task.prompt.text, file=str(path), prompt_set=session.set_name
            )


def _gather(session: Session, peers: Peers) -> None:
    """The first process puts together what all have made, all of it or as far as they came."""
    if peers.rank:
        peers.arrive("clips are made")
        return
    try:
        peers.meet("clips are made")
    finally:
        session.results.gather()


def _measure_sets(session: Session) -> None:
    """Measures of each model's clips as a whole, of models that were evaluated before too."""

    def encoded(done: int, total: int) -> None:
        session.journal.progress("encoding", done, total, "training clips and captions")
        requests.stop_now()

    own = load.resolve_base(session.settings.model.base)
    begins = base_digest(own, Digests(cache_dir(session.settings.data.cache_dir)))
    clips: dict[str, list[str]] = {}
    for line in session.results.lines.values():
        for name, file in line["models"].items():
            files = clips.setdefault(name, [])
            if line["weights"].get(name, "").startswith(begins):
                files.append(file)
    found = set_measures.measure(session.settings, own, session.folder, clips, session.device, encoded)
    for reason in dict.fromkeys(each["frechet_distance_reason"] for each in found.values() if len(each) > 2):
        session.journal.say(f"no Fréchet distance to the training clips: {reason}")
    set_measures.write(session.folder, found)


def end_state(history: Sequence[AnyEvent]) -> dict[str, Any]:
    """The state that training ended in, which an evaluation leaves as it was: fields of a ``state`` event.

    A run that was never trained is done when its clips are made; one whose engine was lost in training is stopped.
    """
    starts = [number for number, event in enumerate(history) if isinstance(event, Start)]
    if not starts:
        return {"state": "done"}
    for event in history[starts[-1] :]:
        if isinstance(event, State) and event.state in events.END_STATES:
            return {name: event[name] for name in ("state", "error", "signal") if event[name]}
    return {"state": "stopped"}


def _as_user_error(error: Exception) -> UserError | None:
    if isinstance(error, UserError):
        return error
    if ran_out(error):
        return UserError("The GPU's memory does not hold the model; free it, or evaluate on another device.")
    return None
