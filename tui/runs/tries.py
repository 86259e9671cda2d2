"""Tries without a screen: what is asked for, what was made, a clip that is kept, a prompt that is taken up."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile

from engine.contract import config, prompts, tries, user_files
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir, write_atomically
from engine.contract.text import decoded
from engine.contract.tries import Try, TryClip

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
_NAMES = {
    "models": "models", "seconds": "seconds", "guidance": "guidance_scale", "temperature": "temperature",
    "top-k": "top_k", "strength": "strength", "seed": "seed",
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How the next clips are made."""

    models: tuple[str, ...] = ("base", "best")
    strength: float = 1.0
    seconds: float = 15.0
    seed: int = 0
    guidance_scale: float = 3.0
    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 0.0
    new_seed: bool = False
    """Another seed for every try."""
    on_cpu: bool = False

    def wish(self, number: int, run: RunDir, prompt: str, variations: int = 1) -> Try:
        """The request. Raises UserError for what no model could make."""
        wish = Try(
            id=number, run=str(run.path.resolve()), prompt=prompt, models=list(self.models), strength=self.strength,
            seconds=self.seconds, seed=self.seed, guidance_scale=self.guidance_scale, temperature=self.temperature,
            top_k=self.top_k, top_p=self.top_p, variations=variations,
        )  # fmt: skip
        tries.refuse(wish)
        return wish

    def other_seed(self) -> Options:
        return replace(self, seed=random.randrange(1_000_000))

    def stepped(self, direction: int) -> Options:
        """The next smaller or larger strength."""
        beyond = [value for value in STRENGTHS if (value - self.strength) * direction > 1e-9]
        return replace(self, strength=min(beyond, key=lambda value: abs(value - self.strength), default=self.strength))

    def text(self) -> str:
        """As it is typed: ``models=base,best seconds=15 ...``."""
        values = {name: getattr(self, field) for name, field in _NAMES.items()}
        return " ".join(f"{name}={_typed(value)}" for name, value in values.items())

    def changed(self, text: str) -> Options:
        """With what was typed. Raises UserError for a name that is none, or a value that cannot be."""
        changes: dict[str, object] = {}
        for word in text.split():
            name, equals, value = word.partition("=")
            if not equals or name not in _NAMES:
                raise UserError(f"{word} is no setting of a try; write NAME=VALUE with {', '.join(_NAMES)}.")
            changes[_NAMES[name]] = self._value(name, value)
        new = replace(self, **changes)  # type: ignore[arg-type]
        new.wish(0, RunDir("run"), "any")
        return new

    def _value(self, name: str, value: str) -> object:
        if name == "models":
            return tuple(part for part in value.split(",") if part)
        try:
            return int(value) if isinstance(getattr(self, _NAMES[name]), int) else float(value)
        except ValueError:
            raise UserError(f"{name}={value} is no number; write it like {name}={_typed(self._usual(name))}.") from None

    def _usual(self, name: str) -> object:
        return getattr(Options(), _NAMES[name])


def _typed(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def options(usual: config.Evaluate) -> Options:
    """Those of a run's evaluation."""
    return Options(
        seconds=usual.duration, seed=usual.seed, guidance_scale=usual.guidance_scale, temperature=usual.temperature,
        top_k=usual.top_k, top_p=usual.top_p,
    )  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Clips that differ in nothing but the model: same prompt, same noise."""

    prompt: str
    seed: int
    clips: tuple[TryClip, ...]


def groups(clips: Sequence[TryClip]) -> list[Group]:
    """Clips (newest first) that compare, the group of the newest first; within one base comes first."""
    found: dict[tuple[object, ...], list[TryClip]] = {}
    for clip in clips:
        key = (clip.prompt, clip.seed, clip.seconds, clip.guidance_scale, clip.temperature, clip.top_k, clip.top_p)
        found.setdefault(key, []).append(clip)
    return [
        Group(
            key[0], key[1],  # type: ignore[arg-type]
            tuple(sorted(alike, key=lambda clip: (clip.model != "base", clip.model, clip.strength))),
        )
        for key, alike in found.items()
    ]  # fmt: skip


def label(clip: TryClip) -> str:
    """A clip's model, with its strength where that is not 1."""
    return clip.model if clip.strength == 1 else f"{clip.model} x {clip.strength:g}"


def keep(source: Path, target: Path) -> None:
    """Copy a clip to a WAV or FLAC file with its tags. Raises UserError; a file that is there is not overwritten."""
    kind = target.suffix.lower().removeprefix(".")
    if kind not in ("wav", "flac"):
        raise UserError(f"{target} is kept as WAV or FLAC; end its name in .wav or .flac.")
    if target.exists():
        raise UserError(f"{target} exists and is not overwritten; take another name.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if kind == "flac":
            write_atomically(target, source.read_bytes())
            return
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            _as_wav(source, Path(folder) / "clip.wav")
            (Path(folder) / "clip.wav").replace(target)
    except soundfile.LibsndfileError:
        raise UserError(f"{source} is damaged, or {target} cannot be written; make the clip again.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{target} cannot be written ({getattr(error, 'strerror', None) or error}).") from None


def _as_wav(source: Path, target: Path) -> None:
    with (
        soundfile.SoundFile(source) as clip,
        soundfile.SoundFile(target, "w", clip.samplerate, clip.channels, clip.subtype, format="WAV") as file,
    ):
        for tag in ("title", "software", "comment"):
            setattr(file, tag, getattr(clip, tag))
        file.write(clip.read(dtype="int16", always_2d=True))


def take_up(prompt: str, file: Path) -> bool:
    """Put a prompt at the end of a prompts file, a new one where there is none; False when it stands there already.

    Raises UserError when the file is broken or cannot be written; it then is as it was.
    """
    remedy = "set evaluate.prompts_file to another file"
    real = user_files.target(file, lambda content: True, remedy)
    known = prompts.read(real) if real.exists() else []
    if prompt in [one.text for one in known]:
        return False
    user_files.write(real, _with(prompt, real), remedy)
    return True


def _with(prompt: str, file: Path) -> str:
    content = decoded(file.read_bytes()) if file.exists() else ""
    more = f"{content}{'' if not content or content.endswith(chr(10)) else chr(10)}"
    form = prompts.form_of(file, content)
    if form == "lines":
        return f"{more}{prompt}\n"
    if content.lstrip().startswith("{") and file.suffix.lower() != ".json":
        return f"{more}{json.dumps({'prompt': prompt}, ensure_ascii=False)}\n"
    rows = json.loads(content) if content.strip() and form == "json" else []
    if form == "table" or not isinstance(rows, list):
        raise UserError(f"{file} is no list of prompts; put this one there by hand, or set evaluate.prompts_file.")
    rows.append({"prompt": prompt} if rows and isinstance(rows[-1], dict) else prompt)
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
