"""The whole way from raw tracks to a data set: find, cut, name, split, move into place, tell."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract.errors import UserError
from engine.contract.liveness import take_lock
from engine.data import workers
from engine.data.prepare import plan, records, sources, words
from engine.data.prepare.cut import Way
from engine.data.prepare.records import STAGE, Prepared, Record
from engine.data.prepare.sources import Source
from engine.data.prepare.summary import Told, nothing, summary
from engine.data.prepare.track import Job, Seen, begin, prepare_track

Progress = Callable[[int, int], None]
"""Gets tracks done and in all."""
PATIENCE = 10.0
"""Seconds to wait for another prepare of the same folder, which may just have been killed."""


@dataclass(frozen=True)
class Wish:
    """What was asked for. ``valid`` is the share of clips held out; ``captions`` None: the first that says anything."""

    sources: list[Path]
    out: Path
    way: Way
    valid: float = 0.15
    seed: int = 0
    captions: list[str] | None = None
    add: str = ""
    behind: bool = False


def prepare(wish: Wish, progress: Progress) -> dict[str, Any]:
    """Make or extend the data set; returns what ``prepare --json`` prints.

    Raises UserError. Interrupted anywhere, even by a kill, the same call goes on and ends with the same data set.
    """
    refuse(wish)
    out = wish.out
    found = sources.find(wish.sources, out)
    with _held(out):
        plan.carry_out(out)
        known = _earlier(wish)
        told = Told(wish.captions, known=len(known.tracks), other=found.other, closed=found.closed)
        seen = _look(wish, found.tracks, known.tracks, progress, told)
        if not seen and not known.tracks:
            raise nothing(wish.sources, told)
        new = _new(out, seen, known, wish.way, told)
        tables, told.mute = words.of_tables(wish.sources)
        for source, record in new:
            _say(source, record, tables, wish, told)
        told.new = [record for _, record in new]
        if new:
            told.pairs = plan.decide(out, known.tracks, new, wish.valid, wish.seed)
        if new or told.updated:
            plan.write(out, Prepared(way=wish.way.name, tracks=[*told.updated, *told.new]))
            plan.carry_out(out)
        return summary(out, told)


def refuse(wish: Wish) -> None:
    """Raises UserError for a wish that contradicts itself, or asks for captions from nowhere."""
    if wish.way.overlap >= wish.way.seconds:
        raise UserError(
            f"--overlap {wish.way.overlap:g} is not shorter than --seconds {wish.way.seconds:g}; take less."
        )
    for kind in wish.captions or ():
        if kind not in words.KINDS:
            raise UserError(f"--captions {kind} is not known; take some of {', '.join(words.KINDS)}.")


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """The folder of the data set, made if it is not there, with no other prepare at work in it. Raises UserError."""
    fd = None
    try:
        fd = _locked(out)
        yield
        plan.clean(out)
    except OSError as error:
        where, reason = error.filename or out, (error.strerror or str(error)).lower()
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "make room, then" if full else "make it writable, or choose another folder with --out, then"
        raise UserError(
            f"{out if full else where} cannot be written ({reason}); {remedy} call prepare again: what is done is kept."
        ) from None
    except UserError:
        if fd is not None:
            plan.clean_empty(out)
        raise
    finally:
        if fd is not None:
            os.close(fd)


def _locked(out: Path) -> int:
    """The lock of a data set, as a file that is to be closed. Raises UserError when another prepare keeps it."""
    lock, until = out / STAGE / "lock", time.monotonic() + PATIENCE
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        # The prepare that had it may have taken the file away with the rest of what it needed.
        if take_lock(fd) and lock.exists() and os.path.samestat(os.fstat(fd), lock.stat()):
            return fd
        os.close(fd)
        if time.monotonic() > until:
            raise UserError(f"Another prepare is at work in {out}; wait for it, or choose another folder with --out.")


def _earlier(wish: Wish) -> Prepared:
    """What earlier calls made here. Raises UserError for a folder of somebody else's, or cut in another way."""
    earlier = records.load(wish.out)
    if earlier is None:
        if (wish.out / records.METADATA).exists():
            raise UserError(
                f"{wish.out} holds a {records.METADATA} that prepare did not write; choose another folder with --out."
            )
        return Prepared(way=wish.way.name)
    if earlier.way != wish.way.name:
        raise UserError(
            f"{wish.out} was cut as {earlier.way} and not as {wish.way.name}; ask for that again, or choose another "
            "folder with --out."
        )
    return earlier


