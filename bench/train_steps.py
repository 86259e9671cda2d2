"""One way of training, in a process of its own: steps timed, memory measured, printed as JSON. Started by train.py.

ours      the engine's own step: codes and text states cached
forward   the usual loop: MusicgenForConditionalGeneration.forward, so T5 in every step; codes precomputed
encodec   the same with EnCodec in every step
trainer   transformers' Trainer on `forward`
All train the same adapters (peft, default settings) with AdamW on the same clips in micro-batches of the same size.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterator
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model

from engine.contract import config, rundir
from engine.contract.paths import cache_dir
from engine.data.audio import read_for_model
from engine.model import load
from engine.model.delay import apply_delay

Sample = dict[str, Any]


def ours(settings: config.Settings, steps: int, folder: Path) -> list[tuple[float, float, float]]:
    """(wall seconds, CPU seconds, share of waiting for data) of each step."""
    from engine.train.clock import Clock
    from engine.train.journal import Journal
    from engine.train.loop import optimizer_step
    from engine.train.setup import accelerator_for, prepare_session

    run = rundir.create(folder, rundir.free_name(folder, "run"), settings)
    journal = Journal(run.events, silent=True)
    session = prepare_session(run, settings, journal, accelerator_for(run, settings), resume=False)
    clock = Clock()
    timed = list(_timed(lambda: optimizer_step(session, clock), steps, session.trainee.device))
    waits = [event["data_wait"] for event in journal.history if event["event"] == "train"]
    return [(*times, wait) for times, wait in zip(timed, waits, strict=True)]


class Usual:
    """The model as people fine-tune it: peft on the decoder, the whole model in train mode."""

    def __init__(self, settings: config.Settings, device: torch.device, dtype: torch.dtype, with_codec: bool) -> None:
        self.settings, self.device, self.dtype, self.with_codec = settings, device, dtype, with_codec
        base = load.resolve_base(settings.model.base)
        model = load.load_base(base, device=device, dtype=torch.float32)
        model.requires_grad_(False)
        lora = settings.lora
        model.decoder = get_peft_model(
            model.decoder,
            LoraConfig(
                r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=lora.target_modules
            ),
        )
        self.model, self.tokenizer = model.train(), load.load_tokenizer(base)
        self.pad = model.config.decoder.vocab_size
        self.samples = [self._sample(row) for row in _rows(settings)]

    def _sample(self, row: dict[str, str]) -> Sample:
        codec = self.model.audio_encoder
        wave = read_for_model(Path(self.settings.data.dir) / row["audio"], codec.config.sampling_rate, 1)
        sample: Sample = {"text": row["text"], "wave": torch.from_numpy(wave)}
        if not self.with_codec:
            sample["codes"] = self.codes(sample["wave"][None])[0]
        return sample

    @torch.no_grad()
    def codes(self, waves: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, enabled=False):
            return self.model.audio_encoder.encode(waves.to(self.device)).audio_codes[0]

    def collate(self, samples: list[Sample]) -> dict[str, torch.Tensor]:
        tokens = self.tokenizer([sample["text"] for sample in samples], padding=True, return_tensors="pt")
        if self.with_codec:
            codes = self.codes(torch.stack([sample["wave"] for sample in samples]))
        else:
            codes = torch.stack([sample["codes"] for sample in samples])
        return {
            "input_ids": tokens.input_ids.to(self.device),
            "attention_mask": tokens.attention_mask.to(self.device),
            "labels": apply_delay(codes, self.pad).transpose(1, 2).contiguous(),
        }

    def loss(self, samples: list[Sample]) -> torch.Tensor:
        batch = self.collate(samples)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.model(**batch, use_cache=False).loss


def usual(settings: config.Settings, steps: int, with_codec: bool) -> list[tuple[float, float, float]]:
    device, dtype = _device(settings)
    student, train = Usual(settings, device, dtype, with_codec), settings.train
    parameters = [parameter for parameter in student.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=train.learning_rate)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    samples = cycle(student.samples)

    def step() -> None:
        for _ in range(train.gradient_accumulation_steps):
            loss = student.loss([next(samples) for _ in range(train.batch_size)])
            scaler.scale(loss / train.gradient_accumulation_steps).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(parameters, train.max_grad_norm)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    return [(*times, 0.0) for times in _timed(step, steps, device)]


def trainer(settings: config.Settings, steps: int, folder: Path) -> list[tuple[float, float, float]]:
    from transformers import Trainer, TrainerCallback, TrainingArguments

    device, dtype = _device(settings)
    student, train = Usual(settings, device, dtype, with_codec=False), settings.train
    marks: list[tuple[float, float]] = []

    class Marks(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            if not marks:
                marks.append(_now(device))

        def on_step_end(self, *_: Any, **__: Any) -> None:
            marks.append(_now(device))

    arguments = TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=train.batch_size, max_steps=steps, report_to=[],
        gradient_accumulation_steps=train.gradient_accumulation_steps, learning_rate=train.learning_rate,
        fp16=dtype == torch.float16, remove_unused_columns=False, save_strategy="no", logging_strategy="no",
        use_cpu=device.type == "cpu", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    Trainer(
        model=student.model, args=arguments, train_dataset=student.samples * 100, data_collator=student.collate,
        callbacks=[Marks()],
    ).train()  # fmt: skip
    return [(after[0] - before[0], after[1] - before[1], 0.0) for before, after in pairwise(marks)]


def _timed(step: Callable[[], None], count: int, device: torch.device) -> Iterator[tuple[float, float]]:
    for _ in range(count):
        before = _now(device)
        step()
        after = _now(device)
        yield after[0] - before[0], after[1] - before[1]


def _now(device: torch.device) -> tuple[float, float]:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def _device(settings: config.Settings) -> tuple[torch.device, torch.dtype]:
    if not torch.cuda.is_available():
        return torch.device("cpu"), torch.float32
    kinds = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
    return torch.device("cuda"), kinds[settings.train.precision]


def _rows(settings: config.Settings) -> list[dict[str, str]]:
    entries = json.loads((Path(settings.data.dir) / "metadata.json").read_text())
    return [entry for entry in entries if entry["audio"].startswith("train/")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=("ours", "forward", "encodec", "trainer"))
    parser.add_argument("config", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    settings = config.load(args.config)
    folder = cache_dir(settings.data.cache_dir) / "runs"
    times = {
        "ours": lambda: ours(settings, args.steps, folder),
        "forward": lambda: usual(settings, args.steps, with_codec=False),
        "encodec": lambda: usual(settings, args.steps, with_codec=True),
        "trainer": lambda: trainer(settings, args.steps, folder / "trainer"),
    }[args.way]()
    # The first step warms allocators and kernels.
    wall, cpu, wait = np.array(times[1:]).T
    result = {
        "wall": wall.tolist(),
        "cpu": cpu.tolist(),
        "data_wait": float(np.median(wait)),
        "peak_rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }
    if torch.cuda.is_available():
        result["peak_gpu_gb"] = torch.cuda.max_memory_allocated() / 1e9
    print(json.dumps(result))


if __name__ == "__main__":
    main()
