"""Verdicts on what was measured: numbers in, a line out. No torch, no card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.contract.cards import Facts, trouble
from engine.prove.record import Ability, Line

LOSS_TOLERANCE = 0.02
"""Of the loss in half precision against fp32; a step of training moves it by more."""
LEAST_COSINE = {"fp16": 0.99, "bf16": 0.97}
"""Between the gradients of both; bf16 has three bits less."""
NORM_TOLERANCE = 0.05
BLIND_TOLERANCE = 1.0
"""Between the loss of random weights and that of blind guessing."""
ADAMW_TOLERANCE = 1e-2
"""Between two implementations, in steps of the learning rate."""
COMPILED_TOLERANCE = 0.01
LEAST_EQUAL_CODES = 0.95
"""Of EnCodec on the card and on the CPU; a tie between two vectors may fall either way."""
AUDIO_TOLERANCE = 1e-4
"""Largest difference of the audio, in shares of its largest value."""
GIGA, TERA = 1e9, 1e12

SWITCHES: dict[str, tuple[Ability, str]] = {
    "fp16": ("fp16", "runs compute in bf16, or in fp32 where that fails too"),
    "scaler": ("fp16", "runs compute in bf16, or in fp32 where that fails too"),
    "bf16": ("bf16", "runs that ask for it compute in fp32"),
    "adamw": ("fused_adamw", "plain AdamW is used"),
    "graphs": ("graphs", "decoding goes step by step"),
    "compile": ("compile", "train.compile is left off"),
    "encodec": ("encodec", "EnCodec runs on the CPU"),
}
"""Check -> what is switched off when it fails, and what is used instead."""


def works(check: str, message: str, times_floor: float | None = None) -> Line:
    known = times_floor is not None and math.isfinite(times_floor) and times_floor > 0
    return Line(check=check, verdict="works", message=message, times_floor=times_floor if known else None)


def broken(check: str, reason: str) -> Line:
    """Something failed: what is used instead where there is something, else a failure."""
    if check not in SWITCHES:
        return Line(check=check, verdict="fails", message=reason)
    ability, instead = SWITCHES[check]
    return Line(check=check, verdict="falls back", message=reason, off=ability, instead=instead)


def not_checked(check: str, reason: str) -> Line:
    return Line(check=check, verdict="not checked", message=reason)


def card(facts: Facts, index: int = 0) -> Line:
    """Whether torch has kernels for the card at all; with what it is."""
    found = trouble(facts)
    if found:
        return Line(check="card", verdict="fails", message=f"{found.message}: {found.fix}")
    told = facts.cards[index]
    major, minor = told.capability
    driver = f"driver {facts.driver}" if facts.driver else "driver unknown"
    return works(
        "card",
        f"{told.name}, {told.memory / GIGA:.1f} GB, compute capability {major}.{minor}, {driver}, torch "
        f"{facts.torch} for CUDA {facts.built_for}",
    )


def nvml(sample: Mapping[str, Any], known: bool) -> Line:
    """What the driver tells of the card while it works; ``known``: it finds the card at all."""
    if not known:
        message = "NVML does not tell of this card: Monitor shows no load, memory or temperature"
        return Line(check="telemetry", verdict="falls back", message=message)
    missing = [name for name, value in sample.items() if value is None]
    if missing:
        return Line(
            check="telemetry", verdict="falls back", message=f"all but {', '.join(missing)}, which NVML refuses"
        )
    return works("telemetry", f"{len(sample)} values")


class Speeds(NamedTuple):
    products: float
    products_fp32: float
    copies: float


def rates(speeds: Speeds) -> Line:
    """The card's own floor: what all other times are held against."""
    message = (
        f"{speeds.products / TERA:.0f} TFLOP/s in half precision, {speeds.products_fp32 / TERA:.0f} in fp32, "
        f"{speeds.copies / GIGA:.0f} GB/s"
    )
    if speeds.products < speeds.products_fp32:
        message += "; half precision is no faster here, and only saves memory"
    return works("speed", message)


class Step(NamedTuple):
    """A training step in fp32 and in half precision, on the same weights and clips."""

    loss_fp32: float
    loss: float
    cosine: float
    """Between the two gradients, which are flat."""
    norm_ratio: float
    """Norm of the gradient in half precision over that in fp32."""
    blind_loss: float
    """Of guessing, which random weights do."""
    times_floor: float | None = None


