"""What is wrong with captions and prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from engine.contract.data.metadata import Clip
from engine.data import captions
from engine.data.findings import Case, Finding, found

SHOWN = 80
"""Characters of a text that an example shows."""


def caption_findings(clips: list[Clip], asked: list[str], tokenizer: Any) -> list[Finding]:
    """Of the clips' captions and the prompts ``asked``; ``tokenizer`` is the base model's, None without one."""

    def cases(bad: Callable[[str], bool]) -> list[Case]:
        return [Case(clip.text[:SHOWN] or clip.name, (clip.name,)) for clip in clips if bad(clip.text)]

    def prompts(bad: Callable[[str], bool]) -> list[Case]:
        return [Case(text[:SHOWN]) for text in asked if bad(text)]

    again = Counter(map(captions.normal, asked))
    trained = {captions.normal(clip.text) for clip in clips if clip.split == "train"}
    return [
        found(
            "caption-empty", "warn", cases(lambda text: captions.says_nothing(text, tokenizer)),
            "{n} caption{s} {are} empty, or nothing is left of {them} for the text encoder",
            "Describe what is heard, or take the clips out.", fine="every clip has a caption",
        ),
        found(
            "text-damaged", "warn", [*cases(captions.is_damaged), *prompts(captions.is_damaged)],
            "{n} caption{s} or prompt{s} {have} characters that nobody writes: controls, or letters lost in a "
            "conversion",
            "Write them anew; such characters are learned like others.", fine="captions and prompts are whole",
        ),
        found(
            "prompt-unread", "warn", prompts(lambda text: captions.says_nothing(text, tokenizer)),
            "{n} evaluation prompt{s} leave{verb_s} nothing for the text encoder to read",
            "Word the prompts anew.", fine="every prompt is read",
        ),
        found(
            "caption-too-long", "warn", cases(lambda text: captions.too_long(text, tokenizer)),
            f"{{n}} caption{{s}} {{are}} longer than the {captions.T5_WINDOW} tokens that the text encoder reads",
            "Shorten them: what is beyond is cut off.", fine="every caption fits the text encoder",
        ),
        found(
            "caption-not-english", "warn", cases(lambda text: captions.is_foreign(text, tokenizer)),
            "{n} caption{s} {are} not English, which is all that the text encoder was trained on",
            "Translate them.", fine="the captions are in letters that the text encoder knows",
        ),
        found(
            "caption-misspelling", "warn", _misspelled(clips),
            "{n} word{s} look{verb_s} like a misspelling of a frequent one",
            "Mend the captions: to the model they are two words.", fine="no word looks like a misspelling of another",
        ),
        found(
            "prompt-too-long", "warn", prompts(lambda text: captions.too_long(text, tokenizer)),
            f"{{n}} evaluation prompt{{s}} {{are}} longer than the {captions.T5_WINDOW} tokens that the text encoder "
            "reads",
            "Shorten them: what is beyond is cut off.", fine="every prompt fits the text encoder",
        ),
        found(
            "prompt-not-english", "warn", prompts(lambda text: captions.is_foreign(text, tokenizer)),
            "{n} evaluation prompt{s} {are} not English, which is all that the text encoder was trained on",
            "Translate them.", fine="the prompts are in letters that the text encoder knows",
        ),
        found(
            "prompt-misspelling", "warn", _misspelled_prompts(clips, asked),
            "{n} word{s} of evaluation prompts look{verb_s} like a misspelling of a frequent one of the captions",
            "Mend the prompts: they ask for a word that was not trained.",
            fine="no prompt misspells a word of the captions",
        ),
        found(
            "prompt-twice", "warn", [Case(text[:SHOWN]) for text, times in again.items() if times > 1],
            "{n} evaluation prompt{s} stand{verb_s} more than once in the file",
            "Take one of each out; evaluate.repeats makes several clips of a prompt.", fine="no prompt stands twice",
        ),
        found(
            "prompt-in-captions", "warn", prompts(lambda text: captions.normal(text) in trained),
            "{n} evaluation prompt{s} repeat{verb_s} a training caption word for word, which tests memory",
            "Word the prompts anew.", fine="no prompt repeats a training caption",
        ),
    ]  # fmt: skip


def _misspelled_prompts(clips: list[Clip], asked: list[str]) -> list[Case]:
    return [
        Case(f'"{slip.word}", perhaps "{slip.meant}" ({slip.meant_times}x in captions)')
        for slip in captions.misspellings([clip.text for clip in clips], asked)
    ]


def _misspelled(clips: list[Clip]) -> list[Case]:
    cases = []
    for slip in captions.misspellings([clip.text for clip in clips]):
        told = f'"{slip.word}" ({slip.times}x), perhaps "{slip.meant}" ({slip.meant_times}x)'
        cases.append(Case(told, tuple(clip.name for clip in clips if slip.word in captions.words(clip.text))))
    return cases
