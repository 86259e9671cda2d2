"""What the check finds, each on data that have exactly that fault."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.contract import config
from engine.contract.data import metadata
from engine.contract.data.split import split_by_track, track_names
from engine.contract.paths import cache_dir
from engine.data import scan
from engine.data.captions import is_foreign, misspellings, says_nothing
from engine.data.check import Checked, check, fix_split
from engine.data.resources import gpu_bytes, mismatch
from tests.data.conftest import RATE, Data, music

IDS = {
    "missing-file", "unreadable-audio", "wrong-duration", "silence", "clipping", "dc-offset", "duplicate-audio",
    "track-leak", "no-valid-set", "caption-empty", "caption-too-long", "caption-not-english", "caption-misspelling",
    "text-damaged", "prompt-unread", "prompt-too-long", "prompt-not-english", "prompt-misspelling",
    "prompt-twice", "mono-cancellation", "extra-channels", "beyond-full-scale", "non-finite",
    "low-sample-rate", "format-mismatch", "cut-short", "left-out", "other-metadata", "other-path", "other-split",
    "prompt-in-captions", "prompts-file", "steps", "warmup-too-long", "save-steps-unreached", "model-missing",
    "torchaudio-mismatch", "gpu-memory", "disk-space",
}  # fmt: skip


def test_data_that_are_all_right_give_no_warning(data: Data) -> None:
    findings = data.findings()
    assert set(findings) == IDS
    assert {finding.severity for finding in findings.values()} <= {"ok", "info"}
    assert "5 train clips / 8 = 1 step an epoch" in findings["steps"].message


def test_missing_and_unreadable_files_block(data: Data) -> None:
    (data.folder / "train/songb.wav").unlink()
    (data.folder / "train/songc.wav").write_text("no audio")
    findings = data.findings()
    assert findings["missing-file"].severity == "block"
    assert findings["missing-file"].examples == ["train/songb.wav"]
    assert findings["unreadable-audio"].count == 1
    assert "songc.wav" in findings["unreadable-audio"].examples[0]


@pytest.mark.parametrize(("seconds", "severity"), [(0.5, "block"), (5.0, "warn"), (20.0, "info")])
def test_clips_of_another_length_are_told_by_what_follows(data: Data, seconds: float, severity: str) -> None:
    data.add("train/other.wav", music(50, seconds))
    finding = data.findings()["wrong-duration"]
    assert (finding.severity, finding.count) == (severity, 1)
    assert f"{seconds:.1f}" in finding.examples[0] or f"{seconds:.2f}" in finding.examples[0]


def test_layers_that_the_decoder_does_not_have_block(data: Data) -> None:
    data.assignments = ['lora.target_modules=["q_proj", "query"]']
    finding = data.findings()["lora-targets"]
    assert finding.severity == "block"
    assert "names query" in finding.message


@pytest.mark.parametrize("seconds", [7.9, 15.9, 15.95, 15.97, 16.0, 16.01, 24.0])
def test_the_check_counts_the_windows_that_training_cuts(
    data: Data, tiny_model: Path, tmp_path: Path, seconds: float
) -> None:
    import torch

    from engine.data.dataset import prepare

    data.add("train/long.wav", music(50, seconds))
    data.assignments = [f'data.cache_dir="{tmp_path / "cache"}"']
    cut = len(prepare(data.settings(), tiny_model, torch.device("cpu"), lambda *_: None, lambda *_: None).train)
    assert data.findings()["steps"].count == cut


def test_silence_clipping_and_dc_are_heard(data: Data) -> None:
    silent = music(60)
    silent[: len(silent) // 3] = 0
    data.add("train/silent.wav", silent)
    data.add("train/clipped.wav", np.clip(music(61) * 20, -1, 1))
    data.add("train/shifted.wav", music(62) + 0.05)
    findings = data.findings()
    for name, example in (("silence", "silent"), ("clipping", "clipped"), ("dc-offset", "shifted")):
        assert findings[name].severity == "warn"
        assert findings[name].count == 1
        assert example in findings[name].examples[0]


def test_the_same_file_twice_is_found(data: Data) -> None:
    shutil.copy(data.folder / "train/songb.wav", data.folder / "train/again.wav")
    data.entries.append({"audio": "train/again.wav", "text": "again"})
    finding = data.findings()["duplicate-audio"]
    assert (finding.severity, finding.count) == ("warn", 1)
    assert finding.examples == ["train/songb.wav = train/again.wav"]


@pytest.mark.parametrize("how", ["re-encoded", "quieter", "resampled", "trimmed"])
def test_the_same_audio_in_another_guise_is_found_across_the_split(data: Data, how: str) -> None:
    from engine.data.audio import resample

    samples = music(1)
    name, rate = "valid/other.wav", RATE
    if how == "re-encoded":
        name = "valid/other.mp3"
    elif how == "quieter":
        samples = samples * 0.3
    elif how == "resampled":
        samples, rate = resample(samples[None], RATE, 32000)[0], 32000
    else:
        samples = samples[int(0.437 * RATE) : -int(0.2 * RATE)]
    data.add(name, samples, rate=rate)
    finding = data.findings()["duplicate-audio"]
    assert finding.count == 1
    assert "both splits" in finding.examples[0]


def test_a_valid_set_that_is_the_train_set_blocks(data: Data) -> None:
    data.entries = data.entries[1:]
    for number in range(1, 6):
        shutil.copy(data.folder / f"train/song{chr(97 + number)}.wav", data.folder / f"valid/copy{number}.wav")
        data.entries.append({"audio": f"valid/copy{number}.wav", "text": "x"})
    assert data.findings()["duplicate-audio"].severity == "block"


def test_tracks_on_both_sides_are_found_by_name(data: Data) -> None:
    data.add("valid/beat_beat33_01_0000.wav", music(70))
    data.add("train/beat_beat33_02_0004.wav", music(71))
    finding = data.findings()["track-leak"]
    assert (finding.severity, finding.count) == ("warn", 1)
    assert "beat_beat33" in finding.examples[0]


def test_tracks_on_both_sides_are_found_by_audio(data: Data) -> None:
    track = music(80, seconds=14)
    data.add("train/x.wav", track[: 8 * RATE])
    data.add("valid/y.wav", track[4 * RATE : 12 * RATE])
    findings = data.findings()
    assert findings["track-leak"].count == 1
    assert "share 3." in findings["track-leak"].examples[0] or "share 4." in findings["track-leak"].examples[0]
    assert findings["duplicate-audio"].severity == "ok"


def test_numbered_files_in_both_splits_are_no_leak(data: Data) -> None:
    for number in range(3):
        data.add(f"train/clip_{number:04d}.wav", music(90 + number))
        data.add(f"valid/clip_{number:04d}.wav", music(95 + number))
    assert data.findings()["track-leak"].severity == "ok"


@pytest.mark.parametrize(
    ("names", "tracks"),
    [
        (["beat_beat33_01_0000", "beat_beat33_02_0004"], ["beat_beat33"] * 2),
        (["clip_001", "clip_002"], None),
        (["song_12_0001", "song_12_0002", "song_13_0001"], ["song_12", "song_12", "song_13"]),
        (["my-song part2", "my-song part3"], ["my_song"] * 2),
        (["dub_140bpm_01", "dub_140bpm_02"], None),
        (["night drive", "night walk"], None),
    ],
)
def test_pieces_of_a_track_are_told_from_numbered_files(names: list[str], tracks: list[str] | None) -> None:
    files = [f"train/{name}.wav" for name in names]
    assert track_names(files) == (tracks or files)


def test_what_all_files_share_is_no_track() -> None:
    files = [f"train/set2_{number:03d}.wav" for number in range(30)]
    assert track_names(files) == files


def test_no_valid_set_blocks(data: Data) -> None:
    data.entries = data.entries[1:]
    assert data.findings()["no-valid-set"].severity == "block"


def test_captions_that_are_empty_too_long_or_not_english(data: Data) -> None:
    data.add("train/e.wav", music(30), "")
    data.add("train/l.wav", music(31), "drum " * 600)
    data.add("train/c.wav", music(32), "忧郁的钢琴和缓慢的鼓点")
    findings = data.findings()
    for name in ("caption-empty", "caption-too-long", "caption-not-english"):
        assert (findings[name].severity, findings[name].count) == ("warn", 1)


def test_text_that_was_damaged_or_holds_nothing_is_found_before_training(data: Data) -> None:
    data.add("train/e.wav", music(30), "\u200b\ufeff")
    data.add("train/d.wav", music(31), "warm\x1b[31m drums\ufffd")
    data.prompts = ["\u0301 calm \u202e", "calm"]
    findings = data.findings()
    assert (findings["caption-empty"].severity, findings["caption-empty"].count) == ("warn", 1)
    assert (findings["text-damaged"].severity, findings["text-damaged"].count) == ("warn", 3)
    assert "warm␛[31m drums\ufffd" in str(findings["text-damaged"])


@pytest.mark.parametrize(
    ("text", "nothing"), [("", True), ("\u200b", True), ("▁ ▁", True), ("a", False), ("鋼", False)]
)
def test_whether_a_tokenizer_leaves_anything_of_a_text(text: str, nothing: bool) -> None:
    class Unigram:
        """What T5's tokenizer makes of these texts: pieces that begin with ▁, of unknown letters one that says so."""

        def encode(self, text: str, add_special_tokens: bool) -> Any:
            return SimpleNamespace(tokens=[f"▁{word.replace('▁', '')}" for word in text.split()])

    assert says_nothing(text, Unigram()) == nothing
    assert says_nothing(text, None) == (nothing and "▁" not in text)


