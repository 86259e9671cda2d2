"""Audio of any rate and format, and the cache of what it became."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.contract.errors import UserError
from engine.data.audio import read_for_model
from engine.data.cache import Digests, Store
from tests.data.conftest import music, write


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_any_format_and_rate_comes_at_the_models_rate(tmp_path: Path, name: str, rate: int) -> None:
    time = np.arange(2 * rate) / rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    write(tmp_path / name, np.stack([tone, tone], axis=1), rate)
    samples = read_for_model(tmp_path / name, 32000, 1)
    assert samples.dtype == np.float32
    assert samples.shape[0] == 1
    assert abs(samples.shape[1] - 64000) <= 0.1 * 32000
    spectrum = np.abs(np.fft.rfft(samples[0, 8000:40000]))
    assert abs(np.argmax(spectrum) - 440) <= 1
    assert np.abs(samples[0, 8000:40000]).max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("rate", [44100, 48000])
def test_what_lies_above_the_models_range_does_not_come_back_below_it(tmp_path: Path, rate: int) -> None:
    time = np.arange(2 * rate) / rate
    write(tmp_path / "high.wav", (0.5 * np.sin(2 * np.pi * 17000 * time)).astype(np.float32), rate)
    samples = read_for_model(tmp_path / "high.wav", 32000, 1)[0, 8000:-8000]
    assert 20 * np.log10(np.abs(samples).max() / 0.5) < -80


def test_mono_is_the_mean_and_stereo_keeps_two_channels(tmp_path: Path) -> None:
    left, right = np.full(32000, 0.5, np.float32), np.full(32000, -0.1, np.float32)
    write(tmp_path / "stereo.wav", np.stack([left, right], axis=1), 32000)
    assert read_for_model(tmp_path / "stereo.wav", 32000, 1)[0, 0] == pytest.approx(0.2, abs=1e-3)
    assert read_for_model(tmp_path / "stereo.wav", 32000, 2)[:, 0] == pytest.approx([0.5, -0.1], abs=1e-3)
    write(tmp_path / "mono.wav", left, 32000)
    assert read_for_model(tmp_path / "mono.wav", 32000, 2).shape == (2, 32000)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "there is no such file"), (b"", "it is empty"), (b"no audio at all", "cannot be read")],
)
@pytest.mark.parametrize("name", ["x.wav", "x.raw"])
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        read_for_model(path, 32000, 1)


def test_samples_that_are_not_numbers_become_silence(tmp_path: Path) -> None:
    samples = music(0, 2.0)
    samples[100] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 22050, subtype="FLOAT")
    assert np.isfinite(read_for_model(tmp_path / "nan.wav", 22050, 1)).all()


def test_what_is_stored_comes_back_for_the_same_maker_only(tmp_path: Path) -> None:
    codes = np.arange(12, dtype=np.uint16).reshape(4, 3)
    store = Store(tmp_path, "codes", "maker-one")
    assert store.load("abc") is None
    store.save("abc", codes)
    assert np.array_equal(store.load("abc"), codes)
    assert Store(tmp_path, "codes", "maker-two").load("abc") is None


@pytest.mark.parametrize("keep", [0, 10, 150])
def test_a_damaged_entry_is_as_good_as_none(tmp_path: Path, keep: int) -> None:
    store = Store(tmp_path, "codes", "maker")
    store.save("abc", np.arange(100))
    whole = store.path("abc").read_bytes()
    store.path("abc").write_bytes(whole[:keep])
    assert store.load("abc") is None


def test_no_flipped_bit_gives_other_codes_or_an_error(tmp_path: Path) -> None:
    store, codes = Store(tmp_path, "codes", "maker"), np.arange(12, dtype=np.uint16)
    store.save("abc", codes)
    whole = store.path("abc").read_bytes()
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        store.path("abc").write_bytes(bytes(flipped))
        found = store.load("abc")
        assert found is None or np.array_equal(found, codes)


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "codes").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"cache folder .* cannot be written .*set data\.cache_dir"):
        Store(tmp_path, "codes", "maker").save("abc", np.arange(3))


def fill(root: Path) -> None:
    store = Store(root, "codes", "maker")
    for number in range(50):
        store.save(f"{number:02d}", np.full(1000, number))


def test_two_processes_may_fill_it_at_once(tmp_path: Path) -> None:
    writers = [multiprocessing.get_context("fork").Process(target=fill, args=(tmp_path,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    store = Store(tmp_path, "codes", "maker")
    assert all(np.array_equal(store.load(f"{number:02d}"), np.full(1000, number)) for number in range(50))
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_digest_follows_the_content_and_is_remembered(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"one")
    digests = Digests(tmp_path / "cache")
    one = digests.of_file(file)
    digests.save()
    assert (tmp_path / "cache" / "digests.json").is_file()
    again = Digests(tmp_path / "cache")
    assert again.of_file(file) == one
    file.write_bytes(b"other")
    assert again.of_file(file) != one
    for damaged in ("{torn", "[]", json.dumps({str(file): 3}), json.dumps({str(file): ["x"]})):
        (tmp_path / "cache" / "digests.json").write_text(damaged)
        assert Digests(tmp_path / "cache").of_file(file) == again.of_file(file)


def test_a_part_of_a_model_has_a_digest_of_its_own(tiny_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(tiny_model / "model.safetensors")
    name = next(name for name in tensors if name.startswith("decoder."))
    tensors[name] = tensors[name] + 1
    save_file(tensors, tmp_path / "changed.safetensors")
    digests = Digests(tmp_path)
    for part, same in (("audio_encoder.", True), ("text_encoder.", True), ("decoder.", False)):
        pair = [
            digests.of_tensors(path, part)
            for path in (tiny_model / "model.safetensors", tmp_path / "changed.safetensors")
        ]
        assert (pair[0] == pair[1]) is same
