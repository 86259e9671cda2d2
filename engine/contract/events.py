"""The event log of a run: what may stand in it, its writer, its one reader.

One JSON object a line, always with ``t`` (unix seconds) and ``event``. The file is strict JSON: a number that is not
finite is written as null with the reason in ``<field>_reason``.

What is read are the models below, whoever wrote the line: a field of another kind than stands there is left out and
counted, a line that lacks what its event cannot be without is passed over and counted, an event of another name is an
``Other``. Every number is finite and of a size that can be computed with.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
from msgspec import Meta

from engine.contract import typed
from engine.contract.tail import BITE, FileTail

Number = Annotated[float, Meta(ge=-1e39, le=1e39)]
"""As large as fp32 can hold."""
Known = Number | None
"""None where the number was not finite or is not told."""
Amount = Annotated[float, Meta(gt=0, le=1e39)] | None
"""What other values are a share of."""
Step = Annotated[int, Meta(ge=0, le=10**12)]
"""Also counts of clips, weights and the like."""
Time = Annotated[float, Meta(ge=0, le=1e11)]
Flag = bool | Step


class Event(msgspec.Struct, kw_only=True, gc=False, tag_field="event"):
    """What all events have. ``event["loss"]`` and ``event.get("loss")`` read a field by its name in the log."""

    t: Time

    @property
    def event(self) -> str:
        return str(self.__struct_config__.tag)

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None

    def get(self, name: str, otherwise: Any = None) -> Any:
        return getattr(self, name, otherwise)


class Start(Event, tag="start"):
    """An engine begins to train, for the first time or again."""

    versions: dict[str, str] = {}
    device: str = ""
    host: str = ""
    total_steps: Step = 0
    steps_per_epoch: Step = 0
    train_clips: Step = 0
    valid_clips: Step = 0
    valid_clip_ids: list[str] = []
    trainable_parameters: Step = 0
    base_path: str = ""
    codebook_size: Step = 0
    warmup_steps: Step | None = None
    effective_batch: Step = 0
    micro_batch: Step = 0
    precision: str = ""
    processes: Step = 1
    resumed_from: str | Step | None = None
    """Name of the checkpoint, or its step."""
    switched_off: list[str] = []

    @property
    def resumed_step(self) -> int | None:
        """Step that the engine goes on from; None when it begins."""
        name = self.resumed_from
        if isinstance(name, str):
            return int(name[5:]) if name.startswith("step-") and name[5:].isdecimal() else 0
        return name


class State(Event, tag="state"):
    """The run enters one of STATES."""

    state: str
    error: str | None = None
    signal: str | None = None


class Progress(Event, tag="progress"):
    phase: str = ""
    done: Number = 0.0
    total: Number = 0.0
    unit: str = ""


class Train(Event, tag="train"):
    """An optimizer step, or several when not each is logged."""

    step: Step
    epoch: Known = None
    loss: Known = None
    loss_reason: str | None = None
    lr: Known = None
    grad_norm: Known = None
    scale: Known = None
    skipped: Flag = 0
    """fp16 steps without an update since the start of the run."""
    clips_per_second: Known = None
    data_wait: Known = None
    clips_seen: Known = None


class Valid(Event, tag="valid"):
    """Loss on the valid clips; of the base model at step 0."""

    step: Step
    epoch: Known = None
    loss: Known = None
    per_codebook: list[Known] = []
    per_clip: list[Known] = []
    """In the order of the start's valid_clip_ids."""
    train_sample_loss: Known = None
    base_loss: Known = None
    """At step 0 of a run that goes on from an adapter: the base model's, while ``loss`` is the adapter's."""
    seconds: Known = None


class Best(Event, tag="best"):
    step: Step
    loss: Known = None
    previous: Known = None


class Checkpoint(Event, tag="checkpoint"):
    step: Step
    path: str = ""
    seconds: Known = None


class Gpu(Event, tag="gpu"):
    """A GPU, and in each the host: bytes, percent, watts, MHz, degrees Celsius."""

    index: Step | None = None
    name: str | None = None
    util: Known = None
    mem_used: Known = None
    mem_total: Amount = None
    temperature: Known = None
    power: Known = None
    power_limit: Known = None
    clock_sm: Known = None
    clock_mem: Known = None
    fan: Known = None
    throttle: list[str] | None = None
    cpu: Known = None
    ram_used: Known = None
    ram_total: Amount = None
    engine_rss: Known = None


class Health(Event, tag="health"):
    name: str
    verdict: str = ""
    evidence: str = ""


class Clip(Event, tag="clip"):
    model: str = ""
    prompt: str = ""
    file: str = ""
    prompt_set: str | None = None


class Note(Event, tag="note"):
    text: str = ""


class Other(msgspec.Struct, kw_only=True, gc=False):
    """An event of a name that is not known here."""

    t: Time
    event: str

    __getitem__: ClassVar[Any] = Event.__getitem__
    get: ClassVar[Any] = Event.get


