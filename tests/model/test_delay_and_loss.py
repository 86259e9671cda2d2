"""The delay pattern and the loss: golden values, and an independent definition."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from engine.model import load, loss
from engine.model.delay import apply_delay, revert_delay
from engine.model.forward import condition, logits

PAD = 64


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> torch.nn.Module:
    from tests.models import build_tiny

    torch.set_num_threads(1)
    folder = build_tiny(tmp_path_factory.mktemp("models") / "loss")
    return load.load_base(folder, device="cpu", dtype=torch.float32)


@pytest.fixture
def codes() -> torch.Tensor:
    return torch.randint(0, PAD, (3, 4, 20), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def text(model: torch.nn.Module, tiny_model: Path) -> tuple[torch.Tensor, torch.Tensor]:
    return load.encode_text(model, load.load_tokenizer(tiny_model), ["a", "some drums", "bass, slow"], "cpu")


def audiocraft_loss(predicted: torch.Tensor, codes: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    """audiocraft's definition, by hand: codebook k at step t is to say frame t - k; mean a codebook, then mean."""
    clips, codebooks, frames, _ = predicted.shape
    per_codebook = []
    for k in range(codebooks):
        losses = [
            -functional.log_softmax(predicted[b, k, t].double(), dim=-1)[codes[b, k, t - k]]
            for b in range(clips)
            for t in range(k, frames)
            if t - k < lengths[b]
        ]
        per_codebook.append(torch.stack(losses).mean())
    return torch.stack(per_codebook).mean().detach()


def ours(model: torch.nn.Module, codes: torch.Tensor, lengths: list[int], text: tuple) -> tuple:
    """Logits, labels and loss of the engine."""
    inputs, labels = loss.sequences(codes, torch.tensor(lengths), PAD)
    projection = model.enc_to_dec_proj
    predicted = logits(model.decoder, inputs, *condition(projection, *text))
    return (
        torch.stack(predicted, 1),
        labels,
        loss.loss_from_sums(loss.cross_entropy_sums(predicted, labels), loss.label_counts(labels)),
    )


def test_the_delay_pattern_of_four_codebooks_and_six_frames() -> None:
    codes = torch.arange(24).reshape(1, 4, 6)
    golden = [
        [0, 1, 2, 3, 4, 5],
        [99, 6, 7, 8, 9, 10],
        [99, 99, 12, 13, 14, 15],
        [99, 99, 99, 18, 19, 20],
    ]
    assert apply_delay(codes, 99).tolist() == [golden]


def test_stereo_codebooks_lag_in_pairs() -> None:
    codes = torch.arange(24).reshape(1, 4, 6)
    golden = [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11], [99, 12, 13, 14, 15, 16], [99, 18, 19, 20, 21, 22]]
    assert apply_delay(codes, 99, channels=2).tolist() == [golden]


@pytest.mark.parametrize("channels", [1, 2])
def test_reverting_gives_back_the_frames_that_are_whole(channels: int) -> None:
    codes = torch.randint(0, 9, (2, 4, 12))
    lag = 4 // channels - 1
    assert torch.equal(revert_delay(apply_delay(codes, 99, channels), channels), codes[..., : 12 - lag])


def test_the_pattern_is_the_one_that_transformers_generates_with(model: torch.nn.Module, codes: torch.Tensor) -> None:
    behind_start = torch.cat([torch.full((3, 4, 1), PAD), codes], dim=-1).reshape(12, -1)
    _, pattern = model.decoder.build_delay_pattern_mask(behind_start, PAD, max_length=20 + 1 + 4)
    assert torch.equal(pattern.reshape(3, 4, -1)[..., 1:21], apply_delay(codes, PAD))


def test_inputs_are_the_labels_one_step_earlier_behind_a_start_column(codes: torch.Tensor) -> None:
    inputs, labels = loss.sequences(codes, torch.tensor([20, 20, 20]), PAD)
    assert (inputs[..., 0] == PAD).all()
    assert torch.equal(inputs[..., 1:], labels[..., :-1].masked_fill(labels[..., :-1] == loss.IGNORED, PAD))


def test_codebook_k_has_k_fewer_targets(codes: torch.Tensor) -> None:
    _, labels = loss.sequences(codes, torch.tensor([20, 20, 20]), PAD)
    assert loss.label_counts(labels).tolist() == [60, 57, 54, 51]


def test_our_loss_is_audiocrafts(model: torch.nn.Module, codes: torch.Tensor, text: tuple) -> None:
    predicted, _, value = ours(model, codes, [20, 20, 20], text)
    assert value.item() == pytest.approx(float(audiocraft_loss(predicted, codes, [20, 20, 20])), abs=1e-5)


