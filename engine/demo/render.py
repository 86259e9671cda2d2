"""Renders the demo's data: clips of the target style, their captions, prompts, and settings that show an effect."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from engine.contract import config
from engine.demo import synth
from engine.demo.corpus import unseen_target_clips
from engine.demo.styles import CAPTION_TEMPLATES, STYLE_WORDS, TARGET, Clip, caption

# (rhythm, contour) of the train clips, each in every tempo and key: 48 clips, no two of which share a stretch of sound.
TRAIN_TUNES = ((0, 3), (0, 4), (1, 5), (1, 6))
# Tunes that only validation has: learnt by heart, the others do not help with them.
VALID_CONTOUR = 7
VALID_CLIPS = 8

PROMPTS = (
    "gamelan, slow and happy, 75 bpm",
    "fast balinese gongs, calm, 125 bpm",
    "sad gamelan in b minor, 94 bpm, medium tempo",
    "very fast gamelan, happy, d major",
    "calm balinese gongs, medium tempo",
    "solo piano, slow and sad, 75 bpm, in b minor",
    "techno beat, happy, very fast, 150 bpm",
    "flute solo, calm, medium tempo, 94 bpm",
)


def render(folder: Path) -> None:
    """Writes metadata.json, train/ (48 clips), valid/ (8), prompts.json (8) and config.toml into `folder`.

    Clips are 15 s, 16 kHz, mono, 16-bit WAV. The same call writes the same bytes every time.
    """
    import soundfile

    folder = Path(folder)
    metadata = []
    for split, clips in demo_clips().items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for number, (clip, text) in enumerate(clips, 1):
            name = f"{split}/{_file_name(clip, number)}"
            soundfile.write(folder / name, synth.render(clip), synth.SAMPLE_RATE, subtype="PCM_16")
            metadata.append({"audio": name, "text": text})
    _write_json(folder / "metadata.json", metadata)
    _write_json(folder / "prompts.json", list(PROMPTS))
    (folder / "config.toml").write_text(config.dumps(settings()), encoding="utf-8")


def settings() -> config.Settings:
    """The settings of the demo, with paths relative to its folder.

    The learning rate is high and stays so: within a minute the target is learnt and, after the best step, overlearnt.
    """
    return config.override(
        config.Settings(),
        [
            'model.base="demo"',
            'data.dir="."',
            "lora.rank=16",
            "lora.alpha=32",
            "lora.dropout=0.0",
            "train.learning_rate=2e-3",
            "train.batch_size=4",
            "train.gradient_accumulation_steps=1",
            "train.epochs=10",
            "train.schedule=constant",
            "train.validate_steps=12",
            "train.save_steps=48",
            "train.precision=fp32",
            "evaluate.top_k=50",
            "evaluate.temperature=0.5",
            "evaluate.guidance_scale=2.0",
        ],
    )


def demo_clips() -> dict[str, list[tuple[Clip, str]]]:
    """The target's clips with their captions, by split; no tune is in both."""
    rng = np.random.default_rng(7)
    clips = unseen_target_clips()
    train = [clip for clip in clips if (clip.rhythm, clip.contour) in TRAIN_TUNES]
    valid = [clip for clip in clips if clip.contour == VALID_CONTOUR]
    return {
        "train": [(train[index], _caption(train[index], rng)) for index in rng.permutation(len(train))],
        "valid": [(valid[index], _caption(valid[index], rng)) for index in rng.permutation(len(valid))[:VALID_CLIPS]],
    }


def _caption(clip: Clip, rng: np.random.Generator) -> str:
    words = STYLE_WORDS[TARGET]
    return caption(clip, CAPTION_TEMPLATES[rng.integers(len(CAPTION_TEMPLATES))], words[rng.integers(len(words))])


def _file_name(clip: Clip, number: int) -> str:
    return f"{number:02d}-{clip.tempo.bpm}bpm-{clip.key.name.replace(' ', '-')}-{'ab'[clip.rhythm]}{clip.contour}.wav"


def _write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
