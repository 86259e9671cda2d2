"""What a check found, in the form that `check --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from engine.contract.text import plain

EXAMPLES = 5
SEVERITIES = ("block", "warn", "info", "ok")


@dataclass(frozen=True)
class Finding:
    """``severity`` is block, warn, info or ok; ``count`` what it concerns; ``fix`` what to do about it."""

    id: str
    severity: str
    count: int
    examples: list[str]
    message: str
    fix: str = ""
    clips: list[str] = field(default_factory=list)
    """Names, as the metadata writes them, of all clips that it concerns."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.severity:5} {self.id}: {self.message}", *(f"    {example}" for example in self.examples)]
        return "\n".join(map(plain, [*lines, f"    -> {self.fix}"] if self.fix else lines))


class Case(NamedTuple):
    """One thing that is found: how it is told as an example, and the names of the clips that it concerns."""

    told: str
    clips: tuple[str, ...] = ()


def found(id: str, severity: str, cases: Sequence[Case], message: str, fix: str, *, fine: str) -> Finding:
    """A finding about ``cases``, or an "ok" that says ``fine`` if there are none.

    In ``message`` {n} is their count; {s}, {are}, {have}, {do}, {they}, {them} and {verb_s}, a verb's ending, agree
    with it.
    """
    if not cases:
        return Finding(id, "ok", 0, [], fine)
    clips = list(dict.fromkeys(name for case in cases for name in case.clips))
    told = message.format(n=len(cases), **(_ONE if len(cases) == 1 else _MANY))
    return Finding(id, severity, len(cases), [case.told for case in cases[:EXAMPLES]], told, fix, clips)


def joined(kinds: Sequence[Finding], *, fine: str) -> Finding:
    """Findings of one id as one that hides none of them, with the gravest first; "ok" if all are."""
    told = [kind for kind in kinds if kind.severity != "ok"]
    if len(told) < 2:
        return told[0] if told else Finding(kinds[0].id, "ok", 0, [], fine)
    told.sort(key=lambda kind: SEVERITIES.index(kind.severity))
    shown = max(1, EXAMPLES // len(told))
    return Finding(
        told[0].id,
        told[0].severity,
        sum(kind.count for kind in told),
        [example for kind in told for example in kind.examples[:shown]],
        "; ".join(kind.message for kind in told),
        " ".join(dict.fromkeys(kind.fix for kind in told if kind.severity in ("block", "warn") and kind.fix)),
        list(dict.fromkeys(name for kind in told for name in kind.clips)),
    )


_ONE = {"s": "", "are": "is", "have": "has", "do": "does", "they": "it", "them": "it", "verb_s": "s"}
_MANY = {"s": "s", "are": "are", "have": "have", "do": "do", "they": "they", "them": "them", "verb_s": ""}
