"""How good the embedded demo model is: codec, prompts, and what LoRA teaches it in the shipped demo.

    python bench/demo_model.py            # about six minutes on two cores
    python bench/demo_model.py --picture engine/demo/weights/spectrograms.png    # needs matplotlib

Prompts are worded as no caption of pretraining is and ask for pairs of tempo and key that no clip of their style had;
each is generated with three seeds and judged by classifiers (bench/judge.py). The demo is run as users run it:
`python -m engine train --evaluate` on what `python -m engine demo-data` writes. Writes bench/results/demo_model.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from judge import Judge, features, flux, onset_rate

from engine.contract import config, events, rundir
from engine.demo import model_path, synth
from engine.demo.codec import si_sdr
from engine.demo.corpus import codec_clips, held_out_prompts
from engine.demo.styles import (
    HELD_OUT_TEMPLATES,
    KEYS,
    STEPS_PER_BAR,
    STYLE_WORDS,
    TARGET,
    TEMPI,
    Clip,
    caption,
)
from engine.generate import noise
from engine.generate.codec import to_audio
from engine.generate.decode import Decoder, Sampling
from engine.model import load, lora

RESULTS = Path(__file__).parent / "results" / "demo_model.json"
SEEDS = 3
JUDGE_CLIPS, JUDGE_TESTS = 32, 8

Asked = list[tuple[Clip, str]]


class Model:
    """The base model, or with an adapter merged in, as a generator of clips with the demo's sampling settings."""

    def __init__(self, settings: config.Settings, adapter: Path | None = None) -> None:
        self.model = load.load_base(model_path(), device="cpu", dtype=torch.float32)
        if adapter is not None:
            lora.merge_adapter(self.model, adapter)
        self.tokenizer = load.load_tokenizer(model_path())
        chosen = settings.evaluate
        self.sampling = Sampling(chosen.guidance_scale, chosen.temperature, chosen.top_k, chosen.top_p)

    @torch.no_grad()
    def round_trip(self, samples: np.ndarray, wrong: float = 0.0) -> np.ndarray:
        """Samples after encoding to codes and back; a share of the frames gets random codes, as a generator errs."""
        codec = self.model.audio_encoder
        codes = codec.encode(torch.from_numpy(samples)[None, None]).audio_codes[0]
        if wrong:
            replaced = torch.rand(codes.shape[-1]) < wrong
            codes[..., replaced] = torch.randint(512, (1, codes.shape[1], int(replaced.sum())))
        return to_audio(codec, codes)[0, 0].numpy()

    def generate(self, prompts: list[str], seed: int) -> np.ndarray:
        """15 s clips of all prompts: (prompts, samples)."""
        states, mask = load.encode_text(self.model, self.tokenizer, prompts, "cpu")
        decoder = Decoder(self.model.decoder, self.model.enc_to_dec_proj)
        keys = [noise.key(seed, prompt) for prompt in prompts]
        codes = decoder.decode(states, mask, synth.CLIP_FRAMES, self.sampling, keys)
        return to_audio(self.model.audio_encoder, codes)[:, 0].numpy()


def measure_codec(model: Model) -> tuple[dict[str, float], dict[str, Judge], dict[str, float]]:
    """SI-SDR by style over a sample of clips; judges trained on the same round trips, and their accuracy."""
    rng = np.random.default_rng(1)
    quality: dict[str, float] = {}
    heard: list[tuple[bool, Clip, np.ndarray]] = []
    for style in STYLE_WORDS:
        clips = known_clips(style)
        chosen = [clips[index] for index in rng.permutation(len(clips))[: JUDGE_CLIPS + JUDGE_TESTS]]
        originals = [medley(clip, rng) if number % 2 else synth.render(clip) for number, clip in enumerate(chosen)]
        copies = [model.round_trip(samples, wrong=0.05 * (number % 4 > 1)) for number, samples in enumerate(originals)]
        faithful = [(a, b) for number, (a, b) in enumerate(zip(originals, copies, strict=True)) if number % 4 <= 1]
        quality[style] = float(np.mean([si_sdr(a, b) for a, b in faithful]))
        heard += [
            (n < JUDGE_CLIPS, clip, features(copy)) for n, (clip, copy) in enumerate(zip(chosen, copies, strict=True))
        ]
    labels = {"style": lambda clip: clip.style, "tempo": lambda clip: str(clip.tempo.bpm)}
    judges, accuracy = {}, {}
    for name, label in labels.items():
        train = [(values, label(clip)) for learns, clip, values in heard if learns]
        test = [(values, label(clip)) for learns, clip, values in heard if not learns]
        judges[name] = Judge(np.stack([values for values, _ in train]), [said for _, said in train])
        accuracy[name] = judges[name].accuracy(np.stack([v for v, _ in test]), [said for _, said in test])
    return quality, judges, accuracy


