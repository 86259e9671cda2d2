"""Clips as what the decoder trains on: codes and text states, encoded once and cached, cut into windows."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.contract import config
from engine.contract.data.metadata import Clip
from engine.contract.errors import UserError
from engine.contract.paths import cache_dir
from engine.data.audio import gone, read_for_model
from engine.data.cache import Digests, Store
from engine.data.survey import used_clips
from engine.memory import Shortage
from engine.model import load

Report = Callable[[int, int], None]
"""Called with clips or captions done and in all. May raise to interrupt; what is encoded stays cached."""

LONGEST_PIECE = 30.0
PIECE_CONTEXT = 1.0
WAITING_GROUPS = 8
"""Batches' worth of decoded clips that may wait for others of their length."""
_CODES_VERSION = "2"


@dataclass(frozen=True)
class Example:
    """One window of a clip: ``codes`` (K, n) with n at most the window's frames, and the caption's number."""

    name: str
    codes: np.ndarray
    caption: int
    id: str = ""
    """Digest of codes and caption: equal in two runs when their losses on it compare."""


@dataclass
class Dataset:
    """What a run trains and validates on; all in memory (a thousand 15 s clips are 6 MB of codes)."""

    train: list[Example]
    valid: list[Example]
    states: list[torch.Tensor]
    """Per distinct caption: T5's states (L, d_text), fp32."""
    frames: int
    """Frames of a window."""
    codebook_size: int
    channels: int
    encoded: int = 0
    """Clips and captions that were not in the cache."""
    fingerprint: str = ""
    """Digest of all audio and captions with their splits: what was trained on."""
    base_fingerprint: str = ""
    """Digest of the base model's decoder."""

    @property
    def identity(self) -> dict[str, str]:
        """The two digests, as a checkpoint keeps them."""
        return {"data": self.fingerprint, "base": self.base_fingerprint}


def prepare(
    settings: config.Settings, base: Path, device: torch.device, clips_done: Report, texts_done: Report
) -> Dataset:
    """Read the metadata, encode what is not cached, cut windows.

    T5 and EnCodec are loaded only when something is to be encoded. Raises UserError for data that cannot be trained on.
    """
    train, valid = used_clips(settings.data)
    root = cache_dir(settings.data.cache_dir)
    digests = Digests(root)
    sound = _sound_of(base)
    used = [*train, *valid]
    hashes = [_audio_digest(digests, clip) for clip in used]
    codes, new_codes = _codes(used, hashes, _codec_store(root, digests, base, sound), sound, base, device, clips_done)
    captions = list(dict.fromkeys(clip.text for clip in used))
    states, new_states = _states(captions, _text_store(root, digests, base), base, device, texts_done)
    base_digest = _part_digest(digests, base, "decoder")
    digests.save()
    numbers = {caption: number for number, caption in enumerate(captions)}
    frames = round(settings.data.duration * sound.rate / sound.hop)
    cut = [
        [
            Example(clip.name, window, numbers[clip.text], _example_id(window, clip.text))
            for window in windows(whole, frames)
        ]
        for clip, whole in zip(used, codes, strict=True)
    ]
    return Dataset(
        train=[example for examples in cut[: len(train)] for example in examples],
        valid=[example for examples in cut[len(train) :] for example in examples],
        states=states,
        frames=frames,
        codebook_size=sound.codebook_size,
        channels=sound.channels,
        encoded=new_codes + new_states,
        fingerprint=_fingerprint(used, hashes),
        base_fingerprint=base_digest,
    )


def _example_id(codes: np.ndarray, caption: str) -> str:
    return hashlib.sha256(codes.tobytes() + caption.encode()).hexdigest()[:12]


def identity(settings: config.Settings, base: Path) -> dict[str, str]:
    """What a run trains on, as digests: `data` and `base` are those that ``prepare`` gives, without encoding a clip."""
    train, valid = used_clips(settings.data)
    digests, used = Digests(cache_dir(settings.data.cache_dir)), [*train, *valid]
    data = _fingerprint(used, [_audio_digest(digests, clip) for clip in used])
    now = {"data": data, "base": _part_digest(digests, base, "decoder")}
    digests.save()
    return now


