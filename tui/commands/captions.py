"""mgl-tui captions: their words, one replaced everywhere, out to a spreadsheet and in from it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from engine.contract import config, paths, user_files
from engine.contract.errors import UserError
from engine.contract.text import decoded
from tui.commands import find, say
from tui.dataset import spreadsheet, words
from tui.dataset.dataset import Change, Dataset

SHOWN = 20
"""Changes that are shown before they are only counted; a dry run shows all."""


def captions(args: argparse.Namespace) -> int:
    data = Dataset(_data(args))
    if args.replace:
        old, new = args.replace
        changes = words.replaced(data.clips, old, new)
        return _keep(data, changes, f'"{old}" -> "{new}" in {_captions(len(changes))}', args)
    if args.csv:
        file = paths.expanded(args.csv)
        return _bring_in(data, file, args) if file.exists() else _hand_out(data, file, args)
    found = words.counts([clip.text for clip in data.clips])
    if args.json:
        say.document({"words": [{"word": w.text, "captions": w.captions, "times": w.times} for w in found]})
    else:
        say.table(["captions", "times", "word"], [[str(w.captions), str(w.times), w.text] for w in found])
    return 0


def _data(args: argparse.Namespace) -> config.Data:
    settings = find.settings(args).data
    if not args.data:
        return settings
    folder = paths.expanded(args.data).absolute()
    # What another folder's metadata is called says nothing of this one's.
    here = settings.metadata if folder == Path(settings.dir) else config.Data().metadata
    return settings.model_copy(update={"dir": str(folder), "metadata": here})


def _hand_out(data: Dataset, file: Path, args: argparse.Namespace) -> int:
    said = f"{_captions(len(data.clips))} for a spreadsheet; the same command brings in what you change there"
    if not args.dry_run:
        # Spreadsheets take UTF-8 for what it is only with its mark in front.
        user_files.write(file, spreadsheet.written(data.clips).encode("utf-8-sig"), "choose another file with --csv")
    if args.json:
        say.document({"written": str(file), "captions": len(data.clips), "dry_run": args.dry_run})
    else:
        say.line(f"{'would be written' if args.dry_run else 'written'}: {file}: {said}")
    return 0


def _bring_in(data: Dataset, file: Path, args: argparse.Namespace) -> int:
    try:
        text = decoded(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} cannot be read ({(error.strerror or str(error)).lower()}); name another.") from None
    except ValueError as error:
        raise UserError(f'{file} {error}; save it in the spreadsheet as "CSV UTF-8".') from None
    table = spreadsheet.read(text, data.clips, file)
    for name in table.unknown:
        say.aside(f"no clip is called {name}; its row is passed over")
    for name in table.empty:
        say.aside(f"{name} has an empty caption there; it keeps the one it has")
    return _keep(data, table.changes, f"{_captions(len(table.changes))} from {file.name}", args)


def _keep(data: Dataset, changes: Sequence[Change], said: str, args: argparse.Namespace) -> int:
    """Show the changes, and make them unless this is a dry run."""
    told = [{"audio": change.clip.name, "before": change.clip.text, "after": change.text} for change in changes]
    note = said if args.dry_run or not changes else data.change(changes, said)
    if args.json:
        say.document({"changes": told, "dry_run": args.dry_run})
        return 0
    for change in told if args.dry_run else told[:SHOWN]:
        say.line(f"{change['audio']}: {change['before']}")
        say.line(f"{'':{len(str(change['audio']))}}  {change['after']}")
    if len(told) > SHOWN and not args.dry_run:
        say.line(f"... and {len(told) - SHOWN} more")
    say.line(f"{'would change' if args.dry_run else 'changed'}: {note}")
    if changes and not args.dry_run:
        say.aside("the first version is kept beside the file, as .orig")
    return 0


def _captions(count: int) -> str:
    return f"{count} caption{'' if count == 1 else 's'}"
