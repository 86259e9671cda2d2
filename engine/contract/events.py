"""The event log of a run: what may stand in it, its writer, its tolerant readers.

One JSON object a line, always with ``t`` (unix seconds) and ``event``. The file is strict JSON: a number that is not
finite is written as null with the reason in ``<field>_reason``.
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

EVENTS: dict[str, str] = {
    "start": "versions device host total_steps steps_per_epoch train_clips valid_clips trainable_parameters base_path "
    "codebook_size warmup_steps effective_batch micro_batch precision processes resumed_from switched_off "
    "valid_clip_ids",
    "state": "state error signal",
    "progress": "phase done total unit",
    "train": "step epoch loss lr grad_norm scale skipped clips_per_second data_wait clips_seen",
    "valid": "step epoch loss per_codebook per_clip train_sample_loss seconds",
    "best": "step loss previous",
    "checkpoint": "step path seconds",
    "gpu": "index name util mem_used mem_total temperature power power_limit clock_sm clock_mem fan throttle "
    "cpu ram_used ram_total engine_rss",
    "health": "name verdict evidence",
    "clip": "model prompt file prompt_set",
    "note": "text",
}
"""Event name -> its fields. Readers accept events and fields that are not listed; writers use no others."""

STATES = (
    "preparing", "downloading", "encoding", "baseline", "training", "validating", "saving", "evaluating", "finalizing",
    "done", "stopped", "failed",
)  # fmt: skip
END_STATES = ("done", "stopped", "failed")


class EventLog:
    """Appends events to a run's log. Each line is one write, so that two readers never see half of one for long."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._mend_torn_line()
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - lives as long as the log

    def write(self, event: str, **fields: Any) -> None:
        """Append one event; ``t`` is now. Raises KeyError for an event or field that is not in EVENTS."""
        unknown = set(fields) - set(EVENTS[event].split())
        if unknown:
            raise KeyError(f"event {event!r} has no field {sorted(unknown)}")
        line = json.dumps({"t": round(time.time(), 3), "event": event, **_finite(fields)}, allow_nan=False)
        self._file.write(line.encode() + b"\n")

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


class Tail:
    """Follows a growing event log. ``poll`` returns what is new since the last call."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._offset = 0
        self._rest = b""
        self._inode = 0

    def poll(self) -> list[dict[str, Any]]:
        """New events; [] when there are none or the file is gone. A file that shrank or was replaced is read anew."""
        try:
            with open(self.path, "rb") as file:
                status = os.fstat(file.fileno())
                if status.st_size < self._offset or (self._inode and status.st_ino != self._inode):
                    self._offset, self._rest = 0, b""
                self._inode = status.st_ino
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [event for event in map(_parse, lines) if event is not None]


def read(path: Path) -> list[dict[str, Any]]:
    """All whole events of a log; [] when there is none. A torn or foreign line is skipped."""
    return Tail(path).poll()


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) and "t" in event else None


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
