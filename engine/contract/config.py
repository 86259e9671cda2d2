"""Every setting: name, type, default, range, unit, meaning. TOML in, TOML out.

This is the one table of settings: validation, the form in the panel, the comments in config.toml and the difference
of two runs all come from it.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from engine.contract.errors import UserError
from engine.contract.paths import expanded
from engine.contract.text import decoded, is_whole

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Auto = Literal["auto"]
DEFAULT_TAGS = [
    "on-style",
    "off-style",
    "generic",
    "good-timbre",
    "noise",
    "unstable",
    "fades-out",
    "silent",
    "loops",
    "rhythm-off",
    "clipping",
    "timbre-off",
]


class SettingsError(UserError):
    """A setting that is unknown, of the wrong type, or out of range."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_default=True, strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _files_can_have_the_names(self) -> Section:
        for name, value in self:
            if isinstance(value, str) and "\0" in value:
                raise ValueError(f"{type(self).__name__.lower()}.{name} = {json.dumps(value)} holds a NUL character")
        return self


def setting(default: Any, meaning: str, *, unit: str = "", **limits: Any) -> Any:
    return Field(default, description=meaning, json_schema_extra={"unit": unit} if unit else None, **limits)


class Model(Section):
    """The model that is fine-tuned."""

    base: str = setting(
        "facebook/musicgen-small",
        'A hub name, a folder that from_pretrained loads, or "demo" for the embedded small model.',
        min_length=1,
    )


class Data(Section):
    """What it learns from."""

    dir: str = setting("data", "Folder that holds the metadata file and the audio.", min_length=1)
    metadata: str = setting("metadata.json", "Metadata file inside the data folder.", min_length=1)
    duration: float = setting(15.0, "Length of a training clip.", unit="s", ge=1.0, le=30.0)
    cache_dir: str = setting("auto", 'Where codes and text states are kept for all runs; "auto" is the user cache.')


class Lora(Section):
    """The adapter (LoRA, Hu et al. 2021)."""

    rank: int = setting(12, "Rank of the update matrices.", ge=1, le=512)
    alpha: int = setting(24, "Scale of the update; the update is multiplied by alpha / rank.", ge=1, le=2048)
    dropout: float = setting(0.05, "Dropout on the adapter's input.", ge=0.0, lt=1.0)
    target_modules: list[str] = setting(
        ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"], "Linear layers of the decoder that get an adapter."
    )
    rslora: bool = setting(False, "Scale by alpha / sqrt(rank) instead (rank-stabilised LoRA).")
    start_from: str = setting(
        "", "Adapter that training goes on from: a folder, or RUN:best or RUN:final of a run beside; empty begins anew."
    )


class Train(Section):
    """How it learns."""

    learning_rate: float = setting(1e-4, "Peak learning rate.", gt=0.0, le=1.0)
    batch_size: int = setting(2, "Clips in one forward pass.", unit="clips", ge=1, le=4096)
    gradient_accumulation_steps: int = setting(4, "Forward passes an optimizer step.", ge=1, le=4096)
    micro_batch: int | Auto = setting(
        "auto",
        'Clips that are on the device at once; "auto" is the whole step on a GPU (16 at most), halved while memory '
        "runs out. "
        "The clips of an optimizer step stay batch_size x gradient_accumulation_steps.",
        unit="clips",
    )
    epochs: int = setting(1, "Passes over the training clips.", ge=1, le=10000)
    warmup_steps: int | Auto = setting(
        "auto", 'Optimizer steps until the learning rate is up; "auto" is 50, or 8 % of the steps if that is less.'
    )
    schedule: Literal["cosine", "linear", "constant"] = setting("cosine", "Learning rate after the warm-up.")
    weight_decay: float = setting(0.01, "AdamW's decoupled weight decay.", ge=0.0, le=1.0)
    beta1: float = setting(0.9, "AdamW's first decay rate.", ge=0.0, lt=1.0)
    beta2: float = setting(0.99, "AdamW's second decay rate.", ge=0.0, lt=1.0)
    max_grad_norm: float = setting(1.0, "Gradients are clipped to this norm.", gt=0.0)
    text_dropout: float = setting(
        0.1, "Share of clips trained without their caption, which guidance needs (pretraining: 0.3).", ge=0.0, le=1.0
    )
    model_dropout: float = setting(0.0, "Dropout inside the frozen decoder (pretraining: 0).", ge=0.0, lt=1.0)
    device: Literal["auto", "cuda", "cpu"] = setting(
        "auto", "Where training and clips are computed; auto is the GPU where there is one."
    )
    precision: Literal["fp16", "bf16", "fp32"] = setting("fp16", "Arithmetic on the GPU; a CPU always uses fp32.")
    gradient_checkpointing: bool = setting(False, "Recompute activations in the backward pass: less memory, slower.")
    compile: bool = setting(False, "torch.compile the decoder: pays for long runs on a GPU.")
    validate_steps: int | Auto = setting(
        "auto", 'Optimizer steps between validations; "auto" is about ten validations a run.', unit="steps"
    )
    validate_train_sample: bool = setting(
        False, "Also validate on a fixed sample of the training clips, so that train and valid compare."
    )
    save_steps: int = setting(200, "Optimizer steps between checkpoints.", unit="steps", ge=1)
    keep_checkpoints: int = setting(2, "Checkpoints kept; older ones are removed.", ge=1)
    logging_steps: int = setting(1, "Optimizer steps between train events.", unit="steps", ge=1)
    early_stopping: int = setting(0, "Stop after this many validations without a new best; 0 never does.", ge=0)
    start_gate: bool = setting(True, "Refuse to train when the base model starts at or above blind guessing.")
    report_to: Literal["none", "tensorboard", "wandb", "trackio"] = setting("none", "Also report curves to a tracker.")
    seed: int = setting(0, "Seed of initialisation, order and dropout.", ge=0, le=2**31 - 1)

    @field_validator("micro_batch", "validate_steps", mode="after")
    @classmethod
    def _at_least_one(cls, value: Any) -> Any:
        if value != "auto" and value < 1:
            raise ValueError('allowed: "auto" or a whole number from 1')
        return value

    @field_validator("warmup_steps", mode="after")
    @classmethod
    def _not_negative(cls, value: Any) -> Any:
        if value != "auto" and value < 0:
            raise ValueError('allowed: "auto" or a whole number from 0')
        return value


