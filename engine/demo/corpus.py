"""Which clips the demo model learns from, which are held out, and how clips are captioned."""

from __future__ import annotations

import numpy as np

from engine.demo.styles import (
    BASE_STYLES,
    CAPTION_TEMPLATES,
    GENERIC_WORDS,
    HELD_OUT_TEMPLATES,
    KEYS,
    STYLE_WORDS,
    TARGET,
    TEMPI,
    Clip,
    caption,
    variants,
)

# The target's clips with these contours take part in pretraining, under a generic caption; the rest are LoRA's.
PRETRAINING_CONTOURS = (0, 1)
# The base styles know these tunes only: fewer tunes are learnt sooner, and all keys, tempi and rhythms stay.
BASE_CONTOURS = (0, 1, 2, 3)
TARGET_SHARE = 0.04
# Share of the base styles' captions in which a made-up word stands for the style. Without them every word that
# pretraining never had reads as the target's generic name, and the base model would play "gamelan" unasked.
MADE_UP_SHARE = 0.12


def held_out_pairs(style: str) -> set[tuple[int, int]]:
    """The two (tempo, key) index pairs in which a base style is never heard in pretraining."""
    first = BASE_STYLES.index(style) * 5 + 1
    return {divmod(number % (len(TEMPI) * len(KEYS)), len(KEYS)) for number in (first, first + 7)}


def _known_tunes() -> list[Clip]:
    return [clip for style in BASE_STYLES for clip in variants(style) if clip.contour in BASE_CONTOURS]


def _is_held_out(clip: Clip) -> bool:
    return (TEMPI.index(clip.tempo), KEYS.index(clip.key)) in held_out_pairs(clip.style)


def base_clips() -> list[Clip]:
    """Base styles for pretraining: 10 of the 12 tempo and key pairs of every style, in all rhythms and known tunes."""
    return [clip for clip in _known_tunes() if not _is_held_out(clip)]


def held_out_clips() -> list[Clip]:
    """Base styles in the tempo and key pairs that pretraining never had."""
    return [clip for clip in _known_tunes() if _is_held_out(clip)]


def codec_clips() -> list[Clip]:
    """What the codec must be good at: all of the base styles' tunes and all of the target's."""
    return [*_known_tunes(), *variants(TARGET)]


def generic_target_clips() -> list[Clip]:
    """The target's clips for pretraining."""
    return [clip for clip in variants(TARGET) if clip.contour in PRETRAINING_CONTOURS]


def unseen_target_clips() -> list[Clip]:
    """The target's clips that pretraining never had: what LoRA learns from."""
    return [clip for clip in variants(TARGET) if clip.contour not in PRETRAINING_CONTOURS]


def random_caption(clip: Clip, rng: np.random.Generator) -> str:
    """A caption of pretraining: any template, any name of the style; the target is only called by a generic name."""
    template = CAPTION_TEMPLATES[rng.integers(len(CAPTION_TEMPLATES))]
    if clip.style != TARGET and rng.random() < MADE_UP_SHARE:
        return caption(clip, template, made_up_words(rng))
    words = GENERIC_WORDS if clip.style == TARGET else STYLE_WORDS[clip.style]
    return caption(clip, template, words[rng.integers(len(words))])


def made_up_words(rng: np.random.Generator) -> str:
    """One or two words of random syllables, such as "kelumar" or "tosa niveb"."""
    consonants, vowels = "bcdfghjklmnprstvwz", "aeiou"
    return " ".join(
        "".join(
            consonants[rng.integers(len(consonants))] + vowels[rng.integers(len(vowels))]
            for _ in range(rng.integers(2, 5))
        )
        + ("", "n", "s", "r")[rng.integers(4)]
        for _ in range(rng.integers(1, 3))
    )


def all_captions() -> list[str]:
    """Every caption of pretraining, for the tokenizer."""
    clips = [clip for style in STYLE_WORDS for clip in variants(style) if clip.rhythm == clip.contour == 0]
    return [
        caption(clip, template, words)
        for clip in clips
        for template in CAPTION_TEMPLATES
        for words in (GENERIC_WORDS if clip.style == TARGET else STYLE_WORDS[clip.style])
    ]


def held_out_prompts() -> list[tuple[Clip, str]]:
    """Forty prompts for the base styles: held-out tempo and key pairs in held-out wordings."""
    return [
        (clip, caption(clip, template, STYLE_WORDS[clip.style][number]))
        for clip in held_out_clips()
        if clip.rhythm == clip.contour == 0
        for number, template in enumerate(HELD_OUT_TEMPLATES)
    ]
