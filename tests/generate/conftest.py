"""A run whose training has ended, with real adapters on a tiny model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.contract import config, rundir
from engine.contract.events import EventLog
from engine.contract.rundir import RunDir
from engine.model import load, lora

PROMPTS = ["slow piano, rain", "techno 130 bpm, dark", "a choir", "drums and bass"]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def save_adapter(folder: Path, model: Path, settings: config.Settings, seed: int) -> None:
    """An adapter folder whose update is not zero."""
    decoder, _ = load.load_decoder(model, device="cpu", dtype=torch.float32)
    adapted = lora.attach(decoder, settings.lora, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in lora.trainable(adapted).items():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator))
    folder.parent.mkdir(parents=True, exist_ok=True)
    lora.save(adapted, folder, base=str(model))


@pytest.fixture
def make_run(tmp_path: Path, tiny_model: Path) -> Callable[..., RunDir]:
    """Makes a finished run: best and final adapters of the given seeds, prompts, one second a clip."""

    def make(
        name: str = "r1",
        *,
        base: Path = tiny_model,
        best: int = 1,
        final: int = 2,
        prompts: list[str] = PROMPTS,
        **evaluate: object,
    ) -> RunDir:
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(prompts))
        settings = config.override(
            config.Settings(),
            [
                f'model.base="{base}"', "lora.rank=2", f'evaluate.prompts_file="{file}"', "evaluate.duration=1.0",
                "evaluate.batch_size=4", *[f"evaluate.{key}={value}" for key, value in evaluate.items()],
            ],
        )  # fmt: skip
        run = rundir.create(tmp_path / "runs", name, settings)
        save_adapter(run.best_model, base, settings, best)
        save_adapter(run.final_model, base, settings, final)
        save_adapter(run.checkpoints / "step-000004" / "adapter", base, settings, 3)
        with EventLog(run.events) as log:
            log.write("start", total_steps=4)
            log.write("state", state="done")
        return run

    return make


def lines_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "comparison_results.jsonl").read_text().splitlines()]