class Evaluate(Section):
    """The clips that are made to be listened to."""

    prompts_file: str = setting("prompts.json", "Prompts: a JSON list, or a text file with one a line.", min_length=1)
    duration: float = setting(15.0, "Length of a generated clip.", unit="s", ge=1.0, le=30.0)
    guidance_scale: float = setting(3.0, "Classifier-free guidance; 1 is none.", ge=1.0, le=20.0)
    top_k: int = setting(250, "Sample among the k likeliest codes; 0 is all.", ge=0)
    top_p: float = setting(0.0, "Sample among the likeliest codes that hold this share; 0 is off.", ge=0.0, lt=1.0)
    temperature: float = setting(1.0, "Sampling temperature.", gt=0.0, le=5.0)
    seed: int = setting(0, "Seed of the noise that all models of a prompt share.", ge=0, le=2**31 - 1)
    repeats: int = setting(1, "Clips a prompt and model, each with a seed of its own.", ge=1, le=16)
    every: int = setting(0, "Optimizer steps between samples while training; 0 makes none.", unit="steps", ge=0)
    batch_size: int | Auto = setting(
        "auto", 'Prompts decoded at once, halved when memory runs out; "auto" is 8.', unit="prompts"
    )
    clap_model: str = setting("", "CLAP model (hub name or folder) for a text-audio score; empty is none.")

    @field_validator("batch_size", mode="after")
    @classmethod
    def _at_least_one(cls, value: Any) -> Any:
        if value != "auto" and value < 1:
            raise ValueError('allowed: "auto" or a whole number from 1')
        return value


class Review(Section):
    """The listening session."""

    tags: list[str] = setting(DEFAULT_TAGS, "Tags a clip can get.", min_length=1, max_length=26)
    mode: Literal["scores", "ranking"] = setting("scores", "Score each clip 1-5, or rank the clips of a prompt.")
    repeats: int = setting(0, "Prompts that come again, hidden, to measure the listener's own noise.", ge=0, le=8)
    advance: Literal["score", "enter"] = setting(
        "score", "What goes on to the next clip: a score by itself, or enter, with score, tags and note in any order."
    )
    restart_on_switch: bool = setting(False, "Start from the beginning at a switch instead of keeping the position.")
    training_item: bool = setting(True, "Begin with one prompt that is not counted.")
    must_rate: bool = setting(False, "Go on to the next prompt only when all clips are rated.")
    min_listen: float = setting(
        1.0, "Least time a clip must have sounded, or to its end, before it is judged.", unit="s", ge=0, le=30
    )


