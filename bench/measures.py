"""The measures of a clip against what people use instead: torchaudio and librosa, on the demo's clips.

    python bench/measures.py            # writes results/measures.json; librosa by hand: pip install librosa

The demo's clips are rendered, so that their tempo and their onsets are known: every measure of rhythm is held against
the truth, the others against each other. Without librosa its columns are left out.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import soxr
import torch
import torchaudio
from scipy.signal import resample_poly
from scipy.stats import spearmanr

from engine.contract.loudness import integrated
from engine.data.audio import resample
from engine.demo import synth
from engine.demo.styles import BASE_STYLES, KEYS, TARGET, TEMPI, Clip
from engine.generate import measures

RATE = 32000
"""The real model's rate, for loudness and rhythm; spectra are taken at the demo's own, above which it has none."""
OUT = Path(__file__).parent / "results" / "measures.json"

try:
    import librosa
except ImportError:
    librosa = None


def clips() -> list[Clip]:
    """Every style at every tempo, in keys, rhythms and tunes that take turns."""
    styles = (*BASE_STYLES, TARGET)
    return [
        Clip(style, tempo, KEYS[n % 3], rhythm=(n + m) % 2, contour=(n + m) % 4)
        for n, style in enumerate(styles)
        for m, tempo in enumerate(TEMPI)
    ]


def known_onsets(clip: Clip) -> float:
    """Onsets a second, as the clip is written: steps of its loop at which anything begins."""
    begun: set[tuple[int, int]] = set()
    play = synth._Bar.play

    def noted(bar: Any, voice: Any, pitch: float, step: int, length: int) -> None:
        begun.add((id(bar.chord), step))
        play(bar, voice, pitch, step, length)

    with patch.object(synth._Bar, "play", noted):
        synth.render(clip)
    bars = len(clip.key.chords)
    return len(begun) / (bars * 8 * clip.tempo.step_frames * synth.FRAME / synth.SAMPLE_RATE)


def resamplers() -> dict[str, Callable[[np.ndarray, int, int], np.ndarray]]:
    best = {
        "lowpass_filter_width": 64, "rolloff": 0.9475937167399596, "resampling_method": "sinc_interp_kaiser",
        "beta": 14.769656459379492,
    }  # fmt: skip

    def with_torchaudio(x: np.ndarray, old: int, new: int, **how: Any) -> np.ndarray:
        return torchaudio.functional.resample(torch.from_numpy(x), old, new, **how).numpy()

    return {
        "ours (soxr HQ)": resample,
        "scipy resample_poly": lambda x, old, new: resample_poly(
            x, new // math.gcd(old, new), old // math.gcd(old, new), axis=1
        ),
        "torchaudio, default": with_torchaudio,
        "torchaudio, kaiser_best": lambda x, old, new: with_torchaudio(x, old, new, **best),
        "soxr VHQ": lambda x, old, new: soxr.resample(x.T, old, new, quality="VHQ").T,
    }


def resampling() -> dict[str, Any]:
    """44.1 kHz to 32 kHz: largest error below 14.4 kHz, what comes back of tones above 16.8 kHz, time for 15 s."""
    old, new, time_axis = 44100, 32000, np.arange(4 * 44100) / 44100
    inner = slice(new // 2, -new // 2)
    noise = np.random.default_rng(0).normal(size=(1, 15 * old)).astype(np.float32)
    found = {}
    for name, way in resamplers().items():
        errors, folded = [], []
        for frequency in np.linspace(50, 14400, 12):
            got = way(np.sin(2 * np.pi * frequency * time_axis).astype(np.float32)[None], old, new)[0]
            exact = np.sin(2 * np.pi * frequency * np.arange(len(got)) / new)
            errors.append(_level(got[inner] - exact[inner]))
        for frequency in np.linspace(16800, 21600, 10):
            got = way(np.sin(2 * np.pi * frequency * time_axis).astype(np.float32)[None], old, new)[0]
            folded.append(_level(got[inner]))
        found[name] = {
            "error in band, dB": round(max(errors), 1),
            "folded back, dB": round(max(folded), 1),
            "ms for 15 s": round(_milliseconds(lambda way=way: way(noise, old, new)), 1),
        }
    return found


def loudness(sounds: list[np.ndarray]) -> dict[str, Any]:
    ours = [integrated(sound, RATE) for sound in sounds]
    theirs = [float(torchaudio.functional.loudness(torch.from_numpy(sound[None]), RATE)) for sound in sounds]
    sound = sounds[0]
    return {
        "largest difference, LU": round(max(abs(a - b) for a, b in zip(ours, theirs, strict=True)), 3),
        "ours, ms": round(_milliseconds(lambda: integrated(sound, RATE)), 1),
        "torchaudio, ms": round(
            _milliseconds(lambda: torchaudio.functional.loudness(torch.from_numpy(sound[None]), RATE)), 1
        ),
    }


def rhythm(chosen: list[Clip], sounds: list[np.ndarray]) -> dict[str, Any]:
    """Share of clips whose tempo is found to 4 %, also an octave off; how far onset rates are from the truth."""

    def ours(sound: np.ndarray) -> tuple[float, float]:
        found = measures.of_clip(sound, RATE)
        return found["tempo_bpm"] or 0.0, found["onset_rate"] or 0.0

    def theirs(sound: np.ndarray) -> tuple[float, float]:
        strength = librosa.onset.onset_strength(y=sound, sr=RATE)
        onsets = librosa.onset.onset_detect(onset_envelope=strength, sr=RATE)
        tempo = librosa.feature.tempo(onset_envelope=strength, sr=RATE)[0]
        return float(tempo), len(onsets) * RATE / len(sound)

    ways = {"ours": ours, **({"librosa": theirs} if librosa else {})}
    truth = [(clip.tempo.bpm, known_onsets(clip)) for clip in chosen]
    found: dict[str, Any] = {}
    for name, way in ways.items():
        got = [way(sound) for sound in sounds]
        ratios = [tempo / bpm for (tempo, _), (bpm, _) in zip(got, truth, strict=True)]
        apart = [abs(onsets / known - 1) for (_, onsets), (_, known) in zip(got, truth, strict=True)]
        found[name] = {
            "tempo as written": round(_share(abs(ratio - 1) < 0.04 for ratio in ratios), 2),
            "tempo as written, halved or doubled": round(
                _share(any(abs(ratio / k - 1) < 0.04 for k in (0.5, 1, 2)) for ratio in ratios), 2
            ),
            "onset rate off by, median": round(float(np.median(apart)), 3),
            "onset rate, rank correlation with the truth": round(
                float(spearmanr([onsets for _, onsets in got], [known for _, known in truth]).statistic), 3
            ),
            "ms a clip": round(_milliseconds(lambda way=way: way(sounds[0])), 1),
        }
    return found


def shape(sounds: list[np.ndarray]) -> dict[str, Any]:
    """Ours against librosa with the same window and hop: median of the ratio, and rank correlation over the clips."""
    if not librosa:
        return {}
    window, hop = 1024, 256
    ours = [measures.of_clip(sound, synth.SAMPLE_RATE) for sound in sounds]
    theirs: dict[str, list[float]] = {name: [] for name in ("centroid_hz", "rolloff_hz", "flatness")}
    for sound in sounds:
        spectrum = np.abs(librosa.stft(sound, n_fft=window, hop_length=hop))
        theirs["centroid_hz"].append(float(librosa.feature.spectral_centroid(S=spectrum, sr=synth.SAMPLE_RATE).mean()))
        theirs["rolloff_hz"].append(float(librosa.feature.spectral_rolloff(S=spectrum**2, sr=synth.SAMPLE_RATE).mean()))
        theirs["flatness"].append(float(librosa.feature.spectral_flatness(S=spectrum).mean()))
    found = {}
    for name, values in theirs.items():
        mine = np.array([one[f"spectral_{name}"] for one in ours], float)
        found[name] = {
            "ours / librosa, median": round(float(np.median(mine / np.array(values))), 3),
            "rank correlation": round(float(spearmanr(mine, values).statistic), 3),
        }
    return found


def main() -> None:
    torch.set_num_threads(1)
    chosen = clips()
    rendered = [synth.render(clip) for clip in chosen]
    sounds = [resample(samples[None], synth.SAMPLE_RATE, RATE)[0] for samples in rendered]
    found = {
        "clips": len(sounds),
        "librosa": librosa.__version__ if librosa else None,
        "torchaudio": torchaudio.__version__,
        "resampling 44.1 to 32 kHz": resampling(),
        "loudness": loudness(sounds),
        "rhythm": rhythm(chosen, sounds),
        "spectral shape": shape(rendered),
    }
    print(json.dumps(found, indent=1))
    OUT.write_text(json.dumps(found, indent=1) + "\n")


def _share(true: Any) -> float:
    return float(np.mean(list(true)))


def _level(samples: np.ndarray) -> float:
    """RMS in dB against a full-scale sine's."""
    return 20 * math.log10(math.sqrt(float(np.mean(samples**2))) * math.sqrt(2) + 1e-12)


def _milliseconds(work: Callable[[], object], times: int = 7) -> float:
    """Median of CPU time."""
    work()
    taken = []
    for _ in range(times):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return 1000 * float(np.median(taken))


if __name__ == "__main__":
    main()