def known_clips(style: str) -> list[Clip]:
    """All clips of a style that the codec was built for."""
    return [clip for clip in codec_clips() if clip.style == style]


def medley(clip: Clip, rng: np.random.Generator) -> np.ndarray:
    """A clip that changes key and tune from bar to bar, so that the judges do not rely on exact repetition."""
    others = [other for other in known_clips(clip.style) if other.tempo == clip.tempo]
    bar = STEPS_PER_BAR * clip.tempo.step_frames * synth.FRAME
    samples = np.empty(synth.CLIP_FRAMES * synth.FRAME, np.float32)
    for start in range(0, len(samples), bar):
        samples[start : start + bar] = synth.render(others[rng.integers(len(others))])[start : start + bar]
    return samples


def onset_range(clip: Clip) -> tuple[float, float]:
    """Lowest and highest onset rate of the originals of a style at a tempo, over its rhythms and tunes."""
    others = [other for other in known_clips(clip.style) if (other.tempo, other.key) == (clip.tempo, clip.key)]
    rates = [onset_rate(synth.render(other)) for other in others]
    return min(rates), max(rates)


def judge_prompts(model: Model, asked: Asked, judges: dict[str, Judge], seeds: int = SEEDS) -> dict[str, Any]:
    """Shares of generated clips that are as asked, and onset and flux ratios, over prompts and seeds."""
    ranges = [onset_range(clip) for clip, _ in asked]
    fluxes = [flux(synth.render(clip)) for clip, _ in asked]
    styles, tempi, onsets, ratios = [], [], [], []
    by_style: dict[str, list[bool]] = {}
    for seed in range(seeds):
        audio = model.generate([text for _, text in asked], seed)
        heard = np.stack([features(samples) for samples in audio])
        said = list(zip(judges["style"](heard), judges["tempo"](heard), strict=True))
        for (clip, _), (style, tempo), (low, high), original, samples in zip(
            asked, said, ranges, fluxes, audio, strict=True
        ):
            styles.append(style)
            by_style.setdefault(clip.style, []).append(style == clip.style)
            tempi.append(tempo == str(clip.tempo.bpm))
            onsets.append(0.7 * low <= onset_rate(samples) <= 1.3 * high)
            ratios.append(flux(samples) / original)
    return {
        "clips": len(styles),
        "style as asked": float(np.mean([kept for values in by_style.values() for kept in values])),
        "by style": {style: float(np.mean(values)) for style, values in by_style.items()},
        "tempo as asked": float(np.mean(tempi)),
        "onset rate within 30 %": float(np.mean(onsets)),
        "flux against originals": float(np.mean(ratios)),
        "heard as target": float(np.mean([style == TARGET for style in styles])),
    }