def test_padding_of_short_clips_is_no_target(model: torch.nn.Module, codes: torch.Tensor, text: tuple) -> None:
    lengths = [20, 7, 13]
    predicted, labels, value = ours(model, codes, lengths, text)
    assert loss.label_counts(labels)[0] == sum(lengths)
    assert value.item() == pytest.approx(float(audiocraft_loss(predicted, codes, lengths)), abs=1e-5)
    changed = codes.clone()
    changed[1, :, 7:] = 1
    assert ours(model, changed, lengths, text)[2].item() == pytest.approx(value.item(), abs=1e-6)


def transformers_loss(model: torch.nn.Module, labels: torch.Tensor, text: tuple) -> float:
    """What MusicgenForConditionalGeneration.forward says of labels (B, T, K)."""
    states, mask = text
    return float(model(encoder_outputs=(states,), attention_mask=mask, labels=labels, use_cache=False).loss)


def test_transformers_loss_is_audiocrafts_on_delayed_labels(
    model: torch.nn.Module, codes: torch.Tensor, text: tuple
) -> None:
    predicted, _, value = ours(model, codes, [20, 20, 20], text)
    theirs = transformers_loss(model, apply_delay(codes, PAD).transpose(1, 2), text)
    assert theirs == pytest.approx(value.item(), abs=1e-5)
    assert theirs == pytest.approx(float(audiocraft_loss(predicted, codes, [20, 20, 20])), abs=1e-5)


def test_labels_without_the_delay_are_told_apart_by_their_targets(
    model: torch.nn.Module, codes: torch.Tensor, text: tuple
) -> None:
    _, right, value = ours(model, codes, [20, 20, 20], text)
    undelayed = codes.transpose(1, 2)
    assert (undelayed == PAD).sum() == 0
    assert (right == loss.IGNORED).sum() == 3 * (0 + 1 + 2 + 3)
    assert abs(transformers_loss(model, undelayed, text) - value.item()) > 1e-4


def test_a_mask_that_leaves_one_frame_is_told_apart_by_its_targets(codes: torch.Tensor) -> None:
    _, labels = loss.sequences(codes, torch.tensor([1, 1, 1]), PAD)
    assert loss.label_counts(labels).tolist() == [3, 3, 3, 3]
    _, labels = loss.sequences(codes, torch.tensor([20, 20, 20]), PAD)
    assert loss.label_counts(labels).min() == 3 * 17


def test_a_model_that_knows_nothing_has_the_loss_of_blind_guessing(codes: torch.Tensor) -> None:
    _, labels = loss.sequences(codes, torch.tensor([20, 20, 20]), PAD)
    sums = loss.cross_entropy_sums(torch.zeros(4, 3, 20, PAD), labels)
    assert float(loss.loss_from_sums(sums, loss.label_counts(labels))) == pytest.approx(math.log(PAD))


def test_half_precision_logits_are_summed_in_fp32(codes: torch.Tensor) -> None:
    _, labels = loss.sequences(codes, torch.tensor([20, 20, 20]), PAD)
    exact = torch.randn(4, 3, 20, PAD).half()
    sums = loss.cross_entropy_sums(exact, labels)
    assert sums.dtype == torch.float32
    assert torch.allclose(sums, loss.cross_entropy_sums(exact.float(), labels))


def test_the_null_condition_is_zero_after_the_projection_and_gives_finite_gradients(
    model: torch.nn.Module, codes: torch.Tensor, text: tuple
) -> None:
    states, mask = text
    mask = mask.clone()
    mask[1] = 0
    hidden, attended = condition(model.enc_to_dec_proj, states, mask)
    assert (hidden[1] == 0).all()
    assert attended[1].tolist() == [1] + [0] * (len(attended[1]) - 1)
    assert torch.equal(attended[0], mask[0])
    model.requires_grad_(True).zero_grad()
    ours(model, codes, [20, 20, 20], (states, mask))[2].backward()
    grads = [parameter.grad for parameter in model.decoder.parameters() if parameter.grad is not None]
    assert grads
    assert all(torch.isfinite(grad).all() for grad in grads)


def test_the_null_condition_is_the_one_that_guidance_generates_with(
    model: torch.nn.Module, codes: torch.Tensor, text: tuple
) -> None:
    """generate() hands the decoder all-zero states; what it then says is what the null condition was trained on."""
    states, mask = text
    inputs, _ = loss.sequences(codes, torch.tensor([20, 20, 20]), PAD)
    with torch.no_grad():
        trained = logits(model.decoder, inputs, *condition(model.enc_to_dec_proj, states, torch.zeros_like(mask)))
        zeros = torch.zeros(3, 5, model.decoder.config.hidden_size)
        generated = logits(model.decoder, inputs, zeros, torch.ones(3, 5, dtype=torch.long))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(trained, generated, strict=True))
