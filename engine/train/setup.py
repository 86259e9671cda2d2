"""Makes what a run's training needs: model with adapters, data, optimizer, and where it goes on from."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from engine.contract import config
from engine.contract.errors import UserError
from engine.contract.events import Checkpoint, Start
from engine.contract.plan import Plan, plan
from engine.contract.rundir import RunDir
from engine.data.dataset import Dataset, identity, prepare
from engine.data.survey import train_windows
from engine.device import on_cpu
from engine.memory import empty_cache
from engine.model import load, lora
from engine.model.fast_lora import begin_clips, speed_up
from engine.model.forward import body
from engine.model.targets import refuse_strangers
from engine.prove.first import able_to
from engine.train import checkpoint
from engine.train.checkpoint import Progress
from engine.train.journal import Journal
from engine.train.signals import requests
from engine.train.step import Trainee

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
LONGEST_WAIT = timedelta(hours=12)
MOST_AT_ONCE = 16
"""Clips that an automatic micro-batch begins with on a GPU; more would not make it busier."""
PACKAGES = ("torch", "transformers", "peft", "accelerate", "torchaudio", "numpy")


@dataclass
class Session:
    """All that a run's training needs, made once."""

    run: RunDir
    settings: config.Settings
    journal: Journal
    accelerator: Any
    data: Dataset
    plan: Plan
    trainee: Trainee
    optimizer: torch.optim.Optimizer
    scaler: Any
    progress: Progress
    micro: int
    start_from: Path | None
    """Adapter that training goes on from; taken up once the base model's own loss is known."""
    text_length: int
    """Length that all text is padded to when shapes must not change; 0 when they may."""


def accelerator_for(run: RunDir, settings: config.Settings) -> Any:
    """Accelerate's view of devices, processes and trackers.

    Raises UserError for a tracker that is not installed, and for a GPU that is there and cannot be used.
    """
    from accelerate import Accelerator
    from accelerate.tracking import get_available_trackers
    from accelerate.utils import InitProcessGroupKwargs

    tracker = settings.train.report_to
    if tracker != "none" and tracker not in [str(getattr(name, "value", name)) for name in get_available_trackers()]:
        raise UserError(f'train.report_to = "{tracker}" needs a package that is missing; `pip install {tracker}`.')
    return Accelerator(
        cpu=on_cpu(settings.train.device),
        log_with=None if tracker == "none" else tracker,
        project_dir=str(run.path),
        # The other processes wait while the first downloads the model and encodes the clips.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=LONGEST_WAIT)],
    )


def _refuse_early(run: RunDir, settings: config.Settings, resumed: bool) -> Path | None:
    """What settings, metadata and file headers tell is said before a model is fetched and anything is encoded.

    Returns the adapter that training begins from, if there is one; a run that is resumed has its own, and does not
    need the other any more. Raises UserError.
    """
    refuse_strangers(settings.lora.target_modules)
    plan(settings, train_windows(settings))
    start_from = None if resumed else lora.starting_point(run, settings.lora.start_from)
    if start_from is not None:
        lora.refuse_other_shape(start_from, settings.lora)
    return start_from


def prepare_session(
    run: RunDir, settings: config.Settings, journal: Journal, accelerator: Any, resume: bool
) -> Session:
    """Model, data, optimizer, and the checkpoint if there is one to go on from; writes the event `start`.

    Raises UserError for a model, data or settings that cannot be trained with.
    """
    device, train = accelerator.device, settings.train
    last = checkpoint.last(run.checkpoints, settings) if resume else None
    start_from = _refuse_early(run, settings, last is not None)
    able = able_to(accelerator, journal)
    dtype = DTYPES[able.precision(train.precision)]
    if device.type == "cpu" and dtype != DTYPES[train.precision]:
        journal.say(f"on the CPU: training in fp32 instead of {train.precision}")
    for line in able.told(train):
        journal.note(line)
    with accelerator.main_process_first():
        base = load.resolve_base(settings.model.base, _reporter(journal, "downloading", "download", "bytes"))
        requests.stop_now()
        if last:
            checkpoint.refuse_other_data(last.identity, identity(settings, base))
        clips = _reporter(journal, "encoding", "audio", "clips")
        captions = _reporter(journal, "encoding", "captions", "captions")
        data = prepare(settings, base, device, clips, captions)
    if device.type == "cuda":
        # What the encoders took is to be there for training, and for whoever looks at the card's memory.
        empty_cache()
    course = plan(settings, len(data.train))
    compiled = train.compile and able.can("compile")
    trainee = _trainee(base, settings, device, dtype, compiled, journal.note)
    optimizer = torch.optim.AdamW(
        lora.trainable(trainee.decoder).values(),
        lr=train.learning_rate,
        betas=(train.beta1, train.beta2),
        weight_decay=train.weight_decay,
        fused=able.can("fused_adamw"),
    )
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    progress = _take_up(last, run, journal, trainee, optimizer, scaler)
    automatic = min(course.effective_batch, MOST_AT_ONCE) if device.type == "cuda" else train.batch_size
    micro = train.micro_batch if isinstance(train.micro_batch, int) else automatic
    text_length = max(len(states) for states in data.states) if compiled else 0
    session = Session(
        run,
        settings,
        journal,
        accelerator,
        data,
        course,
        trainee,
        optimizer,
        scaler,
        progress,
        micro,
        start_from,
        text_length,
    )
    _announce(session, base, last.path.name if last else None, able.told(train))
    return session