Ours = Start | State | Progress | Train | Valid | Best | Checkpoint | Gpu | Health | Clip | Note
AnyEvent = Ours | Other

KINDS: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in Event.__subclasses__()}
EVENTS: dict[str, tuple[str, ...]] = {
    name: tuple(field for field in kind.__struct_fields__ if field != "t" and not field.endswith("_reason"))
    for name, kind in KINDS.items()
}
"""Event name -> its fields. Readers accept events and fields that are not listed; writers use no others."""

STATES = (
    "preparing", "downloading", "encoding", "baseline", "training", "validating", "saving", "evaluating", "finalizing",
    "done", "stopped", "failed", "imported",
)  # fmt: skip
END_STATES = ("done", "stopped", "failed", "imported")
_DECODER = msgspec.json.Decoder(Ours)


class Parsed(NamedTuple):
    events: list[AnyEvent]
    unreadable: int
    """Lines that hold no event."""
    complaints: list[typed.Complaint]
    """Fields that were left out of events that do count."""


def parse(lines: list[bytes]) -> Parsed:
    """Events of whole lines, in order. Raises nothing."""
    try:
        # One call for all of them is four times as fast as one for each.
        return Parsed(_DECODER.decode_lines(b"\n".join(lines)), 0, [])
    except (ValueError, RecursionError):
        pass
    found, unreadable, complaints = [], 0, []
    for line in lines:
        if not line.strip():
            continue
        try:
            event, wrong = _parse_one(line)
        except typed.Unreadable:
            unreadable += 1
            continue
        found.append(event)
        complaints += wrong
    return Parsed(found, unreadable, complaints)


def _parse_one(line: bytes) -> typed.Parsed[AnyEvent]:
    try:
        return typed.parse(line, Ours)  # type: ignore[arg-type]
    except typed.Unreadable:
        other, complaints = typed.parse(line, Other)
        if other.event in KINDS:
            raise
        return typed.Parsed(other, complaints)


def of(event: str, *, t: float = 0.0, **fields: Any) -> AnyEvent:
    """An event as it would be read back. Raises UserError for fields that its kind cannot be without."""
    return _parse_one(_line(t, event, fields)).value


def _line(t: float, event: str, fields: dict[str, Any]) -> bytes:
    return json.dumps({"t": t, "event": event, **_finite(fields)}, allow_nan=False).encode()


class EventLog:
    """Appends events to a run's log. Each line is one write, so that two readers never see half of one for long."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._mend_torn_line()
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - lives as long as the log

    def write(self, event: str, **fields: Any) -> None:
        """Append one event; ``t`` is now. Raises KeyError for an event or field that is not in EVENTS."""
        unknown = set(fields) - set(EVENTS[event])
        if unknown:
            raise KeyError(f"event {event!r} has no field {sorted(unknown)}")
        self._file.write(_line(round(time.time(), 3), event, fields) + b"\n")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _mend_torn_line(self) -> None:
        # A killed writer may have left half a line; ending it keeps the next event on a line of its own.
        try:
            with open(self.path, "rb+") as file:
                if file.seek(0, os.SEEK_END) and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                    file.write(b"\n")
        except FileNotFoundError:
            pass


class EventTail(FileTail):
    """Follows a growing event log; counts what it could not read."""

    def __init__(self, path: Path, *, start: int = 0) -> None:
        super().__init__(path, start=start)
        self.unreadable = 0
        self.left_out = 0
        """Fields of another kind than their event has."""
        self._last_left_out = ""

    def events(self, limit: int = BITE) -> list[AnyEvent]:
        """What is new, in order, at most about ``limit`` bytes; [] when there is nothing."""
        while lines := self.poll(limit):
            if self.restarted:
                self.unreadable = self.left_out = 0
            found = parse(lines)
            self.unreadable += found.unreadable
            self.left_out += len(found.complaints)
            if found.complaints:
                self._last_left_out = f"{found.complaints[-1].place} {found.complaints[-1].what}"
            if found.events or self.restarted:
                return found.events
        return []

    def problems(self) -> list[str]:
        """What could not be read, one short sentence each."""
        said = []
        if self.unreadable:
            said.append(f"{self.unreadable} lines of {self.path.name} could not be read")
        if self.left_out:
            said.append(f"{self.left_out} values of {self.path.name} could not be read ({self._last_left_out})")
        return said


def bites(path: Path) -> Iterator[list[AnyEvent]]:
    """The events of a log, a bite of it at a time: a long log never lies in memory as a whole."""
    tail = EventTail(path)
    while found := tail.events():
        yield found


def read(path: Path) -> list[AnyEvent]:
    """All events of a log; [] when there is none."""
    return [event for bite in bites(path) for event in bite]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        clean: dict[str, Any] = {}
        for key, item in value.items():
            clean[key] = _finite(item)
            if isinstance(item, float) and not math.isfinite(item):
                clean[f"{key}_reason"] = "nan" if math.isnan(item) else "inf" if item > 0 else "-inf"
        return clean
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
