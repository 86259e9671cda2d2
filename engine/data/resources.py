"""What a run needs of the machine: the model, memory, disk, packages that fit each other.

Imports torch on machines with a GPU alone.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.contract import config
from engine.contract.cards import ON_CPU, Facts, Nvml, trouble
from engine.contract.errors import UserError
from engine.contract.plan import Plan
from engine.data import outlook
from engine.data.findings import Finding
from engine.model import fetch, locate
from engine.model.base import resolve_base
from engine.model.targets import refuse_strangers

SMALL_DECODER = {
    "hidden_size": 1024, "ffn_dim": 4096, "num_hidden_layers": 24, "num_codebooks": 4, "vocab_size": 2048,
    "num_attention_heads": 16,
}  # fmt: skip
"""musicgen-small's decoder, reckoned with while the model is not here yet."""
FRAME_RATE = 50
SAMPLE_RATE = 32000
CUDA_CONTEXT = 0.6e9
GIGA = 1e9


def model_folder(base: str) -> Path | None:
    """Folder of the base model if it is on this machine. Raises UserError for a folder that is none."""
    if base != "demo" and not Path(base).is_dir() and locate.is_hub_name(base):
        found = locate.cached(base)
        return locate.checked_folder(found) if found else None
    return resolve_base(base)


def model_finding(base: str) -> Finding:
    try:
        folder = model_folder(base)
    except UserError as error:
        return Finding("model-missing", "block", 1, [base], str(error), "Set model.base to a model that is there.")
    if folder:
        return Finding("model-missing", "ok", 0, [], f"the base model is in {folder}")
    command = f"hf download {base}"
    if locate.offline():
        message = f"{base} is not in the local cache, and HF_HUB_OFFLINE is set"
        return Finding("model-missing", "block", 1, [base], message, f"Unset it, or run `{command}` with a network.")
    try:
        size = fetch.size(base)
    except UserError as error:
        return Finding("model-missing", "block", 1, [base], str(error), "Set model.base to a model that is there.")
    told = f" ({size / GIGA:.1f} GB)" if size else ""
    message = f"{base} is not in the local cache; the run will fetch it first{told}"
    return Finding("model-missing", "warn", 1, [base], message, f"Run `{command}` beforehand.")


def decoder_config(base: str) -> dict[str, Any]:
    """The decoder's sizes, of musicgen-small while the model is not here."""
    try:
        folder = model_folder(base)
        if folder is None:
            return SMALL_DECODER
        return {**SMALL_DECODER, **json.loads((folder / "config.json").read_text())["decoder"]}
    except (UserError, OSError, ValueError, KeyError):
        return SMALL_DECODER


def frame_rate(base: str) -> float:
    """Frames a second of the base model's codes; MusicGen's 50 while the model is not here."""
    try:
        codec = _config(base)["audio_encoder"]
        return float(codec["sampling_rate"] / math.prod(codec["upsampling_ratios"]))
    except (KeyError, TypeError, ValueError):
        return FRAME_RATE


def sound_of(base: str) -> tuple[int, int]:
    """Sample rate in Hz and channels that the base model hears; musicgen-small's while the model is not here."""
    known = _config(base)
    try:
        return int(known["audio_encoder"]["sampling_rate"]), int(known["decoder"].get("audio_channels", 1))
    except (KeyError, TypeError, ValueError, AttributeError):
        return SAMPLE_RATE, 1


def _config(base: str) -> dict[str, Any]:
    try:
        folder = model_folder(base)
        return dict(json.loads((folder / "config.json").read_text())) if folder else {}
    except (UserError, OSError, ValueError, TypeError):
        return {}


def target_findings(lora: config.Lora) -> list[Finding]:
    """One finding when the adapters are wanted on layers that there are not."""
    try:
        refuse_strangers(lora.target_modules)
    except UserError as error:
        return [Finding("lora-targets", "block", 1, list(lora.target_modules), str(error), "Take the others out.")]
    return []