def _look(wish: Wish, tracks: list[Source], known: list[Record], progress: Progress, told: Told) -> list[Seen]:
    """Every source with its digest, in order; what is new is cut on the way, on all cores."""
    staged = [record for record in records.staged(wish.out) if record.way == wish.way.name]
    by_stamp = {(r.source, r.size, r.changed): r.digest for r in [*known, *staged]}
    digests = frozenset(record.digest for record in [*known, *staged])
    seen: dict[str, Seen] = {}
    jobs = []
    for source in tracks:
        try:
            status = source.path.stat()
            digest = by_stamp.get((source.key, status.st_size, status.st_mtime_ns))
        except OSError:
            digest = None
        if digest:
            seen[source.key] = Seen(source, status.st_size, status.st_mtime_ns, digest)
        else:
            jobs.append(Job(source, wish.out, wish.way))
    progress(len(seen), len(tracks))
    for done in _worked(jobs, digests):
        seen[done.source.key] = done
        progress(len(seen), len(tracks))
    told.unread = [one for one in (seen[source.key] for source in tracks) if one.error]
    return [one for one in (seen[source.key] for source in tracks) if not one.error]


def _worked(jobs: list[Job], known: frozenset[str]) -> Iterator[Seen]:
    """Tracks as they are done, a process a core. What is interrupted leaves nothing running."""
    if not jobs:
        return
    cores = min(len(os.sched_getaffinity(0)), len(jobs))
    with ProcessPoolExecutor(cores, initializer=_worker, initargs=(os.getpid(), known)) as pool:
        waiting: set[Future[Seen]] = set()
        try:
            # A few at a time: a full disk or ctrl-c ends it without working off the rest.
            for job in jobs:
                if len(waiting) >= 2 * cores:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (one.result() for one in done)
                waiting.add(pool.submit(prepare_track, job))
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in done)
        except BrokenProcessPool:
            raise UserError(
                "A process that cut tracks was killed, as the system does when memory runs out; call prepare again: "
                "what is done is kept."
            ) from None
        except BaseException:
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _worker(parent: int, known: frozenset[str]) -> None:
    workers.begin(parent)
    begin(known)


def _new(out: Path, seen: list[Seen], known: Prepared, way: Way, told: Told) -> list[tuple[Source, Record]]:
    """The tracks that no earlier call made, each content once; tells of those that moved, changed or stand twice."""
    made = {record.digest: record for record in known.tracks}
    by_source = {record.source: record for record in known.tracks}
    staged = {record.digest: record for record in records.staged(out) if record.way == way.name}
    present = {one.source.key for one in seen}
    new: dict[str, tuple[Source, Record]] = {}
    for one in seen:
        key = one.source.key
        if one.digest in made:
            record = made[one.digest]
            if record.source != key and (record.source in present or os.path.exists(record.source)):
                told.same.append((key, record.source))
                continue
            if record.source != key:
                told.moved.append((record.source, key))
            _update(record, one, told)
        elif one.digest in new:
            told.same.append((key, new[one.digest][0].key))
        elif key in by_source and any((out / piece.file).exists() for piece in by_source[key].pieces):
            told.changed.append(key)
        else:
            record = staged[one.digest]
            record.source, record.size, record.changed = key, one.size, one.changed
            new[one.digest] = (one.source, record)
    return list(new.values())


def _update(record: Record, one: Seen, told: Told) -> None:
    """Keep where a track is now, so that the next call knows it without reading it."""
    now = (one.source.key, one.size, one.changed)
    if (record.source, record.size, record.changed) != now:
        record.source, record.size, record.changed = now
        told.updated.append(record)


def _say(source: Source, record: Record, tables: dict[str, str], wish: Wish, told: Told) -> None:
    """Fill in what is known of a track in words, and its caption."""
    record.words = {kind: text for kind, text in record.words.items() if kind in ("tempo", "key") and text}
    found = {
        "tags": words.of_tags(source.path),
        "folder": words.of_folders(source.folders),
        "name": words.of_name(source.path.stem),
    }
    try:
        found["sidecar"] = words.of_sidecar(source.path) or tables.get(str(source.path), "")
    except words.UnreadableWords as error:
        told.mute.append(str(error))
    record.words |= {kind: text for kind, text in found.items() if text}
    record.caption = words.caption(record.words, wish.captions, wish.add, behind=wish.behind)