class Audio(Section):
    """How clips reach the loudspeaker."""

    output: Literal["auto", "local", "browser", "pulse", "pacat", "none"] = setting(
        "auto", "Route of the sound; auto takes the first that works."
    )
    browser_port: int = setting(8765, "Loopback port of the page that plays in a browser; 0 takes any.", ge=0, le=65535)
    browser_socket: str = setting(
        "", "Unix socket for that page, yours alone, on a server shared with others; empty is none."
    )
    latency: float = setting(0.2, "Buffer of the sound device.", unit="s", ge=0.01, le=2.0)


class Runs(Section):
    """Where runs are."""

    dir: str = setting("runs", "Folder of the runs.", min_length=1)


class Panel(Section):
    """How the panel looks and calls."""

    theme: str = setting("mgl", "Colour theme; the palette lists them.", min_length=1)
    notify: Literal["none", "bell", "osc9"] = setting("none", "Signal to the terminal when a run ends.")


class Run(Section):
    """Where this run comes from; the program writes it into a run's own file."""

    parent: str = setting("", "Name of the run that this one was made from; empty for one made from settings alone.")
    why: str = setting("", "What it was made for: the rule or the sentence that led to it.")
    sweep: str = setting("", "Name of the sweep that it is a member of; empty for a run on its own.")
    finalists: int = setting(0, "Of a sweep: how many of its best settings get clips.", ge=0)
    imported: bool = setting(False, "It was made by another script and brought in; its settings are not known.")


class Settings(Section):
    """All settings of a run and of the panel."""

    model: Model = Model()
    data: Data = Data()
    lora: Lora = Lora()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    review: Review = Review()
    audio: Audio = Audio()
    runs: Runs = Runs()
    panel: Panel = Panel()
    run: Run = Run()

    @model_validator(mode="after")
    def _micro_batch_divides(self) -> Settings:
        clips = self.train.batch_size * self.train.gradient_accumulation_steps
        if isinstance(self.train.micro_batch, int) and clips % self.train.micro_batch:
            raise ValueError(
                f"train.micro_batch = {self.train.micro_batch} does not divide the {clips} clips of an optimizer step; "
                f"take one of {', '.join(str(n) for n in range(1, clips + 1) if clips % n == 0)}"
            )
        return self


class Change(NamedTuple):
    """One setting that differs: dotted name, value in the first, value in the second."""

    name: str
    old: Any
    new: Any


def fields() -> dict[str, Any]:
    """Dotted name -> pydantic FieldInfo (default, description, limits in ``metadata``), in the order of the file."""
    return {
        f"{section}.{name}": info
        for section, outer in Settings.model_fields.items()
        for name, info in outer.annotation.model_fields.items()  # type: ignore[union-attr]
    }


def values(settings: Settings) -> dict[str, Any]:
    """Dotted name -> value."""
    return {
        f"{section}.{name}": value for section, part in settings.model_dump().items() for name, value in part.items()
    }


def difference(a: Settings, b: Settings) -> list[Change]:
    """Settings that differ from ``a`` to ``b``, in the order of the file."""
    old, new = values(a), values(b)
    return [Change(name, old[name], new[name]) for name in old if old[name] != new[name]]


def parse(table: dict[str, Any], where: str = "the settings") -> Settings:
    """Settings from a nested table. Raises SettingsError naming the setting, its value and what is allowed."""
    try:
        return Settings.model_validate(table)
    except ValidationError as error:
        raise SettingsError(_sentence(error, where)) from None


