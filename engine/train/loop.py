"""Training, from the settings to the adapters, to be read from top to bottom; what it needs is made in setup.py."""

from __future__ import annotations

import math
import sys
import time
import traceback
from dataclasses import replace

from engine import device
from engine.contract import config
from engine.contract.errors import UserError
from engine.contract.events import Train
from engine.contract.plan import learning_rate
from engine.contract.rundir import RunDir
from engine.model import lora
from engine.telemetry import Sampler
from engine.train import card, checkpoint, health
from engine.train.baseline import base_loss
from engine.train.batches import collate, dropout_seed, indices, without_caption
from engine.train.clock import Clock
from engine.train.journal import Journal
from engine.train.setup import Session, accelerator_for, prepare_session, versions
from engine.train.signals import Stopped, requests
from engine.train.step import fitting_gradient, reduce_gradients, update
from engine.train.validate import evaluate_loss

BAD_STEPS_IN_A_ROW = 3
TRAIN_SAMPLE = 32
VALIDATED_AT_ONCE = 8


def train(run: RunDir, settings: config.Settings, *, resume: bool = False) -> str:
    """Train ``run`` and return its end state: "done", "stopped" or "failed" (a fault of ours, told in engine.log).

    Raises UserError for what the user can mend; the state "failed" with the same sentence is then in the events.
    """
    if settings.run.imported:
        raise UserError(f"The run {run.name} was brought in from another script; it can be heard, not trained.")
    accelerator = accelerator_for(run, settings)
    journal = Journal(run.events, silent=not accelerator.is_main_process)
    with requests:
        try:
            requests.stop_now()
            _refuse_a_second_start(run, journal, resume)
            journal.state("preparing")
            session = prepare_session(run, settings, journal, accelerator, resume)
            with Sampler(journal, device.used(accelerator.device), enabled=accelerator.is_main_process):
                _train(session)
            journal.state("done")
            return "done"
        except Stopped:
            journal.state("stopped", signal=requests.stop)
            journal.say(f"stopped by {requests.stop}")
            return "stopped"
        except UserError as error:
            journal.state("failed", error=str(error))
            raise
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            journal.state("failed", error=f"{type(error).__name__}: {error}")
            return "failed"
        finally:
            # However the run ends: what a tracker still holds back would be lost with the process. Not end_training,
            # which would also end the process group, and evaluation still needs that.
            for tracker in accelerator.trackers:
                tracker.finish()
            journal.close()


def _train(session: Session) -> None:
    """Steps, validations and checkpoints in an order that any checkpoint can be entered at."""
    settings, progress, course, journal = session.settings.train, session.progress, session.plan, session.journal
    journal.state("training" if progress.step else "baseline")
    clock = Clock()
    while True:
        with clock.paused():
            try:
                if progress.validated < progress.step and _validation_is_due(session):
                    _validate(session)
                stop = bool(settings.early_stopping) and progress.without_best >= settings.early_stopping
                ended = stop or progress.step == course.total_steps
                if progress.saved < progress.step and (ended or progress.step % settings.save_steps == 0):
                    _save_checkpoint(session)
                if ended:
                    break
                _make_samples(session)
                _answer_requests(session)
            except Stopped:
                if progress.step > progress.saved:
                    _save_checkpoint(session)
                raise
        optimizer_step(session, clock)
    if stop:
        journal.note(f"early stopping: {progress.without_best} validations without a new best")
    _finish(session)


