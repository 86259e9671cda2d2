"""What is known of a run to be: its course, what it will take, and what speaks against it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.contract.errors import UserError
from engine.contract.plan import Plan
from tui.runs import sweep
from tui.runs.checks import Checked
from tui.runs.draft import Draft, Estimate, Finding, estimate, measured_like, own_findings
from tui.runs.history import History
from tui.runs.store import RunSummary

_ORDER = ["block", "warn", "info", "ok"]


class Outlook:
    """A draft, what the checks said of it, and the run on this machine that its figures come from."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.checked: Checked | None = None
        self.history: History | None = None

    def train_clips(self) -> int:
        """0 before anybody has counted them."""
        if self.checked is not None and self.checked.train_clips:
            return self.checked.train_clips
        same_data = not any(change.name.startswith("data.") for change in self.draft.changes())
        return self.history.start.train_clips if same_data and self.history else 0

    def course(self) -> Plan | str:
        """Steps and validations, or why there are none."""
        clips = self.train_clips()
        if not clips:
            return "after the checks"
        try:
            return self.draft.course(clips)
        except UserError as error:
            return str(error)

    def estimate(self, known: Sequence[RunSummary]) -> Estimate:
        course = self.course()
        plan = course if isinstance(course, Plan) else None
        return estimate(self.draft, plan, measured_like(self.draft, known), self.history)

    def cost(self, known: Sequence[RunSummary]) -> sweep.Cost | None:
        """What a sweep takes; None where nothing like it was measured here."""
        return sweep.cost(self.draft.settings, self.draft.axes, 1, known)

    def findings(self, runs_dir: Path, known: Sequence[RunSummary]) -> list[Finding]:
        """The worst first."""
        found = own_findings(self.draft, runs_dir, [s.name for s in known if s.live])
        course = self.course()
        if isinstance(course, str) and self.train_clips():
            found.append(Finding("block", course))
        if self.checked is not None:
            found += [f for f in self.checked.findings if f.message not in {own.message for own in found}]
        return sorted(found, key=lambda f: _ORDER.index(f.severity) if f.severity in _ORDER else 2)