def loads(text: str, where: str = "the settings") -> Settings:
    """Settings from TOML text; what it leaves out has its default."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{where} is no valid TOML ({error}); mend that line.") from None
    return parse(table, where)


def load(path: Path | str) -> Settings:
    """Settings of a file; its relative paths are taken relative to the file and come back absolute."""
    path = Path(path)
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingsError(f"{path} cannot be read as a settings file ({reason}); check the path.") from None
    except ValueError as error:
        raise SettingsError(f"The settings file {path} {error}; save it as UTF-8.") from None
    return resolved(loads(text, str(path)), path.resolve().parent)


def resolved(settings: Settings, folder: Path) -> Settings:
    """The same settings with relative paths made absolute against ``folder``."""

    def absolute(value: str) -> str:
        return str(folder / expanded(value))

    table = settings.model_dump()
    for section, name in (("data", "dir"), ("evaluate", "prompts_file"), ("runs", "dir")):
        table[section][name] = absolute(table[section][name])
    if table["data"]["cache_dir"] != "auto":
        table["data"]["cache_dir"] = absolute(table["data"]["cache_dir"])
    start = table["lora"]["start_from"]
    if start.startswith((".", "~")) or "/" in start:
        table["lora"]["start_from"] = absolute(start)
    base = table["model"]["base"]
    # A hub name is never written with a dot or a slash in front; a folder that exists wins over a hub name.
    if base != "demo" and (base.startswith((".", "~", "/")) or os.path.isdir(folder / base)):
        table["model"]["base"] = absolute(base)
    return parse(table)


def override(settings: Settings, assignments: list[str]) -> Settings:
    """Settings with ``section.name=value`` assignments applied; the value is TOML, or a bare word."""
    table = settings.model_dump()
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not equals:
            raise SettingsError(f'"{assignment}" sets nothing; write section.name=value, such as lora.rank=16.')
        if name not in fields():
            raise SettingsError(f'Unknown setting "{name}" in "{assignment}"; {_nearest(name)}.')
        section, key = name.split(".")
        try:
            table[section][key] = tomllib.loads(f"x = {text}")["x"]
        except (ValueError, RecursionError):
            table[section][key] = text.strip()
    return parse(table, "the command line")


def dumps(settings: Settings) -> str:
    """The settings as TOML, each with its meaning, unit and range as a comment."""
    lines = []
    for section in Settings.model_fields:
        part = getattr(settings, section)
        if part == Run():
            # It says nothing, and in the file that a person keeps it would only ask to be filled in.
            continue
        lines += ["", f"[{section}]", f"# {(type(part).__doc__ or '').strip()}"]
        for name, info in type(part).model_fields.items():
            lines.append(f"{name} = {_toml(getattr(part, name))}  # {info.description}{_annotation(info)}")
    return "\n".join(lines[1:]) + "\n"


def choices(info: Any) -> list[str]:
    """The words that a setting may be, if it can be nothing else; true and false of a switch."""
    if info.annotation is bool:
        return ["true", "false"]
    arguments = getattr(info.annotation, "__args__", ())
    words = [word for word in arguments if isinstance(word, str)]
    return words if len(words) == len(arguments) else []


def allowed(info: Any) -> str:
    """What a setting may be, in words: "a whole number >= 1 and <= 512", or the list of choices."""
    options = getattr(info.annotation, "__args__", ())
    if options and choices(info):
        return "one of " + ", ".join(choices(info))
    if bool is info.annotation:
        return "true or false"
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    limits = [f"{sign} {getattr(m, key):,}" for m in info.metadata for key, sign in signs.items() if hasattr(m, key)]
    kind = {int: "a whole number", float: "a number", str: "a text in quotes"}.get(info.annotation, "")
    if options and not kind:
        kind = '"auto" or a whole number' if int in options else "a list of texts"
    return " ".join([kind, " and ".join(limits)]).strip()


def unit(info: Any) -> str:
    """Unit of a setting; empty where it has none."""
    return str((info.json_schema_extra or {}).get("unit", ""))


def _annotation(info: Any) -> str:
    words = allowed(info)
    limits = words if words.startswith(("one of", "a number", "a whole number")) else ""
    notes = [note for note in (unit(info), limits) if note]
    return f" ({', '.join(notes)})" if notes else ""


def _toml(value: Any) -> str:
    # Strings, numbers, booleans and lists of strings are written the same way in JSON and in TOML; 1e-05 is valid too.
    # Only DEL may not stand in TOML as it is.
    # Half a character, as in the name of a parent run whose bytes are no UTF-8, cannot be written at all.
    text = json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()
    return text.replace("\x7f", "\\u007f")


def _sentence(error: ValidationError, where: str) -> str:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] == "value_error" and len(path) < 2:
        return f"{first['msg'].removeprefix('Value error, ')} (in {where})."
    name = ".".join(path[:2]) or "the whole"
    if first["type"] == "extra_forbidden":
        return f'Unknown setting "{name}" in {where}; {_nearest(name)}.'
    info = fields().get(name)
    given = first["input"]
    if isinstance(given, str) and not is_whole(given):
        return f"{name} = {given} in {where} holds bytes that are no UTF-8, which no settings file can; rename it."
    if info is None:
        return f"[{name}] in {where} is {given!r}; write it as a section of settings."
    return f"{name} = {json.dumps(given, default=str)} in {where} is not allowed; allowed: {allowed(info)}."


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, list(fields()), n=1, cutoff=0.5)
    section = name.split(".")[0]
    if close:
        return f"did you mean {close[0]}"
    if section in Settings.model_fields:
        return f"[{section}] knows " + ", ".join(n.split(".")[1] for n in fields() if n.startswith(section + "."))
    return "the sections are " + ", ".join(Settings.model_fields)
