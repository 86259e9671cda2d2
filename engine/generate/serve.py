"""The warm process of Try: requests in on stdin, answers out on stdout, until nobody wants it any more.

It ends when stdin does (whoever started it is gone), after some minutes without a request, and at once when told that
its place is wanted: by ``Leave``, or by SIGTERM from an engine that starts in the same runs folder. Nothing it prints
otherwise reaches the answers: stdout of all libraries goes to the log, which is stderr.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from types import FrameType

from engine.contract import studios, tries
from engine.contract.errors import UserError
from engine.contract.rundir import open_run
from engine.contract.tries import Answer, AskCaptions, Bye, Cancel, Captions, Done, Failed, Leave, Ready, Request, Try

GRACE = 2.0
"""Seconds between being told to go and going in the middle of whatever is being done; files are written whole."""
CAPTIONS = 100
"""Captions that are told at most."""
WANTED = "a run takes its place"


class Desk:
    """Takes requests in from a thread of its own, so that a cancel is heard while a clip is made."""

    def __init__(self, answers: int) -> None:
        self._answers = answers
        self._lock = threading.Lock()
        # Its put may interrupt its get, which a signal's handler does.
        self._waiting: queue.SimpleQueue[Try | None] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self.leaving = ""
        """Why the process ends; empty while it goes on."""

    def tell(self, message: Answer) -> None:
        """Send an answer; one that nobody reads any more is no error."""
        data = tries.line(message)
        with self._lock:
            try:
                while data:
                    data = data[os.write(self._answers, data) :]
            except OSError:
                self.leave("nobody reads the answers")

    def leave(self, why: str) -> None:
        """End between two steps, or GRACE later wherever it then is."""
        if not self.leaving:
            self.leaving = why or WANTED
            self._waiting.put(None)
            threading.Thread(target=self._go_anyway, daemon=True).start()

    def _go_anyway(self) -> None:
        time.sleep(GRACE)
        self.tell(Bye(text=self.leaving))
        os._exit(0)

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.leave(WANTED)

    def listen(self) -> None:
        """Read stdin to its end."""
        for text in lines(0):
            if text is None:
                self.tell(Failed(text=f"A request of more than {tries.LONGEST_LINE // 1024} KiB was not read."))
                continue
            try:
                self._take(tries.request(text))
            except UserError as error:
                self.tell(Failed(text=str(error)))
        self.leave("nobody asks any more")

    def _take(self, request: Request) -> None:
        if isinstance(request, Try):
            self._waiting.put(request)
        elif isinstance(request, Cancel):
            self._cancelled.add(request.id)
        elif isinstance(request, AskCaptions):
            # At once, beside a clip that is made: it only reads a file.
            self.tell(Captions(id=request.id, texts=captions_of(Path(request.run))))
        elif isinstance(request, Leave):
            self.leave(request.why)

    def next(self, idle: float) -> Try | None:
        """The next try; None when there was none for ``idle`` seconds, or the process is to end."""
        with suppress(queue.Empty):
            wish = self._waiting.get(timeout=idle)
            return None if self.leaving else wish
        self.leaving = self.leaving or f"nothing was tried for {idle / 60:g} minutes"
        return None

    def should_stop(self, wish: Try) -> bool:
        return bool(self.leaving) or wish.id in self._cancelled


def captions_of(run: Path) -> list[str]:
    """Some captions of the run's training clips, from all over the data set. Raises UserError when it has none."""
    from engine.contract.data import metadata

    clips = metadata.read(open_run(run).settings().data)
    texts = list(dict.fromkeys(clip.text for clip in clips if clip.split == "train" and clip.text.strip()))
    return texts[:: len(texts) // CAPTIONS + 1]


def lines(descriptor: int) -> Iterator[bytes | None]:
    """Lines of a pipe; None for one that is too long, of which no more than that is held. A torn last one is none."""
    held, skipping = b"", False
    while data := os.read(descriptor, 1 << 16):
        *whole, held = (held + data).split(b"\n")
        for text in whole:
            if skipping or len(text) > tries.LONGEST_LINE:
                skipping = False
                yield None
            elif text.strip():
                yield text
        if len(held) > tries.LONGEST_LINE:
            held, skipping = b"", True


def serve(runs_dir: Path | None, device: str, idle: float) -> None:
    """Answer requests until the end. ``device`` is auto, cuda or cpu; ``idle`` seconds without a request end it."""
    answers = os.dup(1)
    os.dup2(2, 1)
    desk = Desk(answers)
    signal.signal(signal.SIGTERM, desk.on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl+c is for who started it
    with studios.present(runs_dir) if runs_dir is not None else nullcontext():
        threading.Thread(target=desk.listen, daemon=True).start()
        try:
            _work(desk, device, idle)
        except UserError as error:
            desk.tell(Failed(text=str(error)))
            desk.leaving = desk.leaving or "it cannot work here"
        desk.tell(Bye(text=desk.leaving))
    # Not by way of the interpreter's end, which waits for CUDA and for threads: whoever wants the card waits.
    sys.stderr.flush()
    os._exit(0)


def _work(desk: Desk, device: str, idle: float) -> None:
    import torch

    from engine.device import on_cpu
    from engine.generate.decode import Stopped
    from engine.generate.warm import Warm

    warm = Warm(torch.device("cpu" if on_cpu(device) else "cuda"))
    desk.tell(Ready(device=warm.device.type))
    while (wish := desk.next(idle)) is not None:
        began = time.monotonic()
        try:
            if not desk.should_stop(wish):
                warm.make(wish, desk.tell, lambda wish=wish: desk.should_stop(wish))  # type: ignore[misc]
            stopped = desk.should_stop(wish)
        except Stopped:
            stopped = True
        except Exception as error:
            traceback.print_exc()
            sentence = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            desk.tell(Failed(id=wish.id, text=sentence))
            continue
        if not desk.leaving:
            desk.tell(Done(id=wish.id, cancelled=stopped, seconds=round(time.monotonic() - began, 3)))
