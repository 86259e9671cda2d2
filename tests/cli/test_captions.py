"""mgl-tui captions: words with counts, one replaced, a spreadsheet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Place, place_in


@pytest.fixture
def here(tmp_path: Path) -> Place:
    entries = [
        {"audio": f"train/{number}.wav", "text": text, "mine": number}
        for number, text in enumerate(("slow boomap", "Boomap, dark", "slow boombap", "sub-boomaps"))
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "metadata.json").write_text(json.dumps(entries))
    (tmp_path / "config.toml").write_text('[data]\ndir = "data"\n')
    return place_in(tmp_path)


def texts(here: Place) -> list[str]:
    return [entry["text"] for entry in json.loads((here.folder / "data" / "metadata.json").read_text())]


def test_words_come_with_the_captions_they_stand_in_the_commonest_first(here: Place) -> None:
    lines = here.mgl("captions").stdout.splitlines()
    assert lines[0].split() == ["captions", "times", "word"]
    assert [line.split() for line in lines[1:4]] == [["2", "2", "boomap"], ["2", "2", "slow"], ["1", "1", "boombap"]]
    assert here.json("captions", "--data", "data") == here.json("captions")


def test_a_word_is_replaced_everywhere_and_the_first_version_kept(here: Place) -> None:
    before = (here.folder / "data" / "metadata.json").read_bytes()
    done = here.mgl("captions", "--replace", "boomap", "boombap", "--dry-run")
    assert done.stdout.endswith('would change: "boomap" -> "boombap" in 2 captions\n')
    assert (here.folder / "data" / "metadata.json").read_bytes() == before
    done = here.mgl("captions", "--replace", "boomap", "boombap")
    assert 'changed: "boomap" -> "boombap" in 2 captions' in done.stdout
    assert texts(here) == ["slow boombap", "Boombap, dark", "slow boombap", "sub-boomaps"]
    assert json.loads((here.folder / "data" / "metadata.json").read_text())[0]["mine"] == 0
    assert (here.folder / "data" / "metadata.json.orig").read_bytes() == before


def test_captions_go_out_to_a_spreadsheet_and_come_in_from_it(here: Place) -> None:
    assert "written" in here.mgl("captions", "--csv", "c.csv").stdout
    file = here.folder / "c.csv"
    assert file.read_bytes().startswith(b"\xef\xbb\xbfaudio,split,text\r\n")
    file.write_text(file.read_text(encoding="utf-8-sig").replace("Boomap, dark", "käse"), encoding="utf-16")
    found = here.json("captions", "--csv", "c.csv", "--dry-run")
    assert found == {
        "changes": [{"audio": "train/1.wav", "before": "Boomap, dark", "after": "käse"}],
        "dry_run": True,
    }
    assert here.mgl("captions", "--csv", "c.csv").returncode == 0
    assert texts(here)[1] == "käse"
    assert "changed: 0 captions" in here.mgl("captions", "--csv", "c.csv").stdout


def test_what_cannot_be_done_is_one_sentence_and_changes_nothing(here: Place) -> None:
    (here.folder / "latin.csv").write_bytes("audio,text\ntrain/1.wav,käse\n".encode("latin-1"))
    before = texts(here)
    for words, status, said in (
        (("--csv", "latin.csv"), 1, 'save it in the spreadsheet as "CSV UTF-8"'),
        (("--csv", "."), 1, "cannot be read"),
        (("--csv", "gone/c.csv", "--data", "nowhere"), 1, "does not exist"),
        (("--replace", " ", "x"), 1, "no word to replace"),
        (("--replace", "a"), 2, "expected 2 arguments"),
        (("--replace", "a", "b", "--csv", "c.csv"), 2, "not allowed with"),
    ):
        done = here.mgl("captions", *words)
        assert (done.returncode, said in done.stderr) == (status, True), (words, done.stderr)
        assert "Traceback" not in done.stderr
    assert texts(here) == before