def test_a_rare_word_one_slip_from_a_frequent_one_is_a_misspelling() -> None:
    captions = [f"dark boombap beat {number}" for number in range(10)]
    found = misspellings([*captions, "dark boomap beat", "dark bombap drums"])
    assert [(case.word, case.meant, case.meant_times) for case in found] == [
        ("bombap", "boombap", 10),
        ("boomap", "boombap", 10),
    ]


def test_plurals_and_other_words_are_no_misspellings() -> None:
    captions = ["warm synth pads", "synth bass"] * 10 + [
        "two synths",
        "a synthy pad",
        "brass",
        "spads",
        "drums",
        "padding",
    ]
    assert misspellings(captions) == []


def test_foreign_letters_are_found_without_a_tokenizer() -> None:
    assert is_foreign("тёплый бас", None)
    assert not is_foreign("café noir, 90 bpm", None)


def test_a_prompt_that_repeats_a_training_caption_is_found(data: Data) -> None:
    data.prompts = ["Warm  drums 2.", "warm drums 0", "something else"]
    finding = data.findings()["prompt-in-captions"]
    # Caption 0 is the valid clip's: it was not trained on.
    assert finding.examples == ["Warm drums 2."]


def test_a_warm_up_that_cannot_end_blocks_with_the_number_that_would_do(data: Data) -> None:
    data.assignments = ["train.warmup_steps=50"]
    finding = data.findings()["warmup-too-long"]
    assert finding.severity == "block"
    assert "Set it to 0" in finding.message


