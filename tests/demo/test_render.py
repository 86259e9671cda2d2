import json

import pytest
import soundfile

from engine.contract import config
from engine.data.check import check
from engine.demo.render import demo_clips, render


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo")
    render(path)
    return path


def test_the_demo_has_48_clips_to_learn_8_to_validate_and_8_prompts(folder):
    metadata = json.loads((folder / "metadata.json").read_text())
    assert sum(entry["audio"].startswith("train/") for entry in metadata) == 48
    assert sum(entry["audio"].startswith("valid/") for entry in metadata) == 8
    assert len(json.loads((folder / "prompts.json").read_text())) == 8
    assert all((folder / entry["audio"]).is_file() and entry["text"] for entry in metadata)


def test_clips_are_fifteen_seconds_of_mono_at_16_khz(folder):
    for file in sorted(folder.glob("*/*.wav"))[::7]:
        about = soundfile.info(file)
        assert (about.frames, about.samplerate, about.channels) == (240_000, 16_000, 1)


def test_rendering_again_gives_the_same_bytes(folder, tmp_path):
    render(tmp_path)
    for file in ["metadata.json", "prompts.json", "config.toml"]:
        assert (folder / file).read_bytes() == (tmp_path / file).read_bytes()
    one = sorted(folder.glob("train/*.wav"))[3]
    assert one.read_bytes() == (tmp_path / "train" / one.name).read_bytes()


def test_no_tune_is_both_learnt_and_validated():
    tunes = {split: {clip.contour for clip, _ in clips} for split, clips in demo_clips().items()}
    assert not tunes["train"] & tunes["valid"]


def test_the_data_check_finds_nothing_wrong(folder):
    settings = config.load(folder / "config.toml")
    assert settings.model.base == "demo"
    about_data = [finding for finding in check(settings).findings if finding.severity in ("warn", "block")]
    assert about_data == []
