"""What the engine measured of clips, for people: a name, a unit and as many digits as mean something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Form(NamedTuple):
    """How a measure is said; ``factor`` brings it into ``unit``."""

    label: str
    unit: str
    digits: int
    factor: float = 1.0


FORMS = {
    "lufs": Form("loudness", "LUFS", 1),
    "true_peak_db": Form("true peak", "dBTP", 1),
    "silence_share": Form("silence", "%", 0, 100),
    "fade_out_db": Form("end against middle", "dB", 1),
    "clipped_share": Form("clipped", "%", 2, 100),
    "tempo_bpm": Form("tempo", "bpm", 0),
    "tempo_confidence": Form("sure of the tempo", "%", 0, 100),
    "onset_rate": Form("onsets", "a second", 1),
    "self_similarity": Form("repeats itself", "", 2),
    "spectral_flatness": Form("noisiness", "", 3),
    "spectral_centroid_hz": Form("centroid", "Hz", 0),
    "spectral_rolloff_hz": Form("rolloff", "Hz", 0),
    "dc_offset": Form("DC", "", 3),
    "clap_score": Form("CLAP", "", 2),
    "frechet_distance": Form("Fréchet, whole set", "", 1),
}
"""In the order of what a listener asks first. A measure that is not here is shown as it is stored."""


def said(name: str, value: Any) -> str:
    """A measure's value with its unit; "–" where there is none."""
    if not isinstance(value, (int, float)):
        return "–"
    form = FORMS.get(name, Form(name, "", 4))
    return f"{value * form.factor:.{form.digits}f} {form.unit}".strip()


def of_clip(measures: Mapping[str, float | None]) -> list[str]:
    """One clip's measures as parts of a line: "loudness -14.2 LUFS", "true peak ..."; [] where nothing was measured."""
    return [f"{label(name)} {said(name, measures[name])}" for name in _ordered(measures) if measures[name] is not None]


def rows(columns: Sequence[Sequence[Mapping[str, Any]]]) -> list[tuple[str, list[str]]]:
    """(measure, mean of each column): a column holds the measures of several clips, or of one set."""
    names = _ordered(name for column in columns for measures in column for name in measures)
    return [(label(name), [said(name, _mean(column, name)) for column in columns]) for name in names]


def label(name: str) -> str:
    """A measure's name for people; its own where there is none."""
    return FORMS[name].label if name in FORMS else name


def _ordered(names: Iterable[str]) -> list[str]:
    known = list(FORMS)
    return sorted(dict.fromkeys(names), key=lambda name: known.index(name) if name in FORMS else len(known))


def _mean(column: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [value for each in column if isinstance(value := each.get(name), (int, float))]
    return sum(values) / len(values) if values else None