def target_prompts() -> Asked:
    """A prompt in the target style for every tempo and key, worded as no training caption of the demo is."""
    words = STYLE_WORDS[TARGET]
    return [
        (clip, caption(clip, HELD_OUT_TEMPLATES[number % 2], words[number // 2 % 2]))
        for number, clip in enumerate(Clip(TARGET, tempo, key, rhythm=0, contour=0) for tempo in TEMPI for key in KEYS)
    ]


def run_demo(folder: Path) -> tuple[dict[str, Any], rundir.RunDir]:
    """The shipped demo in processes of its own: data, training, evaluation; its times and losses."""
    started = time.monotonic()
    _engine("demo-data", str(folder / "data"))
    settings = config.load(folder / "data" / "config.toml")
    settings = config.override(settings, [f'data.cache_dir="{folder / "cache"}"'])
    run = rundir.create(folder / "runs", "demo", settings)
    _engine("train", str(run.path))
    trained = time.monotonic()
    _engine("evaluate", str(run.path))
    valid = [(event["step"], event["loss"]) for event in events.read(run.events) if event["event"] == "valid"]
    base, best = valid[0][1], min(loss for _, loss in valid)
    figures = {
        "seconds to the end of training": trained - started,
        "seconds in all": time.monotonic() - started,
        "valid loss": valid,
        "valid falls by": 1 - best / base,
        "best and final differ": lora.fingerprint(run.best_model) != lora.fingerprint(run.final_model),
    }
    return figures, run


def _engine(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "engine", *arguments], check=True, stdout=subprocess.DEVNULL)


def bars(results: dict[str, Any]) -> list[tuple[str, float, str, bool]]:
    """What is asked of the model: name, figure, condition, and whether it holds."""
    codec, base, demo = results["codec SI-SDR, dB"], results["base prompts"], results["demo"]
    before, after, kept = (
        results["target prompts, base"],
        results["target prompts, best"],
        results["base prompts, best"],
    )
    conditions = [
        ("codec SI-SDR, mean, dB", float(np.mean(list(codec.values()))), ">=", 10),
        ("codec SI-SDR, worst style, dB", min(codec.values()), ">=", 5),
        ("style as asked", base["style as asked"], ">=", 0.8),
        ("tempo as asked", base["tempo as asked"], ">=", 0.7),
        ("onset rate within 30 %", base["onset rate within 30 %"], ">=", 0.7),
        ("flux against originals", base["flux against originals"], ">=", 0.5),
        ("target prompts heard as target, base", before["heard as target"], "<=", 0.2),
        ("target prompts heard as target, best", after["heard as target"], ">=", 0.75),
        ("base styles kept by best", kept["style as asked"], ">=", 0.6),
        ("valid loss falls by", demo["valid falls by"], ">=", 0.08),
        ("best and final differ", float(demo["best and final differ"]), ">=", 1),
        ("whole demo, s", demo["seconds in all"], "<=", 180),
    ]
    return [
        (name, figure, f"{sign} {bound:g}", figure >= bound if sign == ">=" else figure <= bound)
        for name, figure, sign, bound in conditions
    ]


def main() -> None:
    """Measures all bars, prints a table, writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, help="also draw spectrograms into this PNG file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        figures, run = run_demo(Path(folder))
        settings = run.settings()
        base, best = Model(settings), Model(settings, run.best_model)
        quality, judges, accuracy = measure_codec(base)
        asked, target = held_out_prompts(), target_prompts()
        results: dict[str, Any] = {
            "codec SI-SDR, dB": quality,
            "judges' own accuracy": accuracy,
            "base prompts": judge_prompts(base, asked, judges),
            "base prompts, best": judge_prompts(best, asked, judges),
            "target prompts, base": judge_prompts(base, target, judges),
            "target prompts, best": judge_prompts(best, target, judges),
            "demo": figures,
        }
        if arguments.picture:
            from spectrograms import draw

            draw(arguments.picture, base, best)
    table = bars(results)
    results["bars"] = {name: {"figure": figure, "bar": bar, "holds": holds} for name, figure, bar, holds in table}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    for name, figure, bar, holds in table:
        print(f"{'ok    ' if holds else 'MISSED'}  {name:<40} {figure:8.3f}   {bar}")
    print(f"judges: style {accuracy['style']:.3f}, tempo {accuracy['tempo']:.3f}")


if __name__ == "__main__":
    main()
