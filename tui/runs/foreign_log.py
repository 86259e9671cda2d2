"""Training logs that other scripts wrote: text with ``name=value`` or ``name: value``, JSON lines, progress bars,
and ``trainer_state.json`` of transformers.

Pure: text in, rows out. What cannot be understood is passed over; a line cut in half gives what its whole part says.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf"
# "train_loss=8.35", "valid loss: 8.19", "'lr': 1e-4"; in a progress bar also "loss=8.35]".
_PAIR = re.compile(
    rf"""['"]?([A-Za-z][A-Za-z_ /.-]{{0,30}}?)['"]?\s*[=:]\s*['"]?({_NUMBER})(?![\w.:/])""", re.IGNORECASE
)
_PLACE = re.compile(r"\b(epoch|step|iteration|iter)s?\b\s*[=:#]?\s*\[?(\d+(?:\.\d+)?)", re.IGNORECASE)
# "12/48 [00:10<00:30, 1.2it/s, loss=8.3]": the step of a tqdm bar.
_BAR = re.compile(r"(\d+)/(\d+)\s*\[\d+:\d+")
TEXTS = (".log", ".txt", ".out")
_COUNTS = re.compile(r"\d+[.,]\d+")
# What scripts that speak another language say for the words above. Longer ones first: each holds a later one.
_WORDS = {
    "训练损失": "train_loss", "訓練損失": "train_loss", "验证损失": "valid_loss", "驗證損失": "valid_loss",
    "損失": "loss", "损失": "loss", "学习率": "lr", "學習率": "lr", "步骤": "step", "步驟": "step", "轮次": "epoch",
    "輪次": "epoch", "Trainingsverlust": "train_loss", "Validierungsverlust": "valid_loss", "Verlust": "loss",
    "Lernrate": "lr", "Schritt": "step", "Epoche": "epoch", "perte d'entraînement": "train_loss",
    "perte de validation": "valid_loss", "perte": "loss", "étape": "step", "époque": "epoch",
    "pérdida de entrenamiento": "train_loss", "pérdida de validación": "valid_loss", "pérdida": "loss",
    "paso": "step", "época": "epoch",
}  # fmt: skip
_WORD = re.compile("|".join(rf"\b{w}\b" if w.isascii() else w for w in map(re.escape, _WORDS)), re.IGNORECASE)
_OF = {word.casefold(): english for word, english in _WORDS.items()}
_ROUND = re.compile(r"第\s*(\d+)\s*([轮輪步])")
_COMMA = re.compile(r"(?<=[=:]\d),(?=\d)|(?<=[=:]\s\d),(?=\d)")
_TRAIN = ("train_loss", "training_loss", "loss", "train/loss", "train_loss_step")
_VALID = ("valid_loss", "val_loss", "validation_loss", "eval_loss", "valid/loss", "val/loss", "eval/loss", "valid")
_RATE = ("lr", "learning_rate", "train/lr", "train/learning_rate")
_STEP = ("step", "global_step", "iteration", "iter", "current_step")


@dataclass
class Row:
    """What one line tells. ``epoch`` and ``step`` are None where it names none; losses are NaN likewise."""

    step: int | None = None
    epoch: float | None = None
    loss: float = math.nan
    valid: float = math.nan
    lr: float = math.nan
    total: int | None = None
    """Of a progress bar: the steps that it counts to. Bars begin again with each epoch."""

    @property
    def tells(self) -> bool:
        return not (math.isnan(self.loss) and math.isnan(self.valid))


@dataclass
class Log:
    """The losses of a training, by step; steps are numbered where the log counts epochs only."""

    train: dict[int, float] = field(default_factory=dict)
    valid: dict[int, float] = field(default_factory=dict)
    lr: dict[int, float] = field(default_factory=dict)
    epochs: dict[int, float] = field(default_factory=dict)
    """Step -> epoch, where the log says it."""
    counts: str = "step"
    """What the log counts in: step or epoch."""

    def __bool__(self) -> bool:
        return bool(self.train or self.valid)


def read(text: str) -> Log:
    """The course that a log tells; empty when no line of it tells a loss."""
    rows = list(_rows(text))
    told = [row for row in rows if row.tells]
    by_epoch = not any(row.step is not None or row.total is not None for row in told) and not any(
        row.total is not None for row in rows
    )
    log = Log(counts="epoch" if by_epoch else "step")
    last = behind = 0
    for row in told if by_epoch else rows:
        step = (None if row.epoch is None else round(row.epoch)) if by_epoch else row.step
        if step is not None and row.total is not None:
            if step + behind < last:
                behind += row.total
            step += behind
        # What names no step belongs to the last one named, and does not take the place of what that one said.
        at = last if step is None else step
        last = max(last, at)
        for known, value in ((log.train, row.loss), (log.valid, row.valid), (log.lr, row.lr)):
            if not math.isnan(value) and (step is not None or at not in known):
                known[at] = value
        if row.epoch is not None:
            log.epochs.setdefault(at, row.epoch)
    return log


def _rows(text: str) -> Iterator[Row]:
    try:
        state = json.loads(text)
    except (ValueError, RecursionError):
        state = None
    if isinstance(state, dict) and isinstance(state.get("log_history"), list):
        yield from _of_objects(state["log_history"])
        return
    if isinstance(state, list):
        yield from _of_objects(state)
        return
    for line in re.split(r"[\r\n]+", text):
        row = _of_line(line.strip())
        if row is not None:
            yield row


def _of_line(line: str) -> Row | None:
    if line.startswith("{") and line.endswith("}"):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            # Python's own way to print a dictionary, as transformers' Trainer does.
            return _of_text(line)
        return next(_of_objects([found]), None)
    return _of_text(line)


def _of_objects(objects: Iterable[Any]) -> Iterator[Row]:
    for found in objects:
        if isinstance(found, dict):
            row = _row({_key(str(name)): _float(value) for name, value in found.items()})
            if row is not None:
                yield row


def counts(text: str) -> bool:
    """Whether a text could be a log: several of its lines have numbers with a fraction."""
    return sum(_COUNTS.search(line) is not None for line in re.split(r"[\r\n]+", text[:100_000])) > 1


def in_english(line: str) -> str:
    """A line with the words and the decimal commas of other languages, and full-width signs, as English has them."""
    line = unicodedata.normalize("NFKC", line)
    if line.isascii() and not _WORD.search(line):
        return line
    line = _ROUND.sub(lambda found: f"{'step' if found[2] == '步' else 'epoch'} {found[1]}", line)
    return _COMMA.sub(".", _WORD.sub(lambda found: _OF[found[0].casefold()], line))


def _of_text(line: str) -> Row | None:
    line = in_english(line)
    pairs = {_key(name): _float(value) for name, value in _PAIR.findall(line)}
    for word, number in _PLACE.findall(line):
        pairs.setdefault("epoch" if word.lower() == "epoch" else "step", float(number))
    if bar := _BAR.search(line):
        pairs.setdefault("step", float(bar[1]))
        pairs.setdefault("total", float(bar[2]))
    return _row(pairs)


def _row(pairs: dict[str, float]) -> Row | None:
    row = Row(loss=_first(pairs, _TRAIN), valid=_first(pairs, _VALID), lr=_first(pairs, _RATE))
    if not row.tells and "step" not in pairs:
        return None
    step, epoch, total = _first(pairs, _STEP), pairs.get("epoch", math.nan), pairs.get("total", math.nan)
    row.step = int(step) if math.isfinite(step) and step >= 0 else None
    row.epoch = epoch if math.isfinite(epoch) and epoch >= 0 else None
    row.total = int(total) if math.isfinite(total) else None
    return row


def _key(name: str) -> str:
    return re.sub(r"[\s.-]+", "_", name.strip().lower())


def _first(pairs: dict[str, float], names: Iterable[str]) -> float:
    return next((pairs[name] for name in names if name in pairs), math.nan)


def _float(value: Any) -> float:
    try:
        return float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        return math.nan
