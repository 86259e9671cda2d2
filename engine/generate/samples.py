"""Clips of the weights as they are while training goes on: the prompt set ``samples``, one model a sampled step."""

from __future__ import annotations

import numpy as np
import torch

from engine.contract import config, prompts
from engine.contract.errors import UserError
from engine.contract.paths import cache_dir
from engine.contract.rundir import SAMPLES, RunDir
from engine.data.cache import Digests
from engine.generate import measures
from engine.generate.decode import Decoder, NotFinite, Stopped
from engine.generate.models import Model, base_digest
from engine.generate.results import Results, Task, recipe, save_clip, tasks
from engine.generate.studio import Studio, arithmetic
from engine.memory import Shortage, empty_cache
from engine.model import load, lora
from engine.train.journal import Journal
from engine.train.signals import requests
from engine.train.step import Trainee


def make(trainee: Trainee, settings: config.Settings, step: int, run: RunDir, journal: Journal) -> None:
    """Make one clip a prompt with the trainee's weights, into evaluation_samples/step-NNNNNN_model/.

    Training is not disturbed: weights are only read, and no random generator is left otherwise than it was. What goes
    wrong is noted and costs the samples, not the run. A request to stop ends it early; the caller answers the request.
    """
    journal.state("evaluating")
    try:
        devices = [trainee.device] if trainee.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), Shortage() as shortage:
            _make(trainee, settings, step, run, journal)
        if shortage:
            journal.note(f"no samples at step {step}: the memory of {trainee.device} does not hold the model twice")
    except Stopped:
        pass
    except (UserError, NotFinite) as error:
        journal.note(f"no samples at step {step}: {str(error).splitlines()[0]}")
    finally:
        empty_cache()
        journal.state("training")


def _make(trainee: Trainee, settings: config.Settings, step: int, run: RunDir, journal: Journal) -> None:
    base = load.resolve_base(settings.model.base)
    digests = Digests(cache_dir(settings.data.cache_dir))
    weights = f"{base_digest(base, digests)}+{lora.weights_fingerprint(trainee.decoder)[:16]}"
    model = Model(f"step-{step:06d}", base, None, weights)
    folder = run.evaluation(SAMPLES)
    wanted = tasks(prompts.read(settings.evaluate.prompts_file), 1)
    how = arithmetic(settings, trainee.device)
    results = Results(folder, {task: recipe(task, settings.evaluate, how) for task in wanted})
    missing = [task for task in wanted if results.measures_of(task, model) is None]
    if not missing:
        return
    studio = Studio(base, [task.prompt.text for task in missing], settings, trainee.device)
    done, total = 0, len(missing) * studio.steps

    def keep(task: Task, audio: np.ndarray, codes: np.ndarray) -> None:
        file = f"{model.folder}/{task.stem}.wav"
        save_clip(folder, file, audio, studio.rate, codes)
        results.add(task, model, file, measures.of_clip(audio, studio.rate))
        path = (folder / file).relative_to(run.path)
        journal.write("clip", model=model.name, prompt=task.prompt.text, file=str(path), prompt_set=SAMPLES)

    def stepped(steps: int) -> None:
        nonlocal done
        done = min(done + steps, total)  # a batch that was repeated for want of memory counts once
        journal.progress("evaluating", done * len(missing) // total, len(missing), "clips")

    decoder = Decoder(trainee.decoder, trainee.projection, studio.dtype)
    studio.make(
        decoder, missing, keep, lambda: results.save(wanted),
        note=journal.note, on_step=stepped, should_stop=lambda: bool(requests.stop),
    )  # fmt: skip
