"""What a check found, in the form that `check --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.contract.text import plain

EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """``severity`` is block, warn, info or ok; ``count`` what it concerns; ``fix`` what to do about it."""

    id: str
    severity: str
    count: int
    examples: list[str]
    message: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.severity:5} {self.id}: {self.message}", *(f"    {example}" for example in self.examples)]
        return "\n".join(map(plain, [*lines, f"    -> {self.fix}"] if self.fix else lines))


def found(id: str, severity: str, cases: Sequence[str], message: str, fix: str, *, fine: str) -> Finding:
    """A finding about ``cases``, or an "ok" that says ``fine`` if there are none. {n} in ``message`` is their count."""
    if not cases:
        return Finding(id, "ok", 0, [], fine)
    return Finding(id, severity, len(cases), list(cases[:EXAMPLES]), message.format(n=len(cases)), fix)
