"""What stays in memory between two tries: text encoder, EnCodec, the base model's weights, and models merged from them.

To be read from ``Warm.make``. Every clip of a device is decoded in a batch of the same shape, so that a clip sounds the
same whether it is made alone or with others, and the models of a try differ in nothing but their weights.
"""

from __future__ import annotations

import copy
import gc
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import torch

from engine.contract import config, tries
from engine.contract.errors import UserError
from engine.contract.paths import cache_dir
from engine.contract.rundir import RunDir, open_run
from engine.contract.tries import Answer, Made, Progress, Recipe, Try, TryClip, Warned
from engine.data import captions
from engine.data.cache import Digests
from engine.generate import noise
from engine.generate.decode import Decoder, NotFinite, Sampling
from engine.generate.models import Model, find
from engine.generate.studio import DTYPES, arithmetic, sound
from engine.generate.tries import Folder
from engine.memory import Shortage, empty_cache
from engine.model import load, lora

KEPT = 4
"""Merged models in memory at most; fewer where they do not fit."""

ROWS = {"cuda": tries.VARIATIONS}
"""Clips of a batch. A GPU makes four in the time of one; on a CPU (1) the first is heard while others are made."""

Tell = Callable[[Answer], None]


class Base:
    """Of one base model: text encoder and EnCodec on the device, the decoder's weights in fp32 on the CPU."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device = folder, device
        self.encoder = load.load_text_encoder(folder, device=device)
        self.tokenizer = load.load_tokenizer(folder)
        self.codec: Any = load.load_audio_encoder(folder, device=device)
        self.rate: int = self.codec.config.sampling_rate
        self.decoder, self.projection = load.load_decoder(folder, device="cpu", dtype=torch.float32)

    def text(self, prompt: str) -> torch.Tensor:
        """T5's states (L, d_text) of a prompt."""
        return load.encode_text(self.encoder, self.tokenizer, [prompt], self.device)[0][0]

    def model(self, model: Model, strength: float, dtype: torch.dtype) -> Decoder:
        """The base model with ``strength`` times the model's adapter added to it."""
        source = self.decoder
        if model.adapter is not None and strength != 0:
            source = copy.deepcopy(source)
            lora.merge_into(source, model.adapter, strength)
        return Decoder(source, self.projection, dtype, self.device)

    def bytes(self, dtype: torch.dtype) -> int:
        """Memory of one merged model."""
        return sum(weight.numel() for weight in self.decoder.parameters()) * dtype.itemsize


