"""Whether a decision of the gate comes too early; the decisions themselves are kept by ``tui.runs.gate``."""

from __future__ import annotations

from pathlib import Path

from engine.contract.errors import UserError
from tui.review.results import Results, load_results
from tui.runs import sessions

UNHEARD = "Nobody has listened to its clips yet, and loss alone does not say how it sounds."


def doubt(run: Path, decision: str) -> str:
    """What speaks against this decision now, to be asked about once; empty when nothing does."""
    if decision != "extend":
        return ""
    try:
        results: Results | None = load_results(run)
    except UserError:
        results = None
    return "" if heard(results) or heard_across(run) else UNHEARD


def heard(results: Results | None) -> bool:
    """Whether anybody has judged a clip."""
    return results is not None and any(judgement.value is not None for judgement in results.judgements)


def heard_across(run: Path) -> bool:
    """Whether anybody has judged a clip in a session across runs that this run is a member of."""
    for session, member in sessions.of_run(run):
        try:
            said = load_results(session).judgements
        except UserError:
            continue
        if any(judgement.model == member.name and judgement.value is not None for judgement in said):
            return True
    return False
