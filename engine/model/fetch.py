"""Fetching the base model from the hub: with progress, and going on where it was interrupted. Imports no torch."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import Any

from engine.contract.errors import UserError
from engine.data.cache import file_digest
from engine.model.locate import WEIGHTS, Progress, offline, refuse_foreign

_EXTRAS = (
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "spiece.model",
)  # fmt: skip


def fetch(base: str, progress: Progress | None) -> Path:
    """Folder of a hub model, brought into the hub's cache. Raises UserError with the reason and the command that helps.

    What ``progress`` raises ends it; the next call goes on from there.
    """
    from huggingface_hub import constants, hf_hub_download

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
        sizes = _listed(base, timeout=20)
        total, done, folder = sum(sizes.values()), 0, ""
        for name in sizes:
            bar = _reporter(tell, done, total)
            if name not in _EXTRAS:
                _bring_weights(base, name, bar)
            folder = hf_hub_download(base, name, tqdm_class=bar)
            done += sizes[name]
            tell(done, total)
    except UserError:
        raise
    except Exception as error:
        if interruption:
            raise interruption[0] from None
        raise _fetch_error(base, command, error) from None
    # The configuration lies at the snapshot's root whatever file came last.
    return Path(folder).parent


def size(base: str) -> int | None:
    """Bytes that ``fetch`` would bring, None where the hub cannot be asked. Raises UserError where it would be refused.

    Brings the model's config.json into the hub's cache.
    """
    try:
        return sum(_listed(base, timeout=5).values())
    except UserError:
        raise
    except Exception as error:
        if _is_unreachable(error):
            return None
        raise _fetch_error(base, f"hf download {base}", error) from None


def _listed(base: str, timeout: float) -> dict[str, int]:
    """The files to fetch and their bytes, small ones first, of a repository whose config.json is a MusicGen's."""
    from huggingface_hub import HfApi, hf_hub_download

    listed = HfApi().model_info(base, files_metadata=True, timeout=timeout).siblings or []
    sizes = {file.rfilename: file.size or 0 for file in listed}
    names = _wanted(sizes)
    if "config.json" not in sizes or not names:
        lacks = "weights that transformers loads" if "config.json" in sizes else "config.json"
        raise UserError(f"The hub's {base} holds no {lacks}, so it is no MusicGen to train; choose another model.base.")
    # Before the gigabytes: a model of another kind is refused by its first kilobytes.
    refuse_foreign(Path(hf_hub_download(base, "config.json", etag_timeout=timeout)), base)
    return {name: sizes[name] for name in names}


def _bring_weights(base: str, name: str, bar: type) -> None:
    """Put a big file into the cache, where the hub's library then finds it; an interrupted start goes on.

    Needed because that library throws away what it has when it is interrupted.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get, repo_folder_name
    from huggingface_hub.utils import build_hf_headers

    url, headers = hf_hub_url(base, name), build_hf_headers()
    file = get_hf_file_metadata(url, headers=headers)
    blobs = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=base, repo_type="model") / "blobs"
    if not file.etag or not file.size or (blobs / file.etag).exists():
        return
    blobs.mkdir(parents=True, exist_ok=True)
    part = blobs / f"{file.etag}.mgl-tui.incomplete"
    with open(part, "ab") as out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Another run fetches the same; the library's way is slower, and safe beside it.
            return
        if out.tell() > file.size:
            out.seek(0)
            out.truncate()
        http_get(url, out, resume_size=out.tell(), headers=headers, expected_size=file.size, tqdm_class=bar)
        out.flush()
        # The name that the hub gives a big file is its SHA-256.
        if len(file.etag) == 64 and file_digest(part) != file.etag:
            out.truncate(0)
            raise OSError("what came is not what the hub has; it was thrown away")
        os.replace(part, blobs / file.etag)


def _wanted(sizes: dict[str, int]) -> list[str]:
    """Files to fetch: settings, tokenizer and one form of the weights, small ones first; none without weights."""
    names = [name for name in _EXTRAS if name in sizes]
    for index in WEIGHTS:
        if index in sizes:
            pattern = re.compile(r"(pytorch_)?model-\d+-of-\d+" + (r"\.safetensors" if "safe" in index else r"\.bin"))
            shards = [name for name in sizes if pattern.fullmatch(name)] if index.endswith(".json") else []
            return [*names, index, *shards]
    return []


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


def _is_unreachable(error: Exception) -> bool:
    words = ("Connect", "Timeout", "Offline", "Network", "LocalEntryNotFound")
    return any(word in type(error).__name__ for word in words)


def _fetch_error(base: str, command: str, error: Exception) -> UserError:
    name = type(error).__name__
    if "Gated" in name:
        reason = "its licence must be accepted first and a token given (`hf auth login`)"
    elif "RepositoryNotFound" in name:
        reason = "there is no such model (nor a folder of that name here), or it is private"
    elif _is_unreachable(error):
        reason = "the hub cannot be reached; HF_ENDPOINT may name a mirror"
    else:
        reason = (str(error).strip().splitlines() or [name])[0].rstrip(".")
    return UserError(f"The base model {base} could not be fetched: {reason}. Run `{command}`, then start again.")
