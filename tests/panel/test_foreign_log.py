"""Logs of other scripts: the losses are found in whatever shape they were printed."""

from __future__ import annotations

import json

import pytest

from tui.runs.foreign_log import in_english, read


def test_epochs_with_both_losses_are_counted_in_epochs() -> None:
    log = read("Epoch 1: train_loss=8.35, valid_loss=8.19\nEpoch 2: train_loss=8.31, valid_loss=8.18\nEpoch 3: train_l")
    assert log.counts == "epoch"
    assert log.train == {1: 8.35, 2: 8.31}
    assert log.valid == {1: 8.19, 2: 8.18}


def test_steps_between_time_stamps_are_found_and_a_validation_belongs_to_the_last_of_them() -> None:
    log = read(
        "2025-06-01 10:00:00,123 INFO Step 10: loss=8.40, lr=2e-6\n"
        "2025-06-01 10:00:07,456 INFO Step 20: loss=8.30, lr=4e-6\n"
        "Epoch 1 done, val loss: 8.2\n"
    )
    assert log.train == {10: 8.40, 20: 8.30}
    assert log.lr == {10: 2e-6, 20: 4e-6}
    assert log.valid == {20: 8.2}
    assert log.epochs[20] == 1


def test_progress_bars_that_begin_again_with_each_epoch_are_one_course() -> None:
    bars = "".join(
        f"Epoch {epoch}/2:  25%|##  | {n}/3 [00:0{n}<00:30,  1.20it/s, loss={9 - epoch - n / 10:.2f}, lr=1e-5]\r"
        for epoch in (1, 2)
        for n in (1, 2, 3)
    )
    log = read(bars + "\nvalid loss 8.1")
    assert log.train == {1: 7.9, 2: 7.8, 3: 7.7, 4: 6.9, 5: 6.8, 6: 6.7}


def test_what_a_trainer_prints_beside_its_bar_belongs_to_the_bars_step() -> None:
    log = read(
        " 33%|###   | 10/30 [00:10<00:20,  1.0it/s]\n"
        "{'loss': 8.1, 'grad_norm': 0.5, 'learning_rate': 2e-05, 'epoch': 0.33}\n"
        " 66%|###   | 20/30 [00:20<00:10,  1.0it/s]\n"
        "{'eval_loss': 8.05, 'eval_runtime': 1.2, 'epoch': 0.67}\n"
    )
    assert log.train == {10: 8.1}
    assert log.lr == {10: 2e-5}
    assert log.valid == {20: 8.05}


def test_the_state_of_transformers_trainer_is_read() -> None:
    state = {"log_history": [{"loss": 8.2, "learning_rate": 1e-5, "step": 10}, {"eval_loss": 8.1, "step": 30}]}
    log = read(json.dumps(state))
    assert (log.train, log.valid, log.lr) == ({10: 8.2}, {30: 8.1}, {10: 1e-5})


def test_json_lines_are_read_and_a_torn_one_is_passed_over() -> None:
    log = read('{"step": 1, "loss": 4.5}\n{"step": 2, "loss": NaN}\n{"step": 3, "loss": 4.3}\n{"step": 4, "lo')
    assert log.train == {1: 4.5, 3: 4.3}


@pytest.mark.parametrize("text", ["", "Эпоха 1: потери растут", "\x00\x01", "loss", "[[[[", "{" * 5000, "loss=" * 999])
def test_what_tells_no_loss_gives_an_empty_course(text: str) -> None:
    assert not read(text)


@pytest.mark.parametrize(
    "text",
    [
        "第1轮: 训练损失=8.35，验证损失=8.19\n",
        "轮次：１ 训练损失：８.３５ 验证损失：8.19",
        "Epoche 1: Trainingsverlust=8,35, Validierungsverlust=8,19",
        "Époque 1 : perte d'entraînement = 8,35, perte de validation = 8,19",
        "época 1: pérdida de entrenamiento: 8.35, pérdida de validación: 8.19",
    ],
)
def test_a_log_in_another_language_tells_its_losses(text: str) -> None:
    log = read(text)
    assert (log.train, log.valid) == ({1: 8.35}, {1: 8.19})


def test_steps_and_rates_are_read_in_another_language_and_a_half_line_gives_its_whole_part() -> None:
    log = read("步骤 10: 损失=8.40, 学习率=2e-05\nSchritt 11: Verlust=8,39, Lernrate=3e-05\n步骤 12: 损失=8.38, 学习")
    assert log.train == {10: 8.40, 11: 8.39, 12: 8.38}
    assert log.lr == {10: 2e-05, 11: 3e-05}


def test_english_lines_keep_their_commas() -> None:
    assert in_english("Step 1,200: loss=8,lr=1e-4") == "Step 1,200: loss=8,lr=1e-4"