def windows(codes: np.ndarray, frames: int) -> list[np.ndarray]:
    """Codes (K, n) as floor(n / frames) windows, at least one, spread so that both ends of the clip are heard."""
    total = codes.shape[1]
    count = max(1, total // frames)
    starts = np.linspace(0, max(0, total - frames), count).round().astype(int) if count > 1 else [0]
    return [codes[:, start : start + frames] for start in starts]


@dataclass(frozen=True)
class _Sound:
    rate: int
    hop: int
    channels: int
    codebooks: int
    codebook_size: int


def _sound_of(base: Path) -> _Sound:
    model = load.load_config(base)
    codec, decoder = model.audio_encoder, model.decoder
    return _Sound(
        rate=codec.sampling_rate,
        hop=math.prod(codec.upsampling_ratios),
        channels=decoder.audio_channels,
        codebooks=decoder.num_codebooks,
        codebook_size=decoder.vocab_size,
    )


def _audio_digest(digests: Digests, clip: Clip) -> str:
    try:
        return digests.of_file(clip.audio)
    except OSError as error:
        raise gone(clip.audio, error) from None


def _fingerprint(clips: list[Clip], hashes: list[str]) -> str:
    listing = sorted((clip.split, digest, clip.text) for clip, digest in zip(clips, hashes, strict=True))
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def _part_digest(digests: Digests, base: Path, part: str) -> str:
    """Digest of one part of the model: of its tensors where the file format allows it, else of the whole file."""
    files = sorted(base.glob("*.safetensors"))
    if files:
        return "".join(digests.of_tensors(file, f"{part}.") for file in files)
    return "".join(digests.of_file(file) for file in sorted(base.glob("pytorch_model*.bin")))


def _codec_store(root: Path, digests: Digests, base: Path, sound: _Sound) -> Store:
    codec = json.loads((base / "config.json").read_text())["audio_encoder"]
    made_by = [_CODES_VERSION, _part_digest(digests, base, "audio_encoder"), codec, sound.channels]
    return Store(root, "codes", hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest())


def _text_store(root: Path, digests: Digests, base: Path) -> Store:
    tokenizer = [digests.of_file(base / name) for name in ("tokenizer.json", "spiece.model") if (base / name).is_file()]
    made_by = [_part_digest(digests, base, "text_encoder"), *tokenizer]
    return Store(root, "text", hashlib.sha256(json.dumps(made_by).encode()).hexdigest())


def _codes(
    clips: list[Clip],
    hashes: list[str],
    store: Store,
    sound: _Sound,
    base: Path,
    device: torch.device,
    report: Report,
) -> tuple[list[np.ndarray], int]:
    found: dict[str, np.ndarray] = {}
    for digest in hashes:
        cached = store.load(digest)
        if cached is not None and _fits(cached, sound):
            found[digest] = cached
    missing = {digest: clip for digest, clip in zip(hashes, clips, strict=True) if digest not in found}
    if missing:
        codec = load.load_audio_encoder(base, device=device)
        device = next(codec.parameters()).device  # the CPU, where the GPU computes EnCodec wrongly
        done = 0
        report(0, len(missing))
        for batch in _batches(missing, sound, 8 if device.type == "cuda" else 1):
            for digest, codes in _fitting(codec, batch, sound.rate, sound.hop, device).items():
                found[digest] = codes
                store.save(digest, codes)
            done += len(batch)
            report(done, len(missing))
    return [found[digest] for digest in hashes], len(missing)


def _fits(codes: np.ndarray, sound: _Sound) -> bool:
    return codes.ndim == 2 and len(codes) == sound.codebooks and int(codes.max()) < sound.codebook_size


def _batches(missing: dict[str, Clip], sound: _Sound, size: int) -> Iterator[dict[str, np.ndarray]]:
    """Decoded clips, up to ``size`` of equal length at once: none is padded, so none depends on its neighbours."""
    waiting: dict[int, dict[str, np.ndarray]] = {}
    for digest, clip in missing.items():
        samples = read_for_model(clip.audio, sound.rate, sound.channels)
        group = waiting.setdefault(samples.shape[1], {})
        group[digest] = samples
        if len(group) == size:
            yield waiting.pop(samples.shape[1])
        elif sum(map(len, waiting.values())) >= WAITING_GROUPS * size:
            # Clips of many lengths: memory stays bounded, and what is done can be kept.
            yield waiting.pop(max(waiting, key=lambda length: len(waiting[length])))
    yield from waiting.values()


def _fitting(
    codec: Any, batch: dict[str, np.ndarray], rate: int, hop: int, device: torch.device
) -> dict[str, np.ndarray]:
    """``encode_audio``, of half the clips at a time while the GPU's memory does not hold them."""
    with Shortage() as shortage:
        return encode_audio(codec, batch, rate, hop, device)
    if shortage and len(batch) == 1:
        raise UserError(
            f"The memory of {device} does not hold the audio encoder and a single clip; end what else runs there."
        )
    clips, half = list(batch.items()), len(batch) // 2
    return {
        digest: codes
        for part in (clips[:half], clips[half:])
        for digest, codes in _fitting(codec, dict(part), rate, hop, device).items()
    }


@torch.no_grad()
def encode_audio(
    codec: Any, batch: dict[str, np.ndarray], rate: int, hop: int, device: torch.device
) -> dict[str, np.ndarray]:
    """Codes (K, frames) as uint16 of clips (channels, n) of one length. EnCodec runs in fp32: half changes the codes.

    Stereo is encoded channel by channel, and left and right codes alternate, as MusicGen's stereo models expect.
    A long clip is encoded in pieces with context on both sides, so that memory stays bounded.
    """
    stacked = torch.from_numpy(np.stack(list(batch.values()))).to(device)
    clips, channels, samples = stacked.shape
    flat = stacked.reshape(clips * channels, 1, samples)
    piece, context = (int(seconds * rate / hop) * hop for seconds in (LONGEST_PIECE, PIECE_CONTEXT))
    parts = []
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # flags() alone turns cuDNN off
        for start in range(0, samples, piece):
            begin = max(0, start - context)
            codes = codec.encode(flat[..., begin : start + piece + context], return_dict=True).audio_codes[0]
            skip = (start - begin) // hop
            parts.append(codes[..., skip : skip + piece // hop])
    codes = torch.cat(parts, dim=-1)
    # (clips * channels, K, T) -> (clips, K * channels, T), channels alternating within each codebook.
    codes = codes.reshape(clips, channels, *codes.shape[1:]).transpose(1, 2).flatten(1, 2)
    return dict(zip(batch, codes.cpu().numpy().astype(np.uint16), strict=True))


def _states(
    captions: list[str], store: Store, base: Path, device: torch.device, report: Report
) -> tuple[list[torch.Tensor], int]:
    digests = [hashlib.sha256(caption.encode()).hexdigest() for caption in captions]
    found: dict[str, np.ndarray] = {}
    for digest in digests:
        cached = store.load(digest)
        if cached is not None:
            found[digest] = cached
    missing = {digest: caption for digest, caption in zip(digests, captions, strict=True) if digest not in found}
    if missing:
        text_encoder, tokenizer = load.load_text_encoder(base, device=device), load.load_tokenizer(base)
        report(0, len(missing))
        for done, (digest, caption) in enumerate(missing.items(), start=1):
            # One at a time: padding to a neighbour's length would change the last bits with the company kept.
            states, _ = load.encode_text(text_encoder, tokenizer, [caption], device)
            found[digest] = states[0].cpu().numpy()
            store.save(digest, found[digest])
            if done % 32 == 0 or done == len(missing):
                report(done, len(missing))
    return [torch.from_numpy(found[digest]) for digest in digests], len(missing)
