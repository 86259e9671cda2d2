"""Everything that can be known to be wrong before a run starts, each with its fix. Torch is asked about GPUs alone."""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from engine.contract import config, prompts
from engine.contract.data import metadata, split
from engine.contract.data.checked import CheckedClip
from engine.contract.data.metadata import Clip
from engine.contract.errors import UserError
from engine.contract.paths import cache_dir
from engine.contract.plan import Plan, plan
from engine.data import captions, resources
from engine.data.caption_findings import caption_findings
from engine.data.findings import Case, Finding, found
from engine.data.fingerprint import Shared
from engine.data.folder_findings import file_findings, use_findings
from engine.data.scan import Measured, kept_file, scan
from engine.data.sound_findings import sound_findings
from engine.data.split_findings import pairs_of, split_findings
from engine.data.survey import window_count

Progress = Callable[[int, int], None]


class Checked(NamedTuple):
    findings: list[Finding]
    clips: list[CheckedClip]
    """In the metadata's order; empty when it cannot be read."""


def check(settings: config.Settings, progress: Progress | None = None) -> Checked:
    """All findings on data, prompts, settings, model and machine. ``progress`` gets files listened to and in all."""
    findings, rows, course = [], [], None
    asked, prompt_finding = _prompts(settings)
    facts = functools.cache(resources.facts_here)
    try:
        clips = metadata.read(settings.data)
    except UserError as error:
        findings.append(Finding("metadata", "block", 1, [], str(error), "Mend the metadata; see README, One evening."))
    else:
        rate, channels = resources.sound_of(settings.model.base)
        measured = _scan(settings.data, clips, channels, progress)
        shared = pairs_of(measured)
        # What was taken out is told of, and not found fault with.
        used = [number for number, clip in enumerate(clips) if not clip.is_out]
        place = {number: place for place, number in enumerate(used)}
        in_use, heard = [clips[number] for number in used], [measured[number] for number in used]
        between = [
            pair._replace(a=place[pair.a], b=place[pair.b]) for pair in shared if {pair.a, pair.b} <= place.keys()
        ]
        course, step_findings = _steps(settings, in_use, heard)
        findings += [
            *file_findings(in_use, heard, Path(settings.data.dir)),
            *use_findings(clips, settings.data),
            *sound_findings(in_use, heard, settings.data.duration, rate, channels),
            *split_findings(in_use, between, metadata.misplaced(Path(settings.data.dir))),
            *caption_findings(in_use, asked, _tokenizer(settings.model.base)),
            *step_findings,
        ]
        rows = _rows(clips, measured, shared, findings)
    findings += [
        prompt_finding,
        resources.model_finding(settings.model.base),
        *resources.target_findings(settings.lora),
        resources.torchaudio_finding(),
        resources.gpu_finding(settings, facts),
        *resources.time_findings(settings, course, len(asked), facts),
        resources.disk_finding(settings, course, len(asked)),
    ]
    return Checked(findings, rows)


def fix_split(settings: config.Settings, progress: Progress | None = None) -> Path:
    """Write a metadata file that splits by track, beside the old one; returns its path."""
    clips = metadata.read(settings.data)
    _, channels = resources.sound_of(settings.model.base)
    shared = pairs_of(_scan(settings.data, clips, channels, progress))
    splits = split.split_by_track(clips, [(pair.a, pair.b) for pair in shared])
    return split.write_split(clips, splits, Path(settings.data.dir))


def _scan(data: config.Data, clips: list[Clip], channels: int, progress: Progress | None) -> list[Measured]:
    kept = kept_file(cache_dir(data.cache_dir), Path(data.dir))
    return scan([clip.audio for clip in clips], channels, kept, progress)


def _rows(
    clips: list[Clip], measured: list[Measured], shared: list[Shared], findings: list[Finding]
) -> list[CheckedClip]:
    concerned = defaultdict(list)
    for finding in findings:
        for name in finding.clips:
            concerned[name].append(finding.id)
    tracks = split.tracks(clips, [(pair.a, pair.b) for pair in shared])
    return [
        CheckedClip(
            name=clip.name,
            split=clip.split,
            track=track,
            seconds=round(m.seconds, 3),
            lufs=round(m.lufs, 2) if math.isfinite(m.lufs) else None,
            sample_rate=m.rate,
            channels=m.channels,
            caption=clip.text,
            findings=concerned[clip.name],
        )
        for clip, track, m in zip(clips, tracks, measured, strict=True)
    ]


def _tokenizer(base: str) -> Any:
    try:
        return captions.tokenizer_of(resources.model_folder(base))
    except UserError:
        return None


def _prompts(settings: config.Settings) -> tuple[list[str], Finding]:
    try:
        asked = [prompt.text for prompt in prompts.read(settings.evaluate.prompts_file)]
    except UserError as error:
        return [], Finding("prompts-file", "warn", 1, [], str(error), "Write one: without it no clips are made.")
    return asked, Finding("prompts-file", "ok", 0, [], _counted(len(asked), "evaluation prompt"))


def _steps(settings: config.Settings, clips: list[Clip], measured: list[Measured]) -> tuple[Plan | None, list[Finding]]:
    train = [m for clip, m in zip(clips, measured, strict=True) if clip.split == "train" and not m.error]
    rate = resources.frame_rate(settings.model.base)
    count = sum(window_count(m.seconds, settings.data.duration, rate) for m in train)
    if not count:
        message = "no clip that can be read is in the train split"
        return None, [Finding("no-train-set", "block", 1, [], message, "Put clips into the train/ folder.")]
    # Without the warm-up that may be refused: what it blocks is told all the same.
    course = plan(config.override(settings, ['train.warmup_steps="auto"']), count)
    try:
        warmup = Finding(
            "warmup-too-long", "ok", 0, [], f"the learning rate is up after {plan(settings, count).warmup_steps} steps"
        )
    except UserError as error:
        warmup = Finding("warmup-too-long", "block", 1, [], str(error), 'Set train.warmup_steps = "auto".')
    every = settings.train.save_steps
    unreached = [] if course.checkpoints else [Case(f"train.save_steps = {every}")]
    return course, [
        Finding(
            "steps", "info", count, [],
            f"{_counted(count, 'train clip')} / {course.effective_batch} = "
            f"{_counted(course.steps_per_epoch, 'step')} an epoch, {course.total_steps} in all, "
            f"validation every {course.validate_every}",
        ),
        warmup,
        found(
            "save-steps-unreached", "info", unreached,
            f"train.save_steps = {every} is not reached in {_counted(course.total_steps, 'step')}; only the end is "
            "saved",
            f"Set train.save_steps = {max(1, course.total_steps // 4)} if the run may be interrupted.",
            fine=f"{_counted(course.checkpoints, 'checkpoint')} before the end",
        ),
    ]  # fmt: skip


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