def test_a_warm_up_that_blocks_hides_no_other_finding(data: Data) -> None:
    usual = data.findings()
    data.assignments = ["train.warmup_steps=50"]
    findings = data.findings()
    assert findings["warmup-too-long"].severity == "block"
    assert set(findings) == set(usual)
    assert findings["steps"] == usual["steps"]
    assert findings["save-steps-unreached"] == usual["save-steps-unreached"]


def test_clips_of_several_wrong_lengths_are_all_told(data: Data) -> None:
    for name, seconds in (("tiny", 0.5), ("short", 5.0), ("long", 20.0)):
        data.add(f"train/{name}.wav", music(50, seconds))
    finding = data.findings()["wrong-duration"]
    assert (finding.severity, finding.count) == ("block", 3)
    assert finding.clips == ["train/tiny.wav", "train/short.wav", "train/long.wav"]
    assert all(f"1 clip is {what} than" in finding.message for what in ("shorter", "longer"))


def test_one_short_clip_is_no_advice_to_shorten_all_others(data: Data) -> None:
    for number in range(10):
        data.add(f"train/fine{number}.wav", music(50 + number))
    data.add("train/short.wav", music(70, 4.0))
    assert data.findings()["wrong-duration"].fix == "Take longer clips."
    for number in range(10):
        data.add(f"train/short{number}.wav", music(80 + number, 4.0))
    assert data.findings()["wrong-duration"].fix == "Take longer clips, or set data.duration = 4."


@pytest.mark.parametrize("count", [1, 2])
def test_what_is_found_agrees_with_its_number(data: Data, count: int) -> None:
    for number in range(count):
        data.add(f"train/silent{number}.wav", np.concatenate([music(60 + number, 4.0), np.zeros(4 * RATE)]))
    message = data.findings()["silence"].message
    assert message.startswith("1 clip is silent" if count == 1 else "2 clips are silent")


def test_a_save_interval_that_never_comes_is_told(data: Data) -> None:
    assert data.findings()["save-steps-unreached"].count == 1
    data.assignments = ["train.save_steps=1", "train.epochs=4"]
    assert data.findings()["save-steps-unreached"].severity == "ok"


def test_broken_metadata_and_a_missing_model_block_side_by_side(data: Data) -> None:
    settings = config.override(data.settings(), ['model.base="/no/such/model"'])
    (data.folder / "metadata.json").write_text("[{")
    findings = {finding.id: finding for finding in check(settings).findings}
    assert findings["metadata"].severity == findings["model-missing"].severity == "block"