def optimizer_step(session: Session, clock: Clock) -> None:
    """Draw the step's clips, add up their gradient, update the adapters, log."""
    settings, progress, course = session.settings.train, session.progress, session.plan
    step = progress.step + 1
    with clock.waiting():
        chosen = indices(len(session.data.train), course, settings.seed, step)
        null = without_caption(len(chosen), settings, step)
        batch = collate(session.data, [session.data.train[i] for i in chosen], null, session.text_length)
    rank, world = session.accelerator.process_index, session.accelerator.num_processes
    session.trainee.decoder.train()
    loss, session.micro = fitting_gradient(
        session.trainee, batch, session.micro, session.scaler, rank, world,
        seed=dropout_seed(settings.seed, step), note=session.journal.note,
    )  # fmt: skip
    parameters = [parameter for group in session.optimizer.param_groups for parameter in group["params"]]
    if world > 1:
        reduce_gradients(parameters, session.accelerator)
        loss = session.accelerator.reduce(loss, "sum")
    rate = learning_rate(settings, course, step)
    for group in session.optimizer.param_groups:
        group["lr"] = rate
    scale = session.scaler.get_scale()
    value = float(loss)
    norm = update(session.optimizer, parameters, session.scaler, settings.max_grad_norm)
    progress.step = step
    progress.clips_seen += len(chosen)
    clock.clips += len(chosen)
    # A loss scale of 1 scales nothing: what is not finite then was not made so by it.
    scaled = session.scaler.is_enabled() and scale > 1
    lost = not math.isfinite(value) or (not math.isfinite(norm) and not scaled)
    progress.bad_in_row = progress.bad_in_row + 1 if lost else 0
    progress.skipped += not lost and not math.isfinite(norm)
    progress.unlogged.append(value)
    if step % settings.logging_steps == 0 or step in (1, course.total_steps) or lost:
        _log_step(session, clock, rate, norm, scale)
    if progress.bad_in_row >= BAD_STEPS_IN_A_ROW:
        kept = checkpoint.listed(session.run.checkpoints)
        raise UserError(
            f"Training stopped at step {step}: {BAD_STEPS_IN_A_ROW} steps in a row gave a loss or gradient that is "
            f"not finite. {f'{kept[-1].name} is kept' if kept else 'There is no checkpoint yet'}; "
            "lower train.learning_rate, or set train.precision to bf16 or fp32."
        )


def _log_step(session: Session, clock: Clock, rate: float, norm: float, scale: float) -> None:
    progress, enabled = session.progress, session.scaler.is_enabled()
    loss = sum(progress.unlogged) / len(progress.unlogged)
    progress.unlogged.clear()
    speed, wait = clock.lap()
    session.journal.write(
        "train",
        step=progress.step,
        epoch=round(progress.step / session.plan.steps_per_epoch, 4),
        loss=loss,
        lr=rate,
        grad_norm=norm,
        scale=scale if enabled else None,
        skipped=progress.skipped,
        clips_per_second=round(speed, 3),
        data_wait=round(wait, 4),
        clips_seen=progress.clips_seen,
    )
    session.accelerator.log({"train/loss": loss, "train/lr": rate, "train/grad_norm": norm}, progress.step)
    session.journal.say(
        f"step {progress.step} loss {loss:.3f} gn {norm:.2f} lr {rate:.2g}{f' scale {scale:.0f}' if enabled else ''}"
    )


def _make_samples(session: Session) -> None:
    every, step = session.settings.evaluate.every, session.progress.step
    if every and step and step % every == 0 and session.accelerator.is_main_process:
        from engine.generate import samples

        samples.make(session.trainee, session.settings, step, session.run, session.journal)


def _validation_is_due(session: Session) -> bool:
    step, course = session.progress.step, session.plan
    return step % course.validate_every == 0 or step % course.steps_per_epoch == 0 or step == course.total_steps


