"""The notes of a run as markdown, with CSV and JSON beside it on request.

The generated part of the file stands between two marks. All that a person writes before or after it stays as it is
at the next export; if somebody wrote inside, the old part is kept below, folded, before the new one takes its place.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from engine.contract import typed, user_files
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from engine.contract.text import plain
from tui.review import pooled
from tui.review.evaluation import RESULTS, home_of
from tui.review.report import Report, markdown, report, set_measures

BEGIN = "<!-- mgl-tui begin {digest}: this part is written again at every export; write above or below it -->"
END = "<!-- mgl-tui end -->"
# An editor may have written the whole file with other line ends.
_REGION = re.compile(r"<!-- mgl-tui begin ([0-9a-f]*)[^\n]*-->\r?\n(.*?)<!-- mgl-tui end -->(?:\r?\n)?", re.DOTALL)
FORMATS = ("md", "csv", "json")
TEXT_SUFFIXES = (".md", ".markdown", ".txt")
"""Of files that notes are added to whoever began them."""
ANOTHER = "name another file with `mgl-tui export RUN -o FILE`"
COLUMNS = (
    "listener", "prompt", "item", "trial", "letter", "model", "score", "rank", "all_bad", "tags", "note",
    "heard_seconds", "gain_db",
)  # fmt: skip


def export(
    run: RunDir, out: Path | None = None, formats: Sequence[str] = ("md",), set_name: str | None = None
) -> list[Path]:
    """Write the notes of ``run`` (or of a folder of clips) and return the files written.

    ``out`` is the markdown file, by default notes.md in the run, or notes_NAME.md for the prompt set NAME; CSV and JSON
    get its name with their own suffix. What stands in the markdown stays; a CSV or JSON that is not ours is not
    written over.
    UserError when a format is unknown or a file cannot be written, before any is where that can be known.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UserError(f"{unknown[0]!r} is no export format; take {', '.join(FORMATS)}.")
    run, set_name = home(run, set_name)
    files = _files(Path(out) if out else notes_path(run, set_name), [name for name in FORMATS if name in formats])
    found = report(run, set_name)
    for name, real in files.items():
        text = table(found) if name == "csv" else data(found)
        user_files.write(real, merged(_existing(real), markdown(found)) if name == "md" else text, ANOTHER)
    return list(files.values())


def _files(notes: Path, formats: Sequence[str]) -> dict[str, Path]:
    """Where each format goes; UserError when one may not go there."""
    files: dict[str, Path] = {}
    for name in formats:
        # A name without a suffix to replace, such as "..", is a folder, and refused as one.
        path = notes if name == "md" or not notes.name else notes.with_name(f"{notes.stem}.{name}")
        real = user_files.target(path, partial(_is_ours, name, path), ANOTHER)
        if real in files.values():
            raise UserError(f"{path} would be written twice, as {' and as '.join([*files, name])}; {ANOTHER}.")
        files[name] = real
    return files


def _is_ours(name: str, path: Path, content: bytes) -> bool:
    """Whether an export wrote the file; notes may also be begun by hand, in a file for text."""
    if name == "md":
        return path.suffix.lower() in TEXT_SUFFIXES or _REGION.search(content.decode(errors="replace")) is not None
    if name == "csv":
        return content.startswith(",".join(COLUMNS).encode())
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"run", "judgements", "gains_db"} <= found.keys()


def write_comparison(path: Path, text: str) -> Path:
    """Write a comparison as markdown; what a person wrote above or below an earlier one stays. UserError if it cannot.

    Returns where it is.
    """
    real = user_files.target(path, partial(_is_ours, "md", path), "move it away")
    user_files.write(real, merged(_existing(real), text), "choose another runs folder")
    return real


def home(run: RunDir, set_name: str | None) -> tuple[RunDir, str | None]:
    """The run that a folder of clips belongs to, and which of its prompt sets it is; a run as it is."""
    if not (run.path / RESULTS).is_file():
        return run, set_name
    path, found = home_of(run.path.absolute())
    return RunDir(path), found or None


def notes_path(run: RunDir, set_name: str | None) -> Path:
    """Where the notes of a prompt set are written when nobody says where."""
    return run.path / f"notes_{set_name}.md" if set_name else run.notes


def merged(existing: str, generated: str) -> str:
    """The file's text with its generated part replaced; without one, ``generated`` goes below what is there."""
    region = f"{BEGIN.format(digest=_digest(generated))}\n{generated}{END}\n"
    match = _REGION.search(existing)
    if match is None:
        if not existing.strip():
            return f"{region}\n## My notes\n\n"
        return existing + ("\n" if existing.endswith("\n") else "\n\n") + region
    kept = existing[match.end() :]
    if _digest(match.group(2)) != match.group(1):
        kept = f"{kept}\n\n<details><summary>Earlier export with changes by hand</summary>\n\n" + (
            f"{match.group(2).rstrip()}\n\n</details>\n"
        )
    return existing[: match.start()] + region + kept


def table(found: Report) -> str:
    """One line a judged clip, as CSV."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for j in found.results.judgements if found.results else ():
        gain = found.gains.get(j.item, {}).get(j.model)
        said = (j.listener, found.prompt_text(j.item), j.item, j.kind, j.letter, j.model)
        writer.writerow(
            [*map(plain, said), _cell(j.score), _cell(j.rank), "yes" if j.all_bad else "",
             plain(" ".join(j.tags)), plain(j.note), f"{j.heard:.1f}", _cell(gain)]
        )  # fmt: skip
    return file.getvalue()


def data(found: Report) -> str:
    """Everything the markdown is made from, as JSON."""
    results = found.results
    content: dict[str, Any] = {
        "run": found.name,
        "state": found.state,
        "settings": found.settings,
        "parent": found.parent,
        "changes": [change._asdict() for change in found.changes],
        "valid": found.valid,
        "conclusions": results.sentences() if results else [],
        "together": pooled.sentences(results) if results else [],
        "pairs": [pair.as_data() for pair in results.pairs()] if results else [],
        "means": results.means() if results else {},
        "tags": results.tags() if results else {},
        "gains_db": found.gains,
        "measures": {
            item.key: {model: dict(clip.measures) for model, clip in item.clips.items()}
            for item in (results.evaluation.items if results else ())
        },
        "set_measures": set_measures(results.evaluation) if results else {},
        "judgements": [asdict(j) for j in results.judgements] if results else [],
        "sessions": [
            {
                "listener": s.listener,
                "mode": s.mode,
                "seed": s.seed,
                "revealed": typed.data(s.revealed),
                "sittings": typed.data(s.sittings),
                "outputs": s.outputs,
                "equal_weights": s.equal,
            }
            for s in (results.sessions if results else ())
        ],
    }
    return json.dumps(content, indent=1, default=str) + "\n"


def _existing(path: Path) -> str:
    try:
        # Byte for byte: not read_text, which would make one kind of line end of all.
        return path.read_bytes().decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error.strerror).lower()
        raise UserError(f"{path} cannot be read ({reason}) and is not written over; {ANOTHER}.") from None


def _digest(text: str) -> str:
    return hashlib.sha256(text.strip().replace("\r\n", "\n").encode()).hexdigest()[:12]


def _cell(value: float | int | None) -> str:
    return "" if value is None else f"{value:g}"
