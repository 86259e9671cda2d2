"""Decoding side by side: ours, transformers' generate() as it comes, with a static cache, and on unmerged adapters.

    python bench/decode.py --size mid --seconds 15

Eight prompts, guidance 3, top-k 250, random weights of the real classes (the embedded model for ``demo``). The methods
take turns, so that a busy machine slows all of them; medians are reported. Writes bench/results/decode.json.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from peft import LoraConfig, get_peft_model
from transformers import MusicgenForConditionalGeneration

from engine.generate import noise
from engine.generate.codec import to_audio
from engine.generate.decode import Decoder, Sampling
from engine.model import untrained
from engine.model.work import decoding_bytes
from engine.prove.rates import copies

RESULTS = Path(__file__).parent / "results" / "decode.json"
PROMPTS = 8
CLIPS = 24
TEXT_TOKENS = 24


def build(size: str) -> Any:
    """A model of the size in fp32 and eval mode, on the CPU."""
    if size == "demo":
        from engine.demo import model_path

        return MusicgenForConditionalGeneration.from_pretrained(model_path(), dtype=torch.float32).eval()
    return untrained.whole(size)


def with_adapter(model: Any) -> Any:
    """A copy of the model with an unmerged LoRA of the default settings on its decoder."""
    adapted = copy.deepcopy(model)
    targets = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
    adapted.decoder = get_peft_model(adapted.decoder, LoraConfig(r=12, lora_alpha=24, target_modules=targets))
    return adapted.eval()


def methods(model: Any, frames: int, device: torch.device, dtype: torch.dtype) -> dict[str, Callable[[], torch.Tensor]]:
    """Name -> a call that makes the audio (8, channels, samples) of one batch.

    Ours keeps T5 and EnCodec in fp32 and merges the adapter anew for every batch; generate() gets the whole model in
    ``dtype``, as people load it.
    """
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, model.config.text_encoder.vocab_size, (PROMPTS, TEXT_TOKENS), generator=generator).to(device)
    mask = torch.ones_like(ids)
    keys = [noise.key(0, str(row)) for row in range(PROMPTS)]
    adapted = with_adapter(model).to(device)
    plain = copy.deepcopy(model).to(device, dtype)
    unmerged = adapted if dtype == torch.float32 else copy.deepcopy(adapted).to(dtype)

    @torch.no_grad()
    def ours() -> torch.Tensor:
        decoder = Decoder(adapted.decoder, getattr(adapted, "enc_to_dec_proj", None), dtype)
        states = adapted.text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        codes = decoder.decode(states, mask, frames, Sampling(), keys)
        decoder.release()  # as after a batch of an evaluation's last prompts: generate() keeps no cache either
        return to_audio(adapted.audio_encoder, codes)

    def generate(model: Any, **extra: Any) -> torch.Tensor:
        return model.generate(
            input_ids=ids, attention_mask=mask, do_sample=True, guidance_scale=3.0, top_k=250,
            max_new_tokens=frames + model.config.decoder.num_codebooks - 1, **extra,
        )  # fmt: skip

    return {
        "ours": ours,
        "generate() default": lambda: generate(plain),
        "generate() static cache": lambda: generate(plain, cache_implementation="static"),
        "generate() unmerged adapters": lambda: generate(unmerged),
    }


@dataclass
class Time:
    """What one batch took: seconds, processor seconds of all threads, and MiB above the start."""

    seconds: float
    cpu_seconds: float
    memory: float


def timed(call: Callable[[], torch.Tensor], device: torch.device) -> Time:
    """Run one batch; memory is what was allocated at most on a GPU, and resident at most on a CPU."""
    process = psutil.Process()
    peak = before = process.memory_info().rss
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        start, processor = time.perf_counter(), time.process_time()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        took, used = time.perf_counter() - start, time.process_time() - processor
    finally:
        done.set()
        watcher.join()
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated()
    return Time(took, used, (peak - before) / 2**20)


def floor(model: Any, frames: int, dtype: torch.dtype, device: torch.device) -> float:
    """Least seconds for one batch on the GPU: weights and keys and values over the measured copy bandwidth."""
    sizes = model.config.decoder.to_dict()
    steps = frames + sizes["num_codebooks"] - 1
    element = torch.finfo(dtype).bits // 8
    return steps * decoding_bytes(sizes, 2 * PROMPTS, steps / 2, element) / copies(device)


def error_of(call: Callable[[], torch.Tensor]) -> str:
    """What calling raised, in a line; "" when nothing."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
    return ""