def test_a_hub_model_that_is_not_here_names_the_command(data: Data) -> None:
    data.assignments = ['model.base="someone/absent"']
    finding = data.findings()["model-missing"]
    assert finding.severity == "block"
    assert "hf download someone/absent" in finding.fix


@pytest.mark.parametrize(
    ("torch", "torchaudio", "fits"),
    [
        ("2.14.1", "2.11.0", True),
        ("2.11.0", "2.11.0", True),
        ("2.15.0", "2.11.0", False),
        ("2.14.1+cpu", "2.11.0", False),
        ("2.6.0+cpu", "2.6.0+cpu", True),
        ("2.7.0", "2.6.0", False),
    ],
)
def test_versions_that_cannot_be_imported_together(torch: str, torchaudio: str, fits: bool) -> None:
    assert (mismatch(torch, torchaudio) == "") is fits


def test_the_memory_estimate_grows_with_clips_and_shrinks_with_checkpointing() -> None:
    from engine.data.resources import SMALL_DECODER

    def need(micro: int, *changes: str) -> float:
        return gpu_bytes(SMALL_DECODER, config.override(config.Settings(), list(changes)), micro, 750)

    assert need(1) < need(2) < need(8)
    assert need(2, "train.gradient_checkpointing=true") < need(2)
    assert need(2, 'train.precision="fp32"') > need(2)


def test_a_split_by_track_keeps_pieces_together(data: Data) -> None:
    for track in range(8):
        for piece in range(3):
            data.add(f"train/beat_beat{track:02d}_{piece:02d}_0000.wav", music(100 + 3 * track + piece, 2.0))
    file = fix_split(data.settings())
    assert file == data.folder / "metadata_by_track.json"
    clips = metadata.read(config.Data(dir=str(data.folder), metadata=file.name))
    assert len(clips) == len(data.entries)
    sides: dict[str, set[str]] = {}
    for track, clip in zip(track_names([clip.name for clip in clips]), clips, strict=True):
        sides.setdefault(track, set()).add(clip.split)
    assert all(len(side) == 1 for side in sides.values())
    assert {"train", "valid"} == set.union(*sides.values())
    assert fix_split(data.settings()).name == "metadata_by_track_2.json"


def test_a_split_by_track_leaves_a_test_set_alone() -> None:
    names = [f"{'test' if n % 10 == 9 else 'train'}/song{n:03d}_01_0001.wav" for n in range(100)]
    clips = [metadata.Clip(name, Path("/x") / name, "x", name.split("/")[0]) for name in names]
    splits = split_by_track(clips, [])
    assert [split == "test" for split in splits] == [clip.split == "test" for clip in clips]
    assert splits.count("valid") == 9


def test_a_split_takes_about_a_tenth_and_never_everything() -> None:
    clips = [metadata.Clip(f"t{n:03d}_01_0001.wav", Path(f"/x/{n}"), "x", "train") for n in range(100)]
    splits = split_by_track(clips, [])
    assert splits.count("valid") == 10
    two = [metadata.Clip(f"{side}{n}.wav", Path("/x"), "x", "train") for side in "ab" for n in range(3)]
    assert sorted(split_by_track(two, [(0, 1), (1, 2), (3, 4), (4, 5)])) == ["train"] * 3 + ["valid"] * 3


