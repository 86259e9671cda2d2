"""One optimizer step: micro-batches, text dropout, memory that runs out, precision."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.contract import config
from engine.contract.errors import UserError
from engine.contract.plan import plan
from engine.data.dataset import Dataset, Example
from engine.model import load, lora
from engine.model.fast_lora import speed_up
from engine.train import step
from engine.train.batches import collate, dropout_seed, indices, without_caption
from engine.train.setup import freeze
from engine.train.step import Trainee, accumulate, fitting_gradient, update
from engine.train.validate import evaluate_loss

OFF = torch.amp.GradScaler("cpu", enabled=False)
CPU = torch.device("cpu")


@pytest.fixture
def data() -> Dataset:
    """Eight clips of unequal length with captions of unequal length."""
    rng = np.random.default_rng(0)
    lengths = [30, 30, 12, 30, 7, 30, 25, 30]
    examples = [Example(f"clip{n}", rng.integers(0, 64, (4, length)), n % 3) for n, length in enumerate(lengths)]
    states = [torch.randn(length, 16, generator=torch.Generator().manual_seed(length)) for length in (3, 9, 5)]
    return Dataset(train=examples, valid=examples[:2], states=states, frames=30, codebook_size=64, channels=1)


def trainee(
    model: Path,
    dropout: float = 0.0,
    dtype: torch.dtype = torch.float32,
    device: torch.device = CPU,
    **settings: object,
) -> Trainee:
    train = config.Train(**settings)  # type: ignore[arg-type]
    decoder, projection = load.load_decoder(model, device=device, dtype=torch.float32)
    adapted = lora.attach(freeze(decoder, dtype, train), config.Lora(rank=4, dropout=dropout), 0)
    speed_up(adapted, dropout)
    with torch.no_grad():
        for number, parameter in enumerate(lora.trainable(adapted).values()):
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
            parameter += 0.05 * noise.to(device)
    return Trainee(adapted.train(), projection.requires_grad_(False), device, dtype)


def gradient(student: Trainee) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in lora.trainable(student.decoder).values()])


NULL = np.array([False, True, False, False, False, False, True, False])


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("micro", [1, 2, 3, 4])
def test_the_gradient_is_the_same_for_every_micro_batch(
    tiny_model: Path, data: Dataset, micro: int, dropout: float
) -> None:
    batch = collate(data, data.train, NULL)
    whole, parts = trainee(tiny_model, dropout), trainee(tiny_model, dropout)
    loss = accumulate(whole, batch, 8, OFF, seed=5)
    loss_of_parts = accumulate(parts, batch, micro, OFF, seed=5)
    assert loss_of_parts.item() == pytest.approx(loss.item(), abs=1e-6)
    assert torch.allclose(gradient(parts), gradient(whole), atol=1e-6, rtol=0)
    assert gradient(whole).abs().max() > 1e-3


def test_shares_of_two_processes_add_up(tiny_model: Path, data: Dataset) -> None:
    batch = collate(data, data.train, NULL)
    whole, shared = trainee(tiny_model, 0.2), trainee(tiny_model, 0.2)
    loss = accumulate(whole, batch, 8, OFF, seed=5)
    shares = [accumulate(shared, batch, 2, OFF, rank, 2, seed=5) for rank in range(2)]
    assert sum(shares).item() == pytest.approx(loss.item(), abs=1e-6)
    assert torch.allclose(gradient(shared), gradient(whole), atol=1e-6, rtol=0)


def test_gradient_checkpointing_changes_no_number(tiny_model: Path, data: Dataset) -> None:
    batch = collate(data, data.train)
    plain, thrifty = trainee(tiny_model, 0.2), trainee(tiny_model, 0.2, gradient_checkpointing=True)
    assert any(getattr(module, "gradient_checkpointing", False) for module in thrifty.decoder.modules())
    for student in (plain, thrifty):
        torch.manual_seed(0)
        accumulate(student, batch, 4, OFF)
    assert torch.equal(gradient(thrifty), gradient(plain))


def test_memory_that_runs_out_halves_the_micro_batch_and_keeps_the_gradient(
    tiny_model: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = collate(data, data.train, NULL)
    whole, short = trainee(tiny_model, 0.2), trainee(tiny_model, 0.2)
    accumulate(whole, batch, 8, OFF, seed=0)
    sums = Trainee.sums

    def with_room_for_two(self: Trainee, part: object) -> torch.Tensor:
        if len(part.inputs) > 2:  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("CUDA out of memory")
        return sums(self, part)  # type: ignore[arg-type]

    monkeypatch.setattr(step.Trainee, "sums", with_room_for_two)
    notes: list[str] = []
    _, micro = fitting_gradient(short, batch, 8, OFF, 0, 1, seed=0, note=notes.append)
    assert micro == 2
    assert len(notes) == 2
    assert "micro-batches of 2" in notes[-1]
    assert torch.allclose(gradient(short), gradient(whole), atol=1e-6, rtol=0)


def test_validation_goes_on_with_fewer_clips_when_memory_runs_out(
    tiny_model: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = SimpleNamespace(process_index=0, num_processes=1)
    student, sums = trainee(tiny_model), Trainee.clip_sums
    expected = evaluate_loss(student, data, data.train, 8, alone, lambda: None)
    assert student.decoder.training

    def with_room_for_two(self: Trainee, part: object) -> torch.Tensor:
        if len(part.inputs) > 2:  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("CUDA out of memory")
        return sums(self, part)  # type: ignore[arg-type]

    monkeypatch.setattr(step.Trainee, "clip_sums", with_room_for_two)
    found = evaluate_loss(student, data, data.train, 8, alone, lambda: None)
    assert found.per_codebook == pytest.approx(expected.per_codebook, abs=1e-5)
    assert found.per_clip == pytest.approx(expected.per_clip, abs=1e-5)


def test_the_loss_of_a_clip_is_that_of_a_batch_of_it_alone(tiny_model: Path, data: Dataset) -> None:
    student, alone = trainee(tiny_model), SimpleNamespace(process_index=0, num_processes=1)
    together = evaluate_loss(student, data, data.train, 8, alone, lambda: None)
    for example, loss in zip(data.train, together.per_clip, strict=True):
        assert evaluate_loss(student, data, [example], 1, alone, lambda: None).loss == pytest.approx(loss, abs=1e-5)


def test_memory_that_does_not_hold_one_clip_is_one_sentence(
    tiny_model: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(self: Trainee, part: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(step.Trainee, "sums", no_room)
    monkeypatch.setattr(step.Trainee, "clip_sums", no_room)
    student, alone = trainee(tiny_model), SimpleNamespace(process_index=0, num_processes=1)
    with pytest.raises(UserError, match="gradient_checkpointing"):
        fitting_gradient(student, collate(data, data.train), 2, OFF, 0, 1, seed=0, note=print)
    with pytest.raises(UserError, match="gradient_checkpointing"):
        evaluate_loss(student, data, data.valid, 8, alone, lambda: None)


def test_clips_without_caption_give_finite_gradients(tiny_model: Path, data: Dataset) -> None:
    student = trainee(tiny_model)
    accumulate(student, collate(data, data.train, np.ones(8, bool)), 4, OFF)
    assert torch.isfinite(gradient(student)).all()


def test_text_dropout_takes_the_share_it_is_set_to_and_follows_from_seed_and_step() -> None:
    train = config.Train(text_dropout=0.3, seed=5)
    drawn = np.concatenate([without_caption(8, train, number) for number in range(1000)])
    assert drawn.mean() == pytest.approx(0.3, abs=0.02)
    assert (without_caption(8, train, 7) == without_caption(8, train, 7)).all()
    assert not without_caption(8, config.Train(text_dropout=0.0), 7).any()


def test_model_dropout_is_off_unless_set(tiny_model: Path) -> None:
    def rates(student: Trainee) -> set[float]:
        layers = [m for m in student.decoder.modules() if type(m).__name__.startswith("Musicgen")]
        return {module.dropout for module in layers if isinstance(getattr(module, "dropout", None), float)}

    assert rates(trainee(tiny_model)) == {0.0}
    assert rates(trainee(tiny_model, model_dropout=0.2)) == {0.2}


def test_train_mode_says_what_eval_mode_says_when_nothing_is_dropped(tiny_model: Path, data: Dataset) -> None:
    student, batch = trainee(tiny_model), collate(data, data.train)
    with torch.no_grad():
        training = student.sums(batch)
        student.decoder.eval()
        assert torch.equal(student.sums(batch), training)


def test_every_epoch_takes_every_clip_once_in_an_order_of_its_own() -> None:
    settings = config.Settings()
    course = plan(settings, 20)
    epochs = [
        [clip for number in range(3) for clip in indices(20, course, 0, epoch * 3 + number + 1)] for epoch in range(2)
    ]
    assert [sorted(epoch) for epoch in epochs] == [list(range(20))] * 2
    assert epochs[0] != epochs[1]
    assert [len(indices(20, course, 0, number)) for number in (1, 2, 3)] == [8, 8, 4]
    assert indices(20, course, 1, 1) != indices(20, course, 0, 1)


def test_steps_draw_dropout_of_their_own() -> None:
    assert len({dropout_seed(seed, number) for seed in range(2) for number in range(50)}) == 100


def test_a_gradient_that_is_not_finite_changes_no_weight() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter], lr=0.1)
    parameter.grad = torch.tensor([1.0, float("nan"), 1.0])
    norm = update(optimizer, [parameter], OFF, 1.0)
    assert norm != norm
    assert parameter.tolist() == [1.0, 1.0, 1.0]
    assert parameter.grad is None
    parameter.grad = torch.ones(3)
    update(optimizer, [parameter], OFF, 1.0)
    assert (parameter < 1).all()


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_gpu])])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_the_loss_and_the_gradient_of_fp32(
    tiny_model: Path, data: Dataset, dtype: torch.dtype, device: str
) -> None:
    whole = trainee(tiny_model, dropout=0.2)
    half = trainee(tiny_model, dropout=0.2, dtype=dtype, device=torch.device(device))
    batch = collate(data, data.train)
    loss = accumulate(whole, batch, 8, OFF, seed=5).item()
    scaler = torch.amp.GradScaler(device, enabled=dtype == torch.float16)
    parameters = list(lora.trainable(half.decoder).values())
    optimizer = torch.optim.AdamW(parameters, lr=0.01, fused=True)
    assert accumulate(half, batch, 8, scaler, seed=5).item() == pytest.approx(loss, abs=0.02)

    scaler.unscale_(optimizer)
    found = gradient(half).cpu()
    if device == "cpu":  # a GPU draws another dropout
        assert torch.nn.functional.cosine_similarity(found, gradient(whole), dim=0) > 0.99
    assert torch.isfinite(found).all()
    before = [parameter.detach().clone() for parameter in parameters]
    scaler.step(optimizer)
    assert not any(torch.equal(now, then) for now, then in zip(parameters, before, strict=True))
