"""The clips of a data folder, and the edits of them: each is kept at once, and each can be taken back."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from engine.contract import config, user_files
from engine.contract.data import metadata
from engine.contract.data.metadata import Clip
from engine.contract.errors import UserError
from tui.dataset import files
from tui.dataset.documents import ABSENT, WHOLE, CannotHold, CsvDocument, Document, JsonDocument, TextDocument

_ATTEMPTS = 5
"""Times that a file is read anew because another program wrote it just then."""
_SPLIT = "split"
WATCHED = 200
"""Files that are looked at to notice that another program wrote."""


class Change(NamedTuple):
    """What becomes of one clip; None leaves it."""

    clip: Clip
    """As it was shown: the change is refused when the file says something else by now."""
    text: str | None = None
    split: str | None = None


class _Put(NamedTuple):
    """One value in one file, before and after."""

    file: Path
    entry: int
    name: str
    key: str | None
    before: Any
    after: Any


_Place = tuple[Path, int, str]
"""Where a clip's entry was read: file, number, name."""


class Edit(NamedTuple):
    """What one key did, so that it can be taken back."""

    said: str
    puts: list[_Put]
    before: dict[_Place, Clip]
    """The clips that it changed, as they were."""


class Dataset:
    """Clips in the order of the metadata. Every method raises UserError, and then has changed nothing of the clips."""

    def __init__(self, data: config.Data) -> None:
        self.data = data
        self.clips: list[Clip] = []
        self._stamps: dict[Path, files.Stamp] = {}
        """The files as they were when the clips were read."""
        self.reload()
        self.edits: list[Edit] = []
        """What can be taken back, the newest last."""

    @property
    def folder(self) -> Path:
        return Path(self.data.dir)

    def reload(self) -> bool:
        """Read the files again; whether they say something else by now."""
        before, self.clips = self.clips, metadata.read(self.data)
        self._stamps = {}
        for file in {clip.file for clip in self.clips}:
            with suppress(OSError):  # gone just now: the next edit of it says so
                self._stamps[file] = files.stamp(file)
        return before != self.clips

    @property
    def is_old(self) -> bool:
        """Whether another program wrote one of the files since; of very many files it looks at some."""
        watched = list(self._stamps.items())[:WATCHED]
        try:
            return any(files.stamp(file) != stamp for file, stamp in watched)
        except OSError:
            return True

    def change(self, changes: Iterable[Change], said: str) -> str:
        """Keep changes of captions and splits as one edit. Returns ``said``, and what else the listener has to know."""
        wanted = [change for change in changes if _differs(change)]
        if not wanted:
            return "Nothing to change."
        with user_files.alone(self.folder):
            moved = ""
            try:
                puts = self._write(_by_file(wanted), self._puts)
            except CannotHold:
                wanted, moved = self._into_one_file(wanted)
                puts = self._write(_by_file(wanted), self._puts)
            except UserError:
                self.reload()
                raise
            before = {_place(change.clip): change.clip for change in wanted}
            self._become({_place(change.clip): self._after(change) for change in wanted})
        self.edits.append(Edit(said, puts, before))
        return said + moved

    def undo(self) -> str:
        """Take the newest edit back and say which; what was written over it by others stays, and is an error."""
        if not self.edits:
            raise UserError("There is nothing to take back: nothing was edited since the folder was opened.")
        edit = self.edits[-1]
        by_file: dict[Path, list[_Put]] = defaultdict(list)
        for put in edit.puts:
            by_file[put.file].append(put._replace(before=put.after, after=put.before))
        with user_files.alone(self.folder):
            try:
                self._write(by_file, _back)
            except UserError:
                self.reload()
                raise
            self._become(edit.before)
        self.edits.pop()
        return f"Taken back: {edit.said}"

    def _after(self, change: Change) -> Clip:
        clip, text, split = change
        return replace(
            clip,
            text=clip.text if text is None else " ".join(text.split()),
            split=clip.split if split is None else metadata.split_of(split, clip.audio, self.folder),
        )

    def _become(self, changed: dict[_Place, Clip]) -> None:
        """The files say this of some clips now. They are read again only where another program wrote them as well."""
        try:
            same = all(files.stamp(file) == stamp for file, stamp in self._stamps.items())
        except OSError:
            same = False
        if not same:
            self.reload()
        else:
            self.clips = [changed.get(_place(clip), clip) for clip in self.clips]

    # -- writing

    def _write(
        self, by_file: dict[Path, list[Any]], place: Callable[[Path, Document, list[Any]], list[_Put]]
    ) -> list[_Put]:
        """Let ``place`` put values into each file, then write all of them."""
        for attempt in range(_ATTEMPTS):
            ready: list[tuple[files.File, Document, list[_Put]]] = []
            for path, wishes in by_file.items():
                file = files.File(path)
                document = parse(path, file.text)
                ready.append((file, document, place(path, document, wishes)))
            done: list[_Put] = []
            try:
                for file, document, puts in ready:
                    mine = self._stamps.get(file.path) == file.stamp
                    file.write(document.rendered())
                    if mine:
                        self._stamps[file.path] = files.stamp(file.path)
                    done += puts
                return done
            except files.ChangedMeanwhile:
                if done or attempt == _ATTEMPTS - 1:
                    self._keep_part(done)
                    raise UserError(f"{file.path} is being written by another program; try again.") from None
            except UserError:
                self._keep_part(done)
                raise
        raise AssertionError("unreachable")

    def _keep_part(self, done: list[_Put]) -> None:
        if done:
            self.edits.append(Edit(f"{len(done)} of the changes, before one could not be kept", done, {}))

    def _puts(self, path: Path, document: Document, changes: list[Change]) -> list[_Put]:
        puts = []
        for clip, text, split in changes:
            entry = _found(document, path, clip.name, clip.entry)
            kept_at = entry if clip.entry >= 0 else clip.entry
            held = document.get(entry)
            key = metadata.text_key(held, beside=clip.entry < 0) if isinstance(held, dict) else WHOLE
            said = held.get(key) if isinstance(held, dict) else held
            if text is not None:
                if " ".join(str(said or "").split()) != clip.text:
                    raise _meanwhile(path, clip.name, "caption")
                puts.append(_Put(path, kept_at, clip.name, key, said, text))
                document.put(entry, key, text)
            if split is not None:
                if not isinstance(held, dict) or clip.entry < 0:
                    raise CannotHold
                before = held.get(_SPLIT, ABSENT)
                now = metadata.split_of(before if before is not ABSENT else None, clip.audio, self.folder)
                if now not in ("", clip.split):
                    raise _meanwhile(path, clip.name, "split")
                puts.append(_Put(path, kept_at, clip.name, _SPLIT, before, split))
                document.put(entry, _SPLIT, split)
        return puts

    def _into_one_file(self, wanted: Sequence[Change]) -> tuple[list[Change], str]:
        """Write all clips into the metadata file that is looked for first, and lead the changes there."""
        target = self.folder / self.data.metadata
        own = all(clip.file == target for clip in self.clips)
        if (target.exists() and not own) or target.suffix.lower() != ".json":
            raise UserError(
                f"{wanted[0].clip.file.name} cannot hold this, and {target.name} is what the settings name; "
                'set data.metadata = "metadata.json".'
            )
        root = os.path.abspath(self.folder)
        rows = [
            {
                "audio": os.path.relpath(clip.audio, root) if clip.audio.is_relative_to(root) else str(clip.audio),
                "text": clip.text,
                "split": clip.split,
                **({"track": clip.track} if clip.track else {}),
            }
            for clip in self.clips
        ]
        text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
        said = f" Captions and splits stand in {target.name} from now on, and are read from there."
        if own:
            said = (
                f" {target.name} is a plain list from now on; as it was, it is kept in {files.rewrite(target, text)}."
            )
        else:
            user_files.write(target, text, "make the folder writable")
        before = self.clips
        self.reload()
        now = dict(zip(before, self.clips, strict=True))
        return [change._replace(clip=now[change.clip]) for change in wanted], said


