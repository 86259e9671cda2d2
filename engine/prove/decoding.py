"""Decoding and sound on the card: graphs against the same steps without, EnCodec against the CPU."""

from __future__ import annotations

import math

import torch

from engine.data.dataset import encode_audio
from engine.generate import noise
from engine.generate.codec import to_audio
from engine.generate.decode import CACHE_BLOCK, Decoder, Sampling
from engine.model import untrained
from engine.model.work import decoding_bytes
from engine.prove.rates import now
from engine.prove.verdicts import Decoded, Sound

PROMPTS = 8
TEXT = 64


def graphs(device: torch.device, dtype: torch.dtype, frames: int, copies: float | None) -> Decoded:
    """Decode the same prompts by graph replay and without; ``copies``: bytes a second that the card reaches."""
    model, projection = untrained.decoder(device)
    sizes = model.config.to_dict()
    states = torch.randn(PROMPTS, TEXT, untrained.SIZES["small"]["text"][0], generator=torch.Generator().manual_seed(3))
    mask = torch.ones(PROMPTS, TEXT, dtype=torch.long)
    keys = [noise.key(0, str(row)) for row in range(PROMPTS)]
    codes, seconds, captured = [], [], False
    for with_graphs in (True, False):
        decoder = Decoder(model, projection, dtype, graphs=with_graphs)
        if with_graphs:
            decoder.decode(states, mask, frames, Sampling(), keys)  # captures
            captured = decoder.captured
        before = now(device)
        codes.append(decoder.decode(states, mask, frames, Sampling(), keys))
        seconds.append((now(device) - before) / (frames + sizes["num_codebooks"] - 1))
        decoder.release()
    read = decoding_bytes(sizes, 2 * PROMPTS, frames / 2 + CACHE_BLOCK / 2, dtype.itemsize)
    floor = seconds[0] * copies / read if copies else None
    return Decoded(int((codes[0] == codes[1]).sum()), codes[0].numel(), captured, seconds[0], seconds[1], floor)


def encodec(device: torch.device, seconds: float) -> Sound:
    """Encode and decode sound on the card and on the CPU."""
    codec = untrained.codec()
    rate, hop = codec.config.sampling_rate, codec.config.hop_length
    time = torch.arange(int(seconds * rate)) / rate
    sound = 0.3 * torch.sin(2 * math.pi * (220 + 200 * time) * time)
    sound += 0.05 * torch.randn(len(time), generator=torch.Generator().manual_seed(3))
    batch = {"clip": sound[None].numpy()}
    expected = encode_audio(codec, batch, rate, hop, torch.device("cpu"))["clip"].astype("int64")
    given = torch.from_numpy(expected)[None]
    heard = to_audio(codec, given)
    codec = codec.to(device)
    for _ in range(2):  # the first chooses kernels
        before = now(device)
        codes = torch.from_numpy(encode_audio(codec, batch, rate, hop, device)["clip"].astype("int64"))
        audio = to_audio(codec, given.to(device))
        took = now(device) - before
    difference = (audio.cpu() - heard).abs().max() / heard.abs().max()
    return Sound(float((codes == given[0]).float().mean()), float(difference), seconds / took)
