"""Where the base model is: embedded, in a folder, in the hub's cache, or to be fetched. Imports no torch."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.contract.errors import UserError

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all; may raise to interrupt, what was fetched is kept."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_EXTRAS = (
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "spiece.model",
)  # fmt: skip


def resolve_base(base: str, progress: Progress | None = None) -> Path:
    """Folder of the base model: ``base`` is "demo", a folder, or a hub name, which is fetched when it is not cached.

    Honours HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE. Raises UserError with the reason and the command that helps.
    """
    if base == "demo":
        from engine.demo import model_path

        return checked_folder(model_path())
    if Path(base).is_dir():
        return checked_folder(Path(base))
    if not is_hub_name(base):
        raise UserError(
            f"model.base = {base!r} is no folder and no hub name; give a folder that holds config.json and the weights,"
            ' a name such as facebook/musicgen-small, or "demo".'
        )
    return checked_folder(cached(base) or _fetch(base, progress))


def is_hub_name(base: str) -> bool:
    """Whether ``base`` has the form owner/name."""
    return _HUB_NAME.fullmatch(base) is not None


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids asking the hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")


def checked_folder(folder: Path) -> Path:
    """``folder`` if it holds a MusicGen model. Raises UserError otherwise, without loading anything."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder} is no model folder: its config.json cannot be read "
            f"({getattr(error, 'strerror', None) or error}); point model.base at a folder made by save_pretrained."
        ) from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != "musicgen":
        raise UserError(f"{folder} holds a {kind or 'foreign'} model, not MusicGen; choose another model.base.")
    if not any((folder / name).is_file() for name in _WEIGHTS):
        raise UserError(f"{folder} holds no weights (model.safetensors); fetch or copy the model again.")
    return folder


def cached(base: str) -> Path | None:
    """Folder of a hub model in the local cache, or None; asks nobody."""
    from huggingface_hub import try_to_load_from_cache

    for name in _WEIGHTS:
        weights, config = (try_to_load_from_cache(base, file) for file in (name, "config.json"))
        if isinstance(weights, str) and isinstance(config, str) and _shards_are_there(Path(weights)):
            return Path(config).parent
    return None


def _shards_are_there(weights: Path) -> bool:
    if weights.suffix != ".json":
        return True
    shards = set(json.loads(weights.read_text())["weight_map"].values())
    return all((weights.parent / shard).is_file() for shard in shards)


def _fetch(base: str, progress: Progress | None) -> Path:
    from huggingface_hub import HfApi, constants, hf_hub_download

    # Plain HTTP can be interrupted between two blocks, goes on where it was, and works with mirrors; the hub's own
    # transfer library does its work out of reach of our progress and of a request to stop.
    constants.HF_HUB_DISABLE_XET = True
    interruption: list[Exception] = []

    def tell(done: int, total: int) -> None:
        try:
            if progress:
                progress(done, total)
        except Exception as error:
            interruption.append(error)
            raise

    command = f"hf download {base}"
    if offline():
        raise UserError(
            f"The base model {base} is not in the local cache and HF_HUB_OFFLINE is set; "
            f"unset it, or run `{command}` where there is a network."
        )
    try:
        listed = HfApi().model_info(base, files_metadata=True, timeout=20).siblings or []
        sizes = {file.rfilename: file.size or 0 for file in listed}
        names = _wanted(sizes)
        total, done, folder = sum(sizes[name] for name in names), 0, ""
        for name in names:
            folder = hf_hub_download(base, name, tqdm_class=_reporter(tell, done, total))
            done += sizes[name]
            tell(done, total)
    except Exception as error:
        if interruption:
            raise interruption[0] from None
        raise _fetch_error(base, command, error) from None
    # The configuration lies at the snapshot's root whatever file came last.
    return Path(folder).parent


def _wanted(sizes: dict[str, int]) -> list[str]:
    """Files to fetch: settings, tokenizer and one form of the weights, small ones first."""
    names = [name for name in _EXTRAS if name in sizes]
    for index in _WEIGHTS:
        if index in sizes:
            pattern = re.compile(r"(pytorch_)?model-\d+-of-\d+" + (r"\.safetensors" if "safe" in index else r"\.bin"))
            shards = [name for name in sizes if pattern.fullmatch(name)] if index.endswith(".json") else []
            return [*names, index, *shards]
    raise UserError("the repository holds no weights that transformers loads")


def _reporter(tell: Progress, before: int, total: int) -> type:
    from huggingface_hub.utils import tqdm

    class Reporter(tqdm):  # type: ignore[misc]
        """Passes the bytes of one file on instead of drawing a bar."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})
            self.fetched = kwargs.get("initial") or 0

        def update(self, n: float | None = 1) -> bool | None:
            self.fetched += n or 0
            tell(min(before + int(self.fetched), total), total)
            return None

    return Reporter


def _fetch_error(base: str, command: str, error: Exception) -> UserError:
    name = type(error).__name__
    if isinstance(error, UserError):
        reason = str(error)
    elif "Gated" in name:
        reason = "its licence must be accepted first and a token given (`hf auth login`)"
    elif "RepositoryNotFound" in name:
        reason = "there is no such model, or it is private"
    elif any(word in name for word in ("Connect", "Timeout", "Offline", "Network", "LocalEntryNotFound")):
        reason = "the hub cannot be reached; HF_ENDPOINT may name a mirror"
    else:
        reason = (str(error).strip().splitlines() or [name])[0].rstrip(".")
    return UserError(f"The base model {base} could not be fetched: {reason}. Run `{command}`, then start again.")
