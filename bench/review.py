"""How long the parts of a listening session take: pictures of a clip, a key saved, levels, statistics, notes.

    python bench/review.py [--prompts 50] [--repeats 1]

Clips of 15 s at 32 kHz are made in a temporary folder; medians are printed in milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.contract.config import Review  # noqa: E402
from engine.contract.rundir import RunDir  # noqa: E402
from tests.review.clips import judge, make_evaluation, write_clip  # noqa: E402
from tui.review import envelope, loudness, notes  # noqa: E402
from tui.review.evaluation import open_evaluation  # noqa: E402
from tui.review.results import results_of  # noqa: E402
from tui.review.session import Session  # noqa: E402


def median_ms(work: Callable[[int], object], times: int) -> float:
    """Median of ``times`` calls of work(0), work(1) ... in milliseconds."""
    taken = []
    for number in range(times):
        began = time.perf_counter()
        work(number)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def pictures(folder: Path) -> dict[str, float]:
    clips = [folder / f"{number}.wav" for number in range(11)]
    for number, path in enumerate(clips):
        write_clip(path, tone=110 + 20 * number, seconds=15.0, rate=32000)
    envelope.mel(clips[-1], 60, 8)  # imports and filters
    return {
        "envelope of a clip, from the file": median_ms(lambda n: envelope.peaks(clips[n], 120), 10),
        "spectrogram of a clip, its samples in memory": median_ms(lambda n: envelope.mel(clips[9 - n % 8], 60, 8), 8),
        "both of a clip, again": median_ms(
            lambda n: (envelope.peaks(clips[9], 120), envelope.mel(clips[9], 60, 8)), 10
        ),
        "loudness of a clip": median_ms(lambda n: loudness.measure(clips[n]), 10),
    }


def session(folder: Path, prompts: int, repeats: int) -> dict[str, float]:
    names = [f"prompt {number}" for number in range(prompts)]
    made = make_evaluation(folder / "run" / "evaluation", names, seconds=0.2, repeats=repeats)
    evaluation = open_evaluation(made)
    scores = [{"base": 1 + n % 3, "best": 2 + n % 4, "final": 1 + n % 5} for n in range(prompts)]
    judge(evaluation, "anna", scores)
    opened = Session.open(evaluation, "anna", Review())
    return {
        "evaluation opened": median_ms(lambda n: open_evaluation(made), 5),
        "session opened": median_ms(lambda n: Session.open(evaluation, "anna", Review()), 5),
        "key saved (fsync)": median_ms(lambda n: opened.rate(1 + n % 5), 20),
        "statistics": median_ms(lambda n: results_of(evaluation).sentences(), 5),
        "notes exported": median_ms(lambda n: notes.export(RunDir(folder / "run")), 3),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--prompts", type=int, default=50)
    arguments.add_argument("--repeats", type=int, default=1)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = pictures(Path(name))
        found |= session(Path(name), given.prompts, given.repeats)
    for what, milliseconds in found.items():
        print(f"{milliseconds:8.1f} ms  {what}")


if __name__ == "__main__":
    main()
