"""One picture of the demo model: every style as original, after the codec, and generated; LoRA before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from judge import HOP, RATE, log_mel

from engine.demo import synth
from engine.demo.corpus import held_out_prompts
from engine.demo.render import PROMPTS, demo_clips
from engine.demo.styles import BASE_STYLES

SECONDS = 8


def draw(file: Path, base: Any, best: Any) -> None:
    """Writes the PNG; `base` and `best` generate clips (see demo_model.Model)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    asked = {clip.style: (clip, text) for clip, text in held_out_prompts()}
    prompts = [asked[style][1] for style in BASE_STYLES]
    generated = base.generate(prompts, seed=0)
    rows = []
    for style, samples in zip(BASE_STYLES, generated, strict=True):
        original = synth.render(asked[style][0])
        rows.append((style, [original, base.round_trip(original), samples]))
    clip, _ = demo_clips()["valid"][0]
    original = synth.render(clip)
    rows.append(("gamelan (target)", [original, base.round_trip(original), None]))
    for number in (1, 3):
        pair = [model.generate([PROMPTS[number]], seed=0)[0] for model in (base, best)]
        rows.append((f'"{PROMPTS[number]}"', [None, *pair]))

    figure, axes = pyplot.subplots(len(rows), 3, figsize=(11, 1.15 * len(rows)), sharex=True, sharey=True)
    for axis, title in zip(axes[0], ("original", "after the codec", "generated"), strict=True):
        axis.set_title(title, fontsize=9)
    for number, (name, clips) in enumerate(rows):
        for axis, samples in zip(axes[number], clips, strict=True):
            axis.set_xticks(range(0, SECONDS * RATE // HOP + 1, RATE // HOP), range(SECONDS + 1), fontsize=6)
            axis.set_yticks([])
            if samples is None:
                axis.set_axis_off()
            else:
                axis.imshow(_picture(samples), origin="lower", aspect="auto", cmap="magma", vmin=-7, vmax=0)
        label = axes[number][0] if clips[0] is not None else axes[number][1]
        label.set_ylabel(name if clips[0] is not None else "before LoRA", fontsize=7)
        if clips[0] is None:
            axes[number][2].set_ylabel("after LoRA", fontsize=7)
            axes[number][1].set_title(name, fontsize=7, pad=2)
    figure.tight_layout(pad=0.4)
    figure.savefig(file, dpi=80)


def _picture(samples: np.ndarray) -> np.ndarray:
    mel = log_mel(samples[: SECONDS * RATE])
    return mel - mel.max()