def measure(
    size: str, seconds: float, repeats: int, device: torch.device, dtype: torch.dtype, only: list[str]
) -> dict[str, Any]:
    """All methods by turns, after each has warmed up; one that fails is reported with its error."""
    model = build(size)
    codec = model.config.audio_encoder
    frames = round(seconds * codec.frame_rate)
    steps = frames + model.config.decoder.num_codebooks - 1
    calls = {name: call for name, call in methods(model, frames, device, dtype).items() if not only or name in only}
    # On a GPU generate() compiles for the length of its static cache, so that a short clip would warm up nothing.
    warm = calls if device.type == "cuda" else methods(model, codec.frame_rate, device, dtype)
    failed = {name: error for name in calls if (error := error_of(warm[name]))}
    del warm
    calls = {name: call for name, call in calls.items() if name not in failed}
    print("".join(f"{size} {name} failed: {error}\n" for name, error in failed.items()), end="", flush=True)
    times: dict[str, list[Time]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(timed(call, device))
            took = times[name][-1]
            print(
                f"{size} {name}: {took.seconds:.1f} s, {steps / took.seconds:.1f} steps/s, "
                f"{took.cpu_seconds:.1f} s of processor, load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    result: dict[str, Any] = {"frames": frames, "clip_seconds": seconds, "sampling_rate": codec.sampling_rate}
    result["methods"] = {name: summary(measured, steps, seconds) for name, measured in times.items()}
    if failed:
        result["failed"] = failed
    if {"ours", "generate() default"} <= set(times):
        pairs = list(zip(times["generate() default"], times["ours"], strict=True))
        result["times_generate_default"] = round(statistics.median(a.seconds / b.seconds for a, b in pairs), 2)
        ratios = [a.cpu_seconds / b.cpu_seconds for a, b in pairs]
        result["times_generate_default_by_processor_time"] = round(statistics.median(ratios), 2)
    if device.type == "cuda" and "ours" in times:
        least = floor(model, frames, dtype, device)
        result["floor_seconds"] = round(least, 3)
        result["times_floor"] = round(result["methods"]["ours"]["batch_seconds"] / least, 2)
    return result


def summary(times: list[Time], steps: int, seconds: float) -> dict[str, Any]:
    """Medians of a method; 24 clips are three batches."""
    median = statistics.median(time.seconds for time in times)
    return {
        "all_batch_seconds": [round(time.seconds, 2) for time in times],
        "batch_seconds": round(median, 2),
        "batch_cpu_seconds": round(statistics.median(time.cpu_seconds for time in times), 2),
        "steps_per_second": round(steps / median, 2),
        "seconds_24_clips": round(median * CLIPS / PROMPTS, 2),
        "real_time_factor": round(PROMPTS * seconds / median, 3),
        "peak_memory_mib": round(max(time.memory for time in times)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=("demo", "mid", "small"), default=["mid"])
    parser.add_argument("--seconds", type=float, default=15.0, help="length of a clip")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--method", nargs="+", default=[], help="only these methods")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--dtype", choices=("fp32", "fp16", "bf16"), help="default: fp16 on a GPU, fp32 on a CPU")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = args.dtype or ("fp16" if device.type == "cuda" else "fp32")
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]
    RESULTS.parent.mkdir(exist_ok=True)
    report = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for size in args.size:
        result = measure(size, args.seconds, args.repeats, device, dtype, args.method)
        report[f"{size} {device.type} {name}"] = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": torch.cuda.get_device_name()
            if device.type == "cuda"
            else platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "load_at_the_end": round(os.getloadavg()[0], 1),
            "torch": torch.__version__,
            "prompts": PROMPTS,
            "guidance_scale": 3.0,
            **result,
        }
        RESULTS.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
