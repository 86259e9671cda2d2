"""What Runs says: its columns and rows, the facts of a run and what its log told. Values in, lines out."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from textual.content import Content

from engine.contract import config
from engine.contract.text import plain
from tui.runs import queue
from tui.runs.store import RunSummary
from tui.runs.tail import TextTail, latest
from tui.text import NONE, STATES, loss, short, size, sparkline, value, when
from tui.widgets.table import Column, Row

SORTS = ("started", "name", "state", "best valid", "listening", "disk")
WIDE = 100
"""Columns of a terminal from which on the facts of a run have a line each."""
Cell = str | tuple[str, str]


class _Shown(NamedTuple):
    """A column, the width of terminal from which on there is room for it, and what it says of a run."""

    column: Column
    least: int
    cell: Callable[[RunSummary], Cell]


def rows(
    runs: Sequence[RunSummary], width: int, marked: Collection[Path], waiting: Collection[str]
) -> tuple[list[Row], list[Column]]:
    """The list as a table of a terminal of this width: its rows and its columns."""
    shown = [one for one in _SHOWN if width >= one.least]

    def row(s: RunSummary) -> Row:
        look = STATES[_look(s, waiting)]
        name = f"{s.name} · {s.comment}" if s.comment else s.name
        mark: Cell = ("◆", "$accent bold") if s.path in marked else " "
        head: list[Cell] = [mark, (f"{look.glyph} {look.word}", f"${look.color} bold"), name]
        return Row(s.path, head + [one.cell(s) for one in shown])

    return [row(s) for s in runs], [*COLUMNS, *(one.column for one in shown)]


def _best(s: RunSummary) -> Cell:
    return (f"NaN @{s.non_finite}", "$error") if s.state == "failed" and s.non_finite else loss(s.best_valid)


def _gain(s: RunSummary) -> Cell:
    gain = s.best_valid - s.base_valid
    return (f"{gain:+.3f}", "$warning" if gain > 0 else "$success") if gain == gain else NONE


def _of_settings(said: Callable[[config.Settings], str]) -> Callable[[RunSummary], Cell]:
    return lambda s: NONE if s.settings is None else said(s.settings)


def _changed(s: RunSummary) -> Cell:
    if not s.parent:
        return (NONE, "$quiet")
    return ", ".join(_change(c) for c in s.changed) if s.changed else ("nothing", "$quiet")


def _change(change: config.Change) -> str:
    return f"{change.name.split('.', 1)[1]} {value(change.old)}→{value(change.new)}"


COLUMNS = [Column("", 1), Column("State", 7), Column("Run", 0)]
_SHOWN = [
    _Shown(Column("Started", 11), WIDE, lambda s: (when(s.started), "$quiet")),
    _Shown(Column("Ep", 4, True), 0, lambda s: f"{s.epoch:.2g}" if s.epoch == s.epoch else NONE),
    _Shown(Column("r/α", 6, True), 0, _of_settings(lambda s: f"{s.lora.rank}/{s.lora.alpha:g}")),
    _Shown(Column("lr", 6, True), 0, _of_settings(lambda s: short(s.train.learning_rate))),
    _Shown(
        Column("bs×ga", 5, True), WIDE,
        _of_settings(lambda s: f"{s.train.batch_size}×{s.train.gradient_accumulation_steps}"),
    ),
    _Shown(Column("Best val", 9, True), 0, _best),
    _Shown(Column("vs base", 7, True), WIDE, _gain),
    _Shown(Column("Valid", 12), 125, lambda s: (sparkline(s.valid, 12), "$primary")),
    _Shown(Column("Listen", 10), 0, lambda s: s.listen or NONE),
    _Shown(Column("Gate", 6), WIDE, lambda s: s.gate or NONE),
    _Shown(Column("Changed from parent", 34), 170, _changed),
    _Shown(Column("Data", 16), 180, _of_settings(lambda s: Path(s.data.dir).name or s.data.dir)),
    _Shown(Column("Disk", 5, True), WIDE, lambda s: (size(s.held.total), "$quiet")),
]  # fmt: skip


def queue_note(runs_dir: Path) -> list[str]:
    """How many runs wait, and whether anybody is there to start them."""
    waiting = len(queue.entries(runs_dir))
    if not waiting:
        return []
    return [f"{waiting} in the queue" + ("" if queue.runs(runs_dir) else ", which stands still: Q")]


def fits(summary: RunSummary, word: str) -> bool:
    """A word is part of the name, the comment or the state; rank=4 is that setting with that value and no other."""
    name, equals, wanted = word.partition("=")
    if equals:
        values = config.values(summary.settings) if summary.settings is not None else {}
        found = [value for full, value in values.items() if name in (full, full.split(".")[1])]
        return any(wanted in (str(value).lower(), short(value) if _is_number(value) else None) for value in found)
    return word in f"{summary.name} {summary.comment} {summary.state} {STATES[_look(summary)].word}".lower()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _look(summary: RunSummary, waiting: Collection[str] | None = None) -> str:
    """Key of STATES: a run that has not begun only waits when it stands in the queue."""
    if summary.foreign:
        return "session" if summary.across else "clips"
    if waiting is not None and summary.state == "waiting" and summary.name not in waiting:
        return "unqueued"
    return summary.state


def sort_key(summary: RunSummary, by: str) -> tuple[Any, ...]:
    order = list(STATES)
    nan = summary.best_valid != summary.best_valid
    return {
        "name": (summary.name.lower(),),
        "state": (order.index(summary.state),),
        "best valid": (nan, 0.0 if nan else summary.best_valid),
        "listening": (not summary.listen, summary.listen),
        "disk": (-summary.held.total,),
    }[by]


def facts(s: RunSummary, width: int, *, narrow: bool) -> list[Content]:
    """What became of a run and what was different about it."""
    look = STATES[_look(s)]
    head: list[tuple[str, str] | str] = [(f"{look.glyph} {look.word}", f"${look.color} bold")]
    if s.total_steps:
        head.append(f"  step {s.step} of {s.total_steps}")
    if s.resumable:
        where = f"r resumes from step {s.checkpoint}" if s.checkpoint else "r starts it again"
        head.append((f"  {where}", "$accent"))
    lines = [Content.assemble(*head)]
    if s.comment:
        lines += Content.styled(plain(s.comment), "italic").wrap(width)
    if s.error:
        lines += Content.styled(plain(s.error), "$error").wrap(width)
    if s.foreign:
        lines.append(Content.styled(str(s.path), "$quiet"))
        if not s.across:
            return [*lines, Content("clips of another script; enter listens")]
        lines += Content(f"blind across {', '.join(s.across)}; enter listens").wrap(width)
        return [*lines, Content(f"listening {s.listen}")] if s.listen else lines
    if s.valid:
        bars = sparkline(s.valid, 20)
        best = f" best {loss(s.best_valid)} @{s.best_step}" if s.best_step else ""
        lines.append(Content.assemble("valid ", (bars, "$primary"), f"  base {loss(s.base_valid)}{best}"))
    if s.seconds_per_step == s.seconds_per_step:
        lines.append(Content(f"speed {s.seconds_per_step:.2f} s/step" + (f" on {s.device}" if s.device else "")))
    if s.listen:
        lines.append(Content(f"listening {s.listen}"))
    if s.settings is not None and s.settings.run.why:
        lines += Content.styled(f"why {plain(s.settings.run.why)}", "$quiet").wrap(width)
    held = [Content.styled(_held(s), "$quiet")] if s.held.total else []
    return [*lines, *_changes(s, width, narrow=narrow), *held]


def _held(s: RunSummary) -> str:
    kinds = (("checkpoints", s.held.checkpoints), ("models", s.held.models), ("clips", s.held.clips))
    parts = ", ".join(f"{name} {size(count)}" for name, count in kinds if count)
    return f"disk {size(s.held.total)}{f': {parts}' if parts else ''}"


def _changes(s: RunSummary, width: int, *, narrow: bool) -> list[Content]:
    if not s.parent:
        return []
    if not s.changed:
        return [Content.styled(f"the same settings as {s.parent}", "$quiet")]
    if narrow:
        return [Content("  ".join(_change(c) for c in s.changed))]
    pairs = [(c.name.split(".", 1)[1], value(c.old), value(c.new)) for c in s.changed]
    label = max(len(name) for name, _, _ in pairs)
    return [Content.assemble(f"{name:<{label}}  ", (f"{old} → ", "$quiet"), (new, "bold")) for name, old, new in pairs]


_STEP = re.compile(r"step \d+ loss .*")


def told(s: RunSummary, count: int) -> list[Content]:
    """The last of what the log of a run tells: of steps in a row, and of a phase's progress, only the latest."""
    path = s.path / "engine.log"
    if not path.is_file():
        return [Content.styled("no log", "$quiet")]
    kept: list[str] = []
    for line in latest(TextTail(path, last_bytes=64 * 1024).lines()):
        if kept and _STEP.fullmatch(kept[-1]) and _STEP.fullmatch(line):
            kept.pop()
        kept.append(line)
    return [Content(line) for line in kept[-count:]]


def first_steps(data: Path) -> list[Content]:
    """What somebody does who has nothing yet; ``data`` is the data folder of the settings."""
    key, name, done = "$accent bold", "bold", ("✔ ", "$success")
    bring = (" shows your clips",) if data.is_dir() else (", then b, cuts your tracks into clips with captions",)
    return [
        Content.assemble(("1  Bring clips   ", name), *[done] * data.is_dir(), ("D", key), *bring),
        Content.assemble(
            ("2  Check         ", name), ("D", key), " finds what is wrong with them, to hear and to mend"
        ),
        Content.assemble(
            ("3  Start         ", name), ("n", key), " makes a run of them; ", ("L", key), " lets you hear it"
        ),
        Content(""),
        Content.assemble(("mgl-tui demo", key), " goes through all of it on made-up music, in minutes"),
        Content.assemble(("p", key), " opens a folder of clips made by another script"),
    ]