def _take_up(
    last: checkpoint.Last | None,
    run: RunDir,
    journal: Journal,
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    scaler: Any,
) -> Progress:
    """Bring weights, optimizer and log to where they were at the checkpoint, or to the start where there is none."""
    if last is None:
        journal.rewind(0)
        return Progress()
    for line in last.changes:
        journal.note(f"changed at resume: {line}")
    checkpoint.restore(last.path, trainee.decoder, optimizer, scaler)
    step = last.progress.step
    then = next((event.precision for event in reversed(journal.history) if isinstance(event, Start)), "")
    now = _precision(trainee)
    if then not in ("", now):
        raise UserError(
            f"The run was trained in {then} and would go on in {now} on this machine; resume it on one like the first, "
            "or start a new run here."
        )
    journal.rewind(step)
    if not any(isinstance(event, Checkpoint) and event.step == step for event in journal.history):
        # The engine was killed between writing it and saying so; how long it took is not known any more.
        journal.write("checkpoint", step=step, path=str(last.path.relative_to(run.path)), seconds=None)
    return last.progress


def _trainee(
    base: Path,
    settings: config.Settings,
    device: torch.device,
    dtype: torch.dtype,
    compiled: bool,
    note: Callable[[str], None],
) -> Trainee:
    # Halved on the CPU: the GPU is to hold the matrices as they are trained with, and never in fp32 as well.
    decoder, projection = load.load_decoder(base, device="cpu", dtype=torch.float32)
    frozen = freeze(decoder, dtype, settings.train).to(device)
    adapted = lora.attach(frozen, settings.lora, settings.train.seed)
    trainee = Trainee(adapted, projection.requires_grad_(False).to(device), device, dtype)
    if not compiled:
        speed_up(adapted, settings.lora.dropout)
        return trainee

    def without_compiler(error: Exception) -> None:
        reason = (str(getattr(error, "inner_exception", error)).splitlines() or [type(error).__name__])[0]
        note(f"train.compile is left off: the compiler failed ({reason})")
        body(adapted)._compiled_call_impl = None
        speed_up(adapted, settings.lora.dropout)
        if step.clips:
            begin_clips(adapted, *step.clips)

    step = adapted.shared_dropout = _CurrentStep()
    # The compiler fuses peft's own forward; ours would break its graph.
    body(adapted).compile()
    trainee.without_compiler = without_compiler
    return trainee


class _CurrentStep:
    """Stands where the shared dropout will be if the compiler fails in a step, and knows that step's clips then."""

    clips: tuple[Any, ...] = ()

    def begin(self, *clips: Any) -> None:
        self.clips = clips


def _announce(session: Session, base: Path, resumed_from: str | None, switched_off: list[str]) -> None:
    """The event `start`, the trackers, and a line."""
    settings, data, course, device = session.settings, session.data, session.plan, session.trainee.device
    session.journal.write(
        "start",
        versions=versions(),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        host=socket.gethostname(),
        total_steps=course.total_steps,
        steps_per_epoch=course.steps_per_epoch,
        train_clips=len(data.train),
        valid_clips=len(data.valid),
        valid_clip_ids=[example.id for example in data.valid],
        trainable_parameters=sum(weights.numel() for weights in lora.trainable(session.trainee.decoder).values()),
        base_path=str(base),
        codebook_size=data.codebook_size,
        warmup_steps=course.warmup_steps,
        effective_batch=course.effective_batch,
        micro_batch=session.micro,
        precision=_precision(session.trainee),
        processes=session.accelerator.num_processes,
        resumed_from=resumed_from,
        switched_off=switched_off,
    )
    if settings.train.report_to != "none":
        flat = {
            name: value if isinstance(value, (int, float, str)) else str(value)
            for name, value in config.values(settings).items()
        }
        session.accelerator.init_trackers("mgl-tui", config=flat)
    session.journal.say(
        f"{len(data.train)} train and {len(data.valid)} valid clips, {course.total_steps} steps on {device}"
    )


def _precision(trainee: Trainee) -> str:
    return next(name for name, kind in DTYPES.items() if kind == trainee.dtype)


def _reporter(journal: Journal, state: str, phase: str, unit: str) -> Callable[[int, int], None]:
    """Tells how far a phase is, and ends it when the run is asked to stop: what was done so far is kept."""
    announced = False

    def report(done: int, total: int) -> None:
        nonlocal announced
        if not announced:
            journal.state(state)
            announced = True
        journal.progress(phase, done, total, unit)
        requests.stop_now()

    return report


def freeze(decoder: Any, dtype: torch.dtype, settings: config.Train) -> Any:
    """The decoder ready to carry adapters: frozen, its big matrices in half precision where that is used."""
    decoder.requires_grad_(False)
    for module in decoder.modules():
        if isinstance(module, torch.nn.Linear):
            # Embeddings and norms stay in fp32, and with them the residual stream, as in pretraining.
            module.to(dtype)
        # Modules copied the rate at construction; the hub's config says 0.1 where pretraining had 0.
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = settings.model_dropout
    if settings.gradient_checkpointing:
        # Newer releases of transformers have another name for it and warn about the old one.
        name = "activation_checkpointing_enable"
        enable = getattr(decoder, name) if hasattr(decoder, name) else decoder.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    return decoder


@cache
def versions() -> dict[str, str]:
    """Version of Python and of the packages that the numbers depend on."""
    found = {}
    for name in PACKAGES:
        # Each by its name: reading what all packages of an environment say of themselves takes a second.
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return {"python": ".".join(map(str, sys.version_info[:3])), **found}