def half(precision: str, step: Step, values: bool = True) -> Line:
    """Whether training in ``precision`` ("fp16", "bf16") follows fp32."""
    numbers = f"loss {step.loss:.4f} against {step.loss_fp32:.4f} in fp32, cosine of the gradients {step.cosine:.4f}"
    if not values:
        return works(precision, "runs; values were not compared", step.times_floor)
    if not abs(step.loss_fp32 - step.blind_loss) < BLIND_TOLERANCE:
        # Nothing to compare with, and nothing to go back to.
        message = f"fp32 itself is wrong: random weights give a loss of {step.loss_fp32:.4f}, not {step.blind_loss:.2f}"
        return Line(check=precision, verdict="fails", message=message)
    wrong = [
        not abs(step.loss - step.loss_fp32) < LOSS_TOLERANCE,
        not step.cosine > LEAST_COSINE[precision],
        not abs(step.norm_ratio - 1) < NORM_TOLERANCE,
    ]
    if any(wrong):
        return broken(precision, f"{numbers}, norms {step.norm_ratio:.2f} to 1")
    return works(precision, numbers, step.times_floor)


class Scaled(NamedTuple):
    """Largest change of a weight in a step whose gradient is finite, and in one whose is not; the scale around it."""

    moved: float
    moved_by_infinity: float
    scale: float
    scale_after: float


def scaler(found: Scaled, values: bool = True) -> Line:
    if not values:
        return works("scaler", "runs; values were not compared")
    if not 0 < found.moved < math.inf:
        return broken("scaler", "a step with a finite gradient changes no weight")
    if found.moved_by_infinity != 0:
        return broken("scaler", "a step with an infinite gradient changes weights")
    if not found.scale_after < found.scale:
        return broken("scaler", "the loss scale does not fall after an infinite gradient")
    return works("scaler", "skips a gradient that is not finite and lowers its scale")


def adamw(difference: float, times_plain: float, values: bool = True) -> Line:
    """``difference``: largest of fused and plain after some steps, in learning rates; and fused's time over plain's."""
    speed = f"takes {times_plain:.2f} of the time of the plain one"
    if values and not difference < ADAMW_TOLERANCE:
        return broken("adamw", f"weights differ from plain AdamW by {difference:.2g} of a step")
    return works("adamw", speed)


def micro(peaks: Mapping[int, float], seconds: Mapping[int, float], memory: float) -> Line:
    """Clips at once -> bytes at the peak, and seconds, of training steps that fitted."""
    if not peaks:
        message = f"{memory / GIGA:.1f} GB do not hold a training step of one clip of 15 s with musicgen-small"
        return Line(
            check="micro-batches", verdict="falls back", message=f"{message}; set train.gradient_checkpointing = true"
        )
    most = max(peaks)
    best = min(seconds, key=lambda count: seconds[count] / count)
    message = f"up to {most} clips of 15 s at once ({peaks[most] / GIGA:.1f} of {memory / GIGA:.1f} GB)"
    return works("micro-batches", f"{message}; {best / seconds[best]:.2f} clips a second with {best}")


class Decoded(NamedTuple):
    """Codes by graph replay and by the same steps without; and how it went."""

    equal: int
    codes: int
    captured: bool
    step_seconds: float
    plain_seconds: float
    times_floor: float | None


def graphs(found: Decoded, values: bool = True) -> Line:
    if not found.captured:
        return broken("graphs", "CUDA graphs cannot be captured")
    speed = f"{found.step_seconds * 1e3:.2f} ms a step, {found.plain_seconds * 1e3:.2f} without"
    if not values:
        return works("graphs", f"{speed}; values were not compared", found.times_floor)
    if found.equal != found.codes:
        return broken("graphs", f"{found.codes - found.equal} of {found.codes} codes differ from those without graphs")
    return works("graphs", f"the same {found.codes} codes, {speed}", found.times_floor)


def compiled(loss: float, plain: float, seconds: float, values: bool = True) -> Line:
    """Loss of a small decoder compiled and not, and how long compiling took."""
    if values and not abs(loss - plain) < COMPILED_TOLERANCE:
        return broken("compile", f"the compiled decoder's loss is {loss:.4f}, not {plain:.4f}")
    return works("compile", f"compiles in {seconds:.0f} s")


class Sound(NamedTuple):
    """EnCodec on the card against the CPU."""

    equal_codes: float
    """Share."""
    difference: float
    """Of the audio from the same codes, in shares of its largest value."""
    real_time: float
    """Seconds of sound encoded and decoded a second."""


def encodec(found: Sound, values: bool = True) -> Line:
    speed = f"{found.real_time:.0f} times real time"
    if not values:
        return works("encodec", f"{speed}; values were not compared")
    if not found.equal_codes >= LEAST_EQUAL_CODES:
        return broken("encodec", f"only {found.equal_codes:.1%} of its codes are those of the CPU")
    if not found.difference < AUDIO_TOLERANCE:
        return broken("encodec", f"its audio differs from the CPU's by {found.difference:.2g} of the largest value")
    return works("encodec", f"{found.equal_codes:.1%} of the codes are those of the CPU, {speed}")