def lora_parameters(decoder: dict[str, Any], lora: config.Lora) -> int:
    """Trainable parameters of the adapters."""
    width, inner = decoder["hidden_size"], decoder["ffn_dim"]
    # Self and cross attention each have one of the four square matrices.
    sizes = {name: 2 * 2 * width for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
    sizes |= {"fc1": width + inner, "fc2": width + inner}
    return decoder["num_hidden_layers"] * lora.rank * sum(sizes.get(name, 0) for name in set(lora.target_modules))


def gpu_bytes(decoder: dict[str, Any], settings: config.Settings, micro: int, frames: int) -> float:
    """Estimate of the GPU memory that training takes with ``micro`` clips of ``frames`` at once."""
    width, inner, layers = decoder["hidden_size"], decoder["ffn_dim"], decoder["num_hidden_layers"]
    half = 2 if settings.train.precision != "fp32" else 4
    weights = layers * (8 * width**2 + 2 * width * inner) * half
    embeddings = decoder["num_codebooks"] * decoder["vocab_size"] * width * (4 + half)
    # Weights, gradients and Adam's two moments in fp32.
    adapters = lora_parameters(decoder, settings.lora) * 16
    # Kept for the backward pass, a position and layer: 66 kB for the small decoder in fp16, counted tensor by tensor.
    kept = width * (5 * 4 + 8 * half) + inner * 3.5 * half
    activations = frames * kept * (2 if settings.train.gradient_checkpointing else layers)
    logits = decoder["num_codebooks"] * frames * decoder["vocab_size"] * (half + 8)
    return CUDA_CONTEXT + weights + embeddings + adapters + micro * (activations + logits)


def gpu_finding(settings: config.Settings, facts: Callable[[], Facts] | None = None) -> Finding:
    """Whether the GPU that the run would use can be used, and holds it; ``facts`` default to those of this machine."""
    train = settings.train
    if train.device == "cpu":
        return Finding("gpu-memory", "info", 0, [], 'train.device = "cpu": training runs on the CPU, in fp32')
    seen = (facts or facts_here)()
    found = trouble(seen)
    if found:
        return Finding("gpu-unseen", "block", 1, list(seen.listed), found.message, f"{found.fix}; {ON_CPU}.")
    if not seen.cards:
        message = "no NVIDIA GPU here: training runs on the CPU, in fp32"
        if seen.hidden:
            message = "CUDA_VISIBLE_DEVICES hides every GPU: training runs on the CPU, in fp32"
        if train.device == "cuda":
            fix = f'{ON_CPU}; "auto" takes what is there.'
            return Finding("gpu-unseen", "block", 1, [], message.replace("runs", "would run"), fix)
        return Finding("gpu-memory", "info", 0, [], message, "Use a machine with a GPU for models of full size.")
    card = seen.cards[0]
    decoder, frames = decoder_config(settings.model.base), round(settings.data.duration * FRAME_RATE)
    micro = 1 if train.micro_batch == "auto" else train.micro_batch
    rates = outlook.rates_of(seen)
    scale = outlook.memory_scale(
        rates, lambda count: _own_bytes(SMALL_DECODER, config.Settings(), count, outlook.FRAMES)
    )
    need = CUDA_CONTEXT + scale * _own_bytes(decoder, settings, micro, frames)
    message = (
        f"about {need / GIGA:.1f} GB of the {card.memory / GIGA:.1f} GB of {card.name} with {micro} clip(s) at once"
    )
    if need < card.memory:
        return Finding("gpu-memory", "ok", 0, [], message)
    fix = "Set train.gradient_checkpointing = true, train.micro_batch = 1, or a smaller base model."
    return Finding("gpu-memory", "warn", 1, [], message, fix)


def _own_bytes(decoder: dict[str, Any], settings: config.Settings, micro: int, frames: int) -> float:
    return gpu_bytes(decoder, settings, micro, frames) - CUDA_CONTEXT


def time_findings(
    settings: config.Settings, course: Plan | None, prompts: int, facts: Callable[[], Facts]
) -> list[Finding]:
    """How long training and clips take at the rates that were measured of the card; [] where none were."""
    rates = None if settings.train.device == "cpu" or course is None else outlook.rates_of(facts())
    if rates is None or course is None:
        return []
    sizes, rate = decoder_config(settings.model.base), frame_rate(settings.model.base)
    clips = course.total_steps * course.effective_batch
    training = outlook.training_seconds(
        settings, clips, sizes, SMALL_DECODER, round(settings.data.duration * rate), rates
    )
    decoding = outlook.clips_seconds(
        settings, prompts, sizes, SMALL_DECODER, round(settings.evaluate.duration * rate), rates
    )
    parts = [(training, "of training"), (decoding, "of clips")]
    told = [f"{_minutes(seconds)} {what}" for seconds, what in parts if seconds is not None]
    if not told:
        return []
    return [Finding("gpu-time", "info", 0, [], f"about {' and '.join(told)} at this card's measured rates")]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(seconds, 1):.0f} s"