class Warm:
    """Makes clips of one prompt by several models, quickly from the second one on."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._bases: OrderedDict[Path, Base] = OrderedDict()
        self._decoders: OrderedDict[tuple[str, str], Decoder] = OrderedDict()
        self._rows = ROWS.get(device.type, 1)

    def make(self, wish: Try, tell: Tell, should_stop: Callable[[], bool]) -> None:
        """Make the clips of a try and ``tell`` of each as it is there. What was made before is told of at once.

        Raises UserError for what the user can mend, and ``decode.Stopped`` when told to stop between two steps.
        """
        tries.refuse(wish)
        wish = msgspec.structs.replace(wish, prompt=" ".join(wish.prompt.split()))
        run = open_run(wish.run)
        settings = run.settings()
        tell(Progress(id=wish.id, doing="reading the models"))
        models = self._models(run, settings, wish.models)
        folder, how = Folder(Path(wish.out) if wish.out else run.tries), arithmetic(settings, self.device)
        self._warn(wish, models[0].base, tell)
        wanted = [
            [self._clip(wish, run, model, how, seed) for model in models]
            for seed in range(wish.seed, wish.seed + wish.variations)
        ]
        missing: list[tuple[Model, TryClip]] = []
        for clips in wanted:
            for model, clip in zip(models, clips, strict=True):
                if (found := folder.find(clip)) is not None:
                    tell(Made(id=wish.id, path=str(folder.path / found.file), clip=found, before=True))
                elif not any(clip.weights == other.weights and clip.seed == other.seed for _, other in missing):
                    missing.append((model, clip))
        self._make_missing(wish, missing, folder, DTYPES[how], tell, should_stop)

    def _make_missing(
        self, wish: Try, missing: list[tuple[Model, TryClip]], folder: Folder, dtype: torch.dtype, tell: Tell,
        should_stop: Callable[[], bool],
    ) -> None:  # fmt: skip
        """Batch by batch, the models in turn, so that a pair to compare is there as soon as can be."""
        total, tight = len(missing), False
        while missing:
            model, first = missing[0]
            batch = [pair for pair in missing if pair[1].weights == first.weights][: self._rows]
            label = model.name if first.strength == 1 or model.adapter is None else f"{model.name} x {first.strength:g}"

            def stepped(done: int, steps: int, label: str = label, made: int = total - len(missing)) -> None:
                tell(Progress(id=wish.id, doing=label, done=made * steps + done, total=total * steps))

            tell(Progress(id=wish.id, doing=f"merging {label}"))
            try:
                audio = self._decode(model, [clip for _, clip in batch], dtype, stepped, should_stop)
            except NotFinite as error:
                raise UserError(
                    f"The model {label} cannot be used: {error}; try a smaller strength, or another model."
                ) from None
            if audio is None:
                if tight:
                    raise UserError(self._no_memory(first))
                tight, self._rows = True, 1
                self.let_go()
                tell(Warned(id=wish.id, text="Memory ran out: going on with one clip at a time; details may change."))
                continue
            for (_, clip), samples in zip(batch, audio, strict=True):
                kept = folder.keep(clip, samples, self._bases[model.base].rate)
                tell(Made(id=wish.id, path=str(folder.path / kept.file), clip=kept))
            missing = [pair for pair in missing if pair not in batch]

    def _decode(
        self, model: Model, clips: Sequence[TryClip], dtype: torch.dtype, stepped: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> np.ndarray | None:  # fmt: skip
        """Audio (B, channels, samples) of clips that differ in their seeds; None when memory ran out."""
        first = clips[0]
        with Shortage():
            base = self._base(model.base)
            decoder = self._decoder(base, model, first, dtype)
            keys = [noise.key(clip.seed, clip.prompt) for clip in clips]
            keys += keys[-1:] * (self._rows - len(keys))
            sampling = Sampling(first.guidance_scale, first.temperature, first.top_k, first.top_p)
            _, audio = sound(
                decoder, base.codec, [base.text(first.prompt)] * self._rows, keys, round(first.seconds * base.rate),
                sampling, on_step=stepped, should_stop=should_stop,
            )  # fmt: skip
            return audio[: len(clips)]
        return None

    def _no_memory(self, clip: TryClip) -> str:
        whose, other = ("GPU", "take the CPU") if self.device.type == "cuda" else ("machine", "close something")
        return f"The {whose}'s memory does not hold a try of {clip.seconds:g} s; {other}, or take fewer seconds."

    def let_go(self) -> None:
        """Hold nothing any more; the next try loads what it needs."""
        self._decoders.clear()
        self._bases.clear()
        gc.collect()
        empty_cache()

    # -- models

    def _models(self, run: RunDir, settings: config.Settings, names: Sequence[str]) -> list[Model]:
        if "best" in names and not run.best_model.is_dir():
            raise UserError(
                f"{run.name} has no best model yet: it comes with the first validation that beats the base model; "
                "try base alone, or wait for it."
            )
        digests = Digests(cache_dir(settings.data.cache_dir))
        found = find(run, load.resolve_base(settings.model.base), names, digests)
        digests.save()
        return found

    def _clip(self, wish: Try, run: RunDir, model: Model, how: str, seed: int) -> TryClip:
        recipe = {name: getattr(wish, name) for name in Recipe.__struct_fields__}
        bare = model.adapter is None or wish.strength == 0
        # The digest of base and adapter is written BASE+ADAPTER.
        weights = model.weights.split("+")[0] if bare else model.weights
        if not bare and wish.strength != 1:
            weights += f"*{wish.strength:g}"
        recipe |= {"seed": seed, "strength": 1.0 if model.adapter is None else wish.strength}
        return TryClip(**recipe, file="", model=model.name, weights=weights, arithmetic=how, run=run.name)

    def _base(self, folder: Path) -> Base:
        if folder not in self._bases:
            self._bases.clear()  # a base model is most of the memory: one at a time
            self._decoders.clear()
            self._bases[folder] = Base(folder, self.device)
        return self._bases[folder]

    def _decoder(self, base: Base, model: Model, clip: TryClip, dtype: torch.dtype) -> Decoder:
        key = (clip.weights, str(dtype))
        if key not in self._decoders:
            while self._decoders and (len(self._decoders) >= KEPT or self._free() < 2 * base.bytes(dtype)):
                self._decoders.popitem(last=False)
                gc.collect()
                empty_cache()
            self._decoders[key] = base.model(model, clip.strength, dtype)
        self._decoders.move_to_end(key)
        return self._decoders[key]

    def _free(self) -> int:
        """Bytes that the device has left."""
        if self.device.type == "cuda":
            return torch.cuda.mem_get_info(self.device)[0]
        return psutil.virtual_memory().available

    # -- the prompt

    def _warn(self, wish: Try, base: Path, tell: Tell) -> None:
        tokenizer = captions.tokenizer_of(base)
        if captions.is_foreign(wish.prompt, tokenizer):
            text = "The prompt is not English, which is all that the text encoder was trained on; say it in English."
            tell(Warned(id=wish.id, text=text))
        if cut := _cut(wish.prompt, load.load_tokenizer(base)):
            tell(Warned(id=wish.id, text=f"The prompt is longer than the text encoder reads; it ends before: {cut}"))


def _cut(prompt: str, tokenizer: Any) -> str:
    """What of the prompt lies beyond the text encoder's window; empty when nothing does."""
    read = tokenizer(prompt, return_offsets_mapping=True, truncation=True, max_length=load.text_window(tokenizer))
    return prompt[max(end for _, end in read["offset_mapping"]) :].strip()
