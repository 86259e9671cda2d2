"""Clips become codes once, in windows, with captions as text states."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.contract import config
from engine.contract.data import metadata
from engine.contract.errors import UserError
from engine.data import dataset
from engine.data.dataset import Dataset, prepare, windows
from engine.model import load
from tests.data.conftest import music, write

CPU = torch.device("cpu")


def settings(data: Path, cache: Path, duration: float = 2.0) -> config.Settings:
    return config.override(
        config.Settings(), [f'data.dir="{data}"', f'data.cache_dir="{cache}"', f"data.duration={duration}"]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Clips of 2, 5 and 1.2 s, and a valid one; two share a caption."""
    lengths = {"train/two.wav": 2.0, "train/five.wav": 5.0, "train/short.wav": 1.2, "valid/one.wav": 2.0}
    for number, (name, seconds) in enumerate(lengths.items()):
        write(tmp_path / "data" / name, music(number, seconds))
    entries = [{"audio": name, "text": f"caption {number % 3}"} for number, name in enumerate(lengths)]
    (tmp_path / "data" / "metadata.json").write_text(json.dumps(entries))
    return tmp_path / "data"


def nothing(done: int, total: int) -> None:
    pass


def prepared(folder: Path, model: Path, cache: Path, duration: float = 2.0) -> Dataset:
    torch.set_num_threads(1)
    return prepare(settings(folder, cache, duration), model, CPU, nothing, nothing)


