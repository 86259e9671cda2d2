"""Evaluation folders with real WAV files, as the engine and as other people's scripts leave them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from engine.contract import rundir
from engine.contract.config import Review, Settings
from engine.contract.events import EventLog
from engine.contract.rundir import RunDir
from tui.review.evaluation import Evaluation
from tui.review.session import Session

PROMPTS = (
    "upbeat synthwave, driving bass",
    "slow piano ballad, rain",
    "lo-fi hip hop, vinyl crackle",
    "orchestral build-up, brass",
    "acoustic guitar folk, 90 bpm",
    "techno, 130 bpm, dark",
    "jazz trio, brushed drums",
    "8-bit chiptune, fast",
)
MODELS = ("base", "best", "final")


def write_clip(path: Path, *, tone: float, level: float = 0.3, seconds: float = 1.0, rate: int = 16000) -> None:
    """A tone with a beat on it, so that the waveform has a shape."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds * rate)) / rate
    beat = np.exp(-3 * (t * 4 % 1))
    soundfile.write(path, (level * beat * np.sin(2 * np.pi * tone * t)).astype(np.float32), rate)


def make_evaluation(
    folder: Path,
    prompts: Sequence[str] = PROMPTS,
    models: Sequence[str] = MODELS,
    *,
    seconds: float = 1.0,
    rate: int = 16000,
    same_weights: Sequence[str] = (),
    repeats: int = 1,
) -> Path:
    """As the engine writes it. Models of ``same_weights`` name one file; every model has a level of its own."""
    lines = []
    for number, prompt in enumerate(prompts, 1):
        for repeat in range(repeats):
            files = {}
            for place, model in enumerate(models):
                slug = "-".join("".join(c if c.isalnum() else " " for c in prompt).split())[:40]
                name = f"{model}_model/{number:02d}-{slug}{f'-{repeat}' if repeat else ''}.wav"
                if model in same_weights and model != same_weights[0]:
                    name = files[same_weights[0]]
                else:
                    write_clip(
                        folder / name,
                        tone=110 * (number + place) + repeat,
                        level=0.1 * (place + 1),
                        seconds=seconds,
                        rate=rate,
                    )
                files[model] = name
            lines.append(
                {
                    "text_prompt": prompt,
                    "duration": seconds,
                    **{f"{m}_model_file": files.get(m) for m in MODELS},
                    "prompt_id": str(number),
                    "seed": 1000 * number + repeat,
                    "repeat": repeat,
                    "same_weights": list(same_weights),
                    "models": files,
                    "measures": {m: {"lufs": -30.0 + 3 * models.index(m), "true_peak_db": -6.0} for m in files},
                }
            )
    (folder / "comparison_results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def make_foreign_evaluation(folder: Path, prompts: Sequence[str] = PROMPTS[:3]) -> Path:
    """As another script leaves it: the five fields only, file names with a time stamp, paths from somewhere else."""
    lines = []
    for number, prompt in enumerate(prompts):
        slug = "".join(c if c.isalnum() else "_" for c in prompt)
        entry: dict[str, object] = {"text_prompt": prompt, "duration": 15}
        for place, model in enumerate(MODELS):
            name = f"{model}_model/20251110_2252{number}{place}_{number}_{slug}.wav"
            write_clip(folder / name, tone=220 * (number + place + 1), level=0.2 + 0.2 * place, rate=32000)
            entry[f"{model}_model_file"] = f"output/evaluation/{name}"
        lines.append(entry)
    (folder / "comparison_results.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return folder


def make_run(
    runs_dir: Path, name: str = "first", *, settings: Settings | None = None, clips: bool = True, **evaluation: object
) -> RunDir:
    """A finished run: settings, events of 40 steps with a falling loss, clips of eight prompts."""
    run = rundir.create(runs_dir, name, settings or Settings())
    write_events(run, [(step, 4.5 - step / 80) for step in range(0, 41, 10)])
    if clips:
        make_evaluation(run.evaluation(), **evaluation)  # type: ignore[arg-type]
    return run


def write_events(
    run: RunDir, valid: Sequence[tuple[int, float]], *, losses: Sequence[float] | None = None, lr: float = 1e-4
) -> None:
    """A log as the engine writes it: ``valid`` as (step, loss), ``losses`` of steps 1, 2, 3 ..."""
    steps = valid[-1][0]
    with EventLog(run.events) as log:
        log.write(
            "start", device="cpu", total_steps=steps, train_clips=320, valid_clips=32, codebook_size=2048,
            trainable_parameters=7667712,
        )  # fmt: skip
        log.write("state", state="training")
        for at, loss in valid[:1]:
            log.write("valid", step=at, loss=loss)
        marks = dict(valid[1:])
        for step in range(1, steps + 1):
            loss = losses[step - 1] if losses else 4.4 - step / 80
            rate = lr * min(1.0, step / 5)
            log.write("train", step=step, epoch=step / steps, loss=loss, lr=rate, grad_norm=0.5, clips_seen=8 * step)
            if step in marks:
                log.write("valid", step=step, loss=marks[step])
        log.write("state", state="done")


def heard(session: Session) -> Session:
    """The session, whose listener says to have heard all of it outside the panel."""
    session.state.elsewhere = [trial.id for trial in session.trials]
    return session


def judge(evaluation: Evaluation, listener: str, scores: Sequence[dict[str, int]], **review: object) -> Session:
    """A whole session: ``scores[item][model]``, the last entry for all items that follow."""
    session = Session.open(evaluation, listener, Review(training_item=False, **review), seed=1)  # type: ignore[arg-type]
    if session.needs_choice:
        session.choose_equal("three")
    keys = [item.key for item in evaluation.items]
    for index, trial in enumerate(session.trials):
        wanted = scores[min(keys.index(trial.item), len(scores) - 1)]
        for letter in trial.letters:
            session.go(index, letter)
            session.heard(trial.id, letter, 1.0)
            session.rate(wanted[trial.model(letter)])
    return session
