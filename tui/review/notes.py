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
from tui.review import content, curve, markdown, pooled
from tui.review.blocks import Block, Picture
from tui.review.evaluation import RESULTS, home_of
from tui.review.page.document import MADE_BY
from tui.review.report import Report, report

BEGIN = "<!-- mgl-tui begin {digest}: this part is written again at every export; write above or below it -->"
END = "<!-- mgl-tui end -->"
# An editor may have written the whole file with other line ends.
_REGION = re.compile(r"<!-- mgl-tui begin ([0-9a-f]*)[^\n]*-->\r?\n(.*?)<!-- mgl-tui end -->(?:\r?\n)?", re.DOTALL)
FORMATS = ("md", "csv", "json", "html")
TEXT_SUFFIXES = (".md", ".markdown", ".txt")
"""Of files that notes are added to whoever began them."""
PAGE_SUFFIXES = (".html", ".htm")
ANOTHER = "name another file with `mgl-tui export RUN -o FILE`"
COLUMNS = (
    "listener", "prompt", "item", "trial", "letter", "model", "score", "rank", "all_bad", "tags", "note",
    "heard_seconds", "gain_db",
)  # fmt: skip


def export(
    run: RunDir, out: Path | None = None, formats: Sequence[str] = ("md",), set_name: str | None = None
) -> list[Path]:
    """Write the notes of ``run`` (or of a folder of clips) and return the files written.

    ``out`` is the markdown file, by default notes.md in the run, or notes_NAME.md for the prompt set NAME; the other
    formats get its name with their own suffix, and so does the picture that markdown has beside it. What stands in the
    markdown stays; a file of another kind that is not ours is not written over.
    UserError when a format is unknown or a file cannot be written, before any is where that can be known.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UserError(f"{unknown[0]!r} is no export format; take {', '.join(FORMATS)}.")
    run, set_name = home(run, set_name)
    files = _files(Path(out) if out else notes_path(run, set_name), [name for name in FORMATS if name in formats])
    found = report(run, set_name)
    parts = content.content(found)
    for name, real in files.items():
        match name:
            case "md":
                _write_markdown(real, parts)
            case "csv":
                user_files.write(real, table(found), ANOTHER)
            case "json":
                user_files.write(real, data(found), ANOTHER)
            case "html":
                from tui.review.page.rendered import page

                user_files.write(real, page(found.name, parts), ANOTHER)
    return list(files.values())


def _write_markdown(real: Path, parts: Sequence[Block]) -> None:
    """The notes, and beside them the picture of the curve where there is one."""
    beside = real.with_name(f"{real.stem}.svg")
    for part in parts:
        if isinstance(part, Picture):
            user_files.write(user_files.target(beside, _is_our_picture, ANOTHER), part.wide, ANOTHER)
    text = markdown.rendered(parts, real.parent, beside.name)
    user_files.write(real, merged(_existing(real), text), ANOTHER)


def _is_our_picture(content: bytes) -> bool:
    return curve.MARK.encode() in content


def _files(notes: Path, formats: Sequence[str]) -> dict[str, Path]:
    """Where each format goes; UserError when one may not go there."""
    files: dict[str, Path] = {}
    for name in formats:
        # A name without a suffix to replace, such as "..", is a folder, and refused as one.
        own = name == "md" or (name == "html" and notes.suffix.lower() in PAGE_SUFFIXES)
        path = notes if own or not notes.name else notes.with_name(f"{notes.stem}.{name}")
        real = user_files.target(path, partial(_is_ours, name, path), ANOTHER)
        if real in files.values():
            raise UserError(f"{path} would be written twice, as {' and as '.join([*files, name])}; {ANOTHER}.")
        files[name] = real
    return files


def _is_ours(name: str, path: Path, content: bytes) -> bool:
    """Whether an export wrote the file; notes may also be begun by hand, in a file for text."""
    if name == "md":
        return path.suffix.lower() in TEXT_SUFFIXES or _REGION.search(content.decode(errors="replace")) is not None
    if name == "html":
        return MADE_BY.encode() in content
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
        "valid": [(v.step, v.loss) for v in found.history.valid],
        "conclusions": results.sentences() if results else [],
        "together": pooled.sentences(results) if results else [],
        "pairs": [pair.as_data() for pair in results.pairs()] if results else [],
        "standing": results.standing.as_data() if results and results.standing else None,
        "means": results.means() if results else {},
        "tags": results.tags() if results else {},
        "gains_db": found.gains,
        "measures": {
            item.key: {model: dict(clip.measures) for model, clip in item.clips.items()}
            for item in (results.evaluation.items if results else ())
        },
        "set_measures": found.set_measures,
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