def facts_here() -> Facts:
    nvml = Nvml()
    if not nvml.handles() and not nvml.error:
        # Without a card there is nothing to ask torch about, whose import takes seconds.
        return Facts()
    try:
        from engine import device
    except Exception as error:
        return Facts(**nvml.facts(), cuda_error=f"{type(error).__name__}: {error}")
    return device.facts()


def disk_finding(settings: config.Settings, plan: Plan | None, prompts: int) -> Finding:
    """Disk the run will take: checkpoints with Adam's moments, best and final, and the clips."""
    adapter = lora_parameters(decoder_config(settings.model.base), settings.lora) * 4
    kept = min(settings.train.keep_checkpoints, plan.checkpoints + 1 if plan else 1) + 1
    clips = 3 * prompts * settings.evaluate.repeats * settings.evaluate.duration * 32000 * 2
    need = adapter * (3 * kept + 2) + clips
    folder = Path(settings.runs.dir).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    message = f"the run takes about {need / GIGA:.2f} GB; {free / GIGA:.1f} GB are free on {folder}"
    if free > need * 1.1:
        return Finding("disk-space", "ok", 0, [], message)
    fix = "Free space, lower train.keep_checkpoints, or set runs.dir to another disk."
    return Finding("disk-space", "block" if free < need else "warn", 1, [str(folder)], message, fix)


def torchaudio_finding() -> Finding:
    """Whether torch and torchaudio were built for each other: if not, `import transformers` dies with them."""
    try:
        torch, torchaudio = metadata.version("torch"), metadata.version("torchaudio")
    except metadata.PackageNotFoundError as error:
        message = f"{error.name} is not installed"
        return Finding("torchaudio-mismatch", "block", 1, [], message, "Run `pip install torch torchaudio`.")
    pair = f"torch {torch}, torchaudio {torchaudio}"
    problem = mismatch(torch, torchaudio)
    if not problem:
        return Finding("torchaudio-mismatch", "ok", 0, [], pair)
    fix = "Run `pip install 'torch<2.15' torchaudio`, both from the same index."
    return Finding("torchaudio-mismatch", "block", 1, [pair], f"{pair}: {problem}", fix)


def mismatch(torch: str, torchaudio: str) -> str:
    """Why two versions cannot be imported together, or ""."""
    builds = [version.partition("+")[2] for version in (torch, torchaudio)]
    if "cpu" in builds and builds[0] != builds[1]:
        return "one is a CPU-only build and the other is not"
    numbers = [tuple(int(part) for part in version.split("+")[0].split(".")[:2]) for version in (torch, torchaudio)]
    if numbers[1] <= (2, 11) and numbers[0] >= (2, 15):
        return "torchaudio 2.11 refuses the CUDA version that torch from 2.15 on is built for"
    if numbers[0] < (2, 11) and numbers[0] != numbers[1]:
        return "the minor versions differ"
    return ""