def parse(path: Path, text: str) -> Document:
    """The document that a file of captions or prompts is. Raises UserError for what is none, and CannotHold."""
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return TextDocument(text)
    if suffix in (".csv", ".tsv"):
        return CsvDocument(text, metadata.delimiter_of(text))
    if suffix not in (".json", ".jsonl"):
        raise CannotHold
    try:
        return JsonDocument(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no valid JSON by now ({error}); mend it there.") from None


def _place(clip: Clip) -> _Place:
    return clip.file, clip.entry, clip.name


def _differs(change: Change) -> bool:
    clip = change.clip
    return (change.text is not None and change.text != clip.text) or (
        change.split is not None and change.split != clip.split
    )


def _by_file(changes: Iterable[Change]) -> dict[Path, list[Change]]:
    found: dict[Path, list[Change]] = defaultdict(list)
    for change in changes:
        found[change.clip.file].append(change)
    return found


def _back(path: Path, document: Document, puts: list[_Put]) -> list[_Put]:
    done = []
    for put in puts:
        entry = _found(document, path, put.name, put.entry)
        held = document.get(entry)
        now = held.get(put.key, ABSENT) if isinstance(held, dict) else held
        if now != put.before and str(now).strip() != str(put.before).strip():
            raise _meanwhile(path, put.name, "entry")
        document.put(entry, put.key, put.after)
        done.append(put)
    return done


def _found(document: Document, path: Path, name: str, entry: int) -> int:
    """Where a clip's entry is by now: where it was, or the one that names the same audio."""
    if entry < 0:
        return 0
    if entry < len(document) and metadata.audio_of(document.get(entry)) == name:
        return entry
    named = [metadata.audio_of(document.get(n)) for n in range(len(document))]
    if not any(named):
        # Entries that are read in another form than lists and tables with a header have, such as captions by name.
        raise CannotHold
    same = [n for n, audio in enumerate(named) if audio == name]
    if len(same) != 1:
        raise _meanwhile(path, name, "entry")
    return same[0]


def _meanwhile(path: Path, name: str, what: str) -> UserError:
    return UserError(
        f"The {what} of {name} in {path.name} was changed by another program meanwhile; it was read again: "
        "look at it and edit anew."
    )
