"""Stops an engine once it has validated: ``python -m tui.runs.stop_after_validation RUN_DIR``.

An engine that is told to stop drops the validation it is in. So a small process of its own, which outlives the panel,
waits for the validation and then asks for the stop.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

from engine.contract import liveness
from engine.contract.events import AnyEvent, EventTail, State, Valid
from engine.contract.rundir import RunDir
from tui.runs import launch

LOOK_EVERY = 0.3


class Watch:
    """Whether a validation has been made since the watch began."""

    def __init__(self) -> None:
        self._validating = False

    def sees(self, events: Iterable[AnyEvent]) -> bool:
        """Feed new events; true once a validation is through."""
        for event in events:
            if isinstance(event, Valid):
                return True
            if isinstance(event, State):
                if self._validating and event.state != "validating":
                    return True
                self._validating = event.state == "validating"
        return False


def stop_after_validation(run: RunDir) -> None:
    """Wait for the validation that was asked for, then ask the engine to stop."""
    tail = EventTail(run.events)
    while tail.events():
        pass
    watch = Watch()
    launch.validate_now(run)
    while liveness.is_held(run) and not watch.sees(tail.events()):
        time.sleep(LOOK_EVERY)
    launch.stop(run)


if __name__ == "__main__":
    stop_after_validation(RunDir(Path(sys.argv[1])))