def _validate(session: Session) -> None:
    """Valid loss of the weights as they are; a new best is saved. Step 0 is the base model and passes the gate."""
    progress, data, journal = session.progress, session.data, session.journal
    journal.state("validating" if progress.step else "baseline")
    began = time.monotonic()
    width = min(session.micro, VALIDATED_AT_ONCE)
    # One process alone must not leave the others waiting.
    look = requests.stop_now if session.accelerator.num_processes == 1 else lambda: None
    if progress.step:
        valid = evaluate_loss(session.trainee, data, data.valid, width, session.accelerator, look)
    else:
        valid = base_loss(session, width, look)
        base = valid.loss
        if session.start_from is not None:
            lora.take_up(session.trainee.decoder, session.start_from)
            valid = evaluate_loss(session.trainee, data, data.valid, width, session.accelerator, look)
    sample = None
    if session.settings.train.validate_train_sample:
        spread = data.train[:: max(1, len(data.train) // TRAIN_SAMPLE)][:TRAIN_SAMPLE]
        sample = evaluate_loss(session.trainee, data, spread, width, session.accelerator, look).loss
    journal.write(
        "valid",
        step=progress.step,
        epoch=round(progress.step / session.plan.steps_per_epoch, 4),
        loss=valid.loss,
        per_codebook=valid.per_codebook,
        per_clip=[round(loss, 5) for loss in valid.per_clip],
        train_sample_loss=sample,
        **({"base_loss": base} if session.start_from is not None and not progress.step else {}),
        seconds=round(time.monotonic() - began, 3),
    )
    session.accelerator.log({"valid/loss": valid.loss}, progress.step)
    progress.validated = progress.step
    if progress.step == 0:
        progress.base_loss = base
        journal.say(f"base model: valid {base:.4f}")
        if session.start_from is not None:
            journal.say(f"going on from {session.start_from}: valid {valid.loss:.4f}")
        _pass_the_gate(session, base)
    elif math.isfinite(valid.loss) and (progress.best_loss is None or valid.loss < progress.best_loss):
        previous, progress.best_loss, progress.best_step = progress.best_loss, valid.loss, progress.step
        progress.without_best = 0
        _save_model(session, "best")
        journal.write("best", step=progress.step, loss=valid.loss, previous=previous)
        was = "" if previous is None else f" (was {previous:.4f})"
        journal.say(f"step {progress.step} valid {valid.loss:.4f}, new best{was}")
    else:
        journal.say(f"step {progress.step} valid {valid.loss:.4f}")
        progress.without_best += 1
    health.report(journal)
    journal.state("training")


def _pass_the_gate(session: Session, loss: float) -> None:
    verdict = health.start(loss, session.data.codebook_size)
    if verdict.verdict == "bad" and session.settings.train.start_gate:
        health.report(session.journal)
        raise UserError(
            f"Before training {verdict.evidence}; something is wrong with the audio or the model, and "
            "training on it would be noise. Look at `mgl-tui check`, or set train.start_gate = false to train anyway."
        )


def _answer_requests(session: Session) -> None:
    if session.accelerator.num_processes > 1:
        requests.agree(session.accelerator)
    if requests.checkpoint:
        requests.checkpoint = False
        # Writing the newest one again would take it away for a moment.
        if session.progress.step > session.progress.saved:
            _save_checkpoint(session)
    if requests.validate:
        requests.validate = False
        if session.progress.validated < session.progress.step:
            _validate(session)
    requests.stop_now()


def _save_checkpoint(session: Session) -> None:
    progress, began = session.progress, time.monotonic()
    if not session.accelerator.is_main_process:
        progress.saved = progress.step
        return
    try:
        path = checkpoint.save(
            session.run.checkpoints, session.trainee.decoder, session.optimizer, session.scaler,
            replace(progress, saved=progress.step), session.settings, session.data.identity,
        )  # fmt: skip
    except OSError as error:
        raise UserError(f"{error}; free disk space, then resume: earlier checkpoints are whole.") from None
    progress.saved = progress.step
    checkpoint.prune(session.run.checkpoints, session.settings.train.keep_checkpoints)
    seconds = round(time.monotonic() - began, 3)
    session.journal.write(
        "checkpoint", step=progress.step, path=str(path.relative_to(session.run.path)), seconds=seconds
    )
    session.journal.say(f"saved {path.relative_to(session.run.path)} in {seconds:.1f} s")


def _save_model(session: Session, which: str) -> None:
    if not session.accelerator.is_main_process:
        return
    folder = {"best": session.run.best_model, "final": session.run.final_model}[which]
    about = card.text(session.settings, session.data, session.progress, which, versions())
    try:
        lora.save(session.trainee.decoder, folder, base=session.settings.model.base, card=about)
    except OSError as error:
        raise UserError(f"{error}; free disk space, then resume: checkpoints are whole.") from None


def _finish(session: Session) -> None:
    session.journal.state("finalizing")
    _save_model(session, "final")
    if session.progress.best_loss is None:
        _save_model(session, "best")
        session.journal.note("no validation gave a finite loss: best_model holds the final weights")
    health.report(session.journal, ended=True)


def _refuse_a_second_start(run: RunDir, journal: Journal, resume: bool) -> None:
    trained = any(isinstance(event, Train) for event in journal.history)
    if not resume and (trained or checkpoint.listed(run.checkpoints)):
        raise UserError(f"The run {run.name} has begun already; resume it with --resume, or start one of another name.")
