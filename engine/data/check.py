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
from engine.data.scan import Measured, kept_file, scan
from engine.data.sound_findings import file_findings, sound_findings
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
        measured = _scan(settings.data, clips, progress)
        # What was taken out is told of, and not found fault with.
        used = [(clip, m) for clip, m in zip(clips, measured, strict=True) if not clip.is_out]
        in_use, heard = [clip for clip, _ in used], [m for _, m in used]
        course, step_findings = _steps(settings, in_use, heard)
        findings += [
            *file_findings(in_use, heard),
            *sound_findings(in_use, heard, settings.data.duration),
            *split_findings(in_use, pairs_of(heard)),
            *caption_findings(in_use, asked, _tokenizer(settings.model.base)),
            *step_findings,
        ]
        rows = _rows(clips, measured, pairs_of(measured), findings)
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
    shared = pairs_of(_scan(settings.data, clips, progress))
    splits = split.split_by_track(clips, [(pair.a, pair.b) for pair in shared])
    return split.write_split(clips, splits, Path(settings.data.dir))


def _scan(data: config.Data, clips: list[Clip], progress: Progress | None) -> list[Measured]:
    return scan([clip.audio for clip in clips], kept_file(cache_dir(data.cache_dir), Path(data.dir)), progress)


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
            "save-steps-unreached", "info", [] if course.checkpoints else [Case(f"train.save_steps = {every}")],
            f"train.save_steps = {every} is not reached in {course.total_steps} steps; only the end is saved",
            f"Set train.save_steps = {max(1, course.total_steps // 4)} if the run may be interrupted.",
            fine=f"{course.checkpoints} checkpoints before the end",
        ),
    ]  # fmt: skip