def test_a_long_clip_gives_several_windows_and_a_short_one_is_kept_short(
    folder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    data = prepared(folder, tiny_model, tmp_path / "cache")
    assert data.frames == 50
    assert [(example.name, example.codes.shape) for example in data.train] == [
        ("train/two.wav", (4, 50)),
        ("train/five.wav", (4, 50)),
        ("train/five.wav", (4, 50)),
        ("train/short.wav", (4, 30)),
    ]
    assert len(data.valid) == 1
    assert [example.caption for example in data.train] == [0, 1, 1, 2]
    assert data.valid[0].caption == 0


def test_windows_reach_from_the_beginning_to_the_end() -> None:
    codes = np.arange(100).reshape(1, 100)
    assert [(w[0, 0], w[0, -1]) for w in windows(codes, 40)] == [(0, 39), (60, 99)]
    assert [w.shape[1] for w in windows(codes, 100)] == [100]
    assert [w.shape[1] for w in windows(codes, 101)] == [100]
    assert [(w[0, 0], w[0, -1]) for w in windows(codes, 99)] == [(0, 98)]


def test_codes_are_those_of_the_model_itself(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    from engine.data.audio import read_for_model

    data = prepared(folder, tiny_model, tmp_path / "cache")
    codec = load.load_audio_encoder(tiny_model, device="cpu")
    samples = torch.from_numpy(read_for_model(folder / "train/two.wav", 16000, 1))[None]
    with torch.no_grad():
        expected = codec.encode(samples).audio_codes[0, 0]
    assert np.array_equal(data.train[0].codes, expected.numpy())


def test_text_states_are_those_of_the_model_itself(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    data = prepared(folder, tiny_model, tmp_path / "cache")
    encoder, tokenizer = load.load_text_encoder(tiny_model, device="cpu"), load.load_tokenizer(tiny_model)
    states, _ = load.encode_text(encoder, tokenizer, ["caption 1"], "cpu")
    assert torch.equal(data.states[1], states[0])


def test_stereo_codes_alternate_between_left_and_right(folder: Path, tmp_path: Path) -> None:
    from tests.models import build_tiny

    left, right = music(7, 2.0), music(8, 2.0)
    write(folder / "train/two.wav", np.stack([left, right], axis=1))
    write(folder / "train/five.wav", left)
    write(folder / "train/short.wav", right)
    model = build_tiny(tmp_path / "stereo", channels=2)
    data = prepared(folder, model, tmp_path / "cache")
    both, only_left, only_right = (example.codes for example in data.train)
    assert both.shape == (8, 50)
    assert np.array_equal(both[0::2], only_left[0::2])
    assert np.array_equal(both[1::2], only_right[1::2])
    assert data.channels == 2


def test_a_second_time_nothing_is_encoded(
    folder: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepared(folder, tiny_model, tmp_path / "cache")
    assert first.encoded == 4 + 3
    for loader in ("load_audio_encoder", "load_text_encoder"):
        monkeypatch.setattr(f"engine.model.load.{loader}", lambda *_, **__: pytest.fail("an encoder was loaded"))
    second = prepared(folder, tiny_model, tmp_path / "cache")
    assert second.encoded == 0
    assert second.fingerprint == first.fingerprint
    assert all(np.array_equal(a.codes, b.codes) for a, b in zip(first.train, second.train, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first.states, second.states, strict=True))
    # Another length of window cuts the same codes.
    assert prepared(folder, tiny_model, tmp_path / "cache", duration=1.0).encoded == 0


def test_a_damaged_entry_is_encoded_again(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    prepared(folder, tiny_model, tmp_path / "cache")
    entry = next((tmp_path / "cache" / "codes").rglob("*.npz"))
    entry.write_bytes(entry.read_bytes()[:100])
    assert prepared(folder, tiny_model, tmp_path / "cache").encoded == 1


def test_a_changed_file_is_encoded_again_and_changes_the_fingerprint(
    folder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    first = prepared(folder, tiny_model, tmp_path / "cache")
    write(folder / "train/two.wav", music(99, 2.0))
    second = prepared(folder, tiny_model, tmp_path / "cache")
    assert second.encoded == 1
    assert second.fingerprint != first.fingerprint


def test_another_models_cache_is_not_used(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    from tests.models import build_tiny

    prepared(folder, tiny_model, tmp_path / "cache")
    other = build_tiny(tmp_path / "other", seed=1)
    assert prepared(folder, other, tmp_path / "cache").encoded == 7


def test_encoding_that_is_interrupted_goes_on_where_it_was(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def after_two(done: int, total: int) -> None:
        if done == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        prepare(settings(folder, tmp_path / "cache"), tiny_model, CPU, after_two, nothing)
    told: list[tuple[int, int]] = []
    prepare(settings(folder, tmp_path / "cache"), tiny_model, CPU, lambda *now: told.append(now), nothing)
    assert told[-1] == (2, 2)


def test_memory_that_runs_out_while_encoding_halves_the_batch(
    folder: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = dataset.encode_audio

    def with_room_for(clips: int) -> None:
        def encode_or_not(codec: object, batch: dict, *rest: object) -> dict:
            if len(batch) > clips:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return encode(codec, batch, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(dataset, "encode_audio", encode_or_not)

    batches = dataset._batches
    monkeypatch.setattr(dataset, "_batches", lambda missing, sound, _: batches(missing, sound, 8))
    expected = prepared(folder, tiny_model, tmp_path / "a")
    with_room_for(1)
    found = prepared(folder, tiny_model, tmp_path / "b")
    assert all(np.array_equal(a.codes, b.codes) for a, b in zip(expected.train, found.train, strict=True))
    with_room_for(0)
    with pytest.raises(UserError, match="does not hold the audio encoder and a single clip"):
        prepared(folder, tiny_model, tmp_path / "c")


def test_clips_of_many_lengths_do_not_all_wait_in_memory(tmp_path: Path) -> None:
    missing = {}
    for number in range(40):
        path = write(tmp_path / f"{number}.wav", music(0, 1.0 + 0.01 * number), 16000)
        missing[str(number)] = metadata.Clip(path.name, path, "", "train")
    sound = SimpleNamespace(rate=16000, channels=1)
    read: list[Path] = []
    real = dataset.read_for_model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "read_for_model", lambda path, *how: (read.append(path), real(path, *how))[1])
        done, most = set(), 0
        for batch in dataset._batches(missing, sound, 2):  # type: ignore[arg-type]
            most = max(most, len(read) - len(done))
            done |= batch.keys()
    assert done == missing.keys()
    assert most <= dataset.WAITING_GROUPS * 2


def test_a_long_file_is_encoded_in_pieces_of_bounded_length(
    folder: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prepared(folder, tiny_model, tmp_path / "a").train[1].codes
    monkeypatch.setattr("engine.data.dataset.LONGEST_PIECE", 2.0)
    pieces = prepared(folder, tiny_model, tmp_path / "b").train[1].codes
    assert pieces.shape == whole.shape
    assert (pieces == whole).mean() > 0.98
