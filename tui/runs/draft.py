"""A run that is being put together: settings that start from another run's, and what they would mean.

Pure: no screen, no process. Values go in by name, a checked Settings comes out.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from engine.contract import config
from engine.contract.errors import UserError
from engine.contract.plan import Plan, plan
from engine.contract.text import plain
from tui.runs import sweep
from tui.runs.history import NAN, History
from tui.runs.store import RunSummary, changes

GROUPS: dict[str, tuple[str, ...]] = {
    "data": ("model.base", "data.dir", "data.metadata", "data.duration"),
    "LoRA": ("lora.rank", "lora.alpha", "lora.dropout", "lora.target_modules", "lora.rslora"),
    "optimiser": (
        "train.learning_rate", "train.batch_size", "train.gradient_accumulation_steps", "train.epochs",
        "train.warmup_steps", "train.schedule", "train.text_dropout", "train.weight_decay", "train.max_grad_norm",
        "train.precision", "train.seed",
    ),
    "run": ("train.save_steps", "train.validate_steps", "train.early_stopping"),
    "clips": (
        "evaluate.prompts_file", "evaluate.duration", "evaluate.guidance_scale", "evaluate.top_k",
        "evaluate.temperature", "evaluate.seed", "evaluate.repeats",
    ),
}  # fmt: skip
"""What the form shows first, by group; every other setting of a run follows under "more"."""

LABELS = {
    "model.base": "base model", "data.dir": "data folder", "train.gradient_accumulation_steps": "accumulation",
    "train.learning_rate": "learning rate", "lora.target_modules": "target modules", "train.warmup_steps": "warm-up",
    "train.batch_size": "batch size", "train.text_dropout": "text dropout", "train.weight_decay": "weight decay",
    "train.max_grad_norm": "max grad norm", "train.save_steps": "save every", "train.validate_steps": "validate every",
    "train.early_stopping": "early stopping", "evaluate.prompts_file": "prompts", "evaluate.duration": "clip length",
    "evaluate.guidance_scale": "guidance", "evaluate.top_k": "top k", "evaluate.seed": "clip seed",
    "evaluate.repeats": "clips a prompt", "data.duration": "train length",
}  # fmt: skip

STEPS: dict[str, tuple[Any, ...]] = {
    "lora.rank": (4, 8, 12, 16, 24, 32, 48, 64, 128),
    "lora.alpha": (8, 12, 16, 24, 32, 48, 64, 96, 128, 256),
    "lora.dropout": (0.0, 0.05, 0.1, 0.2),
    "train.learning_rate": (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 3e-4, 5e-4, 1e-3),
    "train.batch_size": (1, 2, 4, 8, 16, 32),
    "train.gradient_accumulation_steps": (1, 2, 4, 8, 16, 32),
    "train.epochs": (1, 2, 3, 5, 10, 20, 50),
    "train.warmup_steps": ("auto", 0, 5, 10, 20, 50, 100, 200),
    "train.text_dropout": (0.0, 0.1, 0.2, 0.3),
    "train.weight_decay": (0.0, 0.001, 0.01, 0.05, 0.1),
    "train.max_grad_norm": (0.1, 0.5, 1.0, 2.0, 5.0),
    "train.save_steps": (10, 25, 50, 100, 200, 500, 1000),
    "train.validate_steps": ("auto", 5, 10, 25, 50, 100, 200),
    "train.early_stopping": (0, 2, 3, 5, 10),
    "data.duration": (5.0, 10.0, 15.0, 20.0, 30.0),
    "evaluate.duration": (5.0, 10.0, 15.0, 20.0, 30.0),
    "evaluate.guidance_scale": (1.0, 2.0, 3.0, 4.0, 5.0),
    "evaluate.top_k": (0, 50, 100, 250, 500),
    "evaluate.temperature": (0.8, 0.9, 1.0, 1.1, 1.2),
    "evaluate.repeats": (1, 2, 3, 4),
}
MOST_AXES = 2
"""Settings beside the seed that the form lets vary at once."""
_OF_A_RUN = ("model.", "data.", "lora.", "train.", "evaluate.")


class Preset(NamedTuple):
    name: str
    why: str


PRESETS = {
    "1": Preset("one-epoch gate", "one pass with everything else as it is: does it learn at all?"),
    "2": Preset("stability", "half the learning rate, gradients clipped at 0.5, stop when nothing gets better"),
    "3": Preset("more capacity", "twice the rank, alpha twice the rank"),
    "4": Preset("longer", "three times the epochs, stop after three validations without a new best"),
}


def preset_changes(key: str, settings: config.Settings) -> dict[str, Any]:
    """What a preset changes, by dotted name."""
    train, rank = settings.train, settings.lora.rank
    changed: dict[str, dict[str, Any]] = {
        "1": {"train.epochs": 1, "train.warmup_steps": "auto"},
        "2": {"train.learning_rate": train.learning_rate / 2, "train.max_grad_norm": 0.5, "train.early_stopping": 3},
        "3": {"lora.rank": min(512, rank * 2), "lora.alpha": min(2048, rank * 4)},
        "4": {"train.epochs": train.epochs * 3, "train.early_stopping": 3, "train.warmup_steps": "auto"},
    }
    return changed[key]


def setting_names() -> list[tuple[str, list[str]]]:
    """(group, dotted names) in the order of the form; together all settings of a run."""
    groups = [(group, list(names)) for group, names in GROUPS.items()]
    shown = {name for _, names in groups for name in names}
    rest = [name for name in config.fields() if name.startswith(_OF_A_RUN) and name not in shown]
    return [*groups, ("more", rest)]


def label(name: str) -> str:
    return LABELS.get(name, name.split(".", 1)[1].replace("_", " "))


@dataclass
class Draft:
    """Settings on the way to a run."""

    base: config.Settings
    base_name: str
    """Run it starts from; empty for the panel's own settings."""
    name: str
    """Of the run to be."""
    why: str = ""
    """What it is made for: the advice it comes from."""
    settings: config.Settings = field(init=False)
    axes: dict[str, list[Any]] = field(default_factory=dict, init=False)
    """Settings that take several values, with those: with any it is a sweep."""

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Every setting as in the base run."""
        self.settings, self.axes = self.base, {}
        # A settings file is UTF-8: a name that is none cannot be kept, only what is shown of it.
        # The place that the base run has in a sweep is not this one's.
        run = config.Run(parent=plain(self.base_name), why=plain(self.why))
        self.put({f"run.{name}": value for name, value in run})

    def value(self, name: str) -> Any:
        section, key = name.split(".")
        return getattr(getattr(self.settings, section), key)

    def base_value(self, name: str) -> Any:
        section, key = name.split(".")
        return getattr(getattr(self.base, section), key)

    def put(self, changed: dict[str, Any]) -> None:
        """Take these values. Raises SettingsError, and changes nothing, when one is not allowed."""
        table = self.settings.model_dump()
        for name, value in changed.items():
            section, key = name.split(".")
            if name not in config.fields():
                raise config.SettingsError(f'Unknown setting "{name}".')
            table[section][key] = value
        self.settings = config.parse(table, "New run")

    def type_in(self, name: str, text: str) -> None:
        """Take a value as it was typed: a number, a word, or a list with commas. Raises SettingsError."""
        text = text.strip()
        if isinstance(self.base_value(name), list):
            self.put({name: [word.strip().strip('"') for word in text.strip("[]").split(",") if word.strip()]})
        elif isinstance(self.base_value(name), str) and text != "auto" and not _is_auto(name):
            self.put({name: text})
        elif isinstance(self.base_value(name), bool) and text.lower() in ("yes", "no"):
            self.put({name: text.lower() == "yes"})
        else:
            self.settings = config.override(self.settings, [f"{name}={text}"])

    def vary(self, name: str, text: str) -> None:
        """Take the values of a setting that stand between commas; one alone is its value. Raises UserError."""
        if isinstance(self.base_value(name), bool):
            text = text.lower().replace("yes", "true").replace("no", "false")
        values = sweep.axis(self.settings, f"{name}={text.strip().strip(',')}")[1]
        others = [other for other in self.axes if other not in (name, "train.seed")]
        if len(values) > 1 and len(others) >= MOST_AXES and name != "train.seed":
            raise UserError(
                f"{' and '.join(map(label, others))} take several values already; a sweep is over two settings and the "
                "seed (mgl-tui sweep takes more)."
            )
        if len(values) > 1:
            self.axes[name] = values
        else:
            self.put({name: values[0]})
            self.axes.pop(name, None)

    @property
    def size(self) -> int:
        """Runs that are made of it."""
        return sweep.size(self.axes)

    def members(self, finalists: int) -> list[sweep.Member]:
        """The runs of the sweep. Raises UserError for values that are not allowed together, and a grid too large."""
        return sweep.grid(self.settings, self.axes, 1, self.name, finalists)

    def step(self, name: str, direction: int) -> None:
        """Take the next larger or smaller value of a setting; at the ends it stays."""
        choices = candidates(name, self.value(name))
        if choices:
            at = choices.index(self.value(name))
            self.put({name: choices[max(0, min(len(choices) - 1, at + direction))]})

    def changes(self) -> list[config.Change]:
        """What differs from the base run and matters for the result."""
        return changes(self.base, self.settings)

    def course(self, train_clips: int) -> Plan:
        """Steps, warm-up, validations. Raises UserError when the warm-up cannot end."""
        return plan(self.settings, train_clips)

    def command(self, config_path: Path | None) -> str:
        """The command line that makes the same run."""
        words = ["mgl-tui", "sweep" if self.axes else "train"]
        if config_path is not None:
            words += ["--config", str(config_path)]
        for change in self.changes():
            if change.name not in self.axes:
                words += ["--set", f"{change.name}={json.dumps(change.new, ensure_ascii=False)}"]
        for name, values in self.axes.items():
            words += ["--set", f"{name}={','.join(map(_bare, values))}"]
        if self.why:
            words += ["--set", f"run.why={json.dumps(self.why, ensure_ascii=False)}"]
        return shlex.join([*words, "--name", self.name])


def _bare(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_auto(name: str) -> bool:
    return "auto" in str(config.fields()[name].annotation)


def candidates(name: str, value: Any) -> list[Any]:
    """Values to step through, the present one among them; [] for what can only be typed."""
    info = config.fields()[name]
    if info.annotation is bool:
        return [False, True]
    words = [word for word in getattr(info.annotation, "__args__", ()) if isinstance(word, str)]
    if words and len(words) == len(info.annotation.__args__):
        return words
    known = list(STEPS.get(name, ()))
    if not known and isinstance(value, int) and not isinstance(value, str):
        known = [value - 1, value + 1]
    if not known:
        return []
    if value not in known:
        known.append(value)
    numbers = sorted(v for v in known if not isinstance(v, str))
    return [v for v in known if isinstance(v, str)] + [v for v in numbers if _allowed(info, v)]


def _allowed(info: Any, value: Any) -> bool:
    return all(
        value >= getattr(limit, "ge", value) and value <= getattr(limit, "le", value)
        and (not hasattr(limit, "gt") or value > limit.gt) and (not hasattr(limit, "lt") or value < limit.lt)
        for limit in info.metadata
    )  # fmt: skip


class Estimate(NamedTuple):
    """What a run will take; NaN where nothing like it has been measured here."""

    train_seconds: float
    clip_seconds: float
    memory: float
    """Bytes at the peak."""
    source: str
    """The run that the figures come from, and what was measured; empty when there is none."""
    guess: bool
    """The run differs so much from the source that the figures are scaled or only a hint."""


def estimate(draft: Draft, course: Plan | None, source: RunSummary | None, history: History | None) -> Estimate:
    """Time and memory from what a run on this machine took before, scaled to the clips of a step."""
    if source is None or history is None or source.settings is None or not history.steps:
        return Estimate(NAN, NAN, NAN, "", True)
    old, new = source.settings, draft.settings
    pace = history.seconds_per_step(10_000)
    scale = _clips(new) / _clips(old) * new.data.duration / old.data.duration
    train_seconds = course.total_steps * pace * scale if course is not None else NAN
    clips = history.phase_seconds.get("evaluating", 0.0) or NAN
    clips *= new.evaluate.repeats * new.evaluate.duration / (old.evaluate.repeats * old.evaluate.duration)
    same = all(_value(old, name) == _value(new, name) for name in _MEMORY) and old.model == new.model
    memory = max(history.gpu_peak.values(), default=NAN) if same else NAN
    like = scale == 1 and old.model == new.model and _value(old, "lora.rank") == _value(new, "lora.rank")
    return Estimate(train_seconds, clips, memory, f"{source.name}: {pace:.2f} s/step", not like)


_MEMORY = ("train.batch_size", "train.micro_batch", "train.precision", "train.gradient_checkpointing", "data.duration")


def _value(settings: config.Settings, name: str) -> Any:
    section, key = name.split(".")
    return getattr(getattr(settings, section), key)


def _clips(settings: config.Settings) -> int:
    return settings.train.batch_size * settings.train.gradient_accumulation_steps


def measured_like(draft: Draft, summaries: Iterable[RunSummary]) -> RunSummary | None:
    """The run whose figures fit best: the one it starts from, else the newest with the same base model."""
    known = [s for s in summaries if s.settings is not None and s.step > 1]
    same = [s for s in known if s.settings is not None and s.settings.model == draft.settings.model]
    return next((s for s in same if s.name == draft.base_name), next(iter(same), None))


class Finding(NamedTuple):
    """One line of the checks; severity is block, warn, info or ok."""

    severity: str
    message: str
    fix: str = ""
    id: str = ""
    examples: tuple[str, ...] = ()


def own_findings(draft: Draft, runs_dir: Path, running: Iterable[str]) -> list[Finding]:
    """What can be said at once, without looking at the data: the name, and whether the machine is taken."""
    from engine.contract.rundir import checked_name, free_name

    found = []
    try:
        checked_name(draft.name)
    except UserError as error:
        found.append(Finding("block", str(error)))
    else:
        if (runs_dir / draft.name).exists():
            other = free_name(runs_dir, draft.name)
            found.append(Finding("block", f"{draft.name} exists and is never overwritten", f"{other} is free."))
        else:
            found.append(Finding("ok", "the name is new"))
    return found + [Finding("warn", f"{name} is running", "Q puts this one behind it.") for name in running]
