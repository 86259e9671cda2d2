"""Everything that can be known to be wrong before a run starts, each with its fix. Torch is asked about GPUs alone."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.contract import config, prompts
from engine.contract.errors import UserError
from engine.contract.plan import Plan, plan
from engine.data import captions, metadata, resources, split
from engine.data.audio import SHORTEST
from engine.data.findings import Finding, found
from engine.data.fingerprint import Shared, shared_audio
from engine.data.metadata import Clip
from engine.data.scan import Measured, scan
from engine.data.survey import window_count

TOLERANCE = 0.1
SILENT_SHARE = 0.20
CLIPPED_SHARE = 0.001
OFFSET = 0.01
WHOLE = 0.8
"""Two clips that share so much of the shorter one are the same clip; below, pieces of one track."""

Progress = Callable[[int, int], None]


def check(settings: config.Settings, progress: Progress | None = None) -> list[Finding]:
    """All findings on data, prompts, settings, model and machine. ``progress`` gets files listened to and in all."""
    findings, course = [], None
    asked, prompt_finding = _prompts(settings)
    facts = functools.cache(resources.facts_here)
    try:
        clips = metadata.read(settings.data)
    except UserError as error:
        findings.append(Finding("metadata", "block", 1, [], str(error), "Mend the metadata; see README, Data."))
    else:
        measured = scan([clip.audio for clip in clips], progress)
        course, step_findings = _steps(settings, clips, measured)
        findings += [
            *_files(clips, measured),
            *_sound(clips, measured, settings.data.duration),
            *_splits(clips, measured),
            *_captions(clips, asked, settings.model.base),
            *step_findings,
        ]
    return [
        *findings,
        prompt_finding,
        resources.model_finding(settings.model.base),
        *resources.target_findings(settings.lora),
        resources.torchaudio_finding(),
        resources.gpu_finding(settings, facts),
        *resources.time_findings(settings, course, len(asked), facts),
        resources.disk_finding(settings, course, len(asked)),
    ]


def fix_split(settings: config.Settings, progress: Progress | None = None) -> Path:
    """Write a metadata file that splits by track, beside the old one; returns its path."""
    clips = metadata.read(settings.data)
    shared = _shared(scan([clip.audio for clip in clips], progress))
    splits = split.split_by_track(clips, [(pair.a, pair.b) for pair in shared])
    return split.write_split(clips, splits, Path(settings.data.dir))


def _files(clips: list[Clip], measured: list[Measured]) -> list[Finding]:
    pairs = list(zip(clips, measured, strict=True))
    missing = [clip.name for clip, _ in pairs if not clip.audio.is_file()]
    broken = [m.error for clip, m in pairs if m.error and clip.audio.is_file()]
    return [
        found(
            "missing-file", "block", missing, "{n} files that the metadata names do not exist",
            "Bring them back, or take their entries out.", fine=f"all {len(clips)} files exist",
        ),
        found(
            "unreadable-audio", "block", broken, "{n} files cannot be read as audio",
            "Convert them to WAV or FLAC, or take their entries out.", fine="every file can be read",
        ),
    ]  # fmt: skip


def _sound(clips: list[Clip], measured: list[Measured], duration: float) -> list[Finding]:
    heard = [(clip.name, m) for clip, m in zip(clips, measured, strict=True) if not m.error]

    def cases(bad: Callable[[Measured], bool], tell: Callable[[Measured], str]) -> list[str]:
        return [f"{name}: {tell(m)}" for name, m in heard if bad(m)]

    return [
        _durations(heard, duration),
        found(
            "silence", "warn", cases(lambda m: m.silent > SILENT_SHARE, lambda m: f"{m.silent:.0%} silent"),
            "{n} clips are silent for more than a fifth (below -60 dBFS); the model would learn the silence",
            "Cut the silence off, or take the clips out.", fine="no clip is silent for more than a fifth",
        ),
        found(
            "clipping", "warn", cases(lambda m: m.clipped > CLIPPED_SHARE, lambda m: f"{m.clipped:.1%} of samples"),
            "{n} clips are clipped; the model would learn the distortion",
            "Export them again some dB lower.", fine="no clip is clipped",
        ),
        found(
            "dc-offset", "warn", cases(lambda m: m.offset > OFFSET, lambda m: f"mean {m.offset:.3f} of full scale"),
            "{n} clips have a DC offset", "Filter them with a high-pass at 20 Hz.", fine="no clip has a DC offset",
        ),
    ]  # fmt: skip


def _durations(heard: list[tuple[str, Measured]], duration: float) -> Finding:
    tiny = [f"{name}: {m.seconds:.2f} s" for name, m in heard if m.seconds < SHORTEST]
    short = [f"{name}: {m.seconds:.1f} s" for name, m in heard if SHORTEST <= m.seconds < duration - TOLERANCE]
    long = [f"{name}: {m.seconds:.1f} s" for name, m in heard if m.seconds > duration + TOLERANCE]
    fine = f"every clip lasts {duration:g} s"
    if tiny:
        message = "{n} clips are shorter than a second; nothing can be learned from them"
        return found("wrong-duration", "block", tiny, message, "Take them out.", fine=fine)
    if short:
        shortest = min(m.seconds for _, m in heard)
        message = f"{{n}} clips are shorter than data.duration = {duration:g} s; they are padded, the padding masked"
        fix = f"Set data.duration = {max(1, int(shortest * 10) / 10):g}, or take longer clips."
        return found("wrong-duration", "warn", short, message, fix, fine=fine)
    message = f"{{n}} clips are longer than data.duration = {duration:g} s; each gives floor(length / duration) windows"
    return found("wrong-duration", "info", long, message, "Nothing need be done.", fine=fine)


def _shared(measured: list[Measured]) -> list[Shared]:
    """Pairs that share audio: by content of the file, else by fingerprint."""
    prints = [np.zeros(0, np.uint32) if m.print is None else m.print for m in measured]
    pairs = {(pair.a, pair.b): pair for pair in shared_audio(prints)}
    first: dict[str, int] = {}
    for number, m in enumerate(measured):
        if m.digest:
            other = first.setdefault(m.digest, number)
            if other != number:
                pairs[other, number] = Shared(other, number, m.seconds, 1.0)
    return sorted(pairs.values())


def _splits(clips: list[Clip], measured: list[Measured]) -> list[Finding]:
    shared = _shared(measured)
    same = [pair for pair in shared if pair.share >= WHOLE]
    names = [clip.name for clip in clips]
    sides = [clip.split for clip in clips]
    across = {pair for pair in shared if {sides[pair.a], sides[pair.b]} == {"train", "valid"}}
    valid = [number for number, side in enumerate(sides) if side == "valid"]
    by_fix = "Let `mgl-tui check --fix-split` write a split by track."
    twice = [f"{names[p.a]} = {names[p.b]}{' (in both splits)' if p in across else ''}" for p in same]
    twins = {number for pair in same if pair in across for number in (pair.a, pair.b)}
    most = bool(valid) and sum(number in twins for number in valid) * 2 >= len(valid)
    fix = f"{by_fix} Take double clips out." if twins else "Take one of each out, or the run learns it twice as hard."
    return [
        found(
            "duplicate-audio", "block" if most else "warn", twice,
            "{n} pairs of clips are the same audio" + (", most valid clips are among the train clips" if most else ""),
            fix, fine="no audio stands twice",
        ),
        found(
            "track-leak", "warn", _leaks(clips, sorted(across)),
            "{n} tracks have pieces in train and in valid, so the valid loss flatters", by_fix,
            fine="no track is on both sides of the split",
        ),
        found(
            "no-valid-set", "block", [] if valid else ["valid/"],
            "no clip is in the valid split: nothing tells when to stop", by_fix, fine=f"{len(valid)} valid clips",
        ),
    ]  # fmt: skip


def _leaks(clips: list[Clip], across: list[Shared]) -> list[str]:
    by_track: dict[str, dict[str, str]] = defaultdict(dict)
    for track, clip in zip(split.track_names([clip.name for clip in clips]), clips, strict=True):
        by_track[track].setdefault(clip.split, clip.name)
    leaks = [
        f"{track}: {sides['train']} and {sides['valid']}"
        for track, sides in by_track.items()
        if {"train", "valid"} <= sides.keys()
    ]
    told = {name for sides in by_track.values() if {"train", "valid"} <= sides.keys() for name in sides.values()}
    for pair in across:
        a, b = clips[pair.a].name, clips[pair.b].name
        if not {a, b} <= told:
            leaks.append(f"{a} and {b} share {pair.seconds:.1f} s of audio")
    return leaks


def _captions(clips: list[Clip], asked: list[str], base: str) -> list[Finding]:
    try:
        tokenizer = captions.tokenizer_of(resources.model_folder(base))
    except UserError:
        tokenizer = None
    texts = [clip.text for clip in clips]
    slips = captions.misspellings(texts)
    trained = {captions.normal(clip.text) for clip in clips if clip.split == "train"}
    return [
        found(
            "caption-empty", "warn", [clip.name for clip in clips if captions.says_nothing(clip.text, tokenizer)],
            "{n} captions are empty, or nothing is left of them for the text encoder",
            "Describe the clips, or take them out.", fine="every clip has a caption",
        ),
        found(
            "text-damaged", "warn", [text[:80] for text in [*texts, *asked] if captions.is_damaged(text)],
            "{n} captions or prompts hold characters that nobody writes: controls, or letters lost in a conversion",
            "Write them anew; such characters are learned like others.", fine="captions and prompts are whole",
        ),
        found(
            "prompt-unread", "warn", [prompt for prompt in asked if captions.says_nothing(prompt, tokenizer)],
            "{n} evaluation prompts leave nothing for the text encoder to read",
            "Word the prompts anew.", fine="every prompt is read",
        ),
        found(
            "caption-too-long", "warn", [text[:80] for text in texts if captions.too_long(text, tokenizer)],
            f"{{n}} captions are longer than the {captions.T5_WINDOW} tokens that the text encoder reads",
            "Shorten them: what is beyond is cut off.", fine="every caption fits the text encoder",
        ),
        found(
            "caption-not-english", "warn", [text[:80] for text in texts if captions.is_foreign(text, tokenizer)],
            "{n} captions are not English, which is all that the text encoder was trained on",
            "Translate them.", fine="the captions are in letters that the text encoder knows",
        ),
        found(
            "caption-misspelling", "warn",
            [f'"{s.word}" ({s.times}x), perhaps "{s.meant}" ({s.meant_times}x)' for s in slips],
            "{n} words look like misspellings of a frequent one", "Mend the captions: to the model they are two words.",
            fine="no word looks like a misspelling of another",
        ),
        found(
            "prompt-in-captions", "warn", [prompt for prompt in asked if captions.normal(prompt) in trained],
            "{n} evaluation prompts repeat a training caption word for word: they test memory",
            "Word the prompts anew.", fine="no prompt repeats a training caption",
        ),
    ]  # fmt: skip


def _prompts(settings: config.Settings) -> tuple[list[str], Finding]:
    try:
        asked = [prompt.text for prompt in prompts.read(settings.evaluate.prompts_file)]
    except UserError as error:
        return [], Finding("prompts-file", "warn", 1, [], str(error), "Write one: without it no clips are made.")
    return asked, Finding("prompts-file", "ok", 0, [], f"{len(asked)} evaluation prompts")


def _steps(settings: config.Settings, clips: list[Clip], measured: list[Measured]) -> tuple[Plan | None, list[Finding]]:
    train = [m for clip, m in zip(clips, measured, strict=True) if clip.split == "train" and not m.error]
    rate = resources.frame_rate(settings.model.base)
    count = sum(window_count(m.seconds, settings.data.duration, rate) for m in train)
    try:
        course = plan(settings, count)
    except UserError as error:
        name = "warmup-too-long" if count else "no-train-set"
        fix = 'Set train.warmup_steps = "auto".' if count else "Put clips into the train/ folder."
        return None, [Finding(name, "block", 1, [], str(error), fix)]
    every = settings.train.save_steps
    return course, [
        Finding(
            "steps", "info", count, [],
            f"{count} train clips / {course.effective_batch} = {course.steps_per_epoch} steps an epoch, "
            f"{course.total_steps} in all, validation every {course.validate_every}",
        ),
        Finding("warmup-too-long", "ok", 0, [], f"the learning rate is up after {course.warmup_steps} steps"),
        found(
            "save-steps-unreached", "info", [] if course.checkpoints else [f"train.save_steps = {every}"],
            f"train.save_steps = {every} is not reached in {course.total_steps} steps; only the end is saved",
            f"Set train.save_steps = {max(1, course.total_steps // 4)} if the run may be interrupted.",
            fine=f"{course.checkpoints} checkpoints before the end",
        ),
    ]  # fmt: skip
