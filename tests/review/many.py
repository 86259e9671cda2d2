"""Several runs with clips, for sessions across them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.review.clips import PROMPTS, make_run, write_clip
from tui.review.evaluation import RESULTS


def a_run(runs: Path, name: str, tone: float, prompts: Sequence[str] = PROMPTS[:3], **changes: object) -> Path:
    """A run with clips whose best model sounds like no other run's; ``changes`` go into the lines of its results."""
    run = make_run(runs, name, prompts=prompts)
    for number, clip in enumerate(sorted((run.evaluation() / "best_model").iterdir())):
        write_clip(clip, tone=tone + number, level=0.2)
    change_lines(run.path, lambda line: line.update(changes))
    return run.path


def change_lines(run: Path, change: Callable[[dict], object]) -> None:
    file = run / "evaluation" / RESULTS
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        change(line)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
