"""The processes of one evaluation under ``accelerate launch``: who has come how far, who failed, who is gone.

A barrier of torch.distributed waits for a process that is gone until it times out, and hears no signal meanwhile.
Here every process shows once a second, in the store through which they found each other, that it is alive. Whoever
waits for the others looks there; a failure or a wish to stop ends the others between two steps.
"""

from __future__ import annotations

import itertools
import threading
import time
from datetime import timedelta
from types import TracebackType
from typing import Any

import torch.distributed as dist

from engine.contract.errors import UserError
from engine.train.signals import requests

BEAT_SECONDS = 1.0
LOST_SECONDS = 15.0
"""Less than the 30 s after which torch's launcher kills the others: they must have said why before."""
COME_SECONDS = 300.0
"""How long a process may take to begin: one may still be saving its model while another is here already."""

_evaluations = itertools.count()


def gathered(cpu: bool) -> Any:
    """accelerate's PartialState, once all processes are there. Raises UserError when some do not come."""
    from accelerate import PartialState

    try:
        return PartialState(cpu=cpu, timeout=timedelta(seconds=COME_SECONDS))
    except dist.DistError as error:
        raise UserError(
            f"The processes of this evaluation did not all come together ({str(error).splitlines()[0]}); see what the "
            "launcher says of the others, then evaluate again."
        ) from None


class Peers:
    """Entered by every process of an evaluation, around all of it. With one process it does nothing."""

    def __init__(self, processes: Any) -> None:
        self.rank, self.world = processes.process_index, processes.num_processes
        self.trouble = ""
        """Why this process must end although nothing is wrong with it."""
        self._leaving = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        number = next(_evaluations)
        if self.world > 1:
            # One launch may evaluate twice; its processes count alike.
            self._store = dist.PrefixStore(f"evaluation {number}", dist.distributed_c10d._get_default_store())
        self._seen = {rank: (0, time.monotonic()) for rank in range(self.world) if rank != self.rank}

    def __enter__(self) -> Peers:
        if self.world > 1:
            self._watcher.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.world == 1:
            return
        self._leaving.set()
        self._watcher.join()
        try:
            if error is not None:
                self._store.set(f"why {self.rank}", str(error) or type(error).__name__)
                self._store.add(f"failed {self.rank}", 1)
            self._store.add(f"left {self.rank}", 1)
        except RuntimeError:
            pass  # the others see that there is no sign of life

    def arrive(self, place: str) -> None:
        """Let the others know that this process has come to ``place``."""
        if self.world > 1:
            self._share_stop()
            self._store.add(place, 1)

    def meet(self, place: str) -> None:
        """Wait until all processes have come to ``place``. Raises UserError when one of them cannot come any more."""
        self.arrive(place)
        while self.world > 1 and self._store.add(place, 0) < self.world:
            if self.trouble:
                raise UserError(self.trouble)
            time.sleep(0.05)
        if self.world > 1:
            self._share_stop()

    def _share_stop(self) -> None:
        if requests.stop:
            self._store.add("stop", 1)
        elif self._store.add("stop", 0):
            requests.stop = "SIGTERM"

    def _watch(self) -> None:
        while not self.trouble and not self._leaving.wait(BEAT_SECONDS):
            try:
                self._store.add(f"alive {self.rank}", 1)
                self._share_stop()
                self.trouble = next(filter(None, map(self._trouble_with, self._seen)), "")
            except RuntimeError as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                self.trouble = f"The processes of this evaluation lost sight of each other ({reason}); evaluate again."
            if self.trouble:
                requests.stop = requests.stop or "SIGTERM"

    def _trouble_with(self, rank: int) -> str:
        # Adding nothing reads a counter; unlike get, it does not wait for one that is not there yet.
        if self._store.add(f"failed {rank}", 0):
            return f"Process {rank + 1} of {self.world} failed: {self._store.get(f'why {rank}').decode()}"
        count, (known, since) = self._store.add(f"alive {rank}", 0), self._seen[rank]
        now = time.monotonic()
        if count != known:
            self._seen[rank] = (count, now)
        elif now - since > (LOST_SECONDS if count else COME_SECONDS) and not self._store.add(f"left {rank}", 0):
            return (
                f"Process {rank + 1} of {self.world} is gone: no sign of life for {now - since:.0f} s. See what the "
                "launcher says of it, then evaluate again: the clips that are there are kept."
            )
        return ""
