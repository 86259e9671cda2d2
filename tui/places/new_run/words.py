"""What New run says: the rows of its sheet, what the settings mean, the findings. Values in, lines out."""

from __future__ import annotations

import textwrap
from typing import Any

from textual.content import Content

from engine.contract.plan import Plan
from tui.runs import sweep
from tui.runs.checks import Checked
from tui.runs.draft import Draft, Estimate, Finding, candidates, label, setting_names
from tui.text import VERDICTS, duration, gib, value
from tui.widgets.table import Row

NAME = "name"
START = "start"
"""The row that starts the run."""
_MOST_CHANGES = 5


def rows(draft: Draft, current: Any) -> list[Row]:
    """The sheet: a row a setting, with the values that can be stepped to at the current one."""
    start = f"▶ queue {draft.size:,} runs" if draft.axes else "▶ start"
    found = [Row(START, [(start, "$accent bold"), "", "", ""])]
    found += [Row(NAME, ["name", "–", (f"  {draft.name}", "$accent bold"), ""])]
    changed = {change.name for change in draft.changes()}
    for group, names in setting_names():
        found.append(Row(None, [("── ", "$line"), (group, "$primary"), (" " + "─" * 200, "$line")]))
        found += [_row(draft, name, name in changed, name == current) for name in names]
    return found


def _row(draft: Draft, name: str, changed: bool, current: bool) -> Row:
    if name in draft.axes:
        base = (value(draft.base_value(name)), "$quiet")
        several = (f"◆ {listed(draft, name)}", "$accent bold")
        return Row(name, [label(name), base, several, (f"{len(draft.axes[name])} values", "$quiet")])
    new = draft.value(name)
    style = "$accent bold" if changed else "$foreground"
    choices = candidates(name, new) if current else []
    hint = " ".join(value(choice) for choice in _around(choices, new)) if choices else _note(draft, name)
    marked = f"◂ {value(new)} ▸" if choices else f"  {value(new)}"
    base = (value(draft.base_value(name)), "$quiet")
    return Row(name, [label(name), base, (marked, style), (hint, "$quiet")])


def listed(draft: Draft, name: str) -> str:
    """The values that a setting takes in a sweep."""
    return ", ".join(value(each) for each in draft.axes[name])


def _around(choices: list[Any], new: Any, count: int = 3) -> list[Any]:
    """The choices about the present one."""
    at = choices.index(new)
    first = max(0, min(at - count // 2, len(choices) - count))
    return choices[first : first + count]


def _note(draft: Draft, name: str) -> str:
    s = draft.settings
    if name == "lora.alpha":
        return f"{s.lora.alpha / s.lora.rank:.3g} × rank"
    if name == "train.gradient_accumulation_steps":
        return f"= {s.train.batch_size * s.train.gradient_accumulation_steps} clips"
    return ""


def meaning(
    draft: Draft,
    course: Plan | str,
    clips: int,
    found: Estimate,
    checked: Checked | None,
    width: int,
    swept: sweep.Cost | None = None,
) -> list[Content]:
    """What changed, and what it will take: steps, time, memory, disk."""
    changed = draft.changes()
    lines = _grid(draft, swept, width) if draft.axes else []
    lines.append(Content.assemble((f"{len(changed)} changed", "bold" if changed else "$quiet")))
    lines += [
        Content.assemble(f"  {label(c.name)} ", (f"{value(c.old)} → ", "$quiet"), (value(c.new), "bold"))
        for c in changed[:_MOST_CHANGES]
    ]
    if len(changed) > _MOST_CHANGES:
        lines.append(Content.styled(f"  and {len(changed) - _MOST_CHANGES} more", "$quiet"))
    if isinstance(course, Plan):
        lines += _fact("steps", f"{course.total_steps} ({clips} clips / {course.effective_batch})", width)
        lines += _fact("", f"warm-up {course.warmup_steps}, validation every {course.validate_every}", width)
    else:
        lines += _fact("steps", course, width)
    return lines + _costs(found, checked, width, one=bool(draft.axes))


def cost(found: sweep.Cost | None) -> str:
    """What a sweep takes, in words."""
    if found is None:
        return "nothing like them was measured here"
    return found.words()


def _grid(draft: Draft, found: sweep.Cost | None, width: int) -> list[Content]:
    """The grid of a sweep with what it takes."""
    axes = " × ".join(f"{label(name)} {listed(draft, name)}" for name in draft.axes)
    like = f", going by {found.like}" if found else ""
    said = f"{axes} = {draft.size:,} runs, {cost(found)}{like}"
    return [line.stylize("bold") for line in _fact("sweep", said, width)]


def _costs(found: Estimate, checked: Checked | None, width: int, *, one: bool) -> list[Content]:
    if not found.source:
        measured = checked.message("gpu-time") if checked else ""
        lines = _fact("time", measured or "nothing like it was measured here yet", width)
    else:
        clips = f" + ~{duration(found.clip_seconds)} clips" if found.clip_seconds == found.clip_seconds else ""
        lines = _fact("time", f"~{duration(found.train_seconds)} train{clips}{', each' if one else ''}", width)
        lines += _fact("", f"{'a guess, ' if found.guess else ''}from {found.source}", width)
    memory = checked.message("gpu-memory") if checked else ""
    if found.memory == found.memory and not found.guess:
        lines += _fact("memory", f"{gib(found.memory)} GiB, measured", width)
    elif memory:
        lines += _fact("memory", memory + (" (a guess)" if "about" in memory else ""), width)
    disk = checked.message("disk-space") if checked else ""
    return lines + (_fact("disk", disk, width) if disk else [])


def _fact(name: str, text: str, width: int) -> list[Content]:
    """A name and what is said of it, wrapped beside it."""
    lines = textwrap.wrap(text, max(20, width) - 7) or [""]
    return [Content(f"{name if not at else '':<7}{line}") for at, line in enumerate(lines)]


def finding_lines(finding: Finding, width: int) -> list[Content]:
    """A finding; what warns or blocks in full, with its fix."""
    look = VERDICTS.get(finding.severity, VERDICTS["info"])
    width, wrong = max(20, width) - 2, finding.severity in ("block", "warn")
    text = textwrap.wrap(finding.message, width) if wrong else [finding.message]
    lines = [Content.assemble((f"{look.glyph} ", f"${look.color} bold"), text[0] if text else "")]
    lines += [Content(f"  {line}") for line in text[1:]]
    if wrong and finding.fix:
        lines += [Content.styled(f"  {line}", "$quiet") for line in textwrap.wrap(finding.fix, width)]
    return lines