def test_the_command_prints_json_and_its_status_tells_whether_anything_blocks(data: Data, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(config.dumps(data.settings()))
    command = [sys.executable, "-m", "engine", "check", str(file), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    findings = json.loads(done.stdout)["findings"]
    assert {finding["id"] for finding in findings} == IDS
    assert set(findings[0]) == {"id", "severity", "count", "examples", "message", "fix", "clips"}
    (data.folder / "train/songb.wav").unlink()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_each_clip_is_told_with_what_was_found_of_it(data: Data) -> None:
    data.add("train/beat_beat33_01_0000.wav", np.stack([music(70, 5.0)] * 2, axis=1))
    data.add("valid/beat_beat33_02_0004.wav", music(71, 5.0), rate=RATE // 2)
    data.add("train/silent.wav", np.zeros(8 * RATE))
    (data.folder / "train/songb.wav").unlink()
    checked = check(data.settings())
    clips = {clip.name: clip for clip in checked.clips}
    assert [clip.name for clip in checked.clips] == [entry["audio"] for entry in data.entries]
    stereo = clips["train/beat_beat33_01_0000.wav"]
    assert (stereo.seconds, stereo.channels, stereo.sample_rate) == (5.0, 2, RATE)
    assert (stereo.split, stereo.caption) == ("train", "warm drums 6")
    assert stereo.track == clips["valid/beat_beat33_02_0004.wav"].track
    assert stereo.findings == ["wrong-duration", "track-leak"]
    assert stereo.lufs is not None
    assert -30 < stereo.lufs < -5
    assert clips["train/silent.wav"].lufs is None
    missing = clips["train/songb.wav"]
    assert (missing.seconds, missing.lufs, missing.findings) == (0.0, None, ["missing-file"])
    leak = next(finding for finding in checked.findings if finding.id == "track-leak")
    assert leak.clips == ["train/beat_beat33_01_0000.wav", "valid/beat_beat33_02_0004.wav"]


def about_the_data(data: Data) -> Checked:
    """A check without the finding on the disk, which others fill and empty meanwhile."""
    findings, clips = check(data.settings())
    return Checked([finding for finding in findings if finding.id != "disk-space"], clips)


def test_a_second_check_listens_only_to_files_that_changed(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    first = about_the_data(data)
    listened: list[Path] = []

    def measure(file: Path, channels: int) -> scan.Measured:
        listened.append(file)
        return real(file, channels)

    real = scan.measure
    monkeypatch.setattr(scan, "measure", measure)
    assert about_the_data(data) == first
    assert listened == []
    data.add("train/songb.wav", music(77))
    del data.entries[1]
    again = about_the_data(data)
    assert [file.name for file in listened] == ["songb.wav"]
    assert again.clips != first.clips
    kept = scan.kept_file(cache_dir(), data.folder)
    kept.write_bytes(kept.read_bytes()[:100])
    assert about_the_data(data) == again


def test_what_was_listened_to_before_an_interruption_is_kept(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(data.settings(), interrupt)
    told: list[tuple[int, int]] = []
    check(data.settings(), lambda *now: told.append(now))
    assert told[0] == (3, 6)


def test_the_check_needs_no_torch(data: Data, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(config.dumps(data.settings()))
    code = (
        "import sys; from engine.contract import config; from engine.data.check import check;"
        f"check(config.load({str(file)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_many_files_are_listened_to_in_several_processes(data: Data) -> None:
    for number in range(30):
        data.add(f"train/extra{chr(97 + number % 26)}{number}.wav", music(200 + number, 8.0))
    told: list[tuple[int, int]] = []
    findings = {finding.id: finding for finding in check(data.settings(), lambda *now: told.append(now)).findings}
    assert told[-1] == (36, 36)
    assert findings["duplicate-audio"].severity == "ok"


def test_a_file_without_samples_is_unreadable(data: Data) -> None:
    soundfile.write(data.folder / "train/songb.wav", np.zeros(0), RATE)
    assert data.findings()["unreadable-audio"].severity == "block"


def test_a_clip_that_was_taken_out_is_told_and_not_found_fault_with(data: Data) -> None:
    data.entries += [
        {"audio": "train/gone.wav", "text": "", "split": "out of train"},
        {"audio": "train/songb.wav", "text": "warm drumz 9", "split": "out of valid"},
    ]
    checked = check(data.settings())
    assert [finding.id for finding in checked.findings if finding.severity in ("block", "warn") and finding.clips] == []
    assert "5 train clips" in next(finding.message for finding in checked.findings if finding.id == "steps")
    assert [clip.split for clip in checked.clips[-2:]] == ["out of train", "out of valid"]


def test_prompts_are_checked_like_captions(data: Data) -> None:
    for number in range(9):
        data.add(f"train/boom{number}.wav", music(60 + number), f"dark boombap beat {number}")
    data.prompts = ["dark boomap beat", "drum " * 600, "忧郁的钢琴和缓慢的鼓点", "calm", "Calm.", "boombap at night"]
    findings = data.findings()
    for name, example in (
        ("prompt-misspelling", '"boomap", perhaps "boombap" (9x in captions)'),
        ("prompt-too-long", ("drum " * 600)[:80]),
        ("prompt-not-english", "忧郁的钢琴和缓慢的鼓点"),
        ("prompt-twice", "calm"),
    ):
        assert (findings[name].severity, findings[name].examples) == ("warn", [example])
    assert findings["caption-misspelling"].severity == "ok"


def test_every_pair_of_words_one_slip_apart_is_found() -> None:
    captions = ["guitar melody"] * 9
    slips = ["uitar", "guitr", "guiter", "gutiar", "guittar", "xguitar", "guitarx"]
    assert {case.word for case in misspellings(captions, slips)} == set(slips)
    assert misspellings(captions, ["gitars", "sitar", "guitars", "piano"]) == []
