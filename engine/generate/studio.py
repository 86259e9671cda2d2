"""Turns prompts into clips with one model after another, in batches whose shape never changes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from engine.contract import config
from engine.contract.errors import UserError
from engine.generate import noise
from engine.generate.codec import to_audio
from engine.generate.decode import Decoder, Sampling
from engine.generate.results import Task
from engine.memory import Shortage
from engine.model import load
from engine.model.delay import delays
from engine.prove import abilities

BATCH = 8
"""Prompts decoded at once when the setting says "auto"."""

TEXT_BLOCK = 64
"""Text is padded to a multiple of this many tokens."""

SMALL_HIDDEN = 256
"""Up to this width the parts of a step are too small to share among threads; waiting for a second thread that another
process has pushed off its core then costs ten times what it brings."""

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}

Keep = Callable[[Task, np.ndarray, np.ndarray], None]
"""Called with a task, its audio (channels, samples) and its codes (K, frames)."""


def arithmetic(settings: config.Settings, device: torch.device) -> str:
    """Precision that clips are decoded in: that of training."""
    return abilities.of(device).precision(settings.train.precision)


class Studio:
    """What all models of one base share: text states, EnCodec, sampling, and the shape of a batch.

    The last digits of a matrix product depend on the shape of the batch, and one digit can turn a code. So a batch
    always has the same number of rows, filled up with copies that are thrown away, and text has the same padding: a
    clip that is made alone is, bit for bit, the clip that is made among others.
    """

    def __init__(self, base: Path, texts: Sequence[str], settings: config.Settings, device: torch.device):
        self.device, self.settings = device, settings.evaluate
        self.dtype = DTYPES[arithmetic(settings, device)]
        self.batch = BATCH if settings.evaluate.batch_size == "auto" else settings.evaluate.batch_size
        self.states = _text_states(base, texts, device)
        self.codec: Any = load.load_audio_encoder(base, device=device)
        self.rate: int = self.codec.config.sampling_rate
        self.samples = round(self.settings.duration * self.rate)
        decoder = json.loads((base / "config.json").read_text())["decoder"]
        self.steps = (
            frames_of(self.codec, self.samples) + delays(decoder["num_codebooks"], decoder.get("audio_channels", 1))[-1]
        )
        """Steps that a batch takes: the last codebook ends some frames behind the first."""
        self.sampling = Sampling(
            self.settings.guidance_scale, self.settings.temperature, self.settings.top_k, self.settings.top_p
        )

    def make(
        self,
        decoder: Decoder,
        tasks: Sequence[Task],
        keep: Keep,
        save: Callable[[], None],
        *,
        note: Callable[[str], None],
        on_step: Callable[[int], None],
        should_stop: Callable[[], bool],
    ) -> None:
        """Make the clips of one model, batch by batch: ``keep`` each, then ``save`` what is known of all.

        ``on_step`` is called with steps gone, counted for each clip. Running out of memory halves the
        batch, for all that follows. Raises ``decode.Stopped`` when told to stop between two steps, and UserError when
        a single clip does not fit.
        """
        # Equal padding within a batch, else a short text would be padded for its neighbour's sake.
        waiting = sorted(tasks, key=self._padded)
        try:
            while waiting:
                here = [task for task in waiting[: self.batch] if self._padded(task) == self._padded(waiting[0])]
                with Shortage() as shortage:
                    codes, audio = self._batch(decoder, here, on_step, should_stop)
                if shortage:
                    self._halve()
                    decoder.release()
                    note(f"memory ran out: going on with {self.batch} prompts at once; details of clips may change")
                    continue
                try:
                    for task, its_audio, its_codes in zip(here, audio, codes, strict=True):
                        keep(task, its_audio, its_codes)
                finally:
                    save()  # once a batch: with 500 prompts the file has megabytes
                waiting = waiting[len(here) :]
        finally:
            decoder.release()

    def _halve(self) -> None:
        if self.batch == 1:
            raise UserError(
                f"The memory of {self.device} does not hold a single clip of {self.settings.duration:g} s; "
                "free it, or shorten evaluate.duration."
            )
        self.batch = math.ceil(self.batch / 2)

    def _batch(
        self, decoder: Decoder, here: list[Task], on_step: Callable[[int], None], should_stop: Callable[[], bool]
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = [*here, *[here[-1]] * (self.batch - len(here))]
        keys = [noise.key(self.settings.seed, row.prompt.text, row.repeat) for row in rows]
        reached = 0

        def stepped(done: int, total: int) -> None:
            nonlocal reached
            on_step((done - reached) * len(here))
            reached = done

        codes, audio = sound(
            decoder, self.codec, [self.states[row.prompt.text] for row in rows], keys, self.samples, self.sampling,
            on_step=stepped, should_stop=should_stop,
        )  # fmt: skip
        return codes[: len(here)], audio[: len(here)]

    def _padded(self, task: Task) -> int:
        return padded(len(self.states[task.prompt.text]))


def padded(tokens: int) -> int:
    """Length that a text of so many tokens is padded to."""
    return math.ceil(tokens / TEXT_BLOCK) * TEXT_BLOCK


def frames_of(codec: Any, samples: int) -> int:
    """Frames of codes that hold so many samples of audio."""
    return math.ceil(samples / codec.config.hop_length)


def sound(
    decoder: Decoder,
    codec: Any,
    texts: Sequence[torch.Tensor],
    keys: list[int],
    samples: int,
    sampling: Sampling,
    *,
    on_step: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> tuple[np.ndarray, np.ndarray]:
    """Codes (B, K, frames) and audio (B, channels, samples) of one batch.

    ``texts`` are T5's states (L, d_text) of each row, ``keys`` their noise keys (``noise.key``).
    """
    length = padded(max(map(len, texts)))
    states = torch.stack([F.pad(text, (0, 0, 0, length - len(text))) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (length - len(text)) for text in texts])
    with _threads(1 if decoder.hidden <= SMALL_HIDDEN else torch.get_num_threads()):
        codes = decoder.decode(
            states, mask, frames_of(codec, samples), sampling, keys, on_step=on_step, should_stop=should_stop
        )
        audio = _audio(decoder, codec, codes)[:, :, :samples]
    return codes.cpu().numpy(), audio.numpy()


def _audio(decoder: Decoder, codec: Any, codes: torch.Tensor) -> torch.Tensor:
    """Audio (B, channels, samples) on the CPU. Where memory runs out the codes are kept, and fewer clips at once are
    tried, down to one."""
    at_once = len(codes)
    while at_once > 1:
        with Shortage() as shortage:
            return torch.cat([to_audio(codec, part, decoder.channels).cpu() for part in codes.split(at_once)])
        if shortage:
            decoder.release()
            at_once = math.ceil(at_once / 2)
    return torch.cat([to_audio(codec, part, decoder.channels).cpu() for part in codes.split(1)])


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _text_states(base: Path, texts: Sequence[str], device: torch.device) -> dict[str, torch.Tensor]:
    """T5's states (L, d_text) of each text, encoded one at a time so that none depends on its neighbours."""
    encoder, tokenizer = load.load_text_encoder(base, device=device), load.load_tokenizer(base)
    return {text: load.encode_text(encoder, tokenizer, [text], device)[0][0] for text in dict.fromkeys(texts)}
