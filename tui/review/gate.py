"""Whether a decision of the gate comes too early; the decisions themselves are kept by ``tui.runs.gate``."""

from __future__ import annotations

from pathlib import Path

from engine.contract.errors import UserError
from tui.review.results import load_results


def doubt(run: Path, decision: str) -> str:
    """What speaks against this decision now, to be asked about once; empty when nothing does."""
    if decision != "extend":
        return ""
    try:
        heard = any(judgement.value is not None for judgement in load_results(run).judgements)
    except UserError:
        heard = False
    return "" if heard else "Nobody has listened to its clips yet, and loss alone does not say how it sounds."
