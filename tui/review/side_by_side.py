"""Several runs beside one another: settings that differ, valid losses, listening results, clips of the same prompt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract import config
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui.review import loudness, measured, paired, statistics
from tui.review.evaluation import Clip
from tui.review.markdown import escaped, heading, points, table
from tui.review.report import set_measures
from tui.review.results import Results, load_results
from tui.runs.history import History

OF_THE_PANEL = ("panel", "audio", "runs", "run", "review")
"""Sections that say nothing about a run's training."""


AGAINST_BASE = "best over base, W-T-L"


@dataclass(frozen=True)
class Side:
    """One of the runs."""

    path: Path
    settings: dict[str, Any]
    """Dotted name -> value; {} for a folder of clips of another script."""
    history: History
    results: Results | None

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(frozen=True)
class SamePrompt:
    """The clips that several runs made for one prompt."""

    text: str
    clips: tuple[Clip | None, ...]
    """In the order of the runs; None where a run lacks the prompt, the model or the file."""
    gains: tuple[float, ...]
    """dB that bring them to one level."""


def load_side(path: Path) -> Side:
    """Read a run folder; what it lacks is empty."""
    run = RunDir(path)
    try:
        found = run.settings() if run.config.is_file() else None
        settings = config.values(found) if found is not None and not found.run.imported else {}
    except UserError:
        settings = {}
    try:
        # What an open session says stays hidden here as well.
        results = load_results(path).finished()
    except UserError:
        results = None
    return Side(path, settings, History.of(run.events), results)


def settings_rows(sides: Sequence[Side], *, every: bool = False) -> tuple[list[tuple[str, list[Any]]], int]:
    """(name, value of each run) for the settings that differ, or for every one; and how many are equal."""
    names = list(dict.fromkeys(n for side in sides for n in side.settings if n.split(".")[0] not in OF_THE_PANEL))
    rows = [(name, [side.settings.get(name) for side in sides]) for name in names]
    differing = [row for row in rows if any(value != row[1][0] for value in row[1])]
    return (rows if every else differing), len(rows) - len(differing)


def without_settings(sides: Sequence[Side]) -> list[str]:
    """Names of the runs whose settings are not known."""
    return [side.name for side in sides if not side.settings]


def paired_losses(sides: Sequence[Side]) -> list[str]:
    """What the valid losses say, clip by clip, one sentence a pair; or why they say nothing."""
    if not sides:
        return []
    found, why = paired.of_runs([(side.path, side.history) for side in sides])
    return [paired.sentence(pair) for pair in found] or ([why] if why else [])


def listening_rows(sides: Sequence[Side]) -> list[tuple[str, list[str]]]:
    """What listeners said of each run: means by model, best over base, the tags that the trained model got most."""
    if not any(side.results and side.results.means() for side in sides):
        return []
    models = list(dict.fromkeys(m for side in sides if side.results for m in side.results.models))
    return [
        ("mean " + "/".join(models), [_means(side.results, models) for side in sides]),
        (AGAINST_BASE, [_against_base(side.results) for side in sides]),
        ("tags of best", [_tags(side.results) for side in sides]),
        ("listened by", [_listeners(side.results) for side in sides]),
    ]


def measure_rows(sides: Sequence[Side], model: str) -> list[tuple[str, list[str]]]:
    """What was measured of a model's clips in each run: means over the prompts, and the measures of the whole set."""
    evaluations = [side.results.evaluation if side.results else None for side in sides]
    clips = [[clip.measures for e in [each] if e for item in e.items if (clip := item.clips.get(model)) and clip.path]
             for each in evaluations]  # fmt: skip
    sets = [[{"frechet_distance": set_measures(e).get(model, {}).get("frechet_distance")}] if e else []
            for e in evaluations]  # fmt: skip
    whole = [(name, values) for name, values in measured.rows(sets) if set(values) != {"–"}]
    return [*measured.rows(clips), *whole]


def _means(results: Results | None, models: Sequence[str]) -> str:
    means = results.means() if results else {}
    return " / ".join(f"{means[model]:.1f}" if model in means else "–" for model in models) if means else "–"


def _against_base(results: Results | None) -> str:
    if results is None or not {"best", "base"} <= set(results.models):
        return "–"
    pair = results.pair("best", "base")
    if pair.trials == 0:
        return "–"
    return f"{pair.wins}-{pair.ties}-{pair.losses} {statistics.p_text(pair.p)}"


def _tags(results: Results | None) -> str:
    counts = {tag: models.get("best", 0) for tag, models in results.tags().items()} if results else {}
    most = sorted((tag for tag in counts if counts[tag]), key=lambda tag: -counts[tag])[:3]
    return ", ".join(f"{tag} {counts[tag]}" for tag in most) or "–"


def _listeners(results: Results | None) -> str:
    if results is None or not results.sessions:
        return "–"
    early = any(s.revealed and s.revealed.early for s in results.sessions)
    return ", ".join(s.listener for s in results.sessions) + (" (not blind)" if early else "")


def prompts(sides: Sequence[Side]) -> list[str]:
    """Prompts of the first run that has clips, in their order; those that others share come with them."""
    found = next((side.results for side in sides if side.results), None)
    return list(dict.fromkeys(item.text for item in found.evaluation.items)) if found else []


def clip_of(side: Side, text: str, model: str) -> Clip | None:
    """A run's clip of a model for a prompt; None where it lacks one of the three, or the file."""
    items = side.results.evaluation.items if side.results else ()
    item = next((item for item in items if item.text == text), None)
    clip = item.clips.get(model) if item else None
    return clip if clip and clip.path else None


def same_prompt(sides: Sequence[Side], text: str, model: str) -> SamePrompt:
    """The clips of one model for one prompt, level-matched among the runs. May measure files, so may take a second."""
    clips = tuple(clip_of(side, text, model) for side in sides)
    levels = {str(at): loudness.clip_loudness(clip) for at, clip in enumerate(clips) if clip}
    gains = loudness.gains(levels)
    return SamePrompt(text, clips, tuple(gains.get(str(at), 0.0) for at in range(len(sides))))


def markdown(sides: Sequence[Side]) -> str:
    """The comparison as tables."""
    rows, equal = settings_rows(sides)
    head = [side.name for side in sides]
    lines = [heading(1, " · ".join(head)), "", "## Valid loss", ""]
    losses = [
        ("base", [_loss(side.history.base_valid) for side in sides]),
        ("best", [_loss(side.history.best_valid) for side in sides]),
        ("last", [_loss(side.history.valid[-1].loss) if side.history.valid else "–" for side in sides]),
    ]
    lines += [*_table("valid loss", head, losses), "", *points(paired_losses(sides)), "", "## Settings that differ", ""]
    lines += _table("setting", head, [(name, [json.dumps(value) for value in values]) for name, values in rows])
    strangers = without_settings(sides)
    said = f"The settings of {', '.join(strangers)} are not known." if strangers else f"{equal} settings are equal."
    lines += ["", escaped(said), "", "## Listening", ""]
    heard = listening_rows(sides)
    lines += _table("", head, heard) if heard else ["Nothing has been judged yet."]
    for model in ("base", "best", "final"):
        if found := measure_rows(sides, model):
            lines += ["", f"## Measures of {model}, means over the prompts", "", *_table("measure", head, found)]
    return "\n".join([*lines, ""])


def _loss(value: float) -> str:
    return f"{value:.3f}" if value == value else "–"


def _table(first: str, head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    return table([first, *head], [[name, *values] for name, values in rows])
