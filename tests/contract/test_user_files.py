"""Files of the user: written through links, never over what is not ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.contract import user_files
from engine.contract.errors import UserError


def ours(content: bytes) -> bool:
    return content.startswith(b"ours")


def written(path: Path, text: str = "ours, new") -> Path:
    real = user_files.target(path, ours, "take another name")
    user_files.write(real, text, "take another name")
    return real


def test_a_new_file_one_of_ours_and_an_empty_one_are_written(tmp_path: Path) -> None:
    for name, before in (("a/new", None), ("ours", b"ours, old"), ("empty", b"")):
        if before is not None:
            (tmp_path / name).write_bytes(before)
        written(tmp_path / name)
        assert (tmp_path / name).read_text() == "ours, new"


def test_a_file_that_is_not_ours_stays_and_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    with pytest.raises(UserError, match=r"theirs exists and was not written by this command; move it away, or take"):
        written(tmp_path / "theirs")
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_a_link_stays_a_link_and_its_file_keeps_its_rights(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("ours")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "to-be").symlink_to("later")
    assert written(tmp_path / "link") == tmp_path / "real"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640
    written(tmp_path / "to-be")
    assert (tmp_path / "later").read_text() == "ours, new"


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "circle", "null", ".", "x" * 300, "a\0b", "pipe/below"):
        with pytest.raises(UserError, match=r"take another name\.$"):
            written(tmp_path / name)
    assert Path("/dev/null").is_char_device()
