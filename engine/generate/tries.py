"""Tries on disk: FLAC files with their settings in their tags, and the list of them."""

from __future__ import annotations

import fcntl
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.contract import sound, tries, typed
from engine.contract.errors import UserError
from engine.contract.rundir import write_atomically
from engine.contract.tries import INDEX, Recipe, TryClip


class Folder:
    """A folder of tries. What was made before from the same recipe and weights is found again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made = {_sameness(clip): clip for clip in tries.read(path).value}

    def find(self, clip: TryClip) -> TryClip | None:
        """The clip that was made with these settings and weights and is still there."""
        found = self._made.get(_sameness(clip))
        return found if found is not None and sound.is_whole(self.path / found.file) else None

    def keep(self, clip: TryClip, audio: np.ndarray, rate: int) -> TryClip:
        """Write audio (channels, samples) and its line; returns the clip with its file's name. UserError if it cannot.

        The line is written last: what the list names is there whole.
        """
        clip = msgspec.structs.replace(clip, file=self._free_name(clip), t=round(time.time(), 3))
        path = self.path / clip.file
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(path, flac_bytes(audio, rate, clip))
            with open(self.path / INDEX, "ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(json.dumps(typed.data(clip), ensure_ascii=False).encode() + b"\n")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UserError(
                f"{path} cannot be written ({reason}); make room, then try again: the clips that are there are kept."
            ) from None
        self._made[_sameness(clip)] = clip
        return clip

    def _free_name(self, clip: TryClip) -> str:
        slug = re.sub(r"[^a-z0-9]+", "-", clip.prompt.lower()).strip("-")[:40].strip("-") or "prompt"
        model = re.sub(r"[^A-Za-z0-9._+-]+", "-", clip.model).strip("-")[-40:]
        strength = "" if clip.strength == 1 or clip.model == "base" else f"-x{clip.strength:g}"
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{slug}-{model}{strength}-seed{clip.seed}"
        name, n = f"{stem}.flac", 1
        while (self.path / name).exists():
            n += 1
            name = f"{stem}-{n}.flac"
        return name


def flac_bytes(audio: np.ndarray, rate: int, clip: TryClip) -> bytes:
    """A 16-bit FLAC file of audio (channels, samples); what exceeds full scale is clipped."""
    import soundfile

    samples = np.round(np.clip(np.nan_to_num(audio), -1.0, 1.0).T * 32767).astype(np.int16)
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, samples.shape[1], "PCM_16", format="FLAC") as file:
        file.title = clip.prompt
        file.software = "mgl-tui"
        file.comment = json.dumps(typed.data(clip), ensure_ascii=False)
        file.write(samples)
    return buffer.getvalue()


def _sameness(clip: TryClip) -> tuple[Any, ...]:
    # The strength is in the weights' digest, so that strength 0 of any adapter is the base model.
    recipe = [getattr(clip, name) for name in Recipe.__struct_fields__ if name != "strength"]
    return (*recipe, clip.weights, clip.arithmetic)
